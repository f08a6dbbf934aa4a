"""Tests a source with several streams: `issues` by default; `comments` and its child stream `reactions` only if they are selected."""

import json

import pytest

import engine
import ingestion
import streams
from account import JobFailed
from spec import SPEC

HALF_HOUR = "SCHEDULE_30_20_MINUTE"
ALL = ["issues", "comments", "reactions"]
BOTH = ["issues", "comments"]
DENIED = {"kind": "permission", "message": "comments are not readable", "help": "grant the token access"}


def streams_of(app, resource="a/b"):
    """The reported streams of a resource, by name."""
    resources = {one["name"]: one for one in app.ok("get_connector_status")["resources"]}
    return {stream["name"]: stream for stream in resources[resource]["streams"]}


def statuses(app, resource="a/b"):
    """The status of each reported stream of a resource."""
    return {name: stream["state"] and stream["state"]["status"] for name, stream in streams_of(app, resource).items()}


def without_comments(app, rows=3):
    """A job that reads issues, and fails with every other stream."""

    def job(account, args):
        for resource in args[args.index("--") + 1 :] if "--" in args else engine.enabled(app.real, app.data):
            for stream in engine.named(args) or engine.selected(app.real, app.data, resource):
                failed = {} if stream == "issues" else {"status": "failed", "error": DENIED}
                engine.fill(app.real, app.data, resource, rows, stream)
                engine.write(app.real, app.data, engine.record(resource, inserted=rows, stream=stream, **failed))
        raise JobFailed()

    return job


def test_the_default_streams_are_read_unless_others_are_selected(configured):
    configured.account.job = engine.ingesting(configured.real)
    assert configured.ok("enable_resource", "a/b")["streams"] == ["issues"]
    assert configured.ok("enable_resource", "c/d", ["comments", "issues", "comments"])["streams"] == BOTH
    assert configured.resources() == {"a/b": {"enabled": True}, "c/d": {"enabled": True, "streams": BOTH}}
    configured.account.end_jobs()
    assert statuses(configured) == {"issues": "complete"}
    assert statuses(configured, "c/d") == {"issues": "complete", "comments": "complete"}
    status = configured.ok("get_connector_status")
    assert (status["streams"], status["default_streams"]) == (ALL, ["issues"])


def test_enabling_again_keeps_or_replaces_the_selection(configured):
    configured.ok("enable_resource", "a/b", ["comments"])
    configured.ok("disable_resource", "a/b")
    configured.ok("update_resource", "a/b", "2h")
    for given, selected in [((), ["comments"]), ((None,), ["comments"]), ((BOTH,), BOTH), ((), BOTH)]:
        assert configured.ok("enable_resource", "a/b", *given)["streams"] == selected
        assert configured.resources() == {"a/b": {"enabled": True, "schedule": "2h", "streams": selected}}
    assert configured.ok("enable_resource", "a/b", ["default"])["streams"] == ["issues"]
    assert configured.resources() == {"a/b": {"enabled": True, "schedule": "2h"}}


def test_a_stream_is_selected_with_the_one_that_it_requires(configured):
    configured.account.job = engine.ingesting(configured.real)
    assert configured.ok("enable_resource", "a/b", ["reactions"])["streams"] == ["comments", "reactions"]
    assert configured.resources()["a/b"]["streams"] == ["comments", "reactions"]
    change_row(configured, {"enabled": True, "streams": ["reactions"]})
    assert set(streams_of(configured)) == {"comments", "reactions"}, "so does the connector's program"


@pytest.mark.parametrize("given", [[], ["issues", "coments"], ["issues", "default"], [""], [5], [["issues"]], [{}]])
def test_an_invalid_selection_is_rejected_with_the_known_streams(configured, given):
    answer = configured.call("enable_resource", "a/b", given)
    assert answer["response_code"] == "INVALID_INPUT" and answer["streams"] == ALL
    assert "default" in given or "issues, comments, reactions" in answer["message"]
    assert configured.resources() == {} and not configured.account.jobs
    configured.ok("enable_resource", "a/b", ["comments"])
    assert configured.code("enable_resource", "a/b", given) == "INVALID_INPUT"
    assert configured.resources()["a/b"]["streams"] == ["comments"]


