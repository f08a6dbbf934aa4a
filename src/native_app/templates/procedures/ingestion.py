"""Starts ingestion in containers without waiting for them, and records their outcomes.

The app's table INGESTION_JOB has a row for each container, from before its start until long after its end.
"""

from datetime import UTC, datetime, timedelta

import destination
import failed_starts
import health
import history
import jobs
import starting
import store
import streams
import views
from configured_resources import ConfiguredResources
from responses import ProcedureError, ok

# After this many failed containers in a row, a resource is no longer started until it is enabled again.
MAX_FAILURES = 10

# How many resources get their own container at a time; all others share one.
MAX_SINGLE_CONTAINERS = 20

# How many resource names one container gets: a statement is limited to 1 MB.
MAX_RESOURCES_PER_CONTAINER = 500

# How long Snowflake may not list a requested container: another call may be starting it.
START_TIMEOUT = timedelta(minutes=5)

# A container that has been pending longer than this while no other one runs waits for a pool that does not start.
POOL_TIMEOUT = timedelta(hours=1)

# The kind of the error when the budget is used up, or the warehouse's resource monitor has suspended it: no resource has failed.
PAUSED = "rate_limited"

# How many finished containers are kept.
MAX_ENDED_JOBS = 200


def now():
    """The current time in UTC."""
    return datetime.now(UTC)


def run_schedule(session, configuration, schedule):
    """The body of a task: records finished containers, and starts the resources with this schedule."""
    busy = {name for job in record_ended_jobs(session, configuration) for name in job["resources"]}
    resources, failures = ConfiguredResources(session, configuration), failures_of(session)
    health.record_facts(session, configuration, resources)
    due = [
        name
        for name in resources.enabled()
        if resources.schedule_for(name) == schedule and name not in busy and failures.get(name, 0) < MAX_FAILURES
    ]
    try:
        started = launch_all(session, configuration, due, resources)
    except ProcedureError as error:
        starting.record_failure(session, error)
        raise
    health.block(session, None)
    return ok(f"{len(started)} started", jobs=started, resources=due, skipped=resources.skipped(), notes=resources.notes())


def launch_all(session, configuration, due, resources):
    """Starts containers for the due resources and returns the containers' names.

    A resource with a stream whose last run did not succeed, or that has had none, gets its own container, so that it does not delay
    the others. All others share one.
    """
    alone = incomplete(session, configuration, due, resources)[:MAX_SINGLE_CONTAINERS]
    together = [name for name in due if name not in alone]
    started = [launch(session, configuration, [name]) for name in alone]
    # Without names the program ingests every enabled row, also those that are skipped here.
    if together and together == resources.enabled() and not resources.problems:
        return [*started, launch(session, configuration, together, every=True)]
    for first in range(0, len(together), MAX_RESOURCES_PER_CONTAINER):
        started.append(launch(session, configuration, together[first : first + MAX_RESOURCES_PER_CONTAINER]))
    return started


def incomplete(session, configuration, due, resources):
    """The due resources of which not every stream was read successfully."""
    if not due:
        return []
    database = configuration.destination_database
    tables, has_streams = destination.tables(session, database), history.has_streams(session, database)
    states = history.newest_states(session, database, tables, has_streams)
    return [
        name
        for name in due
        if any((states.newest(name, stream) or {}).get("status") != "complete" for stream in resources.streams_of(name))
    ]


def launch_one(session, configuration, name, mode="incremental", allow_deletions=False, only=None):
    """Starts a container for a resource, with `only` for these streams, and returns its name. Raises ALREADY_RUNNING."""
    for job in record_ended_jobs(session, configuration):
        if name in job["resources"]:
            raise ProcedureError(
                "ALREADY_RUNNING", f"{name} has been ingesting since {job['started_at'][:19]} UTC", job=job["name"]
            )
    return launch(session, configuration, [name], mode, allow_deletions=allow_deletions, only=only)


