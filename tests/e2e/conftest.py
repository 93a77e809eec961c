"""A real browser on the running development stack; scripts/e2e starts both."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = yaml.safe_load((ROOT / "tests/e2e/vars.yml").read_text())
STACK = VARIABLES["stack_name"]
WEB = f"http://localhost:{VARIABLES['dev_web_port']}"
EDGE = f"https://localhost:{VARIABLES['dev_https_port']}"
CACHE = ROOT / ".cache" / "e2e"
SOURCE = CACHE / "source"
SCREENSHOTS = CACHE / "screenshots"

# In milliseconds, as all of Playwright's times: generous, a guard against hangs.
expect.set_options(timeout=30_000)


def run(*command: str, check: bool = True, timeout: int = 600) -> str:
    """Output of a command; its failure is the test's failure and shows the output."""
    done = subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def admin_password() -> str:
    return (CACHE / "stack" / "secrets" / "admin").read_text().split()[0]


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["BROWSER_PATH"],
            timeout=120_000,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    # Without motion no screenshot catches a bar that is still growing.
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, ignore_https_errors=True, reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()