def test_a_failing_stream_is_reported_and_does_not_stop_the_others(configured):
    configured.account.job = without_comments(configured)
    configured.ok("enable_resource", "a/b", BOTH)
    for _ in range(ingestion.MAX_FAILURES + 2):
        entry = configured.ended("a/b")
        configured.tick()
    assert {stream["name"]: stream["state"]["status"] for stream in entry["streams"]} == {"issues": "complete", "comments": "failed"}
    assert (entry["state"]["status"], entry["state"]["message"]) == ("failed", DENIED["message"])
    job = entry["last_job"]
    assert (job["code"], job["failed"], job["failed_streams"]) == ("INGESTION_FAILED", True, ["comments"])
    assert job["message"] == f"a/b (comments): {DENIED['message']}. {DENIED['help']}"
    assert entry["failures"] == 0 and not entry["suspended"], "issues are still read"
    assert len(configured.account.jobs) == ingestion.MAX_FAILURES + 3


@pytest.mark.parametrize(("sole", "named"), [("issues", ["comments"]), ("comments", ["issues"]), (None, BOTH)])
def test_a_stream_is_named_where_the_name_of_its_resource_does_not_stand_for_it(monkeypatch, sole, named):
    assert SPEC["sole_stream"] == "issues"
    monkeypatch.setitem(SPEC, "sole_stream", sole)
    monkeypatch.setitem(SPEC["streams"][2], "is_source_wide", True)
    expected = [f"a/b ({stream})" if stream in named else "a/b" for stream in BOTH]
    assert [streams.label("a/b", stream) for stream in ALL] == [*expected, "reactions"]
    assert streams.label("a/b", None) == "a/b"


def test_a_resource_of_which_every_stream_fails_is_no_longer_started(configured):
    configured.account.job = without_comments(configured)
    configured.ok("enable_resource", "a/b", ["comments"])
    for _ in range(ingestion.MAX_FAILURES + 2):
        entry = configured.ended("a/b")
        configured.tick()
    assert entry["failures"] == ingestion.MAX_FAILURES and entry["suspended"]
    assert len(configured.account.jobs) == ingestion.MAX_FAILURES


def test_a_container_that_dies_fails_every_stream(configured):
    def die(account, args):
        raise JobFailed("OOMKilled", log="thread panicked", code=137)

    configured.account.job = die
    configured.ok("enable_resource", "a/b", BOTH)
    entry = configured.ended("a/b")
    assert entry["last_job"]["failed_streams"] == BOTH and entry["failures"] == 1


def test_a_stream_that_is_added_is_read_in_a_container_of_its_own_resource(configured):
    configured.account.job = engine.ingesting(configured.real)
    for name in ("a/b", "c/d"):
        configured.ok("enable_resource", name)
    configured.account.end_jobs()
    configured.ok("enable_resource", "c/d", BOTH)
    assert statuses(configured, "c/d") == {"issues": "complete", "comments": None}
    configured.account.jobs.clear()
    configured.tick()
    assert sorted(job[-2:] for job in configured.account.jobs) == [["--", "a/b"], ["--", "c/d"]]
    configured.account.end_jobs()
    configured.account.jobs.clear()
    configured.tick()
    assert [job[-1] for job in configured.account.jobs] == ["ingest"], "all share one again"


