"""The page in a browser: each state at two widths and in both themes, and a consumer who sets up the app. Screenshots are kept."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import pytest
from playwright.sync_api import expect, sync_playwright

import paths

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
    "--force-prefers-reduced-motion",
]
SCREENSHOTS = pathlib.Path(os.environ["SNOWFEED_SCREENSHOTS"])
PATIENCE = 300_000

# The newest and the oldest Streamlit that Snowflake runs.
PYTHONS = {"newest": sys.executable, "oldest": os.environ.get("SNOWFEED_OLDEST_STREAMLIT")}

pytestmark = pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="there is no Chromium")


def free_port():
    """Returns a free port below the ephemeral ones, so that nothing else takes it until the server listens."""
    while True:
        port = random.randrange(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def served(python):
    """Starts a server of the page; returns its address."""
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
        "--client.toolbarMode=viewer" if python == sys.executable else "--client.toolbarMode=minimal",
    ]
    with tempfile.TemporaryDirectory() as folder:
        # Streamlit reads its theme from the folder in which it is started.
        shutil.copytree(paths.APP / "page/.streamlit", f"{folder}/.streamlit")
        process = subprocess.Popen(command + options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        try:
            wait_for(process, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
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


@pytest.fixture(scope="module")
def browser():
    """Opens a tab of one browser, in a theme. The tabs of a theme share a cache, or each would load and compile Streamlit's scripts again."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        # Streamlit chooses a theme when a page is loaded, and keeps it for the next ones.
        themes = {theme: chromium.new_context(color_scheme=theme) for theme in ("light", "dark")}

        def tab(width, theme="light"):
            made = themes[theme].new_page()
            made.set_viewport_size({"width": width, "height": 1000})
            return made

        yield tab


@pytest.fixture(scope="module")
def servers():
    """Starts a server of a version for all tests, and returns its address."""
    with contextlib.ExitStack() as stack:
        started = {}

        def address(version):
            if version not in started:
                started[version] = stack.enter_context(served(PYTHONS[version]))
            return started[version]

        yield address


# Nothing runs, and no element is of the run before: what is pressed while elements are replaced is lost. New versions of Streamlit state
# that they run at once; the widget and the mark of stale elements come later.
SETTLED = """() => !document.querySelector("[data-test-script-state='running'], [data-test-script-state='rerunRequested'], \
[data-testid='stStatusWidget'], [data-stale='true']")"""

# Charts and tables, which are drawn after their elements are there, are drawn at their size.
DRAWN = """async () => {
    const frame = () => new Promise(then => setTimeout(then, 25));
    const drawn = () => !document.querySelector("[data-testid='stSkeleton']")
        && [...document.querySelectorAll("[data-testid='stDataFrame'], [data-testid='stVegaLiteChart'], [data-testid='stArrowVegaLiteChart']")]
            .every(one => !one.checkVisibility() || [...one.querySelectorAll("canvas, svg")].some(inner => inner.clientWidth > 0));
    const size = () => [...document.querySelectorAll("canvas, svg")].map(one => `${one.clientWidth}x${one.clientHeight}`).join();
    let [before, same] = [null, 0];
    for (let tries = 0; tries < 200 && same < 6; tries++) {
        await frame();
        const now = drawn() ? size() : null;
        same = now !== null && now === before ? same + 1 : 0;
        before = now;
    }
}"""


class Page:
    """The page in a browser."""

    def __init__(self, page, folder, address, query):
        self.page, self.folder = page, SCREENSHOTS / folder
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/?{query}", wait_until="commit")

    def shot(self, name):
        """Saves a screenshot of the full page."""
        self.settled()
        self.folder.mkdir(parents=True, exist_ok=True)
        # The page scrolls inside the window, so the window has to be as high as the page.
        selector = "[data-testid='stMain'], .main"
        height = self.page.evaluate(f"Math.max(...[...document.querySelectorAll(\"{selector}\")].map(one => one.scrollHeight))")
        size = self.page.viewport_size
        self.page.set_viewport_size({"width": size["width"], "height": min(int(height) + 10, 5000)})
        self.page.evaluate(DRAWN)
        self.sound()
        self.page.screenshot(path=self.folder / f"{name}.png")
        self.page.set_viewport_size(size)

    def settled(self):
        """Waits until the page has finished running."""
        self.page.wait_for_function(SETTLED)
        self.sound()

    def sound(self):
        """No traceback, no `None`, and no scrolling to the side."""
        exceptions = self.page.get_by_test_id("stException")
        assert exceptions.count() == 0, exceptions.first.inner_text()
        text = self.page.inner_text("body")
        assert not re.search(r"\bNone\b|\bNaN\b|Traceback", text), text
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= self.page.viewport_size["width"], f"{width} pixels wide"

    def badge(self):
        """The health in the title."""
        title = self.page.locator("h2").first.inner_text()
        return next((word for word in WORDS if title.lower().endswith(word)), title)

    def is_dark(self):
        """Whether the page is in the dark theme."""
        colour = self.page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        return max(map(int, re.findall(r"\d+", colour)[:3])) < 128

    def open(self, view):
        """Opens a view."""
        self.page.get_by_role("radio", name=view).or_(self.page.get_by_role("button", name=view)).or_(
            self.page.locator("label").filter(has_text=re.compile(f"^{view}$"))
        ).first.click()
        self.settled()

    def press(self, label):
        """Presses a button when it can be pressed."""
        button = self.page.get_by_role("button", name=label, exact=False).filter(visible=True).first
        expect(button).to_be_enabled(timeout=PATIENCE)
        button.click()
        self.settled()

    def says(self, text):
        """Waits for a visible text."""
        self.page.get_by_text(text, exact=False).filter(visible=True).first.wait_for()
        self.settled()


