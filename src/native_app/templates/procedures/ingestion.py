"""Ingestion: containers that nobody waits for, what is started in which of them, and how they have ended.

The table INGESTION_JOB of the app has a row for each container, from before it is started until long after its end.
"""

from datetime import UTC, datetime, timedelta

import destination
import jobs
import store
from answers import Refusal, ok
from configured import Configured

# A resource whose containers have failed this many times in a row is left alone until it is enabled again.
MOST_FAILURES = 10

# How many containers of a single resource are started at a time; all other resources share one.
MOST_ALONE = 20

# How many resources one container is told by name: a statement has room for 1 MB.
MOST_TOGETHER = 500

# How long a container that was asked for may be unknown to Snowflake: another call may just be starting it.
STARTING = timedelta(minutes=5)

# A container that waits for longer than this while no other one runs waits for a pool that does not start.
WAITING = timedelta(hours=1)

# How many containers that have ended are remembered.
REMEMBERED = 200


def now():
    """The time, in UTC."""
    return datetime.now(UTC)


def run_schedule(session, configuration, schedule):
    """What a task does: looks at how containers have ended, and starts those of the resources with this schedule."""
    busy = {name for job in settle(session, configuration) for name in job["resources"]}
    resources, failures = Configured(session, configuration), failures_of(session)
    due = [
        name
        for name in resources.enabled()
        if resources.schedule_of(name) == schedule and name not in busy and failures.get(name, 0) < MOST_FAILURES
    ]
    started = launch_all(session, configuration, due, resources)
    return ok(f"{len(started)} started", jobs=started, resources=due, skipped=resources.skipped(), notes=resources.notes())


def launch_all(session, configuration, due, resources):
    """Starts containers for those resources that are due, and gives their names.

    A resource whose last run has not ended well, or that has had none, gets a container of its own: nothing waits for its first run,
    and nothing for one that fails. All others share one.
    """
    database = configuration.destination_database
    states = destination.newest_states(session, database) if due else {}
    alone = [name for name in due if states.get(name, {}).get("status") != "complete"][:MOST_ALONE]
    together = [name for name in due if name not in alone]
    started = [launch(session, configuration, [name]) for name in alone]
    # Without names the program takes every row, those that are skipped here, too.
    if together and together == resources.enabled() and not resources.problems:
        return [*started, launch(session, configuration, together, every=True)]
    for first in range(0, len(together), MOST_TOGETHER):
        started.append(launch(session, configuration, together[first : first + MOST_TOGETHER]))
    return started


def launch_one(session, configuration, name, mode="incremental", allow_deletions=False):
    """Starts a container for a resource, and gives its name. Raises ALREADY_RUNNING."""
    for job in settle(session, configuration):
        if name in job["resources"]:
            raise Refusal(
                "ALREADY_RUNNING", f"{name} is being ingested since {job['started_at'][:19]} UTC", job=job["name"]
            )
    return launch(session, configuration, [name], mode, allow_deletions=allow_deletions)


def launch(session, configuration, names, mode="incremental", every=False, allow_deletions=False):
    """Starts a container for these resources, and gives its name; `every` where they are all that are enabled."""
    job, rows = jobs.new_name(), store.jobs(session)
    options = ["--reconcile", *(["--allow-deletions"] if allow_deletions else [])] if mode == "reconcile" else []
    arguments = ["ingest", *options, *([] if every else ["--", *names])]
    after = destination.newest_run(session, configuration.destination_database)
    # The row comes first: a container without one would be started twice.
    rows.put(job, {"resources": names, "mode": mode, "started_at": now().isoformat(), "after": after})
    try:
        jobs.start(session, configuration.destination_database, job, arguments)
    except Refusal:
        # After any other failure the container may run: `settle` finds out.
        rows.remove(job)
        raise
    return job


def settle(session, configuration):
    """Looks at every container that had not ended: records how those have ended that have, drops them, and gives the others."""
    rows = store.jobs(session)
    begun = {name: job for name, job in known_jobs(rows).items() if not job.get("ended_at")}
    if not begun:
        return []
    states = jobs.states(session)
    others_run = "RUNNING" in states.values()
    live, ended = [], False
    for name, job in begun.items():
        state = states.get(name)
        failure = verdict(session, name, job, state, others_run)
        if failure is None:
            live.append({"name": name, "state": state or "PENDING", **job})
            continue
        rows.put(name, {**job, **outcome(session, configuration, name, job, state, failure)})
        jobs.drop(session, name)
        ended = True
    if ended:
        destination.grant_anew(session, configuration.destination_database)
        forget_old(rows)
    return live