def launch(session, configuration, names, mode="incremental", every=False, allow_deletions=False, only=None):
    """Starts a container for these resources and returns its name; `every` if they are all the enabled ones, `only` as for
    `launch_one`."""
    job, rows = jobs.new_name(), store.job_store(session)
    options = ["--reconcile", *(["--allow-deletions"] if allow_deletions else [])] if mode == "reconcile" else []
    arguments = ["ingest", *options, *streams.option(only), *([] if every else ["--", *names])]
    after = history.newest_run(session, configuration.destination_database)
    stored = {"resources": names, "mode": mode, "started_at": now().isoformat(), "after": after}
    if only:
        stored["streams"] = only
    # Insert the row first: a container without one would be started twice.
    rows.put(job, stored)
    try:
        jobs.start(session, configuration.destination_database, job, arguments)
    except ProcedureError as error:
        # After any other error the container may be running: `record_ended_jobs` finds out.
        record_failed_start(session, configuration, job, stored, error)
        raise
    return job


def record_failed_start(session, configuration, job, stored, error):
    """Records that a container could not be started: as its end, and as failed runs of the streams that it would have read."""
    resources = ConfiguredResources(session, configuration)
    by_resource = {name: stored.get("streams") or resources.streams_of(name) for name in stored["resources"]}
    end = {"ended_at": now().isoformat(), "status": "NOT_STARTED", "code": error.code, "message": str(error)}
    rows = store.job_store(session)
    rows.put(job, {**stored, **end, "runs": [], "failed": sorted(by_resource), "failed_streams": by_resource})
    forget_old(session, rows)
    read = [(name, stream) for name, found in by_resource.items() for stream in found]
    failed_starts.record(session, configuration.destination_database, read, stored["mode"], error)


def record_ended_jobs(session, configuration):
    """Records the outcome of each container that has finished, drops it, and returns the containers that are still active."""
    rows = store.job_store(session)
    begun = {name: job for name, job in known_jobs(rows).items() if not job.get("ended_at")}
    if not begun:
        return []
    states = jobs.states(session)
    others_run = "RUNNING" in states.values()
    live, ended = [], False
    for name, job in begun.items():
        state = states.get(name)
        failure = job_failure(session, name, job, state, others_run)
        if failure is None:
            live.append({"name": name, "state": state or "PENDING", **job})
            continue
        end = outcome(session, configuration, name, job, state, failure)
        rows.put(name, {**job, **end})
        if end["code"] != "OK":
            jobs.keep_log(session, name)
        jobs.drop(session, name)
        ended = True
    if ended:
        destination.grant_new_objects(session, configuration.destination_database)
        destination.count_rows(session, configuration.destination_database)
        # The first container of a new version may have changed the tables.
        views.refresh(session, configuration.destination_database)
        forget_old(session, rows)
    return live


def job_failure(session, name, job, state, others_run):
    """Why a container failed; empty if it succeeded, None if it is still active."""
    age = now() - datetime.fromisoformat(job["started_at"])
    if state is None:
        return None if age < START_TIMEOUT else "the container is gone: it was dropped, or its compute pool was"
    if state == jobs.DONE:
        return ""
    if state in jobs.FAILED:
        return f"the container ended with status {state}"
    if state == "PENDING" and age > POOL_TIMEOUT and not others_run:
        return "the container waits for a compute pool that does not start"
    return None


