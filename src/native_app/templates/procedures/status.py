"""The connector's status, and what changes it."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import destination
import names
import references
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


def expected_tasks(configuration, resources):
    """The tasks that run while the connector is started, with the resource of each; None for the one task for all."""
    enabled = [name for name, resource in resources.items() if resource.get("enabled")]
    if configuration.has_task_each():
        return {names.task(name): name for name in enabled}
    return {names.SCHEDULER: None} if configuration.has_tasks() and enabled else {}


def align(session, configuration):
    """Makes the tasks as they are to be: those of enabled resources run, unless paused; all others do not."""
    resources = store.resources(session, configuration.destination_database).all()
    expected = expected_tasks(configuration, resources)
    found = tasks.states(session)
    for task, state in found.items():
        if task not in expected and state["state"] == "started":
            tasks.suspend(session, task)
    runs = not is_paused(session)
    for task, name in expected.items():
        tasks.arrange(session, name, schedule_of(configuration, resources, name), found.get(task), runs)


def schedule_of(configuration, resources, name):
    """The schedule of a resource's task, or of the one for all."""
    return resources.get(name, {}).get("schedule") or configuration.schedule


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
        for task, name in expected_tasks(configuration, resources).items():
            if found.get(task, {}).get("state") != "started":
                started.append(task)
            tasks.arrange(session, name, schedule_of(configuration, resources, name), found.get(task), True)
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
        answer["resources"] = resources_of(session, configuration)
    except SnowparkSQLException as error:
        return ok(f"the destination cannot be read: {sentence(error)}", problem="DESTINATION_UNREADABLE", **answer)
    return ok(answer["status"].lower(), **answer)


def resources_of(session, configuration):
    """How each resource stands: those that are configured, and those whose data was kept."""
    database = configuration.destination_database
    configured = store.resources(session, database).all()
    tables = destination.tables(session, database)
    runs = destination.newest_runs(session, database)
    states = destination.newest_states(session, database)
    running = {task: {key: found[key] for key in ("state", "reason")} for task, found in tasks.states(session).items()}
    # The tables of one whose data was deleted, too, are still there, and a state. A run that has ended has a record.
    kept = {name for name in tables if name in runs or states.get(name, {}).get("status") == "RUNNING"}
    entries = []
    for name in sorted({*configured, *kept}):
        resource = configured.get(name, {})
        task = names.task(name) if configuration.has_task_each() else names.SCHEDULER
        entries.append(
            {
                "name": name,
                "configured": name in configured,
                "enabled": bool(resource.get("enabled")),
                "schedule": resource.get("schedule"),
                "task": running.get(task, {}),
                "state": states.get(name),
                "last_run": runs.get(name),
                "tables": tables.get(name, []),
            }
        )
    return entries