def verdict(session, name, job, state, others_run):
    """Why a container has failed; empty where it has ended well, None where it has not ended."""
    age = now() - datetime.fromisoformat(job["started_at"])
    if state is None:
        return None if age < STARTING else "the container is gone: it was dropped, or its compute pool was"
    if state == jobs.DONE:
        return ""
    if state in jobs.FAILED:
        return f"the container has ended as {state}"
    if state == "PENDING" and age > WAITING and not others_run:
        return "the container waits for a compute pool that does not start"
    return None


def outcome(session, configuration, name, job, state, failure):
    """What is recorded of a container that has ended: by the records of its runs. A run that found nothing new leaves none."""
    records = {}
    for run in destination.runs_after(session, configuration.destination_database, job["after"]):
        if run["resource"] in job["resources"]:
            records.setdefault(run["resource"], run)
    bad = {resource: run for resource, run in records.items() if run["status"] != "complete"}
    failed = {resource: run for resource, run in bad.items() if run["status"] == "failed"}
    died = [resource for resource, run in bad.items() if run["status"] == "running"]
    if failure and not bad:
        died = [resource for resource in job["resources"] if resource not in records]
    count_failures(session, job["resources"], {*failed, *died})
    end = {"ended_at": now().isoformat(), "status": state or "GONE", "runs": [run["id"] for run in records.values()]}
    if died:
        ended = jobs.Job(name, failure or "the run has not ended, but its container has", jobs.log(session, name))
        told = words(ended.document().get("error") or {}) or ended.last_words()
        why = jobs.reason(session, name)
        code = "COMPUTE_POOL_UNAVAILABLE" if state == "PENDING" else "JOB_FAILED"
        return {**end, "code": code, "message": f"{told} ({why})" if why else told, "failed": sorted({*failed, *died})}
    if bad:
        worst = next(iter((failed or bad).values()))
        error = worst.get("error") or {}
        left_out = "it was stopped" if worst["status"] == "interrupted" else "some records were left out"
        message = f"{worst['resource']}: {words(error) or left_out}"
        code = "INGESTION_FAILED" if failed else "INGESTION_PARTIAL"
        return {**end, "code": code, "message": message, "error": error, "failed": sorted(failed)}
    return {**end, "code": "OK", "message": summary(records.values()), "failed": []}


def count_failures(session, resources, failed):
    """Counts how often the containers of each resource have failed in a row."""
    before = failures_of(session)
    after = {name: count for name, count in before.items() if name not in resources}
    after |= {name: before.get(name, 0) + 1 for name in failed}
    if after != before:
        store.of_app(session).put("failures", after)


def failures_of(session):
    """How often the containers of each resource have failed in a row; those that have not are missing."""
    stored = store.of_app(session).get("failures") or {}
    return {name: count for name, count in stored.items() if destination.is_count(count)}


def forgive(session, resource):
    """Begins to count the failures of a resource anew."""
    count_failures(session, [resource], [])


def newest(session):
    """The newest container of each resource, by the resource's name."""
    found = {}
    for name, job in sorted(known_jobs(store.jobs(session)).items(), key=lambda pair: pair[1]["started_at"]):
        found |= {resource: {"name": name, **job} for resource in job["resources"]}
    return found


def forget_old(rows):
    """Forgets the oldest containers that have ended."""
    ended = sorted((job["ended_at"], name) for name, job in known_jobs(rows).items() if job.get("ended_at"))
    for _, name in ended[:-REMEMBERED]:
        rows.remove(name)


def known_jobs(rows):
    """The containers that are remembered, but for rows that another version or somebody has written in another form."""
    return {name: job for name, job in rows.all().items() if is_job(job)}


def is_job(job):
    """Whether this is what `launch` stores of a container."""
    names, ended = job.get("resources"), job.get("ended_at")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    try:
        started = datetime.fromisoformat(job.get("started_at"))
    except (TypeError, ValueError):
        return False
    return started.tzinfo is not None and isinstance(job.get("after"), str) and isinstance(ended, (str, type(None)))


def summary(runs):
    """What runs have done, in a sentence."""
    counts = {name: sum(run["counts"][name] for run in runs) for name in ("inserted", "updated", "deleted")}
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing new"


def words(error):
    """What the program says of an error, and what to do about it."""
    return ". ".join(text for text in (error.get("message"), error.get("help")) if text and isinstance(text, str))
