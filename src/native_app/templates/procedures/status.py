"""The connector's status, and what changes it."""

import logging
import re

from snowflake.snowpark.exceptions import SnowparkSQLException

import destination
import ingestion
import names
import place
import pool
import references
import settings
import store
import tasks
from answers import Refusal, attempt, ok, sentence
from configured import Configured
from spec import SPEC

log = logging.getLogger("connector")

CONFIGURING, STARTING, STARTED, PAUSING, PAUSED, ERROR = (
    "CONFIGURING",
    "STARTING",
    "STARTED",
    "PAUSING",
    "PAUSED",
    "ERROR",
)


STATUSES = (CONFIGURING, STARTING, STARTED, PAUSING, PAUSED, ERROR)


def current(session):
    """The status. One that this version does not know is in doubt."""
    stored = store.of_app(session).get("status")
    if stored is None:
        return CONFIGURING
    return stored.get("status") if stored.get("status") in STATUSES else ERROR


def become(session, status):
    """Stores the status."""
    store.of_app(session).put("status", {"status": status})


def is_paused(session):
    """Whether nothing may be started."""
    return current(session) not in (STARTED, STARTING)


def require_started(session):
    """Raises INVALID_CONNECTOR_STATUS unless the connector is started."""
    status = current(session)
    if status != STARTED:
        raise Refusal(
            "INVALID_CONNECTOR_STATUS",
            f"the connector is {status}: call RESUME_CONNECTOR first, or use the page",
            status=status,
        )


def schedules_in_use(configuration, resources):
    """The schedules of what is enabled, each of which has a task while the connector is started."""
    if not configuration.has_tasks():
        return []
    return sorted({resources.schedule_of(name) for name in resources.enabled()})


def align(session, configuration):
    """Makes the tasks as they are to be: there is one for each schedule in use, which runs unless the connector is paused. All
    others are dropped, among them those that an earlier version made for each resource. Gives notes of what is skipped."""
    resources = Configured(session, configuration)
    found, runs = tasks.states(session), not is_paused(session)
    in_use = schedules_in_use(configuration, resources)
    for schedule in in_use:
        tasks.arrange(session, schedule, found.get(names.task(schedule)), runs)
    for task in sorted(set(found) - set(map(names.task, in_use))):
        tasks.drop(session, task)
    return resources.notes()


def pause(session):
    """Suspends every task. What is enabled stays enabled, so that it is known what to resume."""
    settings.load(session)
    before = current(session)
    suspended = []
    try:
        become(session, PAUSING)
        for task, found in tasks.states(session).items():
            if found["state"] == "started":
                suspended.append(task)
                tasks.suspend(session, task)
        become(session, PAUSED)
    except Exception as error:
        how = undo(session, before, lambda: [tasks.resume(session, task) for task in suspended])
        raise failed("PAUSE_CONNECTOR_FAILED", f"the connector could not be paused and {how}", error) from error
    return ok("paused; a run that is under way ends by itself", suspended=len(suspended))


def resume(session):
    """Starts the tasks of all that is enabled."""
    configuration = settings.load(session)
    try:
        started, resources = start(session, configuration)
    except Exception as error:
        raise failed("RESUME_CONNECTOR_FAILED", "the connector could not be resumed", error) from error
    return ok("resumed", resumed=started, skipped=resources.skipped(), notes=resources.notes())


def start(session, configuration):
    """Starts the tasks of all that is enabled, and tells how many did not run; where that fails, all is as it was before."""
    before = current(session)
    resources = Configured(session, configuration)
    started = []
    try:
        become(session, STARTING)
        found = tasks.states(session)
        for schedule in schedules_in_use(configuration, resources):
            task = names.task(schedule)
            if found.get(task, {}).get("state") != "started":
                started.append(task)
            tasks.arrange(session, schedule, found.get(task), True)
        become(session, STARTED)
    except Exception:
        undo(session, before, lambda: [tasks.suspend(session, task) for task in started])
        raise
    return len(started), resources


def undo(session, status, steps):
    """Takes back what was done, and says how the connector stands: in doubt where that fails, or where it was changing already."""
    if attempt(steps) and status not in (STARTING, PAUSING) and attempt(become, session, status):
        return "is as it was"
    attempt(become, session, ERROR)
    return "may be in either state"


def failed(code, what, error):
    """Why a change of the status has failed."""
    if not isinstance(error, (SnowparkSQLException, Refusal)):
        log.exception("%s", what)
    return Refusal(code, f"{what}: {sentence(error)}")