def outcome(session, configuration, name, job, state, failure):
    """The outcome of a finished container, from the records of its runs. A run without changes has no record."""
    records = {}
    for run in history.runs_after(session, configuration.destination_database, job["after"]):
        if run["resource"] in [*job["resources"], streams.SOURCE]:
            records.setdefault((run["resource"], run["stream"]), run)
    resources = ConfiguredResources(session, configuration)
    selected = [(resource, stream) for resource in job["resources"] for stream in resources.streams_of(resource)]
    only = job.get("streams")
    read = [(resource, stream) for resource in job["resources"] for stream in only] if only else selected
    bad = {key: run for key, run in records.items() if run["status"] != "complete"}
    failed = {key: run for key, run in bad.items() if run["status"] == "failed"}
    died = [key for key, run in bad.items() if run["status"] == "running"]
    # No record says why it failed, so its log may.
    is_silent = bool(failure) and not bad
    ended = jobs.Job(name, failure or "the container ended before the run", jobs.log(session, name) if died or is_silent else "")
    error = ended.document().get("error") or {}
    if is_silent and error.get("kind") == PAUSED:
        end = {"ended_at": now().isoformat(), "status": state, "runs": [], "failed": [], "failed_streams": {}}
        return {**end, "code": "INGESTION_PAUSED", "message": error_message(error), "error": error}
    if is_silent:
        died = [(resource, stream) for resource, stream in read if not recorded_as(resource, stream) & set(records)]
    stopped = {*failed, *died}
    not_read = [(resource, stream) for resource, stream in read if stopped & {(resource, stream), *recorded_as(resource, stream)}]
    affected = {resource for resource, _ in not_read} | {resource for resource, _ in stopped if resource in job["resources"]}
    # A failing stream does not keep the others from being read: only a resource of which every stream has failed counts. A container
    # that failed with some of the selected streams tells nothing about the others.
    stuck = affected - {resource for resource, _ in set(read) - set(not_read)}
    undecided = stuck & {resource for resource, stream in selected if (resource, stream) not in read}
    count_failures(session, set(job["resources"]) - undecided, stuck - undecided)
    end = {"ended_at": now().isoformat(), "status": state or "GONE", "runs": [run["id"] for run in records.values()]}
    end["failed"] = sorted(affected)
    end["failed_streams"] = {}
    for resource, stream in not_read:
        end["failed_streams"].setdefault(resource, []).append(stream)
    if died:
        message = error_message(error) or ended.failure_summary()
        why = jobs.reason(session, name)
        code = "COMPUTE_POOL_UNAVAILABLE" if state == "PENDING" else "JOB_FAILED"
        return {**end, "code": code, "message": f"{message} ({why})" if why else message}
    if bad:
        (resource, stream), worst = next(iter((failed or bad).items()))
        error = worst.get("error") or {}
        left_out = "it was stopped" if worst["status"] == "interrupted" else "some records were left out"
        message = f"{streams.label(resource, stream)}: {error_message(error) or left_out}"
        return {**end, "code": "INGESTION_FAILED" if failed else "INGESTION_PARTIAL", "message": message, "error": error}
    return {**end, "code": "OK", "message": summary(records.values())}


def recorded_as(resource, stream):
    """What the runs of a stream of a resource may be recorded as. An older version recorded no stream."""
    return {(streams.owner(resource, stream), stream), (resource, None)}


def count_failures(session, resources, failed):
    """Updates the number of consecutive failures of each resource."""
    before = failures_of(session)
    after = {name: count for name, count in before.items() if name not in resources}
    after |= {name: before.get(name, 0) + 1 for name in failed}
    if after != before:
        store.app_store(session).put("failures", after)


def failures_of(session):
    """The number of consecutive failures of each resource that has any."""
    stored = store.app_store(session).get("failures") or {}
    return {name: count for name, count in stored.items() if history.is_count(count)}


def reset_failures(session, resource):
    """Resets the failure count of a resource."""
    count_failures(session, [resource], [])


def newest_jobs(session):
    """The newest container of each resource, by resource name."""
    found = {}
    for name, job in sorted(known_jobs(store.job_store(session)).items(), key=lambda pair: pair[1]["started_at"]):
        found |= {resource: {"name": name, **job} for resource in job["resources"]}
    return found


def being_read(session, resource, selected):
    """The resource's own streams that containers whose end is not recorded may be reading; by default they read the `selected` ones."""
    active = [job for job in known_jobs(store.job_store(session)).values() if resource in job["resources"] and not job.get("ended_at")]
    found = {stream for job in active for stream in job.get("streams") or selected}
    return {stream for stream in found if streams.owner(resource, stream) == resource}


def forget_old(session, rows):
    """Removes the oldest finished containers, and their logs."""
    ended = sorted((job["ended_at"], name) for name, job in known_jobs(rows).items() if job.get("ended_at"))
    for _, name in ended[:-MAX_ENDED_JOBS]:
        rows.remove(name)
        store.log_store(session).remove(name)


def known_jobs(rows):
    """The stored containers, without malformed rows of another version or of manual edits."""
    return {name: job for name, job in rows.all().items() if is_job(job)}


def is_job(job):
    """Whether a row has the form that `launch` stores."""
    ended = job.get("ended_at")
    for names in (job.get("resources"), job.get("streams", [])):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return False
    try:
        started = datetime.fromisoformat(job.get("started_at"))
    except (TypeError, ValueError):
        return False
    return started.tzinfo is not None and isinstance(job.get("after"), str) and isinstance(ended, (str, type(None)))


def summary(runs):
    """A summary of runs, such as "3 inserted, 1 deleted"."""
    counts = {name: sum(run["counts"][name] for run in runs) for name in ("inserted", "updated", "deleted")}
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing new"


def error_message(error):
    """The message and the help of the program's error."""
    return ". ".join(text for text in (error.get("message"), error.get("help")) if text and isinstance(text, str))
