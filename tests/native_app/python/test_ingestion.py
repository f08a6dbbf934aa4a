"""Tests which containers are started when, and how their outcomes are recorded."""

import datetime
import json

import pytest
from snowflake.snowpark.exceptions import SnowparkSQLException

import engine
import ingestion
from account import JobFailed

HALF_HOUR = "SCHEDULE_30_20_MINUTE"


def test_resources_share_a_container_after_their_first_runs(configured):
    configured.account.job = engine.ingesting(configured.real)
    for name in ("a/b", "c/d", "e/f"):
        configured.ok("enable_resource", name)
    assert list(configured.account.running()) == [HALF_HOUR], "one task, however many resources"
    configured.ended("a/b")
    configured.account.jobs.clear()
    configured.tick()
    assert [job[-1] for job in configured.account.jobs] == ["ingest"], "all enabled resources"
    assert configured.ended("c/d")["last_run"]["status"] == "complete"
    configured.ok("update_resource", "e/f", "2h")
    configured.account.jobs.clear()
    configured.tick()
    assert sorted(job[-2:] for job in configured.account.jobs) == [["--", "e/f"], ["a/b", "c/d"]]
    configured.ended("a/b")
    assert sorted(configured.ok("run_all")["resources"]) == ["a/b", "c/d", "e/f"]
    for name in ("a/b", "c/d", "e/f"):
        configured.ok("disable_resource", name)
    assert configured.account.tasks == {}, "nothing more to start"
    configured.ended("a/b")
    assert configured.ok("run_all")["message"] == "no resource is enabled"


