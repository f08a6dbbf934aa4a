"""Runs that could not begin: what the run history, the views and the status say about them, and that only a success ends it."""

import json

import engine
import health_views
import pytest
from account import refused

VIEWS = ("CONNECTOR_OVERVIEW", "RESOURCE_OVERVIEW", "STREAM_OVERVIEW", "CONNECTOR_ERRORS", "RUN_HISTORY", "CHECKS")


@pytest.fixture
def running(configured, real):
    """The app, with a resource that has been read."""
    configured.account.job = engine.ingesting(real)
    configured.ok("enable_resource", "a/b")
    configured.account.end_jobs()
    configured.tick()
    configured.account.end_jobs()
    return configured


def view(app, name, columns="*", where="TRUE"):
    """The rows of a view."""
    return app.rows(f'SELECT {columns} FROM "{app.name}"."VIEWS"."{name}" WHERE {where}')


def fails(app, name=None):
    """Runs the tasks, or one, as on schedule: their errors are only in their history."""
    for task in [name] if name else list(app.account.running()):
        assert app.account.run_task(app.session, task) is not None


def task(app):
    """The name of the only task."""
    (name,) = app.account.tasks
    return name


def test_a_container_that_cannot_start_is_a_failed_run(running):
    running.account.dropped.add("warehouse_reference")
    for tries in (1, 2):
        fails(running)
        (resource,) = view(running, "RESOURCE_OVERVIEW")
        found = (resource["HEALTH"], resource["TRIES"], resource["ERROR_CODE"], resource["TITLE"])
        assert found == ("failing", tries, "INACCESSIBLE_WAREHOUSE", "The warehouse is gone or may not be used.")
        assert resource["LAST_SUCCESS_AT"] is not None
    (error,) = view(running, "CONNECTOR_ERRORS", where='"IS_OPEN" AND "RESOURCE" IS NOT NULL')
    assert "ref-warehouse_reference" in error["MESSAGE"] and error["NEEDS_YOU"] and error["TRIES"] == 2
    outcomes = [run["OUTCOME"] for run in view(running, "RUN_HISTORY", '"OUTCOME"', "TRUE ORDER BY \"STARTED_AT\"")]
    assert outcomes[-2:] == ["did not start", "did not start"]
    # The views alone know it.
    (connector,) = view(running, "CONNECTOR_OVERVIEW")
    assert (connector["HEALTH"], connector["CAUSE_CODE"], connector["NOT_STARTED_24H"]) == ("failing", "INACCESSIBLE_WAREHOUSE", 2)
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"], answer["FAILED_STARTS"]) == ("failing", "INACCESSIBLE_WAREHOUSE", 2)
    assert "ref-warehouse_reference" in answer["CAUSE_DETAIL"] and answer["TASK_STATE"] == "started"
    assert {step["step"]: step["state"] for step in answer["SETUP"]}["warehouse"] == "problem"
    # It is there again.
    running.account.dropped.clear()
    running.tick()
    running.account.end_jobs()
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"], answer["FAILED_STARTS"]) == ("healthy", None, 0)
    assert view(running, "CONNECTOR_ERRORS", where='"IS_OPEN"') == []


@pytest.mark.parametrize(
    ("reference", "code", "step"),
    [("token", "SECRET_UNAVAILABLE", "sign_in"), ("github_external_access", "EAI_UNAVAILABLE", "external_access")],
)
def test_the_code_says_which_object_is_gone(running, reference, code, step):
    running.account.dropped.add(reference)
    fails(running)
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"]) == ("failing", code)
    assert {one["step"]: one["state"] for one in answer["SETUP"]}[step] == "problem"


def test_a_run_that_is_started_by_hand_and_cannot_begin_is_recorded_too(running):
    running.account.dropped.add("token")
    assert running.code("ingest_data", "a/b") == "SECRET_UNAVAILABLE"
    (resource,) = view(running, "RESOURCE_OVERVIEW")
    assert (resource["HEALTH"], resource["TRIES"]) == ("failing", 1)
    running.account.dropped.clear()
    running.ok("ingest_data", "a/b")
    running.account.end_jobs()
    running.ok("get_connector_status")
    assert view(running, "RESOURCE_OVERVIEW", '"HEALTH"') == [{"HEALTH": "healthy"}]


def test_the_record_has_the_members_of_the_programs_records(running):
    running.account.dropped.add("token")
    fails(running)
    table = f'"{running.data}"."STATE"."INGESTION_RUN"'
    document = json.loads(running.rows(f'SELECT "DOCUMENT" FROM {table} ORDER BY "ID" DESC LIMIT 1')[0]["DOCUMENT"])
    expected = next(case for case in engine.health_cases() if case["resource"] == "did not start")["streams"]["issues"]["run"]
    assert set(document) == set(expected)
    for name in ("counts", "traffic", "timings", "error", "failing"):
        assert set(document[name]) == set(expected[name]), name


