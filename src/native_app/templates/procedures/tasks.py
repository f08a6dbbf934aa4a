"""Tasks: what starts ingestion, on schedule, without a warehouse of its own."""

import names
import place
import schedules
from answers import sql_failures

# After so many failures in a row a task suspends itself; the page says so, and enabling resumes it.
FAILURES = 10

# A first run may take long. The default of one hour would stop it; it would go on at the next, but for nothing.
TIMEOUT_MS = 24 * 60 * 60 * 1000


def whole(session, task):
    """The whole name of a task."""
    return place.inside(session, "TASKS", task)


def name_of(resource):
    """The name of a resource's task; of the one for all where there is none."""
    return names.SCHEDULER if resource is None else names.task(resource)


def definition(resource):
    """What such a task does."""
    return "CALL PUBLIC.RUN_ALL()" if resource is None else f"CALL PUBLIC.INGEST_DATA({names.literal(resource)})"


def make(session, resource, schedule):
    """Makes such a task, or gives the one that is there this schedule. It is suspended then."""
    task = name_of(resource)
    with sql_failures("FAILED_TO_CREATE_TASK", f"the task {task} could not be made"):
        suspend(session, task)
        session.sql(
            f"CREATE OR ALTER TASK {whole(session, task)} USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL' "
            f"SCHEDULE = {schedules.of_task(schedule)} "
            f"USER_TASK_TIMEOUT_MS = {TIMEOUT_MS} SUSPEND_TASK_AFTER_NUM_FAILURES = {FAILURES} AS {definition(resource)}"
        ).collect()
        # A task that only waits for a container is given a larger size where it takes long, unless this forbids it.
        session.sql(f"ALTER TASK {whole(session, task)} SET SERVERLESS_TASK_MAX_STATEMENT_SIZE = 'XSMALL'").collect()


def arrange(session, resource, schedule, found, runs):
    """Makes such a task as it is to be, with what was found of it, and starts it where it `runs`; tells whether it was started.

    One that is right is left alone: to suspend and to resume it would begin its interval anew.
    """
    is_right = found and (found["schedule"], found["definition"]) == (
        schedules.of_task(schedule).strip("'"),
        definition(resource),
    )
    if is_right and (found["state"] == "started" or not runs):
        return False
    if not is_right:
        make(session, resource, schedule)
    if runs:
        resume(session, name_of(resource))
    return runs


def resume(session, task):
    """Starts a task's schedule."""
    with sql_failures("FAILED_TO_CREATE_TASK", f"the task {task} could not be resumed"):
        session.sql(f"ALTER TASK {whole(session, task)} RESUME").collect()


def suspend(session, task):
    """Stops a task's schedule; a run that is under way ends by itself. A task that is missing is no failure."""
    session.sql(f"ALTER TASK IF EXISTS {whole(session, task)} SUSPEND").collect()


def drop(session, task):
    """Removes a task, if it is there."""
    session.sql(f"DROP TASK IF EXISTS {whole(session, task)}").collect()


def run_now(session, task):
    """Runs a task once, now, whatever its schedule."""
    with sql_failures("FAILED_TO_CREATE_TASK", f"the task {task} could not be started"):
        session.sql(f"EXECUTE TASK {whole(session, task)}").collect()


def states(session):
    """Every task by its name: `started` or `suspended`, by whom it was suspended last, its schedule and what it does."""
    found = {}
    for row in session.sql(f"SHOW TASKS IN SCHEMA {place.inside(session, 'TASKS')}").collect():
        row = row.as_dict()
        found[row["name"]] = {
            "state": row["state"],
            "reason": row.get("last_suspended_reason"),
            "schedule": row.get("schedule"),
            "definition": row.get("definition"),
        }
    return found


def is_within(session):
    """Whether this procedure was called by a task. Elsewhere the function fails."""
    try:
        return bool(session.sql('SELECT SYSTEM$CURRENT_USER_TASK_NAME() AS "TASK"').collect()[0]["TASK"])
    except Exception:
        return False
