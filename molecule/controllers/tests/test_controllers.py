"""What a second controller may do, and how an authority is changed while users ask."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

FIRST, SECOND = "molecule-controllers-1", "molecule-controllers-2"
UNKNOWN = "there is no authority in it, while molecule-controllers-1 knows one"
CERTIFICATES = "find /opt/broadcast -name '*.crt' -o -name 'tls_*' | sort | xargs sha256sum"


def told(output: str) -> str:
    return " ".join(output.split())


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/rollback.yml"])
def test_a_controller_without_the_authority_is_refused_and_changes_nothing(fleet, other, playbook):
    before = fleet.ids(), fleet.on(FIRST, CERTIFICATES)
    run = fleet.play(playbook, **other)
    assert run.returncode != 0
    assert UNKNOWN in told(run.stdout), run.stdout
    assert (fleet.ids(), fleet.on(FIRST, CERTIFICATES)) == before
    assert [path for path in other.values() if os.path.exists(path)] == []


def test_a_controller_with_another_authority_is_refused(fleet, other):
    for folder in other.values():
        Path(folder).mkdir()
        key, certificate = f"{folder}/ca.key", f"{folder}/ca.crt"
        subprocess.run(
            shlex.split("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=another")
            + shlex.split(f"-days 3650 -keyout {key} -out {certificate}"),
            check=True,
        )
    run = fleet.play("playbooks/plan.yml", **other)
    assert run.returncode != 0
    for variable in other:
        assert f"{variable} = " in run.stdout
    assert "is not the one that molecule-controllers-1 knows" in told(run.stdout)
    assert "copy ca.crt and ca.key" in told(run.stdout)


def test_a_joining_host_gets_the_images_of_the_others(fleet):
    """Whatever controller and host have under their names, by an archive that is larger than the host's /tmp."""
    reference = fleet.on(FIRST, "docker ps --filter name=broadcast-web- --format '{{.Image}}'").strip()
    shown = "docker image inspect --format '{{.Id}}' " + reference
    expected = fleet.on(FIRST, shown).strip()
    # What a build anew makes of the same source.
    build = ["docker", "build", "--quiet", "--tag", reference, "-"]
    subprocess.run(build, input=f"FROM {reference}\nLABEL again=1\n", text=True, check=True, stdout=subprocess.DEVNULL)
    assert subprocess.check_output(shown, shell=True, text=True).strip() != expected
    fleet.on(SECOND, "printf 'FROM scratch\nLABEL again=1\n' | docker build --quiet --tag %s -", reference)
    assert fleet.on(SECOND, shown).strip() != expected
    inventory = f"--inventory={joined(fleet)}"
    plan = fleet.play("playbooks/plan.yml", inventory)
    assert f"{SECOND}: images: deliver {reference}" in plan.stdout, plan.stdout
    run = fleet.site(inventory)
    assert run.returncode == 0, run.stdout
    assert fleet.on(SECOND, shown).strip() == expected
    assert fleet.on(FIRST, shown).strip() == expected
    assert subprocess.check_output(shown, shell=True, text=True).strip() == expected
    assert fleet.on(SECOND, "ls -A /tmp").strip() == ""


def joined(fleet) -> str:
    """An inventory in which the second host belongs to web."""
    path = fleet.ephemeral / "joined.yml"
    path.write_text(json.dumps({"web": {"hosts": {SECOND: None}}}))
    return str(path)


def test_an_authority_is_changed_while_users_ask(fleet):
    inventory = f"--inventory={joined(fleet)}"
    folder = Path(fleet.ephemeral / "fleet-pki")
    old = {name: (folder / name).read_bytes() for name in ("ca.crt", "ca.key")}
    with fleet.loaded() as result:
        run = fleet.play("playbooks/authority.yml", inventory)
    assert run.returncode == 0, run.stdout
    assert result["failed"] == 0, result
    assert result["requests"] > 200
    assert (folder / "ca.crt").read_bytes() != old["ca.crt"]
    assert sorted(path.name for path in folder.glob("ca*")) == ["ca.crt", "ca.key"]
    slot = fleet.slot()
    for host in (FIRST, SECOND):
        trusted = fleet.on(host, f"cat /opt/broadcast/containers/broadcast-web-{slot}/config/stack-ca.crt")
        assert trusted.strip() == (folder / "ca.crt").read_text().strip()


def test_a_release_that_trusts_the_old_authority_is_not_gone_back_to(fleet):
    """Of the two that are kept one trusts both, the other the old one alone."""
    inventory = f"--inventory={joined(fleet)}"
    live = max(record["origin"] for record in fleet.records()[FIRST])
    run = fleet.play("playbooks/rollback.yml", inventory, release=live - 2)
    assert run.returncode != 0
    assert "trusts another authority than the services show now" in told(run.stdout), run.stdout
    back = fleet.play("playbooks/rollback.yml", inventory)
    assert back.returncode == 0, back.stdout


def test_a_controller_without_the_authority_removes_no_host(fleet, other):
    """The edges would be rendered anew with what it has."""
    before = fleet.ids(), fleet.on(FIRST, CERTIFICATES)
    run = fleet.play("playbooks/remove_host.yml", f"--inventory={joined(fleet)}", **other, host=SECOND)
    assert run.returncode != 0
    assert "there is no authority in it, while" in told(run.stdout), run.stdout
    assert (fleet.ids(), fleet.on(FIRST, CERTIFICATES)) == before
