"""What a developer sees after `make dev-up`."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from conftest import CACHE, EDGE, SCREENSHOTS, SOURCE, STACK, VARIABLES, WEB, run
from playwright.sync_api import expect

PLAYBOOK = ("ansible-playbook", "-i", "inventories/dev", "-e", "@tests/e2e/vars.yml", "site.yml")
# Generous: a guard against hangs, not a measurement.
RELOAD_SECONDS = 120


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not true after {seconds} s"
        time.sleep(0.2)


def get(url: str) -> str:
    """Body of an answer; empty while the server restarts."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.read().decode()
    except (OSError, urllib.error.URLError):
        return ""


def containers() -> list[dict]:
    names = run("docker", "ps", "-q", "--filter", f"label=broadcast.stack.name={STACK}").split()
    return json.loads(run("docker", "inspect", *names))


def secrets() -> list[str]:
    return [path.read_text().split()[0] for path in (CACHE / "stack" / "secrets").iterdir() if path.suffix != ".lock"]


def log_in(page, base: str, password: str, path: str = "/accounts/login/") -> None:
    page.goto(base + path)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.click("[type=submit]")


def test_a_broadcast_to_200_recipients_is_composed_and_delivered_while_the_page_watches(page, admin_password):
    log_in(page, WEB, admin_password)
    page.fill("input[name=subject]", "Hello from the browser")
    page.fill("textarea[name=body]", "Sent by the end to end test.")
    page.select_option("select[name=audience]", label="Demo readers")
    page.get_by_role("button", name="Send broadcast").click()
    item = page.locator("li.broadcast").filter(has_text="Hello from the browser").first
    expect(item.locator("[data-field=status]")).to_have_text("Finished", timeout=120_000)
    expect(item.locator("[data-field=sent]")).to_have_text("200")
    expect(item.locator("[data-field=failed]")).to_have_text("0")
    page.screenshot(path=SCREENSHOTS / "broadcasts.png")
    caught = run("docker", "logs", f"{STACK}-mail")
    recipients = re.findall(
        r"Subject: Hello from the browser.*?\nTo: (?:[^\n<]*<)?(reader\d+@example\.com)", caught, re.S
    )
    assert len(set(recipients)) == 200


def test_the_page_works_through_nginx_over_https(page, admin_password):
    log_in(page, EDGE, admin_password)
    expect(page.get_by_role("heading", name="Broadcasts")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "https.png")


def test_the_admin_can_log_in(page, admin_password):
    log_in(page, WEB, admin_password, "/admin/login/?next=/admin/")
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "admin.png")


def test_editing_a_python_file_changes_the_answer():
    health = SOURCE / "config" / "health.py"
    assert json.loads(get(f"{WEB}/health/")) == {"status": "ok"}
    health.write_text(health.read_text().replace('{"status": "ok"}', '{"status": "edited"}', 1))
    wait_until(lambda: "edited" in get(f"{WEB}/health/"), RELOAD_SECONDS)


def test_editing_a_tasks_code_changes_what_the_worker_does():
    tasks = SOURCE / "broadcasts" / "tasks.py"
    tasks.write_text(
        tasks.read_text().replace("    services.advance", '    print("edited task")\n    services.advance', 1)
    )
    workers = [c["Name"].strip("/") for c in containers() if c["Name"].startswith(f"/{STACK}-worker-")]
    wait_until(lambda: any("edited task" in run("docker", "logs", name) for name in workers), RELOAD_SECONDS)


def test_every_published_port_is_bound_to_localhost():
    bindings = {
        (container["Name"].removeprefix(f"/{STACK}-"), port["HostIp"], int(port["HostPort"]))
        for container in containers()
        for ports in (container["HostConfig"]["PortBindings"] or {}).values()
        for port in ports
    }
    assert {address for _name, address, _port in bindings} == {"127.0.0.1"}
    published = {port for _name, _address, port in bindings}
    assert published == {value for name, value in VARIABLES.items() if name.endswith("_port")}


def test_a_second_run_changes_nothing_and_executes_few_modules(tmp_path):
    counts = tmp_path / "counts.json"
    output = run(
        "env", "ANSIBLE_CALLBACKS_ENABLED=broadcast.stack.module_count", f"MODULE_COUNT_PATH={counts}", *PLAYBOOK
    )
    assert "changed=0" in output, output
    assert "failed=0" in output, output
    assert len(json.loads(counts.read_text())) <= 12, output


def test_no_secret_is_in_the_most_verbose_output_of_check_and_diff():
    output = run(*PLAYBOOK, "--check", "--diff", "-vvv", "-e", "postgres_memory=600m")
    assert "changed=0" not in output
    assert [value for value in secrets() if value in output] == []


def test_no_secret_is_where_others_can_read_it():
    images = {container["Image"] for container in containers()}
    places = {
        "docker inspect": json.dumps(containers()),
        "docker history": "".join(run("docker", "history", "--no-trunc", image) for image in images),
        "process arguments": "".join(process_arguments()),
        "logs": "".join(run("docker", "logs", container["Id"]) for container in containers()),
        "files that others can read": "".join(
            path.read_text(errors="replace")
            for path in (CACHE / "stack").rglob("*")
            if path.is_file() and path.stat().st_mode & 0o044
        ),
    }
    assert {place: value for place, text in places.items() for value in secrets() if value in text} == {}


def process_arguments() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        # A process may end at any moment, also between being found and being read.
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    assert found
    return found