WORDS = ("not configured", "never run", "failing", "interrupted", "late", "running", "healthy", "paused")

# The health of the connector in each state, and a text that the page shows.
STATES = {
    "fresh": ("not configured", "Seven steps until data arrives"),
    "half": ("not configured", "Next: sign in to GitHub"),
    "last": ("not configured", "Last step: choose what to load"),
    "never_run": ("never run", "Waiting for the first run."),
    "running": ("running", "The first run is under way."),
    "healthy": ("healthy", "Everything is fresh."),
    "late": ("late", "1 repository is behind."),
    "failing": ("failing", "3 of 14 repositories need you."),
    "dead": ("failing", "Nothing has run for 3 d"),
    "paused": ("paused", "Data stays as it was then."),
    "interrupted": ("interrupted", "1 repository is behind."),
    "gone": ("failing", "cannot be read"),
    "thousand": ("failing", "3 of 1,000 repositories need you."),
    "one": ("healthy", "Everything is fresh."),
    "ten": ("healthy", "Everything is fresh."),
    "failing&viewer": ("failing", "an administrator has to act"),
    "failing&view=overview&resource=acme/billing": ("failing", "All repositories"),
    "failing&view=runs": ("failing", "the newest first"),
    "healthy&view=data": ("healthy", "Texts longer than"),
    "failing&view=settings": ("failing", "Who starts runs"),
}


@pytest.mark.parametrize("state", STATES)
def test_the_page_in_each_state(browser, servers, state):
    health, text = STATES[state]
    name = re.sub(r"\W+", "-", state.replace("view=", "").replace("overview&", ""))
    newest, requests = servers("newest"), []
    tabs = {(width, theme): browser(width, theme) for width, theme in ((1440, "light"), (900, "dark"))}
    try:
        # Both load at the same time.
        pages = {}
        for key, tab in tabs.items():
            tab.on("request", lambda request: requests.append(request.url))
            pages[key] = Page(tab, "states", newest, f"state={state}")
        for (width, theme), shown in pages.items():
            # A tab in the background loads, but has no animation frames, for which Playwright waits.
            shown.page.bring_to_front()
            shown.says(text)
            assert shown.badge() == health
            assert shown.is_dark() == (theme == "dark")
            shown.shot(f"{name}-{width}-{theme}")
        outside = [url for url in requests if not url.startswith((newest, "data:", "blob:", newest.replace("http", "ws")))]
        assert not outside, outside
    finally:
        for tab in tabs.values():
            tab.close()


@pytest.mark.parametrize("version", PYTHONS)
def test_a_consumer_sets_up_the_app_and_sees_rows(browser, servers, version):
    if PYTHONS[version] is None:
        pytest.skip("SNOWFEED_OLDEST_STREAMLIT names no Python")
    tab = browser(1280)
    walk(Page(tab, version, servers(version), "state=walk"))
    tab.close()


def walk(page):
    page.says("Seven steps until data arrives")
    page.shot("1-installed")
    for dialog in ("Grant privileges", "Choose a warehouse", "Allow access", "Give the token"):
        page.press(dialog)
        page.says("Waiting for Snowflake's dialog")
        page.press("Check again")
    page.says("Next: name the destination")
    page.press("Save")
    page.press("Test now")
    page.says("Last step: choose what to load")
    page.shot("2-last-step")
    page.page.get_by_label("Or type the name of each repository").fill("acme/widgets\nacme/evil")
    # Typing ends with the press itself: the text is sent when its field loses the focus.
    page.press("Start loading")
    page.says("Loading 2 repositories; rows appear in about 1 min")
    page.press("Refresh")
    page.shot("3-overview")
    page.open("Runs")
    page.says("the newest first")
    page.shot("4-runs")
    page.open("Data")
    page.says("SELECT")
    page.shot("5-data")
    hostile(page)
    page.open("Settings")
    page.says("Who starts runs")
    page.shot("6-settings")
    page.press("Pause all")
    page.says("Paused; active runs will finish")
    page.press("Resume")
    page.says("Resumed.")


def hostile(page):
    """Checks that no view shows untrusted text as a link or fetches an image for it."""
    asked_for = []
    page.page.on("request", lambda request: asked_for.append(request.url))
    for view in ("Data", "Runs", "Overview"):
        page.open(view)
        page.shot(f"hostile-{view.lower()}")
        for element in ("a[href*='evil']", "img[src*='evil']"):
            assert page.page.locator(element).count() == 0, (view, element)
    assert not any("evil.example" in url for url in asked_for)
