"""Tests resources: tasks, runs, pause and resume."""

import json
import re

import pytest

import engine
import paths
from account import JobFailed, refused
from spec import SPEC

HARD = [
    "a-b/c",
    "a_b/c",
    "a/b_c",
    "it's",
    'say "hi"',
    "vercel/next.js",
    "$$",
    "Ünï/code",
    "-rf",
    "x'); DROP DATABASE y; --",
]


HALF_HOUR, TWO_HOURS, HOUR = "SCHEDULE_30_20_MINUTE", "SCHEDULE_120_20_MINUTE", "SCHEDULE_60_20_MINUTE"


def test_enabling_creates_the_task_and_starts_the_first_run(configured):
    for _ in range(2):
        assert configured.ok("enable_resource", "acme/widgets")["notes"] == []
    assert configured.account.running() == {HALF_HOUR: "30 MINUTE"}
    assert configured.account.tasks[HALF_HOUR]["call"] == "CALL PUBLIC.RUN_SCHEDULE('30 MINUTE')"
    assert [job[-3:] for job in configured.account.jobs] == [["ingest", "--", "acme/widgets"]], "once"
    assert configured.resources() == {"acme/widgets": {"enabled": True}}


def test_a_first_run_that_cannot_start_is_noted_and_retried_on_schedule(configured):
    configured.account.fail("EXECUTE JOB", refused("Compute pool 'X' has no capacity"))
    (note,) = configured.ok("enable_resource", "a/b")["notes"]
    assert "no capacity" in note and configured.account.jobs == []
    configured.tick()
    assert len(configured.account.jobs) == 1


def test_any_name_works_when_the_source_defines_no_rule(configured, monkeypatch):
    monkeypatch.setitem(SPEC, "resource_names", None)
    configured.account.job = engine.ingesting(configured.real, rows=1)
    for name in HARD:
        configured.ok("enable_resource", name)
        assert configured.account.jobs[-1][-3:] == ["ingest", "--", name]
    assert list(configured.account.running()) == [HALF_HOUR]
    for name in HARD:
        assert configured.ended(name)["last_run"]["resource"] == name
    assert {resource["name"] for resource in configured.ok("get_connector_status")["resources"]} == set(HARD)
    for name in HARD:
        configured.ok("delete_resource", name, True)
    assert configured.account.tasks == {} and configured.resources() == {}
    assert configured.rows(f'SELECT * FROM "{configured.data}"."STATE"."INGESTION_RUN"') == []


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\\b", "x" * 1001, None])
def test_an_invalid_name_is_rejected(configured, name):
    for procedure, rest in [
        ("enable_resource", ()),
        ("disable_resource", ()),
        ("update_resource", ("1h",)),
        ("ingest_data", ()),
    ]:
        assert configured.code(procedure, name, *rest) == "INVALID_IDENTIFIER"
    assert configured.account.tasks == {}


def test_a_resource_never_enabled_is_not_found(configured):
    for procedure, rest in [
        ("disable_resource", ()),
        ("update_resource", ("1h",)),
        ("ingest_data", ()),
        ("reconcile_resource", ()),
    ]:
        assert configured.code(procedure, "a/b", *rest) == "RESOURCE_NOT_FOUND"
    configured.ok("delete_resource", "a/b")
    configured.ok("delete_resource", "a/b", True)


