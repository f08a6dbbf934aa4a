"""What keeps every run from starting: the tasks and their own history, which Snowflake keeps even when no procedure could run."""

import logging
import re

from snowflake.snowpark.exceptions import SnowparkSQLException

import app_database
import error_texts
import health
import names
import tasks
from responses import CODES

log = logging.getLogger("connector")

# The function returns the history of 7 days, and fails if it is asked for more.
HOURS_OF_HISTORY = 7 * 24 - 1

# How many runs of tasks are read.
MOST_RUNS = 1000

FAILED = ("FAILED", "FAILED_AND_AUTO_SUSPENDED")


class Starting:
    """The tasks that the connector needs, and what keeps them from starting runs."""

    def __init__(self, session, schedules, is_started):
        self.found = tasks.states(session)
        self.needed = [names.task(schedule) for schedule in schedules] if is_started else []
        history = task_runs(session) if self.needed else []
        self.failures = {task: failures_in_a_row(history or [], task) for task in self.needed}
        # Without the history, what the procedures have found counts.
        self.cause = self.find_cause() or (health.blocked(session) if history is None else None)

    def state(self):
        """The worst state of the tasks: `missing`, `suspended` or `started`; None if none is needed."""
        states = {self.found.get(task, {"state": "missing"})["state"] for task in self.needed}
        return next((state for state in ("missing", "suspended", "started") if state in states), None)

    def failed_starts(self):
        """How many runs of a task have failed in a row."""
        return max((len(failures) for failures in self.failures.values()), default=0)

    def suspended(self):
        """The first needed task that is suspended; None if there is none."""
        return next(
            (self.found[task] for task in self.needed if self.found.get(task, {}).get("state") == "suspended"), None
        )

    def find_cause(self):
        """The cause, as the views read it; None if nothing is known to keep runs from starting."""
        failures = max(self.failures.values(), key=len, default=[])
        state, failed = self.state(), failure(failures)
        if state in (None, "started"):
            return failed
        suspended = self.suspended() or {}
        at = text_of(suspended.get("suspended_at"))
        if state == "missing":
            return {**cause("TASK_MISSING"), "since": at, "failed_starts": len(failures)}
        if suspended.get("reason") == "SUSPENDED_DUE_TO_ERRORS":
            because = f" because {failed['title'][0].lower()}{failed['title'][1:].rstrip('.')}" if failed else ""
            text = f"Snowflake suspended the schedule after failed starts{because}."
            known = {**failed, "because": failed["code"]} if failed else {"since": at, "failed_starts": 0}
            return {**cause("TASK_SUSPENDED_BY_FAILURES"), **known, "code": "TASK_SUSPENDED_BY_FAILURES", "title": text}
        return {**cause("TASK_SUSPENDED"), "since": at, "failed_starts": len(failures)}


def cause(code, detail=None):
    """A cause, with the texts of its code."""
    return {"code": code, "title": error_texts.title(code), "help": error_texts.next_step(code), "cause": detail}


def record_failure(session, error):
    """Stores that the body of a task could not start a container."""
    before, now = health.blocked(session) or {}, health.now()
    number = before.get("failed_starts") if isinstance(before.get("failed_starts"), int) else 0
    times = {"since": before.get("since") or now, "last_at": now, "failed_starts": number + 1}
    health.block(session, {**cause(error.code, str(error)), **times})


def failure(failures):
    """The cause of the failures of a task in a row, the newest first."""
    if not failures:
        return None
    # The procedure raises the code of its error; without one, it did not run.
    message = failures[0]["message"]
    named = re.search(r"CallFailed: ([A-Z_]+): (.*)", message, re.DOTALL)
    code, detail = (named[1], named[2]) if named and named[1] in CODES else ("TASK_FAILED", message)
    times = {"since": failures[-1]["at"], "last_at": failures[0]["at"], "failed_starts": len(failures)}
    return {**cause(code, " ".join(detail.split())), **times}


def failures_in_a_row(history, task):
    """The runs of a task that have failed since the last success, the newest first."""
    found = []
    for run in (run for run in history if run["task"] == task):
        if run["state"] == "SUCCEEDED":
            break
        if run["state"] in FAILED:
            found.append(run)
    return found


def task_runs(session):
    """The runs of the app's tasks that have ended, the newest first; None if they cannot be read."""
    own = names.quoted(app_database.app_name(session))
    text = (
        'SELECT "NAME", "STATE", "ERROR_MESSAGE", CONVERT_TIMEZONE(\'UTC\', "COMPLETED_TIME")::TIMESTAMP_NTZ AS "AT" FROM '
        f'TABLE({own}."INFORMATION_SCHEMA".TASK_HISTORY(SCHEDULED_TIME_RANGE_START => DATEADD(HOUR, -{HOURS_OF_HISTORY}, CURRENT_TIMESTAMP()), '
        f"SCHEDULED_TIME_RANGE_END => CURRENT_TIMESTAMP(), RESULT_LIMIT => {MOST_RUNS}, DATABASE_NAME => {names.literal(own)}, SCHEMA_NAME => 'TASKS')) "
        'WHERE "COMPLETED_TIME" IS NOT NULL ORDER BY "SCHEDULED_TIME" DESC'
    )
    try:
        rows = session.sql(text).collect()
    except SnowparkSQLException as error:
        log.warning("the history of the tasks cannot be read: %s", error)
        return None
    return [
        {"task": row["NAME"], "state": row["STATE"], "message": row["ERROR_MESSAGE"] or "", "at": text_of(row["AT"])}
        for row in rows
    ]


def text_of(time):
    """A time of Snowflake as text in UTC; None if there is none."""
    if time is None or isinstance(time, str):
        return time
    return f"{health.in_utc(time):%Y-%m-%dT%H:%M:%S.%f}Z"
