"""Tests configuration: provisioning, references, grants, the connection test."""

import collections
import json
import os
import types

import pytest

import connector
import destination
import engine
import jobs
import references
import store
from account import JobFailed, refused
from responses import CODES, ProcedureError
from conftest import App, numbers
from spec import SPEC


TASK = "SCHEDULE_30_20_MINUTE"


def test_procedures_fail_before_configuration(app):
    for procedure, arguments in [
        ("update_settings", ({},)),
        ("enable_resource", ("a/b",)),
        ("disable_resource", ("a/b",)),
        ("update_resource", ("a/b", "1h")),
        ("delete_resource", ("a/b",)),
        ("ingest_data", ("a/b",)),
        ("run_all", ()),
        ("reconcile_resource", ("a/b",)),
        ("reset_resource", ("a/b",)),
        ("pause_connector", ()),
        ("resume_connector", ()),
        ("test_connection", ()),
    ]:
        assert app.code(procedure, *arguments) == "CONNECTOR_CONFIGURATION_NOT_FOUND", procedure
    status = app.ok("get_connector_status")
    assert (status["status"], status["configuration_status"], status["configuration"]) == (
        "CONFIGURING",
        "INSTALLED",
        None,
    )


def test_provisioning_creates_the_objects_of_the_engine_and_readers(app):
    answer = app.ok("provision_connector", {"settings": {"page_size": 50}})
    assert answer["notes"] == []
    stored = app.rows(f'SELECT "DOCUMENT" FROM "{app.data}"."STATE"."APP_CONFIGURATION" WHERE "KEY" = \'config\'')
    assert json.loads(stored[0]["DOCUMENT"]) == {"page_size": 50}
    tables = app.rows(f"SELECT TABLE_NAME FROM \"{app.data}\".INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'STATE'")
    # Snowflake also lists views here; the simulation does not.
    names = {row["TABLE_NAME"] for row in tables} - {"INGESTION_RUN"}
    assert len(names) == SPEC["state_sql"].count("CREATE TABLE") > 5
    assert app.rows(f'SELECT * FROM "{app.data}"."STATE"."INGESTION_RUN"') == []
    assert app.rows(f'SELECT * FROM "{app.data}"."STATE"."SNOWFEED_VERSION"') == [], (
        "the engine itself writes its version"
    )
    assert app.account.pools.keys() == {f"{app.name}_POOL"}
    for text in (f'USAGE ON DATABASE "{app.data}"', f'USAGE ON SCHEMA "{app.data}"."PUBLIC"'):
        assert f"{text} TO APPLICATION ROLE APP_DATA_READER" in app.account.grants
    status = app.ok("get_connector_status")
    assert (status["status"], status["configuration_status"]) == ("STARTED", "CONFIGURED")