def test_a_stream_that_is_removed_keeps_its_rows_and_has_no_say_in_the_status(configured):
    configured.account.job = without_comments(configured)
    configured.ok("enable_resource", "a/b", BOTH)
    configured.account.end_jobs()
    configured.ok("enable_resource", "a/b", ["issues"])
    entry = configured.ended("a/b")
    assert [(one["name"], one["selected"]) for one in entry["streams"]] == [("issues", True), ("comments", False)]
    assert entry["state"]["status"] == "complete" and entry["last_run"]["stream"] == "issues"
    assert entry["streams"][1]["last_run"]["status"] == "failed"
    assert [table["stream"] for table in entry["tables"]] == ["comments", "issues"]
    configured.ok("delete_resource", "a/b")
    assert statuses(configured) == {"issues": "complete", "comments": "failed"}, "the data of both is kept"


def test_deleting_data_deletes_that_of_all_streams_and_stops_their_runs(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b", BOTH)
    configured.account.end_jobs()
    engine.append_state(configured.real, configured.data, "a/b", {"status": "running", "run": "x"}, "2026-01-01T00:00:00Z", "comments")
    states = f'SELECT "STREAM", "VERSION" FROM "{configured.data}"."STATE"."APP_STATE" ORDER BY "STREAM"'
    assert max(row["VERSION"] for row in configured.rows(states)) == 2
    configured.ok("delete_resource", "a/b", True)
    assert configured.rows(states) == [{"STREAM": name, "VERSION": 3} for name in sorted(BOTH)], "newer than the state of each stream"
    for name in ("a/b", "a/b/comments"):
        assert configured.rows(f'SELECT * FROM "{configured.data}"."PUBLIC"."{name}"') == []
    assert configured.rows(f'SELECT * FROM "{configured.data}"."STATE"."INGESTION_RUN"') == []
    assert configured.ok("get_connector_status")["resources"] == []
    configured.ok("enable_resource", "a/b", BOTH)
    found = streams_of(configured)
    assert list(found) == BOTH and all("from the start" in stream["state"]["message"] for stream in found.values())
    configured.account.end_jobs()
    assert statuses(configured) == {"issues": "complete", "comments": "complete"}


def test_deleting_data_leaves_no_state_of_a_stream_that_was_never_read(configured):
    def left(resource):
        table = f'"{configured.data}"."STATE"."APP_STATE"'
        found = configured.rows(f'SELECT "STREAM" FROM {table} WHERE "KEY" = ? ORDER BY "STREAM"', resource)
        return [row["STREAM"] for row in found]

    configured.ok("pause_connector")
    configured.ok("enable_resource", "a/b", ALL)
    configured.ok("delete_resource", "a/b", True)
    assert left("a/b") == []
    configured.ok("resume_connector")
    configured.ok("enable_resource", "c/d", BOTH)
    configured.ok("delete_resource", "c/d", True)
    assert left("c/d") == ["comments", "issues"], "its container may be reading them"
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "e/f", ["comments"])
    configured.ended("e/f")
    configured.ok("ingest_data", "e/f", ["issues"])
    configured.ok("delete_resource", "e/f", True)
    assert left("e/f") == ["comments", "issues"], "one was read, and one is being read"


