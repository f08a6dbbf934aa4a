"""The connector's status, and what changes it."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import destination
import ingestion
import names
import pool
import references
import schedules
import settings
import store
import tasks
from answers import Refusal, ok, sentence
from spec import SPEC

CONFIGURING, STARTING, STARTED, PAUSING, PAUSED, ERROR = (
    "CONFIGURING",
    "STARTING",
    "STARTED",
    "PAUSING",
    "PAUSED",
    "ERROR",
)


def current(session):
    """The status."""
    return (store.of_app(session).get("status") or {}).get("status", CONFIGURING)


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
    found = {schedule_of(configuration, resources, name) for name, one in resources.items() if one.get("enabled")}
    return sorted(found)


def schedule_of(configuration, resources, name):
    """The schedule of a resource, as its task writes it. Raises INVALID_SCHEDULE."""
    own = resources.get(name, {}).get("schedule")
    try:
        return schedules.key(own or configuration.schedule)
    except Refusal as refusal:
        raise Refusal(refusal.code, f"{name}: {refusal}", resource=name) from refusal


def align(session, configuration):
    """Makes the tasks as they are to be: there is one for each schedule in use, which runs unless the connector is paused. All
    others are dropped, among them those that an earlier version made for each resource."""
    resources = store.resources(session, configuration.destination_database).all()
    found, runs = tasks.states(session), not is_paused(session)
    in_use = schedules_in_use(configuration, resources)
    for schedule in in_use:
        tasks.arrange(session, schedule, found.get(names.task(schedule)), runs)
    for task in sorted(set(found) - set(map(names.task, in_use))):
        tasks.drop(session, task)


def pause(session):
    """Suspends every task. What is enabled stays enabled, so that it is known what to resume."""
    settings.load(session)
    before = current(session)
    become(session, PAUSING)
    suspended = []
    try:
        for task, found in tasks.states(session).items():
            if found["state"] == "started":
                suspended.append(task)
                tasks.suspend(session, task)
    except (SnowparkSQLException, Refusal) as error:
        undo(session, before, lambda: [tasks.resume(session, task) for task in suspended])
        raise Refusal("PAUSE_CONNECTOR_FAILED", f"the connector goes on as before: {sentence(error)}") from error
    become(session, PAUSED)
    return ok("paused; a run that is under way ends by itself", suspended=len(suspended))


def resume(session):
    """Starts the tasks of all that is enabled."""
    configuration = settings.load(session)
    try:
        resumed = start(session, configuration)
    except (SnowparkSQLException, Refusal) as error:
        raise Refusal("RESUME_CONNECTOR_FAILED", f"the connector could not be resumed: {sentence(error)}") from error
    return ok("resumed", resumed=resumed)


def start(session, configuration):
    """Starts the tasks of all that is enabled, and tells how many did not run; where that fails, all is as it was before."""
    before = current(session)
    resources = store.resources(session, configuration.destination_database).all()
    become(session, STARTING)
    started = []
    try:
        found = tasks.states(session)
        for schedule in schedules_in_use(configuration, resources):
            task = names.task(schedule)
            if found.get(task, {}).get("state") != "started":
                started.append(task)
            tasks.arrange(session, schedule, found.get(task), True)
        become(session, STARTED)
    except (SnowparkSQLException, Refusal):
        undo(session, before, lambda: [tasks.suspend(session, task) for task in started])
        raise
    return len(started)


def undo(session, status, steps):
    """Takes back what was done, and says how it stands: in doubt where that fails, too."""
    try:
        steps()
    except (SnowparkSQLException, Refusal):
        become(session, ERROR)
    else:
        become(session, status)


def report(session):
    """All that the page shows of how the connector stands."""
    answer = {
        "name": SPEC["name"],
        "title": SPEC["title"],
        "resource_kind": SPEC["resource_kind"],
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
        answer["resources"] = resources_of(session, configuration, jobs)
    except (SnowparkSQLException, Refusal) as error:
        return ok(f"the destination cannot be read: {sentence(error)}", problem="DESTINATION_UNREADABLE", **answer)
    return ok(answer["status"].lower(), **answer)


def resources_of(session, configuration, jobs):
    """How each resource stands: those that are configured, and those whose data was kept."""
    database = configuration.destination_database
    configured = store.resources(session, database).all()
    tables = destination.tables(session, database)
    runs = destination.newest_runs(session, database)
    states = destination.newest_states(session, database)
    found = {task: {key: one[key] for key in ("state", "reason")} for task, one in tasks.states(session).items()}
    running = {name: job["state"] for job in jobs for name in job["resources"]}
    newest, failures = ingestion.newest(session), ingestion.failures_of(session)
    # The tables of one whose data was deleted, too, are still there, and a state. A run that has ended has a record.
    kept = {name for name in tables if name in runs or states.get(name, {}).get("status") == "running"}
    entries = []
    for name in sorted({*configured, *kept}):
        resource = configured.get(name, {})
        job = newest.get(name)
        entries.append(
            {
                "name": name,
                "configured": name in configured,
                "enabled": bool(resource.get("enabled")),
                "schedule": resource.get("schedule"),
                "task": found.get(names.task(schedule_of(configuration, configured, name)), {}),
                "state": states.get(name),
                "last_run": runs.get(name),
                "container": running.get(name),
                "last_job": job and {key: job.get(key) for key in LAST_JOB} | {"failed": name in job.get("failed", [])},
                "failures": failures.get(name, 0),
                "suspended": failures.get(name, 0) >= ingestion.MOST_FAILURES,
                "tables": tables.get(name, []),
            }
        )
    return entries


# What is told of the newest container of a resource.
LAST_JOB = ("name", "mode", "started_at", "ended_at", "status", "code", "message")
