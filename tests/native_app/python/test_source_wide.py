"""Tests streams that are read once for the source: `comments`, and `reactions` below them."""

import pytest

import engine
import ingestion
from account import JobFailed
from spec import SPEC

BOTH = ["issues", "comments"]
DENIED = {"kind": "permission", "message": "comments are not readable", "help": "grant the token access"}


@pytest.fixture
def shared(configured, monkeypatch):
    """The app of a source whose comments are source-wide."""
    for stream in SPEC["streams"][1:]:
        monkeypatch.setitem(stream, "is_source_wide", True)
    return configured


def reading(app, **comments):
    """A job that reads issues of each resource, and comments once; `comments` are details of their run."""

    def job(account, args):
        resources = args[args.index("--") + 1 :] if "--" in args else engine.enabled(app.real, app.data)
        for resource in resources:
            if "issues" in engine.selected(app.real, app.data, resource):
                engine.fill(app.real, app.data, resource, 3)
                engine.write(app.real, app.data, engine.record(resource, inserted=3))
        engine.fill(app.real, app.data, "*", 2, "comments")
        engine.write(app.real, app.data, engine.record("*", stream="comments", inserted=2, **comments))
        if comments:
            raise JobFailed()
        return "done"

    return job


def test_every_resource_that_selects_it_shows_its_status_and_rows(shared):
    shared.account.job = reading(shared)
    for name, selection in (("a/b", BOTH), ("c/d", ["comments"]), ("e/f", ["issues"])):
        shared.ok("enable_resource", name, selection)
    shared.account.end_jobs()
    shared.tick()
    shared.account.end_jobs()
    resources = {one["name"]: one for one in shared.ok("get_connector_status")["resources"]}
    assert list(resources) == ["a/b", "c/d", "e/f"], "the source is no resource"
    found = {
        name: [(one["name"], one["state"]["status"], one["last_run"]["resource"]) for one in resource["streams"]]
        for name, resource in resources.items()
    }
    comments = ("comments", "complete", "*")
    assert found == {
        "a/b": [("issues", "complete", "a/b"), comments],
        "c/d": [comments],
        "e/f": [("issues", "complete", "e/f")],
    }
    tables = {name: [table["stream"] for table in resource["tables"]] for name, resource in resources.items()}
    assert tables == {"a/b": BOTH, "c/d": ["comments"], "e/f": ["issues"]}
    definitions = f'SELECT "RESOURCE", "STREAM", "STATUS" FROM "{shared.name}"."VIEWS"."INGESTION_DEFINITIONS"'
    assert sorted(tuple(row.values()) for row in shared.rows(definitions)) == [
        ("a/b", "comments", "complete"),
        ("a/b", "issues", "complete"),
        ("c/d", "comments", "complete"),
        ("e/f", "issues", "complete"),
    ]
    shared.ok("get_viewer_status")


def test_it_is_read_while_a_resource_selects_it(shared):
    shared.account.job = reading(shared)
    shared.ok("enable_resource", "a/b", BOTH)
    shared.account.end_jobs()
    engine.write(shared.real, shared.data, engine.record("*", "running", stream="comments"))
    # It recreates the views, which the fixture made before the streams became source-wide.
    shared.ok("get_connector_status")
    for selection, expected in ((BOTH, "SYNCING_DATA"), (["issues"], "LAST_SYNCED")):
        shared.ok("enable_resource", "a/b", selection)
        assert shared.rows(f'SELECT "STATUS" FROM "{shared.name}"."VIEWS"."SYNC_STATUS"') == [{"STATUS": expected}]


def test_no_state_of_it_is_left_for_a_deleted_resource_whose_container_reads_it(shared):
    shared.ok("enable_resource", "a/b", BOTH)
    shared.ok("delete_resource", "a/b", True)
    left = shared.rows(f'SELECT "KEY", "STREAM" FROM "{shared.data}"."STATE"."APP_STATE"')
    assert left == [{"KEY": "a/b", "STREAM": "issues"}]


def test_its_failure_is_that_of_each_resource_that_selects_it(shared):
    shared.account.job = reading(shared, status="failed", error=DENIED)
    shared.ok("enable_resource", "a/b", BOTH)
    shared.ok("enable_resource", "c/d", ["comments"])
    for _ in range(ingestion.MAX_FAILURES + 1):
        shared.account.end_jobs()
        shared.tick()
    shared.account.end_jobs()
    resources = {one["name"]: one for one in shared.ok("get_connector_status")["resources"]}
    for name in ("a/b", "c/d"):
        job = resources[name]["last_job"]
        assert (job["code"], job["failed_streams"]) == ("INGESTION_FAILED", ["comments"])
        assert job["message"] == f"comments: {DENIED['message']}. {DENIED['help']}"
        assert resources[name]["state"]["status"] == "failed"
    assert resources["a/b"]["failures"] == 0 and not resources["a/b"]["suspended"], "issues are still read"
    assert resources["c/d"]["suspended"]


def test_a_resource_is_deleted_without_it(shared):
    shared.account.job = reading(shared)
    shared.ok("enable_resource", "a/b", BOTH)
    shared.account.end_jobs()
    shared.ok("delete_resource", "a/b", True)
    assert shared.ok("get_connector_status")["resources"] == []
    assert len(shared.rows(f'SELECT * FROM "{shared.data}"."PUBLIC_RAW"."*/comments"')) == 2
    assert len(shared.rows(f'SELECT * FROM "{shared.data}"."STATE"."APP_STATE" WHERE "KEY" = \'*\'')) == 1
