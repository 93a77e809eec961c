"""Whether the controller's authority may converge hosts: none but the one that they know, or a change step by step."""

from __future__ import annotations

import datetime
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.filter.authorities import authority_problems
from ansible_collections.broadcast.stack.plugins.lookup.certificates import read_store
from ansible_collections.broadcast.stack.plugins.plugin_utils import authorities
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

NAME, ROOT = "Fleet authority of shop", "/opt/shop/containers"
DAY = datetime.timedelta(days=1)


def certificate(subject, issuer, key, issuer_key, days=3650) -> str:
    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + days * DAY)
        .sign(issuer_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


class Authority:
    """An authority, and what it signs."""

    def __init__(self, name=NAME):
        self.name, self.key = name, ec.generate_private_key(ec.SECP256R1())
        self.text = certificate(name, name, self.key, self.key)

    def signed_again(self) -> str:
        return certificate(self.name, self.name, self.key, self.key, 3000)

    def leaf(self) -> str:
        return certificate("db", self.name, ec.generate_private_key(ec.SECP256R1()), self.key, 300)

    def write(self, folder, name="ca", key=True) -> None:
        (folder / f"{name}.crt").write_text(self.text)
        if key:
            pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / f"{name}.key").write_bytes(pem)


OLD, NEW = Authority(), Authority()


def container(status="running", slot=""):
    return {"status": status, "slot": slot, "stack": "shop"}


def fleet(signed_by=OLD, trusted=(OLD,), kept=(OLD,)):
    """A host of data, and one of web with a running and a kept release."""
    bundle = "\n".join(one.text for one in trusted)
    return {
        "db1": {
            "containers": {"shop-postgres": container()},
            "certificates": {f"{ROOT}/shop-postgres/secrets/tls_certificate": signed_by.leaf()},
        },
        "web1": {
            "containers": {
                "shop-gateway": container(),
                "shop-web-blue": container(slot="blue"),
                "shop-web-green": container("exited", "green"),
            },
            "certificates": {
                f"{ROOT}/shop-gateway/secrets/tls_certificate": signed_by.leaf(),
                f"{ROOT}/shop-gateway/config/authority.crt": bundle,
                f"{ROOT}/shop-web-blue/config/stack-ca.crt": bundle,
                f"{ROOT}/shop-web-green/config/stack-ca.crt": "\n".join(one.text for one in kept),
            },
        },
    }


@pytest.fixture
def told(tmp_path):
    def check(observations, replace=False, name=NAME):
        roots = dict.fromkeys(observations, ROOT)
        return authorities.problems(str(tmp_path), name, roots, observations, replace)

    return check


def test_hosts_that_know_none_get_a_new_one(told):
    assert told({"db1": {"containers": {}, "certificates": {}}}) == []


def test_a_controller_without_the_authority_of_the_hosts_is_refused(told):
    assert told(fleet()) == ["there is no authority in it, while db1, web1 know one"]


def test_a_controller_with_another_authority_is_refused(told, tmp_path):
    NEW.write(tmp_path)
    [text] = told(fleet())
    assert "is not the one that db1, web1 know" in text
    assert told(fleet(), replace=True) == []


def test_the_same_authority_signed_again_is_well(told, tmp_path):
    OLD.write(tmp_path)
    (tmp_path / "ca.crt").write_text(OLD.signed_again())
    assert told(fleet()) == []


def test_an_authority_without_its_key_is_refused(told, tmp_path):
    OLD.write(tmp_path, key=False)
    assert "put the authority's key back" in told(fleet())[0]


def test_a_stack_that_is_down_has_an_authority_still(told):
    observations = fleet()
    for one in observations.values():
        one["containers"] = {}
    assert told(observations) == ["there is no authority in it, while db1, web1 know one"]


def test_what_another_authority_signed_is_none_of_ours(told):
    """A certificate of a public authority, before the local one is chosen."""
    assert told(fleet(signed_by=Authority("R11"), trusted=(), kept=())) == []