def report(session):
    """All that the page shows of how the connector stands."""
    answer = {
        "name": SPEC["name"],
        "title": SPEC["title"],
        "resource_kind": SPEC["resource_kind"],
        "resource_form": (SPEC["resource_names"] or {}).get("form", ""),
        "default_schedule": SPEC["default_schedule"],
        "default_scheduler": SPEC["default_scheduler"],
        "schedulers": settings.schedulers(),
        "settings_schema": SPEC["settings"],
        "secrets": SPEC["secrets"],
        "version": SPEC["version"],
        "status": current(session),
        "configuration_status": "INSTALLED",
        "configuration": None,
        "most_nodes": pool.MOST_NODES,
        "scheduler_problem": store.of_app(session).get("scheduler_problem"),
        "references": {},
        "resources": [],
        "skipped": [],
    }
    present = references.bound(session)
    answer["references"] = {
        name: {"bound": name in present, "required": needed} for name, (needed, _) in references.known().items()
    }
    try:
        configuration = settings.load(session)
    except Refusal:
        return ok("not configured yet", **answer)
    answer["configuration"] = vars(configuration)
    connected = store.of_app(session).get("connection") is not None
    answer["configuration_status"] = "CONNECTED" if connected else "CONFIGURED"
    try:
        jobs = ingestion.settle(session, configuration) if configuration.has_tasks() else []
        answer["resources"], answer["skipped"] = resources_of(session, configuration, jobs)
    except (SnowparkSQLException, Refusal) as error:
        return ok(f"the destination cannot be read: {sentence(error)}", problem="DESTINATION_UNREADABLE", **answer)
    return ok(answer["status"].lower(), **answer)


def report_to_viewers(session):
    """How the connector stands, for those who only look: without settings, and without sentences, which may speak of them."""
    full = report(session)
    kept = ("name", "title", "resource_kind", "version", "status", "configuration_status")
    answer = {name: full[name] for name in kept}
    answer["problem"] = full.get("problem")
    answer["scheduler_problem"] = (full["scheduler_problem"] or {}).get("response_code")
    answer["runs"] = place.inside(session, "VIEWS", "CONNECTOR_STATS")
    answer["resources"] = [seen_by_viewers(resource) for resource in full["resources"]]
    return ok(answer["status"].lower(), **answer)


def seen_by_viewers(resource):
    """A resource, as those see it who only look."""
    run, job, state = (resource[name] or {} for name in ("last_run", "last_job", "state"))
    told = {name: resource[name] for name in ("name", "configured", "enabled", "schedule", "container", "failures", "suspended")}
    return {
        **told,
        "is_skipped": resource["problem"] is not None,
        "state": {name: state[name] for name in ("status", "since")} if state else None,
        "last_run": {**{name: run.get(name) for name in OF_RUN}, "error": run["error"] and kind_of(run["error"])} if run else None,
        "last_job": {name: job[name] for name in (*LAST_JOB, "failed") if name != "message"} if job else None,
    }


# What viewers see of a run, beside the kind of its error.
OF_RUN = ("id", "mode", "status", "started_at", "ended_at", "counts")


def kind_of(error):
    """The kind of an error, without its words."""
    kind = error.get("kind")
    return {"kind": kind if isinstance(kind, str) and re.fullmatch("[a-z_]{1,40}", kind) else "unknown"}


def resources_of(session, configuration, jobs):
    """How each resource stands: those that are configured, and those whose data was kept. And what is skipped."""
    database = configuration.destination_database
    configured = Configured(session, configuration)
    tables = destination.tables(session, database)
    runs = destination.newest_runs(session, database)
    reconciles = destination.newest_runs(session, database, "reconcile")
    states = destination.newest_states(session, database)
    found = {task: {key: one[key] for key in ("state", "reason")} for task, one in tasks.states(session).items()}
    running = {name: job["state"] for job in jobs for name in job["resources"]}
    newest, failures = ingestion.newest(session), ingestion.failures_of(session)
    # The tables of one whose data was deleted, too, are still there, and a state. A run that has ended has a record.
    kept = {name for name in tables if name in runs or states.get(name, {}).get("status") == "running"}
    entries = []
    for name in sorted({*configured.rows, *kept}):
        resource, problem = configured.rows.get(name, {}), configured.problems.get(name)
        is_used = name in configured.rows and problem is None
        job = newest.get(name)
        entries.append(
            {
                "name": name,
                "configured": name in configured.rows,
                "enabled": resource.get("enabled") is True,
                "problem": problem,
                "schedule": resource.get("schedule") if isinstance(resource.get("schedule"), str) else None,
                "task": found.get(names.task(configured.schedule_of(name)), {}) if is_used else {},
                "state": states.get(name),
                "last_run": runs.get(name),
                "container": running.get(name),
                "last_job": job and {key: job.get(key) for key in LAST_JOB} | {"failed": name in job.get("failed", [])},
                "failures": failures.get(name, 0),
                "suspended": failures.get(name, 0) >= ingestion.MOST_FAILURES,
                "deletions_to_confirm": deletions_to_confirm(reconciles.get(name)),
                "tables": tables.get(name, []),
            }
        )
    return entries, configured.skipped()


def deletions_to_confirm(run):
    """What a person has to confirm after the newest reconcile run of a resource; None where it has asked for nothing."""
    error = (run or {}).get("error") or {}
    rows, message = error.get("unconfirmed_deletions"), error.get("message")
    if not destination.is_count(rows):
        return None
    return {"rows": rows, "run": run["id"], "message": message if isinstance(message, str) else ""}


# What is told of the newest container of a resource.
LAST_JOB = ("name", "mode", "started_at", "ended_at", "status", "code", "message")
