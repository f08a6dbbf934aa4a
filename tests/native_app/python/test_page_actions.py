"""Tests the page's buttons: what they call, where their answers stand, and what needs a confirmation."""

import pytest
from snowflake.snowpark.exceptions import SnowparkSQLException

import engine
from account import refused
from shown import loaded, page, ready  # noqa: F401
from spec import SPEC

TIMEOUT = refused("Statement reached its timeout of 3600 second(s) and was canceled.\nline 2\nline 3\nline 4", 630)


def test_a_resource_is_run_paused_reset_and_deleted(loaded, app):
    shown = loaded().view("Overview", "a/b").press("run_now").says("Started in a container")
    assert app.account.jobs[-1][-2:] == ["--", "a/b"]
    shown.press("run_now").says("It is already running.").ended()
    shown.press("disable").says("Disabled; its data stays").press("enable").says("Enabled.").ended()
    shown.press("open_schedule_streams").fill("schedule_a/b", "Hourly").press("set_schedule").says("Stored.")
    assert list(app.account.running().values()) == ["60 MINUTE"]
    shown.press("open_reconcile").says("Reads everything once: about").press("start_reconcile").says("Started in a container")
    assert "--reconcile" in app.account.jobs[-1] and "--allow-deletions" not in app.account.jobs[-1]
    shown.ended().press("open_reset").says("The rows stay.")
    before = len(app.account.jobs)
    shown.press("reset").says("Type a/b to confirm.").fill("typed_reset", "a/c").press("reset").says("Type a/b to confirm.")
    assert len(app.account.jobs) == before
    shown.fill("typed_reset", "a/b").press("reset").says("Reset; the next run")
    shown.press("open_delete").says("It is no longer read.").fill("with_data", True).says("Deletes 12 rows in 1 table")
    shown.press("delete").says("Type a/b to confirm.")
    assert app.resources()
    shown.fill("typed_delete", "a/b").press("delete").says("Deleted, with its data")
    assert app.resources() == {} and app.rows(f'SELECT * FROM "{app.data}"."STATE"."INGESTION_RUN"') == []


def test_the_streams_of_a_resource_are_changed(loaded, app):
    shown = loaded().view("Overview", "a/b").press("open_schedule_streams")
    second = SPEC["streams"][1]["name"]
    key = "streams_a/b_issues"
    shown.fill(key, []).press("set_streams").says("Select at least one stream.")
    shown.fill(key, ["issues", second]).press("set_streams").says("Enabled.")
    assert app.resources()["a/b"]["streams"] == ["issues", second]
    shown.press("open_schedule_streams").fill(f"{key}_{second}", ["issues"]).press("set_streams")
    assert app.resources()["a/b"] == {"enabled": True}, "the default streams"


def test_deletions_are_confirmed_for_one_run(loaded, app):
    shown = loaded().view("Overview", "a/b").press("open_reconcile").fill("allow_deletions", True).says("Check the source first")
    shown.press("start_reconcile")
    assert app.account.jobs[-1][-5:] == ["ingest", "--reconcile", "--allow-deletions", "--", "a/b"]


def test_the_connector_is_paused_and_resumed(loaded, app):
    shown = loaded().press("pause").says("Paused; active runs will finish")
    assert app.account.running() == {} and shown.badge() == "paused" and shown.says("Data stays as it was then.")
    app.account.fail("ALTER TASK .* RESUME", refused("no EXECUTE TASK", 3001))
    shown.press("resume").says("Its status has not changed").says("no EXECUTE TASK")
    shown.press("resume").says("Resumed.")
    assert list(app.account.running().values()) == ["30 MINUTE"]


def test_a_task_suspended_by_hand_is_the_first_thing_one_sees(loaded, app):
    shown = loaded()
    (task,) = app.account.tasks.values()
    task.update(state="suspended", reason="USER_SUSPENDED")
    shown.press("refresh").says("The schedule was suspended outside").press("blocked_resume")
    assert list(app.account.running().values()) == ["30 MINUTE"] and "suspended outside" not in shown.text()


def test_a_start_that_fails_is_shown_with_the_way_out(loaded, app):
    shown = loaded()
    app.account.bound.pop("warehouse_reference")
    with pytest.raises(SnowparkSQLException):
        app.tick()
    shown.press("refresh").press("grant_warehouse")
    assert app.account.bound["warehouse_reference"]


@pytest.mark.parametrize(("procedure", "button"), [("INGEST_DATA", "run_now"), ("PAUSE_CONNECTOR", "pause")])
def test_an_interrupted_call_is_reported_beside_its_button(loaded, app, procedure, button):
    shown = loaded().view("Overview", "a/b")
    app.account.fail(rf"CALL PUBLIC\.{procedure}\(", TIMEOUT, times=99)
    shown.press(button).says("A statement failed.").says("reached its timeout of 3600").says("UNKNOWN_SQL_ERROR")
    assert "line 4" not in shown.text()


@pytest.mark.parametrize("error", [TIMEOUT, ConnectionError()])
def test_an_unreadable_status_is_reported_and_read_again(page, app, error):
    app.account.fail(r"CALL PUBLIC\.GET_CONNECTOR_STATUS\(", error, times=1)
    shown = page().says("A statement failed.").says("timeout" if error is TIMEOUT else "ConnectionError")
    assert shown.press("refresh").badge() == "not configured"


