"""End-to-end test in a browser: grant, configure, enable, ingest, view. Screenshots are kept."""

import contextlib
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from playwright.sync_api import expect, sync_playwright

HERE = pathlib.Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = pathlib.Path(os.environ["SNOWFEED_SCREENSHOTS"])
PATIENCE = 300_000


# The newest Streamlit, and the oldest that Snowflake supports.
PYTHONS = {"newest": sys.executable, "oldest": os.environ.get("SNOWFEED_OLDEST_STREAMLIT")}


def free_port():
    """Returns a free port below the ephemeral ones, so that nothing else takes it until the server listens."""
    while True:
        port = random.randrange(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture(params=list(PYTHONS))
def server(request):
    """Starts a server of the page; returns its Streamlit version and address."""
    python = PYTHONS[request.param]
    if python is None:
        pytest.skip("SNOWFEED_OLDEST_STREAMLIT names no Python")
    port = free_port()
    options = ["--server.headless=true", "--browser.gatherUsageStats=false", "--server.fileWatcherType=none"]
    command = [
        python,
        "-m",
        "streamlit",
        "run",
        str(HERE / "page.py"),
        f"--server.port={port}",
        "--server.address=127.0.0.1",
    ]
    process = subprocess.Popen(command + options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(process, address)
        yield request.param, address
    finally:
        process.kill()
        process.wait()


def wait_for(process, address):
    """Waits until a server responds."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "streamlit has ended"
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("streamlit does not answer")


class Page:
    """The page in a browser."""

    def __init__(self, page, version):
        self.page = page
        self.folder = SCREENSHOTS / version
        self.database = f"ISSUES_{version}_{os.getpid()}".upper()
        self.number = 0
        self.version = version

    def shot(self, name):
        """Saves a screenshot of the full page."""
        self.settled()
        self.number += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.folder / f"{self.number:02}-{name}.png", full_page=True)

    def settled(self):
        """Waits until the page has finished running: what is pressed while elements are replaced is lost."""
        # New versions of Streamlit state this at once; the widget and the mark of stale elements come later.
        running = "[data-test-script-state='running'], [data-test-script-state='rerunRequested']"
        expect(self.page.locator(running)).to_have_count(0, timeout=PATIENCE)
        expect(self.page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=PATIENCE)
        expect(self.page.locator("[data-stale='true']")).to_have_count(0, timeout=PATIENCE)
        assert self.page.get_by_test_id("stException").count() == 0, self.page.get_by_test_id(
            "stException"
        ).first.inner_text()

    def tab(self, name):
        """Opens a tab."""
        self.page.get_by_role("tab", name=name, exact=True).click()
        self.settled()

    def back_to(self, name):
        """Reopens a tab if necessary: the oldest Streamlit returns to the first tab when a notice disappears."""
        if self.version == "oldest":
            self.says("Test the connection")
            self.tab(name)
        self.settled()

    def press(self, name, index=0):
        """Presses a visible button."""
        self.settled()
        self.page.get_by_role("button", name=name, exact=True).filter(visible=True).nth(index).click()

    def says(self, text):
        """Waits for a visible text."""
        expect(self.page.get_by_text(text, exact=False).filter(visible=True).first).to_be_visible(timeout=PATIENCE)
        self.settled()


@pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="there is no Chromium")
def test_a_consumer_sets_up_the_app_and_sees_rows(server):
    version, address = server
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 1600})
        tab.set_default_timeout(PATIENCE)
        tab.goto(address)
        walk(Page(tab, version))
        browser.close()


def enable(page, name):
    """Enables a repository."""
    page.tab("Resources")
    page.page.get_by_role("textbox", name="Enable a repository").fill(name)
    page.press("Enable")
    page.says("Enabled.")
    page.tab("Resources")


def open_choice(page):
    """Opens the first choice on the tab that takes one value: streams are chosen beside the repositories."""
    choices = page.page.locator("[data-testid='stSelectbox'], .stSelectbox")
    choices.get_by_role("combobox").filter(visible=True).first.click()


def choose(page, name):
    """Selects a repository on the tab."""
    open_choice(page)
    page.page.get_by_role("option", name=name, exact=True).click()
    page.back_to("Resources")


def walk(page):
    page.says("Not configured yet")
    page.shot("installed")
    page.tab("Resources")
    page.says("Configure the connector first")
    page.tab("Configuration")
    for count, name in enumerate(
        ["Warehouse", "External access integration", "Secret: Token", "Secret: Private key"], 1
    ):
        page.press("Bind", index=-1)
        page.says(f"When this is done, press Refresh: {name}")
        page.press("Refresh")
        expect(page.page.get_by_role("button", name="Change", exact=True)).to_have_count(count, timeout=PATIENCE)
    page.page.get_by_role("textbox", name="Destination database").fill(page.database)
    page.press("Configure")
    page.says(f"Configured; data goes to the database {page.database}")
    page.shot("configured")
    page.press("Test the connection")
    page.says("The source can be reached")
    enable(page, "acme/broken")
    page.says("GitHub refuses the token")
    page.shot("failed")
    page.page.get_by_text("Yes, delete acme/broken").click()
    page.back_to("Resources")
    page.press("Delete now")
    page.says("Deleted; its data stays.")
    enable(page, "acme/widgets")
    choose(page, "acme/widgets")
    page.press("Ingest now")
    page.says("Started in a container")
    page.tab("Resources")
    page.shot("resources")
    page.tab("State")
    page.says("Rows per run")
    page.shot("state")
    page.tab("Data preview")
    page.says("SELECT")
    page.shot("preview")
    page.tab("Raw data preview")
    page.shot("raw")
    page.press("Pause")
    page.says("Paused;")
    page.shot("paused")
    page.press("Resume")
    page.says("Resumed.")
    hostile(page)


def hostile(page):
    """Checks that every tab shows untrusted text without links and fetches no image for it."""
    asked_for = []
    page.page.on("request", lambda request: asked_for.append(request.url))
    enable(page, "acme/evil")
    choose(page, "acme/evil")
    page.press("Reconcile")
    page.says("Started in a container")
    page.tab("Resources")
    choose(page, "acme/evil")
    page.says("no longer lists 7 rows")
    page.page.get_by_text("Yes, mark up to 7 rows as deleted").click()
    page.back_to("Resources")
    page.shot("asks")
    for name in ("Resources", "State", "Data preview", "Raw data preview"):
        page.tab(name)
        if "preview" in name:
            choose_table(page, "acme/evil", name)
        page.shot(f"hostile-{name.split()[0].lower()}")
        for element in ("a[href*='evil']", "img[src*='evil']"):
            assert page.page.locator(element).count() == 0, (name, element)
    page.tab("State")
    page.says("https://evil.example/x")
    assert not any("evil.example" in url for url in asked_for)


def choose_table(page, name, tab):
    """Selects a repository on a tab that shows rows."""
    open_choice(page)
    # The table is named with its stream.
    page.page.get_by_role("option", name=name).first.click()
    if page.version == "oldest":
        page.settled()
        page.tab(tab)
    page.settled()
