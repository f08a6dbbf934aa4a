"""The views of health: their columns are those of the documentation, before and after the first configuration; and what else the page
reads: the steps of the set-up, logs, and the list of the source's resources."""

import datetime
import json
import re

import engine
import overviews
import pytest
from account import JobFailed
from paths import HERE

GUIDE = HERE.parents[2] / "docs/guides/native-app.md"
NAME = re.compile(r"`([A-Z][A-Z0-9_]*)`")


def documented():
    """The documented columns, by the names of the views that they are for."""
    section = GUIDE.read_text().split("\n### Views\n")[1].split("\n### ")[0]
    found = {}
    for block in re.split(r"\n(?=\*\*`)", section)[1:]:
        head, _, table = block.partition("\n| column")
        views = [name for name in re.findall(r"\*\*`([A-Z_]+)`\*\*", head)]
        cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
        text = " ".join(cells) if table else head.split(": ", 1)[1]
        found[tuple(views)] = set(NAME.findall(text)) - {"GET_JOB_LOG"}
    return found


def test_the_documented_columns_are_those_of_the_views():
    named = {view for views in documented() for view in views}
    assert named == set(overviews.COLUMNS)
    for views, columns in documented().items():
        assert columns == {column for view in views for column in overviews.COLUMNS[view]}, views


def columns_of(app):
    """The columns of each view, in their order."""
    text = f"""SELECT TABLE_NAME, COLUMN_NAME FROM "{app.name}".INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'VIEWS' ORDER BY ORDINAL_POSITION"""
    found = {}
    for row in app.rows(text):
        found.setdefault(row["TABLE_NAME"], []).append(row["COLUMN_NAME"])
    return {name: columns for name, columns in found.items() if name in overviews.COLUMNS}


def test_the_views_are_there_before_and_after_the_first_configuration(app):
    expected = {name: list(columns) for name, columns in overviews.COLUMNS.items()}
    answer = app.ok("get_connector_status", False)
    assert columns_of(app) == expected
    assert (answer["HEALTH"], answer["RESOURCES"]) == ("not_configured", 0)
    steps = {step["step"]: step["state"] for step in answer["SETUP"]}
    assert [state for state in steps.values() if state == "now"] == ["now"] and list(steps)[0] == "privileges"
    app.bind()
    app.ok("provision_connector", {})
    assert columns_of(app) == expected
    answer = app.ok("get_connector_status", False)
    steps = {step["step"]: step["state"] for step in answer["SETUP"]}
    assert answer["HEALTH"] == "not_configured"
    assert [name for name, state in steps.items() if state != "done"] == ["test", "resources"]
    assert set(overviews.COLUMNS["CONNECTOR_OVERVIEW"]) <= set(answer)


def test_the_setup_is_complete_after_a_test_and_a_resource_and_a_change_opens_it_again(configured, real):
    configured.account.job = engine.ingesting(real)
    configured.ok("test_connection")
    configured.ok("enable_resource", "a/b")
    answer = configured.ok("get_connector_status", False)
    assert answer["HEALTH"] == "running", "its container is active"
    assert {step["state"] for step in answer["SETUP"]} == {"done"}
    configured.account.end_jobs()
    assert configured.ok("get_connector_status", False)["HEALTH"] == "healthy"
    configured.ok("register_reference", "token", "ADD", "another")
    (test,) = [step for step in configured.ok("get_connector_status", False)["SETUP"] if step["step"] == "test"]
    assert (test["state"], test["problem"]) == ("now", "Changed since the last test.")


def test_rejected_records_are_shown_with_the_key_that_the_reason_names(configured, real):
    names = [("the document of the key \"a \"b\" 7\" is not JSON: expected value at line 1", 'a "b" 7'), ("no id", None), ("the key is empty", None)]
    for minutes, (reason, _) in enumerate(names):
        engine.reject(real, configured.data, "a/b", reason, '{"x": 1}', minutes)
    view = f'"{configured.name}"."VIEWS"."REJECTED_RECORDS"'
    found = configured.rows(f'SELECT "KEY", "REASON", "RECORD" FROM {view} ORDER BY "LAST_AT" DESC')
    assert [(row["REASON"], row["KEY"]) for row in found] == names and found[0]["RECORD"] == '{"x": 1}'
    configured.ok("enable_resource", "a/b")
    overview = f'SELECT "REJECTED", "DELETIONS_TO_CONFIRM" FROM "{configured.name}"."VIEWS"."RESOURCE_OVERVIEW"'
    assert configured.rows(overview) == [{"REJECTED": 3, "DELETIONS_TO_CONFIRM": None}]


def test_the_progress_of_a_run_is_that_of_its_last_commit(configured, real):
    configured.ok("enable_resource", "a/b")
    now = datetime.datetime.now(datetime.UTC)
    run = engine.record("a/b", "running", inserted=25, started=now - datetime.timedelta(minutes=20))

    def of(minutes):
        return (now + datetime.timedelta(minutes=minutes)).isoformat()

    run |= {"lease_until": of(60), "progress": {"at": of(-10), "read": 25, "of": 100, "waiting_until": None}}
    engine.write(real, configured.data, run)
    columns = '"HEALTH", "PROGRESS_PERCENT", "SECONDS_LEFT", "WAITING_UNTIL"'
    for view in ("STREAM_OVERVIEW", "RESOURCE_OVERVIEW"):
        (found,) = configured.rows(f'SELECT {columns} FROM "{configured.name}"."VIEWS"."{view}"')
        assert (found["HEALTH"], found["PROGRESS_PERCENT"], found["WAITING_UNTIL"]) == ("running", 25, None)
        # Ten minutes for a quarter, of which the next one has begun ten minutes ago.
        assert 1100 < found["SECONDS_LEFT"] <= 1200, found
    run["progress"] |= {"of": None, "waiting_until": of(30)}
    again = engine.record("a/b", "running", inserted=25, started=now - datetime.timedelta(minutes=9))
    engine.write(real, configured.data, {**again, "lease_until": of(60), "progress": run["progress"]})
    (found,) = configured.rows(f'SELECT {columns} FROM "{configured.name}"."VIEWS"."RESOURCE_OVERVIEW"')
    assert (found["PROGRESS_PERCENT"], found["SECONDS_LEFT"]) == (None, None)
    assert abs(found["WAITING_UNTIL"] - (now + datetime.timedelta(minutes=30)).replace(tzinfo=None)).total_seconds() < 1