def test_provisioning_twice_changes_nothing(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    before = configured.ok("get_connector_status")
    configured.ok("provision_connector", {})
    assert configured.ok("get_connector_status") == before


def test_a_configuration_can_be_a_json_string(app):
    app.ok("provision_connector", json.dumps({"destination_database": f'"{app.name.lower()}_data"'}))
    assert app.ok("get_connector_status")["configuration"]["destination_database"] == f"{app.name.lower()}_data"


@pytest.mark.parametrize(
    ("config", "code", "word"),
    [
        (None, "INVALID_INPUT", "object"),
        ("{", "INVALID_INPUT", "JSON"),
        ([], "INVALID_INPUT", "object"),
        ({"database": "x"}, "INVALID_INPUT", "destination_database"),
        ({"destination_database": ""}, "INVALID_IDENTIFIER", "database"),
        ({"destination_database": 5}, "INVALID_IDENTIFIER", "database"),
        ({"destination_database": "a\nb"}, "INVALID_IDENTIFIER", "database"),
        ({"schedule": "soon"}, "INVALID_SCHEDULE", "30m"),
        ({"scheduler": "cron"}, "INVALID_INPUT", "outside"),
        ({"settings": []}, "INVALID_INPUT", "settings"),
        ({"settings": {"page-size": 5}}, "INVALID_INPUT", "page_size"),
        ({"settings": {"page_size": "many"}}, "INVALID_INPUT", "a whole number"),
        ({"settings": {"page_size": True}}, "INVALID_INPUT", "a whole number"),
        ({"settings": {"page_size": -1}}, "INVALID_INPUT", "from 1 to 100"),
        ({"settings": {"page_size": 1000}}, "INVALID_INPUT", "from 1 to 100"),
        ({"settings": {"concurrency": 101}}, "INVALID_INPUT", "from 1 to 100"),
        ({"settings": {"retries": 21}}, "INVALID_INPUT", "from 0 to 20"),
        ({"settings": {"requests_per_minute": 0}}, "INVALID_INPUT", "at least 1"),
        ({"settings": {"pull_requests": 1}}, "INVALID_INPUT", "true or false"),
        ({"settings": {"repositories": "a/b"}}, "INVALID_INPUT", "a list"),
        ({"settings": {"repositories": [1]}}, "INVALID_INPUT", "every item"),
        ({"settings": {"token": "ghp_secret"}}, "INVALID_INPUT", "reference"),
        ({"references": {"nobody": "x"}}, "INVALID_REFERENCE", "nobody"),
        ({"references": []}, "OK", ""),
    ],
)
def test_an_invalid_configuration_is_rejected_before_anything_is_created(app, config, code, word):
    answer = app.call("provision_connector", config)
    assert answer["response_code"] == code and word in answer["message"], answer
    assert "ghp_secret" not in json.dumps(answer)
    if code != "OK":
        assert not app.account.pools and app.ok("get_connector_status")["status"] == "CONFIGURING"


def test_the_destination_cannot_be_the_app_itself(app):
    assert app.code("provision_connector", {"destination_database": app.name}) == "INVALID_IDENTIFIER"


def test_a_database_of_another_connector_is_left_unchanged(app):
    other = f"{app.name}_OTHER"
    app.database(other)
    app.rows(f"CREATE SCHEMA {other}.STATE")
    app.rows(f"CREATE TABLE {other}.STATE.APP_CONFIGURATION (KEY VARCHAR, VALUE VARIANT)")
    app.rows(f"USE DATABASE {app.name}")
    assert app.code("provision_connector", {"destination_database": other}) == "DESTINATION_IN_USE"
    assert len(app.rows(f"SELECT * FROM {other}.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'STATE'")) == 1


def test_the_destination_cannot_change_while_a_resource_is_enabled(configured):
    configured.ok("enable_resource", "a/b")
    move = {"destination_database": f"{configured.name}_ELSEWHERE"}
    answer = configured.call("provision_connector", move)
    assert answer["response_code"] == "DESTINATION_IN_USE" and "a/b" in answer["message"]
    configured.ok("disable_resource", "a/b")
    configured.ok("provision_connector", move)


@pytest.mark.parametrize(
    ("statement", "error", "code"),
    [
        ("CREATE DATABASE", refused("no CREATE DATABASE", 3001), "REQUIRED_PRIVILEGES_MISSING"),
        ("CREATE DATABASE", refused("out of order"), "CONFIGURE_CONNECTOR_FAILED"),
        ("CREATE SCHEMA", refused("not yours", 3001), "REQUIRED_PRIVILEGES_MISSING"),
        ("CREATE TABLE", refused("out of order"), "CONFIGURE_CONNECTOR_FAILED"),
        ("CREATE OR REPLACE VIEW", refused("out of order"), "CONFIGURE_CONNECTOR_FAILED"),
        ("CREATE COMPUTE POOL", refused("no CREATE COMPUTE POOL", 3001), "REQUIRED_PRIVILEGES_MISSING"),
        ("SHOW TASKS", refused("out of order"), "CONFIGURE_CONNECTOR_FAILED"),
        ("GRANT SELECT ON VIEW", refused("out of order"), "CONFIGURE_CONNECTOR_FAILED"),
    ],
)
def test_the_next_provisioning_completes_a_failed_one(app, statement, error, code):
    app.account.fail(statement, error)
    assert app.code("provision_connector", {}) == code
    assert app.code("enable_resource", "a/b") == "CONNECTOR_CONFIGURATION_NOT_FOUND", (
        "nothing is stored before it exists"
    )
    app.ok("provision_connector", {})
    assert app.ok("get_connector_status")["status"] == "STARTED"


def test_grants_that_need_the_owner_are_reported(app):
    app.account.fail("GRANT USAGE ON DATABASE", refused("not the owner", 3001))
    (note,) = app.ok("provision_connector", {})["notes"]
    assert "not the owner" in note


def fill_destination(app, resource):
    """Fills the destination with an enabled resource, as left by a removed app or an external process."""
    assert app.ok("get_connector_status")["status"] == "CONFIGURING"
    destination.create(app.session, app.data)
    app.rows(f"USE DATABASE {app.name}")
    store.resource_store(app.session, app.data).put(resource, {"enabled": True})


def test_resources_enabled_in_a_kept_destination_run_after_configuration(app):
    app.bind()
    fill_destination(app, "a/b")
    app.ok("provision_connector", {})
    assert app.account.running() == {TASK: "30 MINUTE"}
    app.account.job = engine.ingesting(app.real)
    app.tick()
    assert app.ended("a/b")["last_job"]["code"] == "OK"


@pytest.mark.parametrize("statement", ["ALTER TASK .*RESUME", "MERGE INTO .*", "CREATE OR ALTER TASK"])
@pytest.mark.parametrize("after", range(4))
def test_configuring_again_starts_a_kept_destination_after_a_failure(app, statement, after):
    fill_destination(app, "a/b")
    fill_destination(app, "c/d")
    store.resource_store(app.session, app.data).put("c/d", {"enabled": True, "schedule": "2h"})
    app.account.fail(statement, after=after)
    if app.code("provision_connector", {}) != "OK":
        assert app.account.running() == {} and app.ok("get_connector_status")["status"] == "CONFIGURING"
    app.account.faults.clear()
    app.ok("provision_connector", {})
    assert sorted(app.account.running().values()) == ["120 MINUTE", "30 MINUTE"]
    assert app.ok("get_connector_status")["status"] == "STARTED"


def test_configuring_again_completes_an_interrupted_start(configured):
    configured.ok("enable_resource", "a/b")
    configured.account.tasks[TASK]["state"] = "suspended"
    connector.status.set_status(configured.session, "STARTING")
    configured.ok("provision_connector", {})
    assert configured.account.running() == {TASK: "30 MINUTE"}
    assert configured.ok("get_connector_status")["status"] == "STARTED"


def test_the_consumer_can_see_and_stop_the_pool(app):
    app.account.fail("GRANT MONITOR, OPERATE ON COMPUTE POOL", refused("not in this edition"))
    answer = app.ok("provision_connector", {})
    assert any("COMPUTE POOL" in note and "not in this edition" in note for note in answer["notes"]), answer
    assert app.ok("provision_connector", {})["notes"] == []
    grant = f"MONITOR, OPERATE ON COMPUTE POOL {app.name}_POOL TO APPLICATION ROLE APP_ADMIN"
    assert grant in app.account.grants


def test_a_prepared_database_needs_no_create_privileges(configured):
    configured.real.sql(f'INSERT INTO "{configured.data}"."STATE"."SNOWFEED_VERSION" SELECT 1, \'PUBLIC\'').collect()
    configured.account.fail("CREATE (DATABASE|SCHEMA|STAGE|TABLE)", refused("not allowed", 3001), times=99)
    configured.ok("provision_connector", {})


def test_a_paused_connector_stays_paused_when_it_is_configured_again(configured):
    configured.ok("enable_resource", "a/b")
    configured.ok("pause_connector")
    configured.ok("provision_connector", {})
    configured.ok("update_settings", {"schedule": "1h"})
    assert configured.account.running() == {} and configured.ok("get_connector_status")["status"] == "PAUSED"


@pytest.fixture
def quoted(real):
    """An app whose name needs quotes."""
    app = App(real, f'"my_app{next(numbers)}_{os.getpid()}"')
    app.bind()
    return app


def test_an_application_name_that_needs_quotes_is_rejected_before_anything_is_created(quoted):
    answer = quoted.call("provision_connector", {})
    assert answer["response_code"] == "INVALID_APPLICATION_NAME"
    assert f"ALTER APPLICATION {quoted.name} RENAME TO" in answer["message"] and "`outside`" in answer["message"]
    assert quoted.refused("grant_callback", ["CREATE COMPUTE POOL"]).startswith("INVALID_APPLICATION_NAME: ")
    assert not any(text.startswith(("CREATE DATABASE", "CREATE COMPUTE POOL")) for text in quoted.account.statements)


def test_an_application_whose_name_needs_quotes_can_be_run_from_outside(quoted):
    quoted.ok("provision_connector", {"scheduler": "outside"})
    quoted.ok("enable_resource", "a/b")
    assert quoted.ok("get_connector_status")["status"] == "STARTED"
    assert quoted.code("update_settings", {"scheduler": "task"}) == "INVALID_APPLICATION_NAME"


def test_an_application_that_was_renamed_to_a_name_with_quotes_runs_no_container(configured, monkeypatch):
    monkeypatch.setattr(jobs.pool.app_database, "app_name", lambda session: 'my "app"')
    with pytest.raises(ProcedureError, match='ALTER APPLICATION "my ""app""" RENAME TO') as refusal:
        jobs.run(configured.session, configured.data, ["check"])
    assert refusal.value.code == "INVALID_APPLICATION_NAME" and configured.account.jobs == []


def test_references_are_bound_and_removed(app):
    app.ok("register_reference", "token", "ADD", "ref1")
    app.ok("register_reference", "TOKEN", "add", "ref2")
    assert app.account.bound == {"token": "ref2"}
    assert app.ok("get_connector_status")["references"]["token"] == {"bound": True, "required": False}
    for operation in ("REMOVE", "CLEAR", "CLEAR"):
        app.ok("register_reference", "token", operation, "ref2")
    assert app.account.bound == {}
    assert app.refused("register_reference", "nobody", "ADD", "x").startswith("INVALID_REFERENCE: ")
    assert app.refused("register_reference", "token", "EAT", "x").startswith("INVALID_INPUT: ")
    assert app.refused("register_reference", "token", "ADD", None).startswith("INVALID_INPUT: ")
    assert app.account.bound == {}


def test_a_reference_that_cannot_be_set_raises_because_its_dialog_ignores_the_response(app):
    app.account.unknown_objects.add("gone")
    assert "the object does not exist" in app.refused("register_reference", "token", "ADD", "gone")
    assert app.account.bound == {}


@pytest.mark.parametrize(
    ("answer", "bound"),
    [
        ('[{"alias": "a", "database": null, "schema": null, "name": "W"}]', True),
        ("[]", False),
        ("[ ]", False),
        (None, False),
    ],
)
def test_a_reference_is_bound_where_it_has_an_object(answer, bound):
    row = collections.defaultdict(lambda: answer)
    session = types.SimpleNamespace(sql=lambda text, params: types.SimpleNamespace(collect=lambda: [row]))
    assert bool(references.objects(session)) == bound


def test_reference_dialogs_receive_hosts_and_types(app):
    access = json.loads(connector.get_reference_config(app.session, "GITHUB_EXTERNAL_ACCESS"))
    # The integration does not have to allow a secret of type GENERIC_STRING, which the app requests.
    assert access["payload"] == {"host_ports": ["api.github.com"], "allowed_secrets": "NONE"}
    assert json.loads(connector.get_reference_config(app.session, "token"))["payload"] == {"type": "GENERIC_STRING"}
    assert json.loads(connector.get_reference_config(app.session, "nobody"))["type"] == "ERROR"


def test_the_dialog_also_allows_the_hosts_of_settings(app):
    app.bind()
    app.ok("provision_connector", {"settings": {"api_url": "https://GHE.acme.com:8443/api/v3", "proxy": "http://proxy.acme.com"}})
    access = json.loads(connector.get_reference_config(app.session, "github_external_access"))
    assert access["payload"]["host_ports"] == ["api.github.com", "ghe.acme.com:8443", "proxy.acme.com:80"]
    reference = app.ok("get_connector_status")["references"]["github_external_access"]
    assert (reference["hosts"], reference["missing_settings"]) == (access["payload"]["host_ports"], [])


def test_the_program_tests_the_connection(configured):
    configured.account.job = engine.ingesting(configured.real)
    answer = configured.ok("test_connection")
    assert answer["checks"][0]["name"] == "remote"
    args = configured.account.jobs[0]
    assert args[:6] == ["--to", "snowflake", "--database", f'"{configured.data}"', "--schema", "PUBLIC"]
    assert args[-1] == "check"
    assert "token=file:/run/secrets/token" in args, "the file's name depends on the type of the secret"
    assert configured.ok("get_connector_status")["configuration_status"] == "CONNECTED"


def test_the_program_receives_its_api_url_as_an_argument(configured):
    settings = {"api_url": "https://ghe.example/api/v3", "repositories": ["a/b"], "page_size": 5}
    configured.ok("update_settings", {"settings": settings})
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("test_connection")
    args = configured.account.jobs[-1]
    assert "api_url=https://ghe.example/api/v3" in args, "stored settings alone must not redirect credentials"
    assert 'repositories=["a/b"]' in args
    assert not any(argument.startswith("page_size") for argument in args)


def test_a_secret_that_is_not_bound_is_not_mounted(configured):
    configured.ok("register_reference", "private_key", "CLEAR", None)
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("test_connection")
    assert not any("private_key" in argument for argument in configured.account.jobs[0])


@pytest.mark.parametrize(
    ("reference", "code"),
    [("github_external_access", "EAI_UNAVAILABLE"), ("warehouse_reference", "INACCESSIBLE_WAREHOUSE")],
)
def test_a_removed_reference_is_detected_before_a_container_starts(configured, reference, code):
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    configured.account.jobs.clear()
    configured.ok("register_reference", reference, "REMOVE", None)
    for procedure, arguments in [("test_connection", ()), ("ingest_data", ("a/b",)), ("reset_resource", ("a/b",))]:
        answer = configured.call(procedure, *arguments)
        assert answer["response_code"] == code and answer["missing"] == [reference]
    assert configured.account.jobs == []


def test_a_missing_required_secret_is_detected(configured, monkeypatch):
    monkeypatch.setitem(SPEC["settings"], "required", ["token"])
    configured.ok("register_reference", "token", "REMOVE", None)
    assert configured.code("test_connection") == "SECRET_UNAVAILABLE"


def test_a_failed_connection_test_has_a_cause_and_help(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("test_connection")
    error = {"kind": "authentication", "message": "GitHub refuses the token", "help": "give another one"}

    def refuse(account, args):
        checks = [{"name": "remote", "ok": False, "detail": ""}]
        document = json.dumps({"schema_version": 1, "checks": checks, "error": error}, indent=2)
        raise JobFailed(log=f'{{"level": "info"}}\nlog line\n{document}\n{{"level": "warn"}}\na warning\n{{not JSON\n')

    configured.account.job = refuse
    answer = configured.call("test_connection")
    assert answer["response_code"] == "TEST_CONNECTION_FAILED"
    assert answer["message"] == "GitHub refuses the token. give another one" and answer["error"] == error
    assert configured.ok("get_connector_status")["configuration_status"] == "CONFIGURED", (
        "earlier containers do not count"
    )


def test_a_connection_test_without_output_fails_with_snowflakes_status(configured):
    def die(account, args):
        raise JobFailed("Job failed with exit code 137", log="a panic")

    configured.account.job = die
    answer = configured.call("test_connection")
    assert (
        answer["response_code"] == "TEST_CONNECTION_FAILED"
        and "137" in answer["message"]
        and "a panic" in answer["message"]
    )
    configured.account.fail("SELECT SYSTEM.GET_SERVICE_LOGS", refused("the node is gone"))
    assert "137" in configured.call("test_connection")["message"]


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("token", "SECRET_UNAVAILABLE"),
        ("github_external_access", "EAI_UNAVAILABLE"),
        ("warehouse_reference", "INACCESSIBLE_WAREHOUSE"),
    ],
)
def test_a_dropped_object_behind_a_reference_is_not_reported_as_a_source_failure(configured, reference, code):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("test_connection")
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    configured.account.jobs.clear()
    configured.account.statements.clear()
    configured.account.dropped.add(reference)
    for procedure, arguments in [("test_connection", ()), ("ingest_data", ("a/b",)), ("reset_resource", ("a/b",))]:
        answer = configured.call(procedure, *arguments)
        assert answer["response_code"] == code and f"ref-{reference}" in answer["message"], answer
        assert set(answer["bound"]) == set(configured.account.bound)
    assert configured.account.jobs == [] and not any("LOGS" in text for text in configured.account.statements)
    status = configured.ok("get_connector_status")
    assert status["configuration_status"] == "CONFIGURED", "earlier containers do not count"
    configured.account.dropped.clear()
    configured.ok("test_connection")


