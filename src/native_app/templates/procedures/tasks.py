"""Serverless tasks, which start ingestion on schedule. There is one task per schedule in use, so all resources with the connector's
schedule share one.

A task run starts containers and records finished ones. It does not wait for them.
"""

import hashlib

import app_database
import names
import roles
from responses import wrap_sql_errors

# The timeout of a task run, in seconds. Both parameters are set, because the lower one applies and the account may have set either.
TIMEOUT = 60 * 60


def task_name(session, task):
    """The qualified name of a task."""
    return app_database.app_object(session, "TASKS", task)


def statement(session, schedule):
    """The statement that creates the task of a schedule, without comment and body."""
    return (
        f"CREATE OR ALTER TASK {task_name(session, names.task(schedule))} USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL' "
        f"SCHEDULE = {names.literal(schedule)} STATEMENT_TIMEOUT_IN_SECONDS = {TIMEOUT} USER_TASK_TIMEOUT_MS = {TIMEOUT * 1000} "
        # Suspending the task would stop every resource; resources that fail repeatedly are skipped one by one.
        "SUSPEND_TASK_AFTER_NUM_FAILURES = 0 "
    )


def definition(schedule):
    """The body of a task."""
    return f"CALL PUBLIC.RUN_SCHEDULE({names.literal(schedule)})"


def definition_hash(session, schedule):
    """A hash of a task's definition, kept in its comment: it identifies tasks of another version."""
    text = statement(session, schedule) + definition(schedule)
    return "snowfeed " + hashlib.sha256(text.encode()).hexdigest()[:16]


def create(session, schedule):
    """Creates or alters the task of a schedule, and leaves it suspended."""
    task = names.task(schedule)
    with wrap_sql_errors("FAILED_TO_CREATE_TASK", f"the task {task} could not be created"):
        suspend(session, task)
        comment = names.literal(definition_hash(session, schedule))
        session.sql(f"{statement(session, schedule)}COMMENT = {comment} AS {definition(schedule)}").collect()
        # Without a maximum, Snowflake gives a slow task a larger size.
        session.sql(f"ALTER TASK {task_name(session, task)} SET SERVERLESS_TASK_MAX_STATEMENT_SIZE = 'XSMALL'").collect()
    # Administrators need it to see TASK_HISTORY. A failure is ignored.
    roles.grant(session, [f"MONITOR ON TASK {task_name(session, task)}"], roles.ADMIN)


def ensure(session, schedule, found, runs):
    """Creates or alters the task of a schedule if it differs from `found`, and resumes it if it `runs`.

    A correct task is not touched: suspending and resuming it would restart its interval.
    """
    is_current = found is not None and found["comment"] == definition_hash(session, schedule)
    if is_current and (found["state"] == "started" or not runs):
        return
    if not is_current:
        create(session, schedule)
    if runs:
        resume(session, names.task(schedule))


def resume(session, task):
    """Resumes a task."""
    with wrap_sql_errors("FAILED_TO_CREATE_TASK", f"the task {task} could not be resumed"):
        session.sql(f"ALTER TASK {task_name(session, task)} RESUME").collect()


def suspend(session, task):
    """Suspends a task, if it exists. An active run finishes."""
    session.sql(f"ALTER TASK IF EXISTS {task_name(session, task)} SUSPEND").collect()


def drop(session, task):
    """Drops a task, if it exists."""
    session.sql(f"DROP TASK IF EXISTS {task_name(session, task)}").collect()


def states(session):
    """Every task by name: its state (`started` or `suspended`), the reason and the time of its last suspension, and its comment."""
    found = {}
    for row in session.sql(f"SHOW TASKS IN SCHEMA {app_database.app_object(session, 'TASKS')}").collect():
        row = row.as_dict()
        found[row["name"]] = {
            "state": row["state"],
            "reason": row.get("last_suspended_reason"),
            "suspended_at": row.get("last_suspended_on"),
            "comment": row.get("comment"),
        }
    return found