def test_viewers_may_read_the_views_without_messages_and_records(configured):
    for name in overviews.COLUMNS:
        own = f'"{configured.name}"."VIEWS"."{name}"'
        granted = f"SELECT ON VIEW {own} TO APPLICATION ROLE APP_VIEWER" in configured.account.grants
        assert granted == (name not in ("CONNECTOR_ERRORS", "REJECTED_RECORDS")), name
        assert not granted or not {"MESSAGE", "RECORD", "REASON"} & set(overviews.COLUMNS[name])
    assert not any(overviews.FACTS in grant for grant in configured.account.grants)


def test_the_log_of_a_container_that_has_failed_is_kept_without_tokens(configured):
    token = "ghp_" + "a1B2" * 9

    def job(account, args):
        key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
        raise JobFailed(
            log="".join(f"line {number}\n" for number in range(300))
            + f"{key} at https://me:pw@host/ the end of {token}"
        )

    configured.account.job = job
    configured.ok("enable_resource", "a/b")
    configured.account.end_jobs()
    configured.ok("get_connector_status")
    (ended,) = configured.jobs()
    log = configured.ok("get_job_log", ended["name"])["log"].splitlines()
    assert len(log) == 200 and log[-1] == "*** at https:***host/ the end of ***"
    assert configured.ok("get_job_log", ended["name"], 2)["log"] == f"line 299\n{log[-1]}"
    assert configured.code("get_job_log", "JOBS.X") == "INVALID_INPUT"
    assert configured.code("get_job_log", ended["name"], 0) == "INVALID_INPUT"
    other = configured.ok("get_job_log", "JOBS.RUN_" + "0" * 32)
    assert other["log"] == "" and "no log" in other["message"]


def test_the_sources_resources_are_listed_by_a_container_once(configured):
    names = [f"acme/{number}" for number in range(30)] + ["Zeta/a"]

    def job(account, args):
        assert args[-1] == "discover"
        return "starting\n" + json.dumps({"schema_version": 1, "resources": names}, indent=2)

    configured.account.job = job
    answer = configured.ok("discover", "ACME/1", 5)
    assert [row["NAME"] for row in answer["rows"]] == ["acme/1", "acme/10", "acme/11", "acme/12", "acme/13"]
    assert answer["matches"] == 11 and answer["is_complete"] and answer["rows"][0]["READ_AT"] == answer["read_at"]
    names.append("acme/new")
    assert configured.ok("discover", "acme/n")["rows"] == [] and len(configured.account.jobs) == 1
    assert [row["NAME"] for row in configured.ok("discover", "acme/n", 500, True)["rows"]] == ["acme/new"]
    # Of a long log, Snowflake returns the end.
    configured.account.job = lambda account, args: '    "acme/8",\n    "acme/9"\n  ]\n}'
    answer = configured.ok("discover", None, 500, True)
    assert [row["NAME"] for row in answer["rows"]] == ["acme/8", "acme/9"] and not answer["is_complete"]
    assert configured.code("discover", None, 0) == "INVALID_INPUT"


def test_resources_whose_names_are_ids_are_found_by_their_titles(configured):
    titles = {"C1": "general", "C3": 'the "new": one'}
    document = json.dumps({"schema_version": 1, "resources": ["C1", "C2", "C3"], "titles": titles}, indent=2)
    configured.account.job = lambda account, args: document
    answer = configured.ok("discover")
    expected = [("C1", "general"), ("C2", None), ("C3", titles["C3"])]
    assert [(row["NAME"], row["TITLE"]) for row in answer["rows"]] == expected and answer["columns"] == ["NAME", "TITLE"]
    assert [row["NAME"] for row in configured.ok("discover", "GEN")["rows"]] == ["C1"]
    assert [row["NAME"] for row in configured.ok("discover", "c")["rows"]] == ["C1", "C2", "C3"]
    # Of a long log, Snowflake returns the end.
    configured.account.job = lambda account, args: document[document.index('"C2"') :]
    answer = configured.ok("discover", None, 500, True)
    assert [(row["NAME"], row["TITLE"]) for row in answer["rows"]] == expected and not answer["is_complete"]


@pytest.mark.parametrize("fails", [True, False])
def test_a_list_that_cannot_be_read_is_an_error(configured, fails):
    error = {"kind": "authentication", "message": "GitHub refuses the token", "help": "give another one"}

    def job(account, args):
        log = json.dumps({"schema_version": 1, "error": error})
        if fails:
            raise JobFailed(log=log)
        return log

    configured.account.job = job
    answer = configured.call("discover")
    assert answer["response_code"] == "JOB_FAILED" and "refuses the token" in answer["message"]