def test_disabling_keeps_data_and_schedule(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.ok("update_resource", "a/b", "15 2 * * *")
    configured.ended("a/b")
    for _ in range(2):
        configured.ok("disable_resource", "a/b")
    assert configured.account.running() == {}
    assert configured.code("ingest_data", "a/b") == "RESOURCE_NOT_ENABLED"
    configured.ok("enable_resource", "a/b")
    assert list(configured.account.running().values()) == ["USING CRON 15 2 * * * UTC"]
    assert len(configured.rows(f'SELECT * FROM "{configured.data}"."PUBLIC"."a/b"')) == 3


def test_a_schedule_is_changed_and_removed(configured):
    configured.ok("enable_resource", "a/b")
    for schedule, stored, running in [
        ("2h", "2h", "120 MINUTE"),
        ("90s", "90s", "90 SECONDS"),
        (None, None, "30 MINUTE"),
    ]:
        for _ in range(2):
            configured.ok("update_resource", "a/b", schedule)
        assert list(configured.account.running().values()) == [running]
        assert configured.resources()["a/b"].get("schedule") == stored
    assert configured.code("update_resource", "a/b", "soon") == "INVALID_SCHEDULE"
    assert configured.account.running() == {HALF_HOUR: "30 MINUTE"}
    configured.ok("disable_resource", "a/b")
    configured.ok("update_resource", "a/b", "1h")
    assert configured.account.running() == {}


def test_the_default_schedule_applies_to_resources_without_one(configured):
    configured.ok("enable_resource", "a/b")
    configured.ok("enable_resource", "c/d")
    configured.ok("update_resource", "c/d", "2h")
    configured.ok("update_settings", {"schedule": "45m"})
    assert sorted(configured.account.running().values()) == ["120 MINUTE", "45 MINUTE"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [("CREATE OR ALTER TASK", "FAILED_TO_CREATE_TASK"), ("ALTER TASK .* RESUME", "FAILED_TO_CREATE_TASK")]
    + [("SHOW TASKS", "ENABLE_RESOURCE_ERROR"), ("MERGE INTO .*RESOURCE_CONFIGURATION", "ENABLE_RESOURCE_ERROR")],
)
def test_a_failed_enable_changes_nothing(configured, statement, code):
    configured.account.fail(statement)
    assert configured.code("enable_resource", "a/b") == code
    assert configured.resources() == {} and configured.account.running() == {}
    configured.account.fail(statement, refused("no EXECUTE TASK", 3001))
    assert configured.code("enable_resource", "a/b") == "REQUIRED_PRIVILEGES_MISSING"
    configured.ok("enable_resource", "a/b")


@pytest.mark.parametrize(
    ("procedure", "arguments", "statement", "code"),
    [
        ("disable_resource", (), "DROP TASK", "DISABLE_RESOURCE_ERROR"),
        ("update_resource", ("1h",), "MERGE INTO", "UPDATE_RESOURCE_ERROR"),
        ("delete_resource", (), "DELETE FROM", "DELETE_RESOURCE_ERROR"),
        ("delete_resource", (True,), 'DELETE FROM .*"APP_STATE"', "DELETE_RESOURCE_ERROR"),
    ],
)
def test_the_next_call_completes_a_failed_one(configured, procedure, arguments, statement, code):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    configured.account.fail(statement)
    assert configured.code(procedure, "a/b", *arguments) == code
    configured.ok(procedure, "a/b", *arguments)


def test_deleting_keeps_data_by_default(configured):
    configured.account.job = engine.ingesting(configured.real)
    for name in ("a/b", "c/d"):
        configured.ok("enable_resource", name)
        configured.ended(name)
    configured.ok("delete_resource", "a/b")
    assert list(configured.account.running()) == [HALF_HOUR]
    kept = {resource["name"]: resource for resource in configured.ok("get_connector_status")["resources"]}["a/b"]
    assert not kept["configured"] and kept["last_run"]["status"] == "complete"
    configured.ok("delete_resource", "a/b", True)
    left = configured.rows(f'SELECT DISTINCT "RESOURCE" AS "NAME" FROM "{configured.data}"."STATE"."INGESTION_RUN"')
    assert left == [{"NAME": "c/d"}]
    assert configured.rows(f'SELECT * FROM "{configured.data}"."PUBLIC"."a/b"') == []
    assert [resource["name"] for resource in configured.ok("get_connector_status")["resources"]] == ["c/d"]


def test_a_job_that_has_ended_is_dropped(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.account.fail("DROP SERVICE")
    assert configured.ended("a/b")["last_job"]["code"] == "OK"
    assert len(configured.account.services) == 1, "the run succeeds although the container stays"
    configured.ingest("a/b")
    configured.account.job = engine.failing(configured.real)
    assert configured.ingest("a/b")["code"] == "INGESTION_FAILED"
    assert len(configured.account.ran) == 3 and len(configured.account.services) == 1


def test_a_deletion_stops_an_active_run(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    versions = f"""SELECT s."VERSION", s."VALUE":checkpoint AS "CHECKPOINT"
        FROM "{configured.data}"."STATE"."APP_STATE" s WHERE s."STREAM" = 'issues'"""
    assert configured.rows(versions) == [{"VERSION": 1, "CHECKPOINT": None}]
    for version in (2, 3):
        configured.ok("delete_resource", "a/b", True)
        assert configured.rows(versions) == [{"VERSION": version, "CHECKPOINT": None}]
    configured.ok("enable_resource", "a/b")
    (again,) = configured.ok("get_connector_status")["resources"]
    assert "from the start" in again["state"]["message"]


def test_the_recorded_outcome_of_a_container_is_that_of_its_run(configured):
    configured.account.job = engine.ingesting(configured.real, rows=5)
    configured.ok("enable_resource", "a/b")
    first, second = configured.ended("a/b")["last_job"], configured.ingest("a/b")
    assert first["message"] == second["message"] == "5 inserted" and first["name"] != second["name"]
    configured.account.job = lambda account, args: '{"status": "complete"}'
    assert configured.ingest("a/b")["message"] == "nothing new"
    configured.account.job = engine.ingesting(configured.real, rows=2)
    configured.ok("reconcile_resource", "a/b")
    assert configured.ended("a/b")["last_run"]["mode"] == "reconcile"
    assert configured.account.jobs[-1][-4:] == ["ingest", "--reconcile", "--", "a/b"]
    configured.ok("reconcile_resource", "a/b", True)
    assert configured.account.jobs[-1][-5:] == ["ingest", "--reconcile", "--allow-deletions", "--", "a/b"]


def readable(app, *resources):
    """The views and tables of these resources, as in the grants."""
    return {f'"{app.data}"."{schema}"."{name}"' for schema in ("PUBLIC", "PUBLIC_RAW") for name in resources}


def test_data_readers_can_read_tables_of_a_run(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    assert configured.account.readable == set()
    configured.ended("a/b")
    assert configured.account.readable == readable(configured, "a/b")
    configured.ok("enable_resource", "c/d")
    configured.ended("c/d")
    assert configured.account.readable == readable(configured, "a/b", "c/d")


def test_data_readers_can_read_tables_of_a_failed_run(configured):
    def job(account, args):
        engine.fill(configured.real, configured.data, "a/b", 2)
        return engine.failing(configured.real)(account, args)

    configured.account.job = job
    configured.ok("enable_resource", "a/b")
    assert configured.ended("a/b")["last_job"]["code"] == "INGESTION_FAILED"
    assert configured.account.readable == readable(configured, "a/b")


@pytest.mark.parametrize("code", [3001, 1003])
def test_a_run_whose_tables_cannot_be_granted_is_complete(configured, code):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.account.fail("GRANT SELECT ON ALL", refused("not the owner", code), times=2)
    assert configured.ended("a/b")["last_job"]["code"] == "OK"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("failed", "INGESTION_FAILED"),
        ("partial", "INGESTION_PARTIAL"),
        ("interrupted", "INGESTION_PARTIAL"),
        ("running", "JOB_FAILED"),
    ],
)
def test_an_incomplete_run_has_a_reason(configured, status, code):
    configured.account.job = engine.failing(configured.real, status)
    configured.ok("enable_resource", "a/b")
    job = configured.ended("a/b")["last_job"]
    assert job["code"] == code and "GitHub refuses the token. give another one" in job["message"]
    assert job["failed"] == (status in ("failed", "running"))
    assert configured.ok("get_connector_status")["resources"][0]["state"]["status"] == status


@pytest.mark.parametrize(("old", "status"), [("DONE", "complete"), ("FAILED", "failed"), ("RUNNING", "running")])
def test_a_state_of_an_older_version_uses_current_names(configured, old, status):
    configured.ok("enable_resource", "a/b")
    engine.append_state(configured.real, configured.data, "a/b", {"status": old, "run": engine.run_id()}, "2026-01-01T00:00:00Z")
    assert configured.ok("get_connector_status")["resources"][0]["state"]["status"] == status
    view = f'SELECT "STATUS" FROM "{configured.name}"."VIEWS"."INGESTION_DEFINITIONS"'
    assert configured.rows(view) == [{"STATUS": status}]


def test_a_container_that_dies_silently_is_reported(configured):
    def die(account, args):
        raise JobFailed("OOMKilled", log="thread panicked", code=137)

    configured.account.job = die
    configured.ok("enable_resource", "a/b")
    job = configured.ended("a/b")["last_job"]
    assert job["code"] == "JOB_FAILED" and "exit code 137" in job["message"] and "panicked" in job["message"], job
    answer = configured.call("reset_resource", "a/b")
    assert answer["response_code"] == "JOB_FAILED" and "OOMKilled" in answer["message"] and "panicked" in answer["message"]


def test_a_job_without_done_status_has_failed(configured):
    def die(account, args):
        raise JobFailed("the container exited with 3")

    configured.account.job = die
    configured.account.tells_failures_in_rows = True
    configured.ok("enable_resource", "a/b")
    answer = configured.call("reset_resource", "a/b")
    assert answer["response_code"] == "JOB_FAILED" and "exited with 3" in answer["message"]
    assert configured.code("test_connection") == "TEST_CONNECTION_FAILED"


def test_a_reset_passes_the_option_to_the_program(configured):
    configured.account.job = lambda account, args: ""
    configured.ok("enable_resource", "a/b")
    for _ in range(2):
        configured.ok("reset_resource", "a/b")
    assert configured.account.jobs[-1][-4:] == ["reset", "--yes", "--", "a/b"]


def enable_two(app):
    """Enables two resources, each with its own schedule."""
    for name, schedule in (("a/b", None), ("c/d", "2h")):
        app.ok("enable_resource", name)
        app.ok("update_resource", name, schedule)


def test_pausing_stops_jobs_and_resuming_starts_enabled_resources(configured):
    enable_two(configured)
    before = configured.account.running()
    for _ in range(2):
        configured.ok("pause_connector")
    assert configured.account.running() == {} and configured.ok("get_connector_status")["status"] == "PAUSED"
    for procedure, arguments in [("ingest_data", ("a/b",)), ("reconcile_resource", ("a/b",)), ("run_all", ())]:
        assert configured.code(procedure, *arguments) == "INVALID_CONNECTOR_STATUS"
    for _ in range(2):
        configured.ok("resume_connector")
    assert configured.account.running() == before and configured.ok("get_connector_status")["status"] == "STARTED"


def test_a_failed_pause_or_resume_changes_nothing(configured):
    enable_two(configured)
    configured.ok("pause_connector")
    configured.account.fail("SHOW TASKS")
    assert configured.code("pause_connector") == "PAUSE_CONNECTOR_FAILED"
    assert configured.ok("get_connector_status")["status"] == "PAUSED" and configured.account.running() == {}
    configured.ok("resume_connector")
    before = configured.account.running()
    assert len(before) == 2
    configured.account.tasks[TWO_HOURS].update(state="suspended", reason="USER_SUSPENDED")
    configured.account.fail("ALTER TASK .* RESUME")
    assert configured.code("resume_connector") == "RESUME_CONNECTOR_FAILED"
    assert configured.ok("get_connector_status")["status"] == "STARTED"
    assert list(configured.account.running()) == [HALF_HOUR], "the task was never suspended"
    configured.ok("resume_connector")
    assert configured.account.running() == before


def test_an_unchanged_task_is_not_recreated(configured):
    for name in ("a/b", "c/d", "e/f"):
        configured.ok("enable_resource", name)
    configured.account.statements.clear()
    configured.ok("disable_resource", "c/d")
    configured.ok("delete_resource", "e/f")
    configured.ok("update_settings", {"settings": {}})
    configured.ok("resume_connector")
    about = [text for text in configured.account.statements if "TASK" in text and HALF_HOUR in text]
    assert about == [], "recreating it would restart its interval"
    configured.ok("update_settings", {"schedule": "1h"})
    assert configured.account.running() == {HOUR: "60 MINUTE"}
    task = configured.account.tasks[HOUR]
    assert task["largest"] == "XSMALL" and task["monitors"] == {"APP_ADMIN"}, "TASK_HISTORY shows nothing without MONITOR"


def test_changes_made_while_paused_apply_after_resuming(configured):
    configured.ok("enable_resource", "a/b")
    configured.ok("pause_connector")
    configured.ok("enable_resource", "c/d")
    configured.ok("update_resource", "a/b", "1h")
    configured.ok("update_settings", {"schedule": "2h"})
    assert configured.account.running() == {} and "resumed" in configured.ok("enable_resource", "c/d")["message"]
    configured.ok("resume_connector")
    assert sorted(configured.account.running().values()) == ["120 MINUTE", "60 MINUTE"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_pause_that_fails_is_rolled_back(configured, times):
    enable_two(configured)
    running = configured.account.running()
    configured.account.fail(r'ALTER TASK IF EXISTS .*"SCHEDULE_30_20_MINUTE" SUSPEND')
    if times == 2:
        configured.account.fail("ALTER TASK .* RESUME")
    assert configured.code("pause_connector") == "PAUSE_CONNECTOR_FAILED"
    assert configured.ok("get_connector_status")["status"] == ("STARTED" if times == 1 else "ERROR")
    if times == 1:
        assert configured.account.running() == running
    configured.ok("pause_connector")
    assert configured.account.running() == {} and configured.ok("get_connector_status")["status"] == "PAUSED"


@pytest.mark.parametrize("times", [1, 2])
def test_a_resume_that_fails_is_rolled_back(configured, times):
    enable_two(configured)
    running = configured.account.running()
    configured.ok("pause_connector")
    configured.account.fail(r'ALTER TASK .*"SCHEDULE_30_20_MINUTE" RESUME', refused("no EXECUTE TASK", 3001))
    if times == 2:
        configured.account.fail(r'ALTER TASK IF EXISTS .*"SCHEDULE_120_20_MINUTE" SUSPEND')
    assert configured.code("resume_connector") == "RESUME_CONNECTOR_FAILED"
    assert configured.ok("get_connector_status")["status"] == ("PAUSED" if times == 1 else "ERROR")
    if times == 1:
        assert configured.account.running() == {}
    configured.ok("resume_connector")
    assert configured.account.running() == running


def test_an_external_scheduler_starts_no_container(app):
    app.ok("provision_connector", {"scheduler": "outside"})
    app.ok("enable_resource", "a/b")
    assert app.resources() == {"a/b": {"enabled": True}}, "the external process reads this"
    assert not app.account.tasks and not app.account.pools
    for procedure, arguments in [
        ("ingest_data", ("a/b",)),
        ("run_all", ()),
        ("reset_resource", ("a/b",)),
        ("test_connection", ()),
    ]:
        assert app.code(procedure, *arguments) == "INVALID_CONNECTOR_STATUS"
    app.ok("pause_connector")
    app.ok("resume_connector")
    assert app.account.running() == {}


def test_a_manually_suspended_task_is_shown_and_resumed_by_enabling(configured):
    configured.ok("enable_resource", "a/b")
    configured.account.tasks[HALF_HOUR].update(state="suspended", reason="USER_SUSPENDED")
    task = {"state": "suspended", "reason": "USER_SUSPENDED"}
    assert configured.ok("get_connector_status")["resources"][0]["task"] == task
    configured.ok("enable_resource", "a/b")
    assert list(configured.account.running()) == [HALF_HOUR]


def test_the_views_show_states_and_runs(configured):
    views = f'"{configured.name}"."VIEWS"'
    status = f'SELECT "STATUS" FROM {views}."SYNC_STATUS"'
    assert configured.rows(status) == [{"STATUS": "NOT_SYNCING"}]
    configured.ok("enable_resource", "a/b")
    engine.write(configured.real, configured.data, engine.record("a/b", "running"))
    assert configured.rows(status) == [{"STATUS": "SYNCING_DATA"}]
    configured.account.job = engine.ingesting(configured.real, rows=4, total_ms=2000)
    configured.ended("a/b")
    assert configured.rows(status) == [{"STATUS": "LAST_SYNCED"}]
    newest = configured.rows(f'SELECT * FROM {views}."CONNECTOR_STATS" ORDER BY "ID" DESC')[0]
    assert newest["INSERTED"] == 4 and newest["DURATION_SECONDS"] == 2 and newest["ROWS_PER_SECOND"] == 2
    hours = configured.rows(f'SELECT * FROM {views}."AGGREGATED_CONNECTOR_STATS"')
    assert sum(hour["RUNS"] for hour in hours) == 2 and sum(hour["UPDATED_ROWS"] for hour in hours) == 4
    assert configured.rows(f'SELECT "RESOURCE", "IS_ENABLED", "STATUS" FROM {views}."INGESTION_DEFINITIONS"') == [
        {"RESOURCE": "a/b", "IS_ENABLED": True, "STATUS": "complete"}
    ]
    keys = configured.rows(
        f'SELECT "CONFIG_KEY" FROM {views}."CONNECTOR_CONFIGURATION" WHERE "CONFIG_GROUP" = \'config\''
    )
    assert {"destination_database", "schedule", "scheduler", "max_nodes", "settings", "options"} == {row["CONFIG_KEY"] for row in keys}
    configured.ok("pause_connector")
    assert configured.rows(status) == [{"STATUS": "PAUSED"}]


def test_viewers_see_no_settings_and_no_message_that_may_contain_them(configured):
    secret = "https://ghe.internal.example/api/v3"
    configured.ok("update_settings", {"settings": {"api_url": secret}})
    configured.account.job = engine.failing(configured.real, message=f"{secret} cannot be reached", help=secret)
    configured.ok("enable_resource", "a/b")
    assert configured.ended("a/b")["last_job"]["code"] == "INGESTION_FAILED"
    setup = (paths.APP / "setup.sql").read_text()
    procedures = re.findall(r"GRANT USAGE ON PROCEDURE PUBLIC\.(\w+)\([^)]*\) TO APPLICATION ROLE APP_VIEWER", setup)
    assert procedures == ["GET_VIEWER_STATUS"]
    granted = [re.fullmatch(r'SELECT ON VIEW .*"(\w+)" TO APPLICATION ROLE (\w+)', text) for text in configured.account.grants]
    granted = [(match[2], match[1]) for match in granted if match]
    views = [view for role, view in granted if role == "APP_VIEWER"]
    assert {"CONNECTOR_STATS", "INGESTION_DEFINITIONS", "SYNC_STATUS"} <= set(views)
    for view in views:
        rows = configured.rows(f'SELECT * FROM "{configured.name}"."VIEWS"."{view}"')
        # No container has ended well.
        assert rows or view == "CHECKS"
        assert secret not in json.dumps(rows, default=str), view
    kinds = f'SELECT "ERROR_KIND" FROM "{configured.name}"."VIEWS"."CONNECTOR_STATS"'
    assert configured.rows(kinds) == [{"ERROR_KIND": "authentication"}]
    for fault in (None, f'SELECT .*"{configured.data}"', "SELECT SYSTEM.GET_ALL_REFERENCES"):
        if fault:
            configured.account.fail(fault, refused(f"{secret} and more", 2003), times=9)
        answer = configured.call("get_viewer_status")
        configured.account.faults.clear()
        assert secret not in json.dumps(answer) and configured.data not in json.dumps(answer)
    assert configured.ok("get_viewer_status")["resources"][0]["last_run"]["error"] == {"kind": "authentication"}
    admins = {view for role, view in granted if role == "APP_ADMIN"}
    assert admins >= {*views, "CONNECTOR_CONFIGURATION", "CONNECTOR_ERRORS"}
    assert secret in json.dumps(configured.rows(f'SELECT * FROM "{configured.name}"."VIEWS"."CONNECTOR_ERRORS"'), default=str)


def test_responses_are_json_only(configured):
    configured.ok("enable_resource", "a/b")
    assert json.loads(configured.session.call("PUBLIC.GET_CONNECTOR_STATUS"))["status"] == "STARTED"