def test_a_job_that_is_not_allowed_is_reported_as_a_missing_privilege(configured):
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    configured.account.statements.clear()
    for message in ("Insufficient privileges on schema 'JOBS'", "Insufficient privileges on compute pool 'X'"):
        for procedure, arguments in [("test_connection", ()), ("ingest_data", ("a/b",)), ("run_all", ())]:
            configured.account.fail("EXECUTE JOB", refused(message, 3001))
            answer = configured.call(procedure, *arguments)
            assert answer["response_code"] == "REQUIRED_PRIVILEGES_MISSING" and message in answer["message"]
    assert not any("LOGS" in text for text in configured.account.statements)


def test_a_secret_of_the_wrong_type_is_reported_with_the_expected_type(configured):
    configured.account.secret_types["token"] = "OAUTH2"
    answer = configured.call("test_connection")
    assert answer["response_code"] == "SECRET_UNAVAILABLE" and "GENERIC_STRING" in answer["message"]


def test_a_pool_that_does_not_start_is_reported(configured):
    configured.account.fail("EXECUTE JOB", refused("Compute pool 'X' failed to start: no capacity"), times=2)
    assert configured.code("test_connection") == "COMPUTE_POOL_UNAVAILABLE"
    configured.account.pools.clear()
    configured.account.faults.clear()
    assert configured.code("test_connection") == "COMPUTE_POOL_UNAVAILABLE"


