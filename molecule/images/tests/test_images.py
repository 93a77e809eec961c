"""What a host has after delivery, and what it must not have."""

from __future__ import annotations

import json

import pytest

CANARIES = [
    *("canary-certificate-authority", "canary-debian-mirror", "canary-python-index"),
    *("canary-build-secret", "canary-build-home", "canary-proxy"),
]
DELIVERED = {"django": 3, "redis": 1}


def references(host, name: str) -> list[str]:
    listed = host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}'").splitlines()
    return [reference for reference in listed if reference.startswith(f"shop/{name}:")]


@pytest.fixture(scope="module")
def delivered(host) -> list[str]:
    return [reference for name in DELIVERED for reference in references(host, name)]


@pytest.mark.parametrize(("name", "number"), DELIVERED.items())
def test_every_release_is_on_the_host(host, name, number):
    assert len(references(host, name)) == number


def test_neither_base_nor_builder_is_delivered(host):
    assert references(host, "base") + references(host, "builder") == []


def test_each_release_runs_its_own_code(host):
    outputs = {
        host.check_output(f"docker run --rm --network none {reference} python manage.py")
        for reference in references(host, "django")
    }
    # The third is the first with other requirements. The words are those of a package beside the application, and of
    # one from a repository that asks for a password.
    assert outputs == {"hello world SELECT 1 release 1", "hello world SELECT 1 release 2"}


@pytest.mark.parametrize("fetched", ["CONNECT pypi.org:443", "/private.git/info/refs"])
def test_what_a_build_fetches_goes_through_the_proxy(host, fetched):
    """The third release, since the Engine may have built the others before."""
    assert host.run("grep --fixed-strings --quiet %s /var/log/tinyproxy.log", fetched).succeeded


def test_host_and_controller_have_the_same_image(host, delivered):
    controller = host.get_host("local://")
    for reference in delivered:
        command = f"docker image inspect --format '{{{{.Id}}}}' {reference}"
        assert host.check_output(command) == controller.check_output(command)


@pytest.mark.parametrize("canary", CANARIES)
def test_build_settings_leave_no_trace(host, delivered, canary):
    for reference in delivered:
        # Layers, configuration and history.
        found = host.run(f"docker save {reference} | grep --binary-files=text --count {canary}")
        assert found.stdout.strip() == "0", reference


def test_the_image_has_no_package_manager_and_no_compiler(host, delivered):
    for reference in delivered:
        found = host.run(
            f"docker run --rm --network none {reference} "
            "bash -c 'type -t apt dpkg pip pip3 uv gcc cc; ls /usr/lib/python3*/ensurepip /opt/venv/bin/pip*'"
        )
        assert found.stdout == ""


def test_every_program_and_library_finds_its_libraries(host, delivered):
    for reference in delivered:
        command = r"find / -xdev -type f -size +4k \( -perm -u+x -o -name \*.so\* \) -exec ldd {} + 2> /dev/null"
        found = host.run(f"docker run --rm --network none --user 0 {reference} bash -c %s", command)
        assert "libc.so.6 => " in found.stdout
        assert "=> not found" not in found.stdout, reference


def test_no_program_gains_privileges(host, delivered):
    for reference in delivered:
        command = f"docker run --rm --network none --user 0 {reference} find / -xdev -perm /6000 -type f"
        assert host.check_output(command) == ""


def test_the_image_runs_as_an_ordinary_user(host, delivered):
    for reference in delivered:
        config = json.loads(host.check_output(f"docker image inspect {reference}"))[0]["Config"]
        uid, _colon, gid = config["User"].partition(":")
        assert int(uid) == int(gid) > 10000


def test_an_unknown_image_is_refused(converge):
    result = converge(images_wanted=["postgers"])
    assert result.returncode != 0
    assert "images_wanted: there is no image postgers; choose from base, builder, postgres" in " ".join(
        result.stdout.split()
    )
