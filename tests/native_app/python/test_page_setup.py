"""Tests the page's set-up: a checklist of which only the first open step has controls."""

from snowflake import permissions

import grants
from account import refused
from shown import load, loaded, page, ready  # noqa: F401
from spec import SPEC


def test_every_step_is_done_in_its_order(page, app):
    shown = page().says("Seven steps until data arrives").says("0 of 7 done")
    assert shown.badge() == "not configured" and not shown.has("pause")
    shown.consumer.accepts = False
    shown.press("grant_privileges").press("check_grant_privileges").says("0 of 7 done")
    shown.consumer.accepts = True
    shown.press("grant_privileges").says("Waiting for Snowflake's dialog")
    assert shown.consumer.requests == [tuple(grants.PRIVILEGES)] * 2
    shown.press("check_grant_privileges").says("1 of 7 done")
    shown.press("bind_warehouse_reference").press("check_bind_warehouse_reference").says("Next: allow access")
    shown.press("bind_github_external_access").press("check_bind_github_external_access").says("Next: sign in to GitHub")
    shown.fill("sign_in_way", "Without (public only)").press("go_without_secret").says("Next: name the destination")
    shown.press("save_destination").says("Next: test the connection")
    assert app.ok("get_connector_status", False)["configuration"]["destination_database"] == app.data


def test_a_revoked_object_opens_its_step_again(loaded, app):
    shown = loaded().view("Set-up").says("Set-up is complete.")
    app.account.bound.pop("warehouse_reference")
    shown.press("refresh").says("Next: choose a warehouse").says("Needs you again")
    shown.press("bind_warehouse_reference").press("check_bind_warehouse_reference").says("Set-up is complete.")
    shown.press("change_destination").fill("destination_database", "OTHER").press("save_destination")
    shown.says("disable a/b before choosing another database").says("DESTINATION_IN_USE")
    shown.press("keep_destination")
    assert not shown.has("save_destination")


def test_errors_of_a_step_stand_below_its_button(ready, app):
    app.account.job = lambda account, args: '{"schema_version": 1, "error": {"kind": "x", "message": "the token *is* wrong"}}'
    shown = ready().press("change_test").press("test_now")
    shown.says("The connection test failed.").says("The token *is* wrong").says("TEST_CONNECTION_FAILED")


def test_without_dialogs_the_page_shows_the_statements(page, app, monkeypatch):
    monkeypatch.setattr(permissions, "is_viewer_mode", lambda: True)
    shown = page().says("dialogs cannot be opened here")
    assert not shown.has("grant_privileges")
    shown.says(f"GRANT CREATE COMPUTE POOL ON ACCOUNT TO APPLICATION {app.name};")
    shown.consumer.grant(grants.PRIVILEGES)
    for _ in range(2):
        (text,) = [one.value for one in shown.press("refresh").run.code if "REGISTER_REFERENCE" in one.value]
        app.session.sql(text).collect()
    assert set(app.account.bound) == {"warehouse_reference", "github_external_access"}


def test_dialog_errors_are_shown(page, monkeypatch):
    def fail(*_):
        raise refused("no dialogs today")

    monkeypatch.setattr(permissions, "request_account_privileges", fail)
    page().press("grant_privileges").says("A statement failed.").says("No dialogs today")


def test_what_is_chosen_is_loaded_with_a_schedule_of_its_own(ready, app):
    shown = ready().says("Last step: choose what to load").press("setup_start").says("Choose at least one repository")
    assert app.account.running() == {}, "nothing runs before the last step"
    shown.fill("setup_schedule", "Hourly")
    load(shown, "a/b", "", "c/d").says("Loading 2 repositories; rows appear")
    assert app.resources() == {name: {"enabled": True, "schedule": "1h"} for name in ("a/b", "c/d")}
    assert list(app.account.running().values()) == ["60 MINUTE"] and shown.run.session_state["view"] == "Overview"


def test_streams_are_chosen_and_the_defaults_are_not_stored(ready, app):
    shown = ready()
    assert shown.field("setup_streams").value == ["issues"]
    load(shown, "a/b")
    assert app.resources() == {"a/b": {"enabled": True}}
    shown.press("open_add").fill("add_streams", []).fill("add_names", "c/d").press("add_start").says("Select at least one stream.")
    second = SPEC["streams"][1]["name"]
    shown.fill("add_streams", ["issues", second]).press("add_start")
    assert app.resources()["c/d"] == {"enabled": True, "streams": ["issues", second]}