def test_an_unexpected_exception_becomes_a_response(app, monkeypatch):
    monkeypatch.setattr(connector.status, "report", lambda session, resources: 1 / 0)
    answer = app.call("get_connector_status")
    assert answer["response_code"] == "INTERNAL_ERROR" and "ZeroDivisionError" in answer["message"]


def test_a_dropped_destination_is_reported(configured):
    configured.account.fail(
        f'SELECT .*"{configured.data}"', refused("it does not exist or not authorized", 2003), times=5
    )
    assert configured.ok("get_connector_status")["problem"] == "DESTINATION_UNREADABLE"
    for procedure in ("enable_resource", "disable_resource", "delete_resource", "ingest_data"):
        assert configured.code(procedure, "a/b") == "DESTINATION_UNREADABLE"


def test_the_guide_lists_every_code_of_the_procedures():
    import pathlib
    import re

    folder = pathlib.Path(connector.__file__).parent
    text = "".join(file.read_text() for file in folder.glob("*.py") if file.name != "responses.py")
    used = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', text)) & (
        set(CODES) | {code for code in re.findall(r'ProcedureError\("([A-Z_]+)"', text)}
    )
    assert used <= set(CODES)
    assert set(CODES) - used <= {"OK", "UNKNOWN_SQL_ERROR", "INTERNAL_ERROR", "REQUIRED_PRIVILEGES_MISSING"}


def test_an_app_without_a_container_needs_only_a_warehouse_and_rejects_other_schedulers(app, monkeypatch):
    monkeypatch.setitem(SPEC, "container", False)
    monkeypatch.setitem(SPEC, "default_scheduler", "outside")
    assert app.code("provision_connector", {"scheduler": "task"}) == "INVALID_INPUT"
    answer = app.ok("provision_connector", {})
    assert answer["configuration"]["scheduler"] == "outside"
    status = app.ok("get_connector_status")
    assert list(status["references"]) == ["warehouse_reference"] and status["schedulers"] == ["outside"]
    app.ok("enable_resource", "a/b")
    assert app.code("ingest_data", "a/b") == "INVALID_CONNECTOR_STATUS"


def test_an_app_upgraded_to_no_container_continues(configured, monkeypatch):
    assert configured.ok("get_connector_status")["configuration"]["scheduler"] == "task"
    monkeypatch.setitem(SPEC, "container", False)
    monkeypatch.setitem(SPEC, "default_scheduler", "outside")
    assert configured.ok("get_connector_status")["configuration"]["scheduler"] == "outside"