def test_the_views_are_by_resource_and_stream(configured):
    configured.account.job = without_comments(configured)
    configured.ok("enable_resource", "a/b", BOTH)
    configured.ok("enable_resource", "c/d")
    configured.account.end_jobs()

    def rows(view, columns):
        found = configured.rows(f'SELECT {columns} FROM "{configured.name}"."VIEWS"."{view}"')
        return sorted([tuple(row.values()) for row in found], key=str)

    assert rows("INGESTION_DEFINITIONS", '"RESOURCE", "STREAM", "IS_ENABLED", "STATUS"') == [
        ("a/b", "comments", True, "failed"),
        ("a/b", "issues", True, "complete"),
        ("c/d", "issues", True, "complete"),
    ]
    assert rows("CONNECTOR_STATS", '"RESOURCE", "STREAM", "STATUS", "ERROR_KIND"') == [
        ("a/b", "comments", "failed", "permission"),
        ("a/b", "issues", "complete", None),
        ("c/d", "issues", "complete", None),
    ]
    assert rows("CONNECTOR_ERRORS", '"RESOURCE", "STREAM", "MESSAGE"') == [("a/b", "comments", DENIED["message"])]
    assert rows("AGGREGATED_CONNECTOR_STATS", '"RESOURCE", "STREAM", "RUNS", "FAILED_RUNS"') == [
        ("a/b", "comments", 1, 1),
        ("a/b", "issues", 1, 0),
        ("c/d", "issues", 1, 0),
    ]
    engine.write(configured.real, configured.data, engine.record("a/b", "running", stream="comments"))
    assert rows("SYNC_STATUS", '"STATUS"') == [("SYNCING_DATA",)]
    configured.ok("enable_resource", "a/b", ["issues"])
    assert rows("SYNC_STATUS", '"STATUS"') == [("LAST_SYNCED",)], "the killed run of a stream that is no longer read"
    history = f'UPDATE "{configured.data}"."STATE"."SNOWFEED_RUN" SET "STREAM" = NULL, "STARTED_AT" = ? WHERE "STATUS" = \'running\''
    for at, expected in (("2020-01-01 00:00:00", "LAST_SYNCED"), ("2999-01-01 00:00:00", "SYNCING_DATA")):
        configured.rows(history, at)
        assert rows("SYNC_STATUS", '"STATUS"') == [(expected,)], "that of an older version"
    configured.ok("delete_resource", "a/b")
    assert rows("SYNC_STATUS", '"STATUS"') == [("LAST_SYNCED",)]


def test_viewers_see_streams_without_messages(configured):
    configured.account.job = without_comments(configured)
    configured.ok("enable_resource", "a/b", BOTH)
    configured.account.end_jobs()
    answer = configured.ok("get_viewer_status")
    assert DENIED["message"] not in json.dumps(answer) and answer["streams"] == ALL
    issues, comments = answer["resources"][0]["streams"]
    assert issues["state"]["status"] == "complete" and issues["last_run"]["counts"]["inserted"] == 3
    assert comments["last_run"]["error"] == {"kind": "permission"} and comments["selected"]


def test_deletions_of_every_selected_stream_are_confirmed_together(configured):
    def job(account, args):
        for stream, rows in (("issues", 20), ("comments", 300)):
            error = {"kind": "invalid_data", "message": f"too many {stream}", "unconfirmed_deletions": rows}
            engine.write(
                configured.real, configured.data, engine.record("a/b", "partial", error=error, mode="reconcile", stream=stream)
            )
        raise JobFailed()

    configured.account.job = job
    configured.ok("enable_resource", "a/b", BOTH)
    asked = configured.ended("a/b")["deletions_to_confirm"]
    assert (asked["rows"], asked["streams"], asked["message"]) == (320, BOTH, "too many issues\ntoo many comments")
    configured.ok("enable_resource", "a/b", ["issues"])
    assert configured.ended("a/b")["deletions_to_confirm"]["streams"] == ["issues"]


def change_row(app, value):
    """Stores the configuration of a resource as by hand."""
    table = f'"{app.data}"."STATE"."RESOURCE_CONFIGURATION"'
    app.rows(f'DELETE FROM {table} WHERE "KEY" = \'a/b\'')
    text = json.dumps(value)
    app.rows(f"INSERT INTO {table} (\"KEY\", \"VALUE\", \"DOCUMENT\") SELECT 'a/b', PARSE_JSON(?), ?", text, text)


@pytest.mark.parametrize("stored", ["issues", [5], ["gone"], [], {"issues": True}])
def test_an_unusable_selection_is_skipped_until_the_resource_is_enabled_again(configured, stored):
    change_row(configured, {"enabled": True, "streams": stored})
    configured.ok("resume_connector")
    assert configured.account.running() == {}
    (skipped,) = configured.ok("get_connector_status")["skipped"]
    assert skipped["resource"] == "a/b" and "enable it again" in skipped["message"]
    configured.ok("enable_resource", "a/b")
    assert configured.resources() == {"a/b": {"enabled": True}} and list(configured.account.running()) == [HALF_HOUR]