def test_nothing_is_started_twice_while_its_container_runs(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.ok("enable_resource", "c/d")
    for _ in range(3):
        configured.tick()
    assert configured.ok("run_all")["message"] == "every resource is already being ingested"
    assert len(configured.account.jobs) == 2
    for procedure in ("ingest_data", "reconcile_resource"):
        answer = configured.call(procedure, "a/b")
        assert answer["response_code"] == "ALREADY_RUNNING" and answer["job"] in configured.account.services
    containers = {one["name"]: one["container"] for one in configured.ok("get_connector_status")["resources"]}
    assert containers == {"a/b": "PENDING", "c/d": "PENDING"}
    assert configured.ended("a/b")["container"] is None
    configured.tick()
    assert len(configured.account.jobs) == 3


def test_a_long_first_run_delays_no_other_resource(configured):
    configured.account.job = engine.ingesting(configured.real)
    for name in ("a/b", "c/d"):
        configured.ok("enable_resource", name)
    configured.ended("a/b")
    configured.ok("enable_resource", "acme/huge")
    for _ in range(3):
        configured.tick()
        for service in [one for one in configured.account.services.values() if one.args[-1] != "acme/huge"]:
            service.end(configured.account)
    assert sum(job[-1] == "acme/huge" for job in configured.account.jobs) == 1
    assert sum(job[-2:] == ["a/b", "c/d"] for job in configured.account.jobs) == 3


def test_a_run_of_a_task_never_waits_for_a_container(configured):
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    configured.account.statements.clear()
    configured.tick()
    jobs = [text for text in configured.account.statements if text.startswith("EXECUTE JOB")]
    assert len(jobs) == 1 and "ASYNC = TRUE" in jobs[0]
    assert configured.account.tasks[HALF_HOUR]["timeout"] == 3600, "an account can have a lower limit"


def test_the_next_task_run_records_an_ended_container(configured):
    configured.account.job = engine.failing(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.account.end_jobs()
    configured.tick()
    (ended, live) = sorted(configured.jobs(), key=lambda job: job["started_at"])
    assert ended["code"] == "INGESTION_FAILED" and ended["ended_at"] and not live.get("ended_at")
    assert len(configured.account.services) == 1, "the first one is dropped"


def test_a_resource_that_keeps_failing_is_skipped_until_enabled_again(configured):
    configured.account.job = engine.failing(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.account.job = engine.failing(configured.real)
    configured.ok("enable_resource", "acme/good")
    configured.account.job = lambda account, args: engine.failing(configured.real)(account, args) if args[-1] == "a/b" else ""
    for _ in range(15):
        configured.account.end_jobs()
        configured.tick()
    entries = {one["name"]: one for one in configured.ok("get_connector_status")["resources"]}
    assert entries["a/b"]["failures"] == ingestion.MAX_FAILURES and entries["a/b"]["suspended"]
    assert not entries["acme/good"]["suspended"] and list(configured.account.running()) == [HALF_HOUR]
    started = sum("a/b" in job for job in configured.account.jobs)
    assert started == ingestion.MAX_FAILURES
    configured.ok("enable_resource", "a/b")
    configured.account.end_jobs()
    configured.tick()
    assert sum("a/b" in job for job in configured.account.jobs) == started + 1


def later(monkeypatch, hours):
    """Advances the clock by this many hours."""
    now = ingestion.now() + datetime.timedelta(hours=hours)
    monkeypatch.setattr(ingestion, "now", lambda: now)


def test_a_vanished_container_counts_as_a_failure_and_is_restarted(configured, monkeypatch):
    configured.ok("enable_resource", "a/b")
    configured.account.services.clear()
    configured.tick()
    assert len(configured.account.jobs) == 1, "another call may be starting it"
    later(monkeypatch, 1)
    configured.tick()
    assert len(configured.account.jobs) == 2
    codes = {job.get("code"): job.get("message") for job in configured.jobs()}
    assert "the container is gone" in codes["JOB_FAILED"]


def test_a_pool_that_does_not_start_is_reported_and_a_busy_one_is_waited_for(configured, monkeypatch):
    configured.ok("enable_resource", "a/b")
    (waiting,) = configured.account.services.values()
    waiting.message = "Unschedulable due to insufficient capacity"
    configured.account.services["JOBS.RUN_OTHER"] = type(waiting)([], [], False, status="RUNNING")
    later(monkeypatch, 2)
    configured.tick()
    assert len(configured.account.jobs) == 1, "it is queued"
    del configured.account.services["JOBS.RUN_OTHER"]
    entry = configured.ok("get_connector_status")["resources"][0]
    assert entry["last_job"]["code"] == "COMPUTE_POOL_UNAVAILABLE" and "insufficient capacity" in entry["last_job"]["message"]
    assert configured.account.services == {} and entry["container"] is None


def test_only_failed_resources_of_a_shared_container_count_as_failed(configured):
    configured.account.job = engine.ingesting(configured.real)
    for name in ("a/b", "c/d"):
        configured.ok("enable_resource", name)
    configured.ended("a/b")

    def job(account, args):
        engine.write(configured.real, configured.data, engine.record("c/d", "failed", error={"message": "it is gone"}))
        raise JobFailed()

    configured.account.job = job
    configured.tick()
    entries = {one["name"]: one for one in [configured.ended("a/b"), configured.ended("c/d")]}
    assert [entries[name]["last_job"]["failed"] for name in ("a/b", "c/d")] == [False, True]
    assert [entries[name]["failures"] for name in ("a/b", "c/d")] == [0, 1]


def test_a_task_run_that_cannot_start_anything_fails_and_is_reported(configured):
    configured.account.job = engine.ingesting(configured.real)
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    configured.account.pools.clear()
    with pytest.raises(SnowparkSQLException, match="COMPUTE_POOL_UNAVAILABLE"):
        configured.tick()
    status = configured.ok("get_connector_status")
    assert status["scheduler_problem"]["response_code"] == "COMPUTE_POOL_UNAVAILABLE" and configured.jobs()[-1].get("ended_at")
    configured.ok("provision_connector", {})
    configured.tick()
    assert configured.ok("get_connector_status")["scheduler_problem"] is None


def test_a_task_that_runs_while_the_connector_is_paused_starts_nothing(configured):
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    call = configured.account.tasks[HALF_HOUR]["call"]
    configured.ok("pause_connector")
    configured.session.sql(call).collect()
    assert len(configured.account.jobs) == 1


def test_containers_for_single_resources_are_limited(configured, monkeypatch):
    monkeypatch.setattr(ingestion, "MAX_SINGLE_CONTAINERS", 2)
    monkeypatch.setattr(ingestion, "MAX_RESOURCES_PER_CONTAINER", 2)
    configured.ok("pause_connector")
    for number in range(7):
        configured.ok("enable_resource", f"acme/r{number}")
    configured.ok("resume_connector")
    configured.tick()
    batches = [job[job.index("--") + 1 :] for job in configured.account.jobs]
    assert sorted(map(len, batches)) == [1, 1, 1, 2, 2] and len({name for names in batches for name in names}) == 7


def test_a_used_up_budget_is_no_failure(configured):
    def pause(account, args):
        error = {"kind": "rate_limited", "message": "paused until tomorrow", "help": "wait"}
        raise JobFailed(log=json.dumps({"schema_version": 1, "error": error}))

    configured.account.job = pause
    configured.ok("enable_resource", "a/b")
    for _ in range(ingestion.MAX_FAILURES + 2):
        job = configured.ended("a/b")["last_job"]
        assert job["code"] == "INGESTION_PAUSED" and job["message"] == "paused until tomorrow. wait" and not job["failed"]
        configured.tick()
    configured.account.job = engine.ingesting(configured.real)
    configured.ended("a/b")
    configured.tick()
    assert configured.ended("a/b")["last_job"]["code"] == "OK", "it was started again"
