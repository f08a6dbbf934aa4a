"""Tests invalid rows, edited by hand or from another version, and failed calls: nothing is left half done."""

import json

import pytest

import engine
import installation

HALF_HOUR = "SCHEDULE_30_20_MINUTE"

# An unusable row of RESOURCE_CONFIGURATION.
BAD = [
    ("it's", '{"enabled": true}'),
    ('say "hi"/x', '{"enabled": true}'),
    ("a\\b", '{"enabled": true}'),
    ("a/b/c", '{"enabled": true, "schedule": "2h"}'),
    ("tab\tbed/x", '{"enabled": true}'),
    ("", '{"enabled": true}'),
    ("acme/text", '"text"'),
    ("acme/null", None),
    ("acme/yes", '{"enabled": "yes"}'),
    ("acme/none", "{}"),
    ("acme/soon", '{"enabled": true, "schedule": "soon"}'),
    ("acme/five", '{"enabled": true, "schedule": 5}'),
    ("acme/list", '{"enabled": true, "schedule": ["30m"]}'),
    ("acme/text-stream", '{"enabled": true, "streams": "issues"}'),
    ("acme/no-stream", '{"enabled": true, "streams": ["gone"]}'),
]


def insert(app, name, value):
    """Writes a row as by hand."""
    table = f'"{app.data}"."STATE"."RESOURCE_CONFIGURATION"'
    app.rows(f'INSERT INTO {table} ("KEY", "VALUE", "DOCUMENT") SELECT ?, PARSE_JSON(?), ?', name, value, value)


def test_invalid_rows_are_skipped_and_reported(configured):
    configured.account.job = engine.ingesting(configured.real, rows=1)
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    for name, value in BAD:
        insert(configured, name, value)
    bad = {name for name, _ in BAD}

    def skipped(answer):
        return {one["resource"] for one in answer["skipped"]}

    configured.ok("pause_connector")
    assert configured.account.running() == {}
    assert skipped(configured.ok("resume_connector")) == bad
    assert configured.account.running() == {HALF_HOUR: "30 MINUTE"}
    status = configured.ok("get_connector_status")
    assert status["status"] == "STARTED" and "problem" not in status and skipped(status) == bad
    assert {one["name"] for one in status["resources"] if one["problem"]} == bad
    configured.account.jobs.clear()
    configured.tick()
    assert [job[-2:] for job in configured.account.jobs] == [["--", "a/b"]], "without names the program ingests every row"
    configured.ended("a/b")
    assert configured.ok("run_all")["resources"] == ["a/b"]
    configured.ended("a/b")
    for _ in range(2):
        installation.run(configured.session)
    assert len(configured.ok("update_settings", {"settings": {"page_size": 50}})["notes"]) == len(bad)
    configured.ok("enable_resource", "c/d")
    configured.ended("c/d")
    configured.ok("disable_resource", "c/d")
    for name in bad:
        configured.ok("delete_resource", name)
    assert set(configured.resources()) == {"a/b", "c/d"} and configured.ok("resume_connector")["skipped"] == []


def test_enabling_or_disabling_repairs_an_invalid_row(configured):
    for name in ("acme/text", "acme/none"):
        insert(configured, name, "5")
    insert(configured, "acme/soon", '{"enabled": true, "schedule": "soon"}')
    assert configured.code("enable_resource", "acme/soon") == "INVALID_SCHEDULE"
    configured.ok("update_resource", "acme/soon", "1h")
    configured.ok("enable_resource", "acme/text")
    configured.ok("disable_resource", "acme/none")
    assert configured.ok("get_connector_status")["skipped"] == []
    assert sorted(configured.account.running().values()) == ["30 MINUTE", "60 MINUTE"]


def test_a_name_stored_in_an_older_form_still_works(configured):
    configured.account.job = engine.ingesting(configured.real)
    insert(configured, "Acme/Widgets", '{"enabled": true}')
    configured.ok("resume_connector")
    configured.tick()
    assert configured.account.jobs[-1][-1] == "Acme/Widgets"
    configured.ended("Acme/Widgets")
    assert configured.ok("enable_resource", "https://github.com/acme/widgets")["resource"] == "Acme/Widgets"
    assert list(configured.resources()) == ["Acme/Widgets"]


@pytest.mark.parametrize("value", ['"text"', "5", '{"status": "UNHEARD-OF"}', "{}"])
def test_an_invalid_status_is_reported_and_can_be_changed(configured, value):
    configured.ok("enable_resource", "a/b")
    table = f'"{configured.name}"."STATE"."APP_CONFIGURATION"'
    configured.rows(f'UPDATE {table} SET "VALUE" = PARSE_JSON(?) WHERE "KEY" = \'status\'', value)
    assert configured.ok("get_connector_status")["status"] == "ERROR"
    configured.ok("resume_connector")
    assert configured.ok("get_connector_status")["status"] == "STARTED"