def test_a_stream_of_another_version_is_left_out(configured):
    change_row(configured, {"enabled": True, "streams": ["gone", "comments"]})
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("resume_connector")
    configured.tick()
    configured.account.end_jobs()
    (entry,) = configured.ok("get_connector_status")["resources"]
    assert statuses(configured) == {"comments": "complete"} and entry["problem"] is None
    assert entry["dropped_streams"] == ["gone"]


class Older:
    """The destination as an older version of the engine left it: states and runs have no column for the stream."""

    def __init__(self, app):
        self.app, state = app, f'"{app.data}"."STATE"'
        self.states, self.runs, self.view = (f'{state}."{name}"' for name in ("APP_STATE", "SNOWFEED_RUN", "INGESTION_RUN"))
        self.tables = f'{state}."SNOWFEED_TABLE"'
        app.rows(f"DROP VIEW {self.view}")
        for table in (self.states, self.runs):
            app.rows(f'ALTER TABLE {table} DROP COLUMN "STREAM"')
        self.make_view('* EXCLUDE "RECORDED_AT"')
        app.ok("provision_connector", {})

    def make_view(self, columns):
        newest = 'ROW_NUMBER() OVER (PARTITION BY "RESOURCE", "ID" ORDER BY "RECORDED_AT" DESC) = 1'
        self.app.rows(f"CREATE OR REPLACE VIEW {self.view} AS SELECT {columns} FROM {self.runs} QUALIFY {newest}")

    def ingest(self, resource, status="complete", tables=("issues",), **details):
        """A run of the older version, for all streams of a resource."""
        for stream in tables:
            engine.fill(self.app.real, self.app.data, resource, 2, stream)
        engine.write(self.app.real, self.app.data, engine.record(resource, status, inserted=2, stream=None, **details))

    def migrate(self):
        """Does what the first container of the new version does."""
        sole = f'SELECT "RESOURCE" FROM {self.tables} GROUP BY "RESOURCE" HAVING COUNT(*) = 1'
        for table, resource in ((self.states, "KEY"), (self.runs, "RESOURCE")):
            self.app.rows(f'ALTER TABLE {table} ADD COLUMN "STREAM" VARCHAR')
            self.app.rows(f"UPDATE {table} SET \"STREAM\" = 'issues' WHERE \"{resource}\" IN ({sole})")
        self.app.rows(f"UPDATE {self.states} SET \"STREAM\" = '' WHERE \"STREAM\" IS NULL")
        self.app.rows(f'ALTER TABLE {self.states} ALTER COLUMN "STREAM" SET NOT NULL')
        self.make_view('* EXCLUDE "RECORDED_AT"')


def test_a_database_of_an_older_version_is_read_before_its_migration(configured):
    older = Older(configured)
    configured.ok("enable_resource", "a/b")
    older.ingest("a/b")
    entry = configured.ended("a/b")
    (issues,) = entry["streams"]
    assert entry["state"]["status"] == issues["state"]["status"] == "complete"
    assert issues["last_run"]["counts"]["inserted"] == 2 and issues["last_run"]["stream"] is None
    configured.ok("enable_resource", "a/b", BOTH)
    assert statuses(configured) == {"issues": "complete", "comments": None}, "comments were never read"
    definitions = f'SELECT "RESOURCE", "STREAM", "STATUS" FROM "{configured.name}"."VIEWS"."INGESTION_DEFINITIONS" ORDER BY "STREAM"'
    expected = [("a/b", "comments", None), ("a/b", "issues", "complete")]
    assert [tuple(row.values()) for row in configured.rows(definitions)] == expected
    configured.ok("get_viewer_status")
    configured.ok("delete_resource", "a/b", True)
    assert configured.ok("get_connector_status")["resources"] == []


