"""The page in an account, without a browser."""

import pytest
from snowflake.snowpark import context

import engine
import grants
import paths
from app_test import AppTest
from consumer import Consumer

APP = str(paths.APP / "page/app.py")
VIEWER = str(paths.APP / "page/viewer.py")

KINDS = ("text_input", "number_input", "checkbox", "toggle", "selectbox", "text_area", "button_group", "multiselect", "radio")


class Page:
    """The page in an account."""

    def __init__(self, app, consumer, run):
        self.app, self.consumer = app, consumer
        self.run = run
        run.run()
        self.sound()

    def sound(self):
        assert not self.run.exception, self.run.exception[0].value
        return self

    def again(self):
        """Runs the page once more."""
        self.run.run()
        return self.sound()

    def button(self, label):
        """The button of this label or key."""
        found = [one for one in self.run.button if label in (one.label.replace("\\", ""), one.key)]
        assert found, f"there is no button {label}: {[one.key for one in self.run.button]}"
        return found[0]

    def press(self, label):
        """Presses the button of this label or key."""
        button = self.button(label)
        assert not button.disabled, f"{label} is disabled"
        button.click().run()
        return self.sound()

    def field(self, key):
        """The field with this key."""
        found = [one for kind in KINDS for one in getattr(self.run, kind) if one.key == key]
        assert found, f"there is no field {key}"
        return found[0]

    def fill(self, key, value):
        """Fills in a field of any kind, and runs the page."""
        field = self.field(key)
        field.set_value(value)
        return self.again()

    def view(self, name, resource=None):
        """Opens a view, and a resource."""
        self.run.session_state["view"] = name
        if resource:
            self.run.session_state["resource"] = resource
        elif "resource" in self.run.session_state:
            del self.run.session_state["resource"]
        return self.again()

    def ended(self):
        """Finishes every container and refreshes the page."""
        self.app.account.end_jobs()
        return self.press("refresh")

    def has(self, label):
        return any(label in (button.label.replace("\\", ""), button.key) for button in self.run.button)

    def disabled(self, key):
        """Whether the button with this key is disabled."""
        return self.button(key).disabled

    def text(self):
        """All text of the page, without tables."""
        run = self.run
        kinds = (run.error, run.warning, run.info, run.success, run.caption, run.markdown, run.header, run.subheader, run.code)
        return "\n".join(element.value for kind in kinds for element in kind)

    def says(self, text):
        assert text.replace("`", "") in self.text().replace("\\", "").replace("`", ""), self.text()
        return self

    def badge(self):
        """The health in the title."""
        return self.run.header[0].value.rpartition(": ")[2].rstrip("]").lower()

    def table(self, index=0):
        """A table as it is stored, without its words for ages."""
        return self.run.dataframe[index].value


@pytest.fixture
def page(app, monkeypatch):
    """Opens the page in the test's account."""
    app.consumer = Consumer(app)
    app.consumer.install(monkeypatch.setattr)
    monkeypatch.setattr(context, "get_active_session", lambda: app.session)
    return lambda file=APP: Page(app, app.consumer, AppTest.from_file(file, default_timeout=600))


def in_state(state, monkeypatch, file=APP, view=None, resource=None):
    """Opens the page in an account of `page_states`."""
    state.consumer.install(monkeypatch.setattr)
    monkeypatch.setattr(context, "get_active_session", lambda: state.app.session)
    run = AppTest.from_file(file, default_timeout=600)
    if view:
        run.session_state["view"] = view
    if resource:
        run.session_state["resource"] = resource
    return Page(state.app, state.consumer, run)


@pytest.fixture
def ready(app, page):
    """Opens the page where only the choice of resources is left to do."""
    app.consumer.grant(grants.PRIVILEGES)
    app.bind()
    app.ok("provision_connector", {})
    app.account.job = engine.ingesting(app.real)
    app.ok("test_connection")
    return lambda file=APP: page(file)


@pytest.fixture
def loaded(app, ready):
    """Opens the page where a repository has been read, and others are given."""

    def opened(*names, file=APP):
        for name in names or ("a/b",):
            app.ok("enable_resource", name)
        app.account.end_jobs()
        return ready(file)

    return opened


def load(shown, *names):
    """Chooses what to load, in the last step of set-up."""
    return shown.fill("setup_names", "\n".join(names)).press("setup_start")
