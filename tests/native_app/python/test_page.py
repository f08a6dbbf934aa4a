"""Tests the page's forms and texts without a browser."""

import json

import pytest
from snowflake import permissions
from snowflake.snowpark import context
from snowflake.snowpark.exceptions import SnowparkSQLException
from streamlit.testing.v1 import AppTest

import grants
import engine
import forms
import paths
from account import refused
from consumer import Consumer
from spec import SPEC

APP = str(paths.APP / "page/app.py")
VIEWER = str(paths.APP / "page/viewer.py")

TIMEOUT = refused("Statement reached its timeout of 3600 second(s) and was canceled.\nline 2\nline 3\nline 4", 630)


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

    def press(self, label):
        """Presses the button of this label or key."""
        button = next(button for button in self.run.button if label in (button.label, button.key))
        assert not button.disabled, f"{label} is disabled"
        button.click().run()
        return self.sound()

    def fill(self, key, value):
        """Fills in a field of any kind."""
        for kind in ("text_input", "number_input", "checkbox", "selectbox", "text_area"):
            for field in getattr(self.run, kind):
                if field.key == key:
                    field.set_value(value)
                    return self
        raise AssertionError(f"there is no field {key}")

    def field(self, key):
        """The number input or select box with this key."""
        return next(one for kind in (self.run.number_input, self.run.selectbox) for one in kind if one.key == key)

    def disabled(self, key):
        """Whether the button with this key is disabled."""
        return next(button for button in self.run.button if button.key == key).disabled

    def ended(self):
        """Finishes every container and refreshes the page."""
        self.app.account.end_jobs()
        return self.press("refresh")

    def state(self):
        """The state of the first resource in the table."""
        return self.run.dataframe[0].value["State"].iloc[0]

    def has(self, label):
        return any(label in (button.label, button.key) for button in self.run.button)

    def text(self):
        """All text of the page, without tables."""
        kinds = (
            self.run.error,
            self.run.warning,
            self.run.info,
            self.run.success,
            self.run.caption,
            self.run.markdown,
            self.run.metric,
        )
        return "\n".join(
            f"{element.label} {element.value}" if hasattr(element, "delta") else element.value
            for kind in kinds
            for element in kind
        )

    def says(self, text):
        assert text.replace("`", "") in self.text().replace("\\", "").replace("`", ""), self.text()
        return self


@pytest.fixture
def page(app, monkeypatch):
    """Opens the page in the test's account."""
    consumer = Consumer(app)
    consumer.install(monkeypatch.setattr)
    monkeypatch.setattr(context, "get_active_session", lambda: app.session)
    return lambda file=APP: Page(app, consumer, AppTest.from_file(file, default_timeout=600))


@pytest.fixture
def source(monkeypatch):
    """Gives the source a single setting, `detail`."""

    def having(schema, required=False):
        settings = {"type": "object", "properties": {"detail": schema}, "required": ["detail"] if required else []}
        monkeypatch.setitem(SPEC, "settings", settings)

    return having


@pytest.fixture
def interrupt(app):
    """Fails calls of a procedure outside its code, so that there is no response."""
    return lambda procedure, error=TIMEOUT: app.account.fail(rf"CALL PUBLIC\.{procedure}\(", error, times=99)


def stored(app):
    """The stored settings."""
    return app.ok("get_connector_status")["configuration"]["settings"]


def bind(page):
    for name in page.run.session_state["status"]["references"]:
        page.press(f"bind_{name}")
    return page


def configure(page):
    return bind(page).press("Configure")


def test_the_page_requests_missing_privileges_once(page):
    shown = page()
    assert shown.consumer.requests == [tuple(grants.PRIVILEGES)]
    assert not shown.press("refresh").has("grant_privileges")


def test_denied_privileges_can_be_requested_again(page, app):
    shown = page()
    shown.consumer.held.clear()
    shown.consumer.accepts = False
    shown.press("refresh").says("CREATE COMPUTE POOL").press("Grant privileges")
    assert len(shown.consumer.requests) == 2


def test_references_are_bound_from_the_page(page, app):
    shown = page().says("Warehouse: **needed**").says("Secret: Token: optional")
    shown.press("bind_warehouse_reference").press("refresh").says("Warehouse: bound")
    assert app.account.bound == {"warehouse_reference": "ref-warehouse_reference"}


def test_every_tab_names_the_first_step(page):
    assert page().text().count("Configure the connector first") == 3