def test_a_task_that_fails_before_its_procedure_is_a_cause(running):
    running.account.tasks[task(running)]["broken"] = refused("Serverless compute is not available")
    for _ in range(3):
        fails(running)
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"], answer["FAILED_STARTS"]) == ("failing", "TASK_FAILED", 3)
    assert answer["SINCE"] <= answer["AS_OF"] and "Serverless" in answer["CAUSE_DETAIL"]
    # From then on the views know it, too.
    assert view(running, "CONNECTOR_OVERVIEW", '"HEALTH", "CAUSE_CODE"') == [{"HEALTH": "failing", "CAUSE_CODE": "TASK_FAILED"}]
    (error,) = view(running, "CONNECTOR_ERRORS", where='"RESOURCE" IS NULL')
    assert (error["CODE"], error["TRIES"], error["IS_OPEN"]) == ("TASK_FAILED", 3, True)
    viewer = running.ok("get_viewer_status", False)
    assert viewer["HEALTH"] == "failing" and "CAUSE_DETAIL" not in viewer and "SETUP" not in viewer
    del running.account.tasks[task(running)]["broken"]
    running.tick()
    assert view(running, "CONNECTOR_OVERVIEW", '"HEALTH"') == [{"HEALTH": "healthy"}]


def test_a_task_that_snowflake_has_suspended_is_a_cause_and_resuming_and_a_success_end_it(running):
    own = running.account.tasks[task(running)]
    own.update(most_failures=10, broken=refused("Serverless compute is not available"))
    for _ in range(10):
        fails(running, task(running))
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"], answer["FAILED_STARTS"]) == ("failing", "TASK_SUSPENDED_BY_FAILURES", 10)
    assert (answer["TASK_STATE"], answer["TASK_SUSPENDED_REASON"]) == ("suspended", "SUSPENDED_DUE_TO_ERRORS")
    assert answer["TASK_SUSPENDED_AT"] is not None
    del own["broken"]
    running.ok("resume_connector")
    running.tick()
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["TASK_STATE"], answer["FAILED_STARTS"]) == ("healthy", "started", 0)


def test_a_task_that_somebody_has_suspended_or_dropped_is_a_cause(running):
    name = task(running)
    running.account.tasks[name].update(state="suspended", reason="USER_SUSPENDED")
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"], answer["TASK_STATE"]) == ("failing", "TASK_SUSPENDED", "suspended")
    del running.account.tasks[name]
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"], answer["TASK_STATE"]) == ("failing", "TASK_MISSING", "missing")
    running.ok("resume_connector")
    assert running.ok("get_connector_status", False)["HEALTH"] == "healthy"


def test_a_history_that_cannot_be_read_leaves_what_is_known(running):
    running.account.dropped.add("token")
    fails(running)
    running.account.fail(r'SELECT "NAME", "STATE", "ERROR_MESSAGE".*', refused("not authorized"))
    answer = running.ok("get_connector_status", False)
    assert (answer["HEALTH"], answer["CAUSE_CODE"]) == ("failing", "SECRET_UNAVAILABLE")


def test_a_connector_in_which_nothing_runs_becomes_late_by_time_alone(running, monkeypatch):
    assert view(running, "CONNECTOR_OVERVIEW", '"HEALTH"') == [{"HEALTH": "healthy"}]
    monkeypatch.setattr(health_views, "NOW", "DATEADD(DAY, 3, SYSDATE())")
    running.ok("apply_version")
    (connector,) = view(running, "CONNECTOR_OVERVIEW")
    assert (connector["HEALTH"], connector["LATE"]) == ("late", 1) and connector["NEXT_DUE_AT"] < connector["AS_OF"]


def test_a_paused_connector_is_paused_and_says_by_whom(running):
    running.ok("pause_connector")
    (resource,) = view(running, "RESOURCE_OVERVIEW")
    assert (resource["HEALTH"], resource["NEXT_DUE_AT"]) == ("paused", None)
    assert resource["PAUSED_BY"] == "TESTS" and resource["PAUSED_AT"] is not None
    assert running.ok("get_connector_status", False)["HEALTH"] == "paused"
    running.ok("resume_connector")
    running.ok("disable_resource", "a/b")
    (resource,) = view(running, "RESOURCE_OVERVIEW")
    assert (resource["HEALTH"], resource["PAUSED_BY"]) == ("paused", "TESTS") and resource["PAUSED_AT"] is not None
    running.ok("enable_resource", "a/b")
    running.account.end_jobs()
    running.ok("get_connector_status")
    assert view(running, "RESOURCE_OVERVIEW", '"HEALTH", "PAUSED_AT"') == [{"HEALTH": "healthy", "PAUSED_AT": None}]