@pytest.mark.parametrize(
    "changes",
    [{"max_nodes": "many", "scheduler": ["task"]}, {"settings": [], "later": True}, {"schedule": None}],
)
def test_valid_parts_of_an_older_configuration_are_used(configured, changes):
    configured.ok("enable_resource", "a/b")
    stored = json.dumps({"destination_database": configured.data, "schedule": "1h", "scheduler": "task", **changes})
    table = f'"{configured.name}"."STATE"."APP_CONFIGURATION"'
    configured.rows(f'UPDATE {table} SET "VALUE" = PARSE_JSON(?) WHERE "KEY" = \'config\'', stored)
    configured.ok("pause_connector")
    configured.ok("resume_connector")
    installation.run(configured.session)
    assert list(configured.account.running().values()) == (["30 MINUTE"] if "schedule" in changes else ["60 MINUTE"])


def test_hand_edited_records_break_neither_the_status_nor_a_schedule(configured):
    configured.account.job = engine.ingesting(configured.real)
    for name in ("a/b", "c/d"):
        configured.ok("enable_resource", name)
        configured.ended(name)
    for table in ("SNOWFEED_RUN", "APP_STATE"):
        column = "KEY" if table == "APP_STATE" else "RESOURCE"
        name = f'"{configured.data}"."STATE"."{table}"'
        configured.rows(f'UPDATE {name} SET "DOCUMENT" = \'nonsense\' WHERE "{column}" = \'a/b\'')
        configured.rows(f'UPDATE {name} SET "DOCUMENT" = \'{{"counts": 7, "error": "x"}}\' WHERE "{column}" = \'c/d\'')
    jobs = f'"{configured.name}"."STATE"."INGESTION_JOB"'
    old = {"old": '{"resources": "a/b"}', "older": '{"resources": ["a/b"], "started_at": "yesterday"}', "text": '"x"'}
    old["streams"] = '{"resources": ["a/b"], "streams": "issues", "started_at": "2026-01-01T00:00:00+00:00", "after": ""}'
    for key, value in old.items():
        configured.rows(f'INSERT INTO {jobs} ("KEY", "VALUE", "DOCUMENT") SELECT ?, PARSE_JSON(?), ?', key, value, value)
    own = f'"{configured.name}"."STATE"."APP_CONFIGURATION"'
    configured.rows(f'INSERT INTO {own} ("KEY", "VALUE", "DOCUMENT") SELECT \'failures\', PARSE_JSON(?), \'\'', '{"a/b": "many"}')
    status = configured.ok("get_connector_status")
    assert "problem" not in status
    assert [one["state"]["status"] for one in status["resources"]] == ["unreadable", "unreadable"]
    configured.ok("get_viewer_status")
    configured.tick()
    assert configured.ended("a/b")["last_run"]["status"] == "complete"


STATEMENTS = ["MERGE INTO", "SHOW TASKS", "(CREATE OR )?ALTER TASK|DROP TASK", "DELETE FROM|GRANT SELECT|CREATE OR REPLACE VIEW"]
CHANGES = [
    ("pause_connector",),
    ("resume_connector",),
    ("update_settings", {"schedule": "2h", "settings": {"page_size": 7}, "max_nodes": 2}),
    ("enable_resource", "c/d"),
    ("disable_resource", "a/b"),
    ("update_resource", "a/b", "3h"),
    ("delete_resource", "a/b"),
]


def snapshot(app):
    """Everything that a call can change."""
    status = app.ok("get_connector_status")
    table = f'"{app.data}"."STATE"."APP_CONFIGURATION"'
    source = app.rows(f'SELECT TO_JSON("VALUE") AS "VALUE" FROM {table} WHERE "KEY" = \'config\'')
    return status["status"], status["configuration"], app.resources(), app.account.running(), source


@pytest.mark.parametrize("call", CHANGES, ids=lambda call: call[0])
def test_a_failed_call_is_rolled_back(configured, call):
    configured.ok("enable_resource", "a/b")
    if call[0] == "resume_connector":
        configured.ok("pause_connector")
    before = snapshot(configured)
    failures = 0
    for statement in STATEMENTS:
        for after in range(2):
            configured.account.fail(statement, RuntimeError("the connection is gone"), after=after)
            answer = configured.call(*call)
            configured.account.faults.clear()
            if answer["response_code"] == "OK":
                # The call did not reach the fault. Undo its changes.
                restore(configured, call[0], before)
                break
            failures += 1
            assert "the connection is gone" in answer["message"]
            assert snapshot(configured) == before, (statement, after)
    assert failures >= 2


def restore(app, procedure, before):
    """Restores the snapshot `before`."""
    app.account.faults.clear()
    app.ok("resume_connector" if before[0] == "STARTED" else "pause_connector")
    app.ok("provision_connector", {"schedule": "30m"})
    for name in set(app.resources()) - set(before[2]):
        app.ok("delete_resource", name)
    app.ok("enable_resource", "a/b")
    app.ok("update_resource", "a/b", None)
    assert snapshot(app) == before, procedure