def test_the_form_has_a_field_for_each_setting_except_secrets(page):
    shown = page()
    keys = {
        field.key
        for kind in ("text_input", "number_input", "checkbox", "text_area")
        for field in getattr(shown.run, kind)
    }
    settings = set(SPEC["settings"]["properties"]) - set(SPEC["secrets"])
    assert {f"setting_{name}" for name in settings} <= keys
    assert not any(f"setting_{name}" in keys for name in SPEC["secrets"])


def test_a_configuration_is_stored_without_its_defaults(page, app):
    shown = (
        bind(page())
        .fill("setting_page_size", 50)
        .fill("setting_repositories", "a/b\n\n c/d ")
        .fill("setting_pull_requests", False)
    )
    shown.fill("setting_requests_per_minute", "30").fill("destination_database", "").fill("schedule", "1h")
    shown.press("Configure").says("Configured; data goes to the database")
    stored = app.ok("get_connector_status")["configuration"]
    assert stored["settings"] == {
        "page_size": 50,
        "repositories": ["a/b", "c/d"],
        "pull_requests": False,
        "requests_per_minute": 30,
    }
    assert stored["schedule"] == "1h" and stored["destination_database"] == app.data
    assert shown.has("Save") and not shown.has("Configure")
    shown.fill("setting_page_size", 100).fill("setting_requests_per_minute", "").press("Save")
    assert app.ok("get_connector_status")["configuration"]["settings"] == {
        "repositories": ["a/b", "c/d"],
        "pull_requests": False,
    }


def test_an_invalid_field_is_named_and_nothing_is_stored(page, app):
    page().fill("setting_requests_per_minute", "many").press("Configure").says(
        "Requests per minute: enter a whole number"
    )
    assert app.ok("get_connector_status")["status"] == "CONFIGURING"


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        ({"minimum": 1}, 1),
        ({"minimum": 5, "maximum": 9, "default": 0}, 5),
        ({"maximum": -3}, -3),
        ({"minimum": 1, "default": 7}, 7),
        ({"minimum": 0, "maximum": (1 << 64) - 1}, 0),
    ],
)
def test_an_integer_field_starts_within_its_range(page, app, source, limits, first):
    source({"type": "integer", **limits}, required="default" not in limits)
    shown = page()
    assert shown.field("setting_detail").value == first
    shown.press("Configure")
    assert stored(app).get("detail", limits.get("default")) == first


NAMED = [{"const": "full", "type": "string", "description": "All of it."}, {"const": "short", "type": "string"}]
MIXED = [{"enum": ["full"], "type": "string"}, {"const": "short", "type": "string", "description": "Not all of it."}]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"], "enum": ["full", "short", None], "default": None},
        {"anyOf": [{"type": "string", "enum": ["full", "short"]}, {"type": "null"}], "default": None},
        {"anyOf": [{"oneOf": NAMED}, {"type": "null"}]},
        {"oneOf": MIXED},
        {"type": "string", "enum": ["full", "short"]},
    ],
)
def test_an_optional_choice_is_stored_only_after_a_selection(page, app, source, schema):
    source(schema)
    shown = page()
    assert shown.field("setting_detail").options == [forms.UNSET, "full", "short"]
    shown.press("Configure")
    assert stored(app) == {}
    shown.fill("setting_detail", "short").press("Save")
    assert stored(app) == {"detail": "short"} and shown.field("setting_detail").value == "short"
    shown.fill("setting_detail", forms.UNSET).press("Save")
    assert stored(app) == {}


def test_a_choice_starts_at_its_default(page, app, source):
    source({"oneOf": NAMED, "default": "short"})
    shown = page()
    assert shown.field("setting_detail").options == ["full", "short"]
    shown.press("Configure")
    assert stored(app) == {}
    shown.fill("setting_detail", "full").press("Save")
    assert stored(app) == {"detail": "full"}


def test_a_required_choice_must_be_made(page, app, source):
    source({"oneOf": NAMED}, required=True)
    shown = page().press("Configure").says("Detail is missing").fill("setting_detail", "full").press("Configure")
    assert stored(app) == {"detail": "full"} and shown.field("setting_detail").value == "full"


def test_a_removed_choice_is_not_replaced_by_another(page, app, source):
    source({"type": "string", "enum": ["full", "brief"], "default": "full"})
    app.ok("provision_connector", {"settings": {"detail": "brief"}})
    source({"type": "string", "enum": ["full", "short"], "default": "full"})
    shown = page()
    assert shown.field("setting_detail").value == forms.UNSET
    shown.press("Save")
    assert stored(app) == {}


