"""Tests runs and resets of some streams of a resource."""

import pytest

import engine
from account import JobFailed
from test_streams import ALL, BOTH, DENIED, statuses, without_comments


def arguments(app):
    """The arguments of the newest container after those that each one has."""
    args = app.account.jobs[-1]
    command = "reset" if "reset" in args else "ingest"
    return args[args.index(command) :]


@pytest.fixture
def enabled(configured):
    """The app with a resource that reads issues, which were read once."""
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.account.end_jobs()
    return configured


def test_a_run_reads_only_the_named_streams_and_those_that_they_require(enabled):
    answer = enabled.ok("ingest_data", "a/b", ["reactions"])
    assert answer["streams"] == ["comments", "reactions"]
    assert arguments(enabled) == ["ingest", "--streams", "comments,reactions", "--", "a/b"]
    assert enabled.resources() == {"a/b": {"enabled": True}}, "the selection stays"
    job = enabled.ended("a/b")["last_job"]
    assert (job["code"], job["message"]) == ("OK", "6 inserted")
    assert statuses(enabled) == {"issues": "complete", "comments": "complete", "reactions": "complete"}
    for nothing in ((), (None,)):
        assert enabled.ok("ingest_data", "a/b", *nothing)["streams"] == ["issues"]
        assert arguments(enabled) == ["ingest", "--", "a/b"]
        enabled.account.end_jobs()
    enabled.ok("enable_resource", "a/b", BOTH)
    assert enabled.ok("ingest_data", "a/b", ["default"])["streams"] == ["issues"]
    assert arguments(enabled) == ["ingest", "--streams", "issues", "--", "a/b"]


def test_a_reconcile_run_reads_only_the_named_streams(enabled):
    assert enabled.ok("reconcile_resource", "a/b", False, ["comments"])["streams"] == ["comments"]
    assert arguments(enabled) == ["ingest", "--reconcile", "--streams", "comments", "--", "a/b"]
    enabled.account.end_jobs()
    enabled.ok("reconcile_resource", "a/b", True, ["comments", "issues"])
    assert arguments(enabled) == ["ingest", "--reconcile", "--allow-deletions", "--streams", "issues,comments", "--", "a/b"]
    enabled.account.end_jobs()
    assert enabled.ok("reconcile_resource", "a/b", True)["streams"] == ["issues"]
    assert arguments(enabled) == ["ingest", "--reconcile", "--allow-deletions", "--", "a/b"]


def test_a_reset_is_of_the_named_streams_alone(enabled):
    answer = enabled.ok("reset_resource", "a/b", ["reactions", "issues"])
    assert answer["streams"] == ["issues", "reactions"], "not of the one that is required"
    assert answer["message"] == "reset; the next run reads issues, reactions from the start"
    assert arguments(enabled) == ["reset", "--yes", "--streams", "issues,reactions", "--", "a/b"]
    for nothing in ((), (None,)):
        answer = enabled.ok("reset_resource", "a/b", *nothing)
        assert (answer["streams"], answer["message"]) == (None, "reset; the next run reads everything")
        assert arguments(enabled) == ["reset", "--yes", "--", "a/b"]


@pytest.mark.parametrize("given", [[], ["issues", "coments"], ["issues", "default"], [""], [5], [["issues"]], [{}]])
@pytest.mark.parametrize("call", [("ingest_data",), ("reconcile_resource", False), ("reconcile_resource", True), ("reset_resource",)])
def test_invalid_streams_are_rejected_as_when_they_are_selected(enabled, call, given):
    procedure, *options = call
    expected = enabled.call("enable_resource", "a/b", given)
    enabled.account.jobs.clear()
    answer = enabled.call(procedure, "a/b", *options, given)
    assert answer == expected and answer["response_code"] == "INVALID_INPUT" and answer["streams"] == ALL
    assert not enabled.account.jobs


def test_only_the_streams_of_a_container_can_have_failed_in_it(enabled):
    def die(account, args):
        raise JobFailed("OOMKilled", log="thread panicked", code=137)

    enabled.account.job = die
    enabled.ok("ingest_data", "a/b", ["comments"])
    entry = enabled.ended("a/b")
    assert entry["last_job"]["failed_streams"] == ["comments"] and entry["failures"] == 0


def test_a_container_with_some_streams_counts_as_failed_only_if_it_reads_all_selected_ones(enabled):
    enabled.account.job = without_comments(enabled)
    enabled.ok("enable_resource", "a/b", ["comments"])
    for streams, failures in ((["comments"], 1), (["comments", "reactions"], 2), (["reactions"], 3), (["issues"], 0)):
        enabled.ok("ingest_data", "a/b", streams)
        assert enabled.ended("a/b")["failures"] == failures, streams
    enabled.ok("ingest_data", "a/b")
    assert enabled.ended("a/b")["failures"] == 1
    enabled.ok("enable_resource", "a/b", BOTH)
    enabled.ok("ingest_data", "a/b", ["comments"])
    entry = enabled.ended("a/b")
    assert entry["failures"] == 0, "enabling resets it, and issues may still be read"
    assert entry["last_job"]["failed_streams"] == ["comments"] and DENIED["message"] in entry["last_job"]["message"]
