"""Tasks: what starts ingestion, on schedule, without a warehouse of its own. There is one for each schedule that is in use, and so
one for all resources that have the connector's schedule.

A run of a task starts containers and looks at how earlier ones have ended. It waits for none of them.
"""

import hashlib

import names
import place
import roles
from answers import sql_failures

# How long a run of a task may take, in seconds. It is said twice: the lower of the two counts, and an account may have set one.
TIMEOUT = 60 * 60


def whole(session, task):
    """The whole name of a task."""
    return place.inside(session, "TASKS", task)


def statement(session, schedule):
    """The statement that makes the task of a schedule, but for its comment and what it does."""
    return (
        f"CREATE OR ALTER TASK {whole(session, names.task(schedule))} USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL' "
        f"SCHEDULE = {names.literal(schedule)} STATEMENT_TIMEOUT_IN_SECONDS = {TIMEOUT} USER_TASK_TIMEOUT_MS = {TIMEOUT * 1000} "
        # Suspending it would stop every resource; each that fails again and again is left out by itself.
        "SUSPEND_TASK_AFTER_NUM_FAILURES = 0 "
    )


def definition(schedule):
    """What such a task does."""
    return f"CALL PUBLIC.RUN_SCHEDULE({names.literal(schedule)})"


def form(session, schedule):
    """What the comment of a task says: it tells one that is as it is to be from one that another version has made."""
    text = statement(session, schedule) + definition(schedule)
    return "snowfeed " + hashlib.sha256(text.encode()).hexdigest()[:16]


def make(session, schedule):
    """Makes the task of a schedule, or gives the one there is this form. It is suspended then."""
    task = names.task(schedule)
    with sql_failures("FAILED_TO_CREATE_TASK", f"the task {task} could not be made"):
        suspend(session, task)
        comment = names.literal(form(session, schedule))
        session.sql(f"{statement(session, schedule)}COMMENT = {comment} AS {definition(schedule)}").collect()
        # A task that takes long is given a larger size, unless this forbids it.
        session.sql(f"ALTER TASK {whole(session, task)} SET SERVERLESS_TASK_MAX_STATEMENT_SIZE = 'XSMALL'").collect()
    # Without it TASK_HISTORY shows administrators nothing. Where it fails, nothing else does.
    roles.grant(session, [f"MONITOR ON TASK {whole(session, task)}"], roles.ADMIN)


def arrange(session, schedule, found, runs):
    """Makes the task of a schedule as it is to be, with what was found of it, and starts it where it `runs`.

    One that is right is left alone: to suspend and to resume it would begin its interval anew.
    """
    is_right = found is not None and found["comment"] == form(session, schedule)
    if is_right and (found["state"] == "started" or not runs):
        return
    if not is_right:
        make(session, schedule)
    if runs:
        resume(session, names.task(schedule))


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


def states(session):
    """Every task by its name: `started` or `suspended`, by whom it was suspended last, and its comment."""
    found = {}
    for row in session.sql(f"SHOW TASKS IN SCHEMA {place.inside(session, 'TASKS')}").collect():
        row = row.as_dict()
        found[row["name"]] = {
            "state": row["state"],
            "reason": row.get("last_suspended_reason"),
            "comment": row.get("comment"),
        }
    return found
