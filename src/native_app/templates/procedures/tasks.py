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


def make(session, task, schedule, call):
    """Makes a task, or gives the one that is there this schedule. It is suspended then."""
    with sql_failures("FAILED_TO_CREATE_TASK", f"the task {task} could not be made"):
        suspend(session, task)
        session.sql(
            f"CREATE OR ALTER TASK {whole(session, task)} USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL' "
            f"SCHEDULE = {schedules.of_task(schedule)} "
            f"USER_TASK_TIMEOUT_MS = {TIMEOUT_MS} SUSPEND_TASK_AFTER_NUM_FAILURES = {FAILURES} AS {call}"
        ).collect()


def make_for(session, resource, schedule):
    """Makes the task of a resource."""
    make(session, names.task(resource), schedule, f"CALL PUBLIC.INGEST_DATA({names.literal(resource)})")


def make_scheduler(session, schedule):
    """Makes the one task for all resources."""
    make(session, names.SCHEDULER, schedule, "CALL PUBLIC.RUN_ALL()")


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
    """Every task by its name: `started` or `suspended`, and why Snowflake has suspended it."""
    found = {}
    for row in session.sql(f"SHOW TASKS IN SCHEMA {place.inside(session, 'TASKS')}").collect():
        row = row.as_dict()
        found[row["name"]] = {"state": row["state"], "reason": row.get("last_suspended_reason")}
    return found


def is_within(session):
    """Whether this procedure was called by a task. Elsewhere the function fails."""
    try:
        return bool(session.sql('SELECT SYSTEM$CURRENT_USER_TASK_NAME() AS "TASK"').collect()[0]["TASK"])
    except Exception:
        return False