@pytest.mark.parametrize(
    ("files", "signed_by", "trusted", "accepted"),
    [
        # 1. Trust both, while the old one signs.
        ({"ca": OLD, "ca-next": NEW}, OLD, [OLD], True),
        # 2. The new one signs: only when all trust it.
        ({"ca": NEW, "ca-previous": OLD}, OLD, [OLD, NEW], True),
        ({"ca": NEW, "ca-previous": OLD}, OLD, [OLD], False),
        # 3. The old one goes: only when nothing shows what it signed.
        ({"ca": NEW}, NEW, [OLD, NEW], True),
        ({"ca": NEW}, OLD, [OLD, NEW], False),
        # An edge, whose certificate browsers alone have to trust.
        ({"ca": NEW, "ca-previous": OLD}, OLD, [], True),
        ({"ca": NEW}, OLD, [], False),
        # The old controller afterwards.
        ({"ca": OLD}, NEW, [NEW], False),
    ],
)
def test_a_change_goes_step_by_step(told, tmp_path, files, signed_by, trusted, accepted):
    for name, authority in files.items():
        authority.write(tmp_path, name)
    assert (told(fleet(signed_by, trusted)) == []) is accepted


def test_kept_releases_do_not_count(told, tmp_path):
    NEW.write(tmp_path)
    assert told(fleet(NEW, [NEW], kept=[OLD])) == []


def test_a_host_that_was_away_during_the_change_learns_the_new_one(told, tmp_path):
    NEW.write(tmp_path)
    away = fleet(OLD, [OLD])["web1"]
    assert told({**fleet(NEW, [NEW]), "web2": away}) == []
    OLD.write(tmp_path)
    assert told({**fleet(NEW, [NEW]), "web2": away})


def test_a_rollback_is_refused_only_when_the_kept_release_trusts_another():
    slot = ("green",)
    [text] = authorities.kept_problems(fleet(NEW, [NEW], kept=[OLD]), NAME, ROOT, *slot)
    assert text.startswith("shop-web-green on web1 trusts another authority")
    assert authorities.kept_problems(fleet(NEW, [NEW], kept=[OLD, NEW]), NAME, ROOT, *slot) == []
    assert authorities.kept_problems(fleet(), NAME, ROOT, *slot) == []


def test_the_sentence_names_the_variable_and_the_remedy(tmp_path):
    kept = {host: [{"variable": "stack_fleet_ca_dir", "directory": str(tmp_path), "name": NAME}] for host in fleet()}
    [text] = authority_problems(fleet(), kept, dict.fromkeys(fleet(), ROOT))
    assert text.startswith(f"stack_fleet_ca_dir = {tmp_path}: there is no authority in it")
    assert "copy ca.crt and ca.key" in text


def bash(folder: Path, script: str, **environment: str) -> str:
    command = ["bash", "-euo", "pipefail", "-c", script]
    environment = {"PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_edges_authority_is_changed_by_the_documented_commands(root: Path, told, tmp_path) -> None:
    edge = Authority("Local authority of shop-nginx")
    edge.write(tmp_path)
    (block,) = re.findall(r"```bash\n(.*?mv ca\.crt.*?)```", (root / "docs/security.md").read_text(), re.DOTALL)
    bash(tmp_path, block)
    assert told(fleet(signed_by=edge, trusted=(), kept=()), name=edge.name) == []
    store = read_store(tmp_path, [], 30, 400)
    assert (store["due"], store["refused"]) == ([], [])
    assert edge.text.strip() in store["trusted"]
    assert store["certificate"] in store["trusted"]
    assert store["certificate"] != edge.text.strip()


def test_the_deploy_workflow_unpacks_what_the_documented_command_packs(root: Path, tmp_path) -> None:
    (pack,) = re.findall(r"`(tar -C inventories/prod [^`]*)`", (root / "docs/security.md").read_text())
    workflow = yaml.safe_load((root / ".github/workflows/deploy.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    (unpack,) = [step["run"] for step in steps if "AUTHORITIES" in step.get("env", {})]
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "inventories/prod/.pki/fleet", there / "inventories/prod"):
        folder.mkdir(parents=True)
    OLD.write(here / "inventories/prod/.pki/fleet")
    secret = bash(here, pack)
    bash(
        there,
        unpack.replace("${{ inputs.environment }}", "prod"),
        **dict.fromkeys(("SSH_PRIVATE_KEY", "SSH_KNOWN_HOSTS", "VAULT_PASSWORD"), ""),
        AUTHORITIES=secret,
        HOME=str(there),
    )
    for name in ("ca.crt", "ca.key"):
        paths = [folder / "inventories/prod/.pki/fleet" / name for folder in (here, there)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