def test_the_list_of_the_source_is_picked_from(ready, app):
    shown = ready()
    rows = [{"NAME": "acme/api", "PRIVATE": True}, {"NAME": "acme/web", "PRIVATE": False}]
    answer = {"response_code": "OK", "message": "", "rows": rows, "columns": ["NAME", "PRIVATE"]}
    shown.run.session_state["discovered"] = answer
    table = shown.again().table()
    assert list(table["Repository"]) == ["acme/api", "acme/web"] and list(table.columns) == ["Load", "Repository", "Private"]


def test_the_list_is_searched_by_title_too(ready, app):
    shown = ready()
    read_at = "2026-01-01T00:00:00Z"
    rows = [{"NAME": "C1", "TITLE": "general", "READ_AT": read_at}, {"NAME": "C2", "TITLE": None, "READ_AT": read_at}]
    shown.run.session_state["discovered"] = {"response_code": "OK", "message": "", "rows": rows, "columns": ["NAME", "TITLE"]}
    table = shown.again().table()
    assert list(table["Repository"]) == ["C1", "C2"] and list(table.columns) == ["Load", "Repository", "Title"]
    assert list(shown.fill("setup_search", "ener").table()["Repository"]) == ["C1"]


def stored(app):
    """The stored settings."""
    return app.ok("get_connector_status", False)["configuration"]["settings"]


def test_settings_are_saved_without_their_defaults(loaded, app):
    shown = loaded().view("Settings").says("Who starts runs")
    shown.fill("setting_page_size", 50).fill("setting_pull_requests", False).fill("setting_repositories", "a/b\n\n c/d ")
    shown.fill("setting_requests_per_minute", 30).fill("schedule", "Hourly")
    shown.says("5 changes not saved").says("Page size 100 → 50").press("save").says("Configured")
    assert stored(app) == {"page_size": 50, "repositories": ["a/b", "c/d"], "pull_requests": False, "requests_per_minute": 30}
    assert list(app.account.running().values()) == ["60 MINUTE"] and "not saved" not in shown.text()
    shown.fill("setting_page_size", 100).press("save")
    assert stored(app) == {"repositories": ["a/b", "c/d"], "pull_requests": False, "requests_per_minute": 30}
    shown.fill("setting_page_size", 7).press("undo")
    assert shown.field("setting_page_size").value == 100 and not shown.has("undo")


def test_settings_have_labels_ranges_and_no_secrets(loaded):
    shown = loaded().view("Settings")
    labels = {field.key: field.label for kind in ("text_input", "number_input") for field in getattr(shown.run, kind)}
    assert labels["setting_api_url"] == "API URL" and labels["setting_ca_file"] == "CA file"
    assert labels["setting_page_size"].replace("\\", "") == "Page size (1–100)"
    assert not any(f"setting_{name}" in labels for name in SPEC["secrets"])


NAMED = [{"const": "full", "type": "string", "description": "All of it."}, {"const": "short", "type": "string"}]


@pytest.mark.parametrize(
    ("schema", "options"),
    [
        ({"type": ["string", "null"], "enum": ["full", "short", None], "default": None}, ["–", "full", "short"]),
        ({"anyOf": [{"oneOf": NAMED}, {"type": "null"}]}, ["–", "full", "short"]),
        ({"oneOf": NAMED, "default": "short"}, ["full", "short"]),
    ],
)
def test_a_choice_is_stored_only_after_a_selection(loaded, app, monkeypatch, schema, options):
    monkeypatch.setitem(SPEC, "settings", {"type": "object", "properties": {"detail": schema}})
    shown = loaded().view("Settings")
    assert shown.field("setting_detail").options == options
    shown.press("save")
    assert stored(app) == {}
    shown.fill("setting_detail", "full").press("save")
    assert stored(app) == {"detail": "full"} and shown.field("setting_detail").value == "full"


def test_what_is_no_text_is_edited_as_json(loaded, app, monkeypatch):
    schema = {"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}]}
    monkeypatch.setitem(SPEC, "settings", {"type": "object", "properties": {"detail": schema}})
    shown = loaded().view("Settings").fill("setting_detail", "full").press("save").says("Detail: enter JSON")
    shown.fill("setting_detail", '{"not": "full"}').press("save")
    assert stored(app) == {"detail": {"not": "full"}}


def test_rows_stay_below_the_message_limit(loaded, app):
    shown = loaded("acme/big")
    raw, view = f'"{app.data}"."PUBLIC_RAW"."acme/big"', f'"{app.data}"."PUBLIC"."acme/big"'
    app.rows(f'DELETE FROM {raw}')
    engine.fill(app.real, app.data, "acme/big", 12)
    app.rows(f'UPDATE {raw} SET "DOCUMENT" = REPEAT(\'x\', 900000)')
    app.rows(f'UPDATE {raw} SET "DOCUMENT" = REPEAT(\'x\', 1200000) WHERE "KEY" = \'7\'')
    app.rows(f'CREATE OR REPLACE VIEW {view} AS SELECT "KEY", REPEAT(\'y\', 900000) AS "TITLE", "RAW" FROM {raw}')
    shown.press("refresh").view("Data", "acme/big")
    flat = shown.table()
    assert "RAW" not in flat and max(map(len, flat["TITLE"])) == 2000
    shown.fill("data_as", "Documents").says("This preview is too large.").says("too large to show: 1,200,000 characters")
    assert sum(len(document.value) for document in shown.run.json) < 8_100_000


def test_an_external_scheduler_hides_the_run_buttons(loaded, app):
    shown = loaded()
    app.ok("update_settings", {"scheduler": "outside"})
    shown.press("refresh").view("Overview", "a/b").says("A program of yours starts runs")
    assert not shown.has("run_now") and not shown.has("open_reset")
    assert not shown.view("Settings").has("test_connection")