def test_an_entry_of_an_older_version_stands_for_every_table_of_its_resource(configured):
    older = Older(configured)
    configured.ok("enable_resource", "a/b", ALL)
    configured.ok("enable_resource", "c/d")
    configured.account.services.clear()
    for _ in range(3):
        older.ingest("a/b", "failed", tables=BOTH, error=DENIED)
    older.ingest("c/d")
    for migrate in (lambda: None, older.migrate):
        migrate()
        assert statuses(configured) == {"issues": "failed", "comments": "failed", "reactions": None}
        assert statuses(configured, "c/d") == {"issues": "complete"}
    engine.write(configured.real, configured.data, engine.record("a/b", stream="issues"))
    expected = {"issues": "complete", "comments": "failed", "reactions": None}
    assert statuses(configured) == expected, "that of the stream counts, although its version is lower"
    view = f'"{configured.name}"."VIEWS"."INGESTION_DEFINITIONS"'
    found = configured.rows(f"SELECT \"STREAM\", \"STATUS\" FROM {view} WHERE \"RESOURCE\" = 'a/b'")
    assert {row["STREAM"]: row["STATUS"] for row in found} == expected


def test_what_an_older_container_stored_during_the_migration_counts_for_every_stream(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b", BOTH)
    configured.account.end_jobs()
    assert statuses(configured) == {"issues": "complete", "comments": "complete"}
    table = f'"{configured.data}"."STATE"."APP_STATE"'
    configured.rows(f'ALTER TABLE {table} ALTER COLUMN "STREAM" DROP NOT NULL')
    engine.append_state(configured.real, configured.data, "a/b", {"status": "partial", "run": "x"}, "2026-01-01T00:00:00Z", None)
    assert statuses(configured) == {"issues": "partial", "comments": "partial"}
    engine.write(configured.real, configured.data, engine.record("a/b", stream="issues"))
    assert statuses(configured) == {"issues": "complete", "comments": "partial"}


def test_the_migration_by_a_container_updates_the_views(configured):
    older = Older(configured)

    def recreated():
        found = [text for text in configured.account.statements if text.startswith("CREATE OR REPLACE VIEW")]
        configured.account.statements.clear()
        return len(found)

    assert recreated()
    configured.ok("get_connector_status")
    assert not recreated(), "they fit the database"
    good = engine.ingesting(configured.real)

    def job(account, args):
        older.migrate()
        return good(account, args)

    configured.account.job = job
    configured.ok("enable_resource", "a/b", BOTH)
    configured.account.end_jobs()
    configured.tick()
    assert recreated()
    configured.ok("get_connector_status")
    assert not recreated()


def test_views_of_an_older_version_of_the_app_are_replaced_although_its_upgrade_failed(configured):
    """A version is not applied where Python cannot run, such as without a warehouse."""
    view = f'"{configured.name}"."VIEWS"."CONNECTOR_STATS"'
    own = f'"{configured.name}"."STATE"."APP_CONFIGURATION"'
    configured.rows(f"CREATE OR REPLACE VIEW {view} AS SELECT 1 AS \"ID\"")
    configured.rows(f"DELETE FROM {own} WHERE \"KEY\" = 'views'")
    configured.account.fail("CREATE OR REPLACE VIEW")
    configured.ok("get_viewer_status")
    configured.ok("get_viewer_status")
    assert configured.rows(f'SELECT "STREAM" FROM {view}') == []


def test_a_failed_container_of_an_older_version_of_the_app_failed_for_every_stream(configured):
    configured.account.job = without_comments(configured)
    configured.ok("enable_resource", "a/b", BOTH)
    configured.account.end_jobs()
    configured.ok("get_connector_status")
    jobs = f'"{configured.name}"."STATE"."INGESTION_JOB"'
    (job,) = configured.jobs()
    stored = json.dumps({name: value for name, value in job.items() if name not in ("name", "failed_streams")})
    configured.rows(f'UPDATE {jobs} SET "VALUE" = PARSE_JSON(?)', stored)
    (entry,) = configured.ok("get_connector_status")["resources"]
    assert entry["last_job"]["failed_streams"] == BOTH