def test_a_recursive_type_is_edited_as_json(page, app, source):
    source({"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}]})
    shown = page().fill("setting_detail", "full").press("Configure").says("Detail: enter JSON")
    shown.fill("setting_detail", '{"not": "full"}').press("Configure")
    assert stored(app) == {"detail": {"not": "full"}}


def test_procedure_errors_are_shown(page):
    page().fill("schedule", "soon").press("Configure").says("This schedule is invalid.").says(
        "INVALID_SCHEDULE"
    ).says("'soon'")


def test_the_connection_can_be_tested_once_all_is_bound(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = (
        page()
        .says("Configure the connector first.")
        .press("Configure")
        .says("Bind first: External access integration, Warehouse")
    )
    shown.press("bind_github_external_access").press("bind_warehouse_reference").press("refresh").press(
        "Test the connection"
    )
    shown.says("The source can be reached").says("The last test succeeded")
    app.account.job = engine.failing(app.real, "partial")
    app.account.job = lambda account, args: json.dumps(
        {"schema_version": 1, "error": {"kind": "x", "message": "the token *is* wrong"}}
    )
    shown.press("Test the connection").says("The connection test failed").says("the token *is* wrong")


def test_a_resource_is_enabled_run_disabled_and_deleted(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = configure(page()).says("No repository is enabled yet")
    shown.press("Enable").says("Enter the name of the repository")
    shown.fill("new_resource", " acme/widgets ").press("Enable").says("Enabled.")
    assert list(app.account.running().values()) == ["30 MINUTE"]
    shown.fill("schedule_acme/widgets", "2h").press("Set")
    assert list(app.account.running().values()) == ["120 MINUTE"]
    shown.fill("schedule_acme/widgets", "").press("Set")
    assert list(app.account.running().values()) == ["30 MINUTE"]
    assert shown.state() == "waiting for a machine" and shown.disabled("ingest")
    assert shown.ended().state() == "complete"
    shown.press("ingest").says("Started in a container").ended()
    shown.press("reconcile").says("Started in a container").ended()
    shown.press("reset").says("Reset; the next run")
    shown.press("disable").says("Disabled; its data stays").press("enable_again").says("Enabled.")
    assert next(button for button in shown.run.button if button.key == "delete").disabled
    shown.fill("sure_acme/widgets", True)
    shown.run.run()
    shown.press("delete").says("Deleted; its data stays")
    assert app.resources() == {} and app.account.tasks == {}


def test_data_is_deleted_only_on_request(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    shown.fill("with_data_a/b", True).fill("sure_a/b", True)
    shown.run.run()
    shown.press("delete").says("Deleted, with its data")
    assert app.rows(f'SELECT * FROM "{app.data}"."STATE"."INGESTION_RUN"') == []


def test_runs_are_shown_with_their_failures(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = (
        configure(page())
        .fill("new_resource", "a/b")
        .press("Enable")
        .says("No run has changed any data yet")
        .ended()
    )
    app.account.job = engine.failing(app.real)
    shown.press("ingest").ended().says("The run failed").says("GitHub refuses the token").says("give another one")
    shown.says("a/b").says("Failing 1")
    history = shown.run.dataframe[1].value
    assert list(history["Status"]) == ["failed", "complete"] and history["Error"].iloc[0] == "GitHub refuses the token"
    shown.fill("runs_of", "a/b")
    shown.run.run()
    assert len(shown.sound().run.dataframe[1].value) == 2


def test_rows_are_shown_flattened_and_raw(page, app, monkeypatch):
    monkeypatch.setitem(SPEC, "resource_names", None)
    app.account.job = engine.ingesting(app.real, rows=4)
    shown = (
        configure(page())
        .fill("new_resource", 'it\'s/"x"')
        .press("Enable")
        .says("Nothing has been ingested yet")
        .ended()
    )
    flat = shown.run.dataframe[2].value
    assert list(flat["TITLE"])[0] == 'Issue 0 of it\'s/"x"' and "RAW" not in flat
    assert len(shown.run.json) == 4
    shown.fill("preview_limit", 2).fill("raw_limit", 1)
    shown.run.run()
    assert len(shown.run.dataframe[2].value) == 2 and len(shown.run.json) == 1


def test_the_connector_is_paused_and_resumed(page, app):
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").press("pause").says("Paused")
    assert not shown.has("pause") and app.account.running() == {}
    assert next(button for button in shown.run.button if button.key == "ingest").disabled
    app.account.fail("ALTER TASK .* RESUME", refused("no EXECUTE TASK", 3001))
    shown.press("resume").says("Its status has not changed").says("no EXECUTE TASK")
    shown.press("resume").says("Running")
    assert not shown.has("resume")


def test_a_task_suspended_by_snowflake_is_highlighted(page, app):
    shown = configure(page()).fill("new_resource", "a/b").press("Enable")
    (task,) = app.account.tasks.values()
    task.update(state="suspended", reason="USER_SUSPENDED")
    shown.press("refresh").says("Its task has been suspended").press("Enable again")
    assert list(app.account.running().values()) == ["30 MINUTE"]
    assert "has been suspended" not in shown.text()


def test_a_resource_that_keeps_failing_is_highlighted(page, app):
    app.account.job = engine.failing(app.real)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable")
    for _ in range(12):
        app.account.end_jobs()
        app.tick()
    shown.press("refresh").says("have failed 10 times in a row").press("Enable again").press("ingest")
    assert "times in a row" not in shown.text()


def test_a_task_run_that_cannot_start_anything_is_shown(page, app):
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    app.account.pools.clear()
    with pytest.raises(SnowparkSQLException):
        app.tick()
    shown.press("refresh").says("The last scheduled run could not start anything").says("COMPUTE_POOL_UNAVAILABLE")


def test_an_external_scheduler_hides_the_run_buttons(page, app):
    shown = page().fill("scheduler", "outside").press("Configure").fill("new_resource", "a/b").press("Enable")
    assert not shown.has("ingest") and not shown.has("test_connection")
    engine.fill(app.real, app.data, "a/b", 2)
    shown.press("refresh")
    assert len(shown.run.json) == 2, "rows of another process are shown"


def test_a_missing_destination_is_shown_with_help(page, app):
    shown = configure(page())
    app.account.fail(f'SELECT .*"{app.data}"', refused("it does not exist or not authorized", 2003), times=9)
    shown.press("refresh").says("The destination database cannot be read").says("configure again")


def test_an_unreadable_destination_is_reported_on_each_tab(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    app.account.fail(r"SELECT .*LIMIT \d+(\) t)?$", refused("it *does not* exist", 2003), times=9)
    shown.run.run()
    assert [error.value.count("The destination database cannot be read") for error in shown.sound().run.error] == [1] * 3
    shown.says("it *does not* exist")


@pytest.mark.parametrize(
    ("procedure", "button"),
    [
        ("TEST_CONNECTION", "test_connection"),
        ("INGEST_DATA", "ingest"),
        ("PAUSE_CONNECTOR", "pause"),
        ("PROVISION_CONNECTOR", "Save"),
    ],
)
def test_an_interrupted_call_is_reported(page, interrupt, procedure, button):
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    interrupt(procedure)
    shown.press(button).says("A statement failed.").says("reached its timeout of 3600").says("UNKNOWN_SQL_ERROR")
    assert "destination database" not in shown.text() and "line 4" not in shown.text()
    shown.says("Running").press("refresh")
    assert "UNKNOWN_SQL_ERROR" not in shown.text(), "the error is shown once"


def test_an_interrupted_resume_is_reported(page, interrupt):
    shown = configure(page()).press("pause")
    interrupt("RESUME_CONNECTOR", ConnectionError("the connection is gone"))
    shown.press("resume").says("A statement failed.").says("the connection is gone").says("Paused")


@pytest.mark.parametrize("error", [TIMEOUT, ConnectionError()])
def test_a_status_timeout_is_reported(page, interrupt, error):
    interrupt("GET_CONNECTOR_STATUS", error)
    page().says("A statement failed.").says("timeout" if error is TIMEOUT else "ConnectionError")


def test_dialog_errors_are_shown(page, monkeypatch):
    def fail(*_):
        raise refused("no dialogs today")

    monkeypatch.setattr(permissions, "request_reference", fail)
    shown = page().press("bind_token").says("A statement failed.").says("no dialogs today")
    assert "destination database" not in shown.text()
    monkeypatch.setattr(permissions, "get_missing_account_privileges", fail)
    assert shown.press("refresh").says("no dialogs today").has("Configure")


def test_viewers_see_the_state_and_can_change_nothing(page, app):
    app.account.job = engine.ingesting(app.real)
    configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    viewed = page(VIEWER).says("Enabled 1")
    assert [button.key for button in viewed.run.button] == ["refresh"] and not viewed.run.json
    assert viewed.run.dataframe[0].value["Inserted"].iloc[0] == 3


def test_an_invalid_status_is_reported(page, app):
    app.account.fail("SELECT SYSTEM.GET_ALL_REFERENCES", refused("out of order"), times=1)
    shown = page().says("A statement failed.").says("UNKNOWN_SQL_ERROR")
    shown.run.run()
    assert shown.sound().has("Configure")
