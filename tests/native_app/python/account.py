"""A Snowflake account for the app's Python. SQL over rows goes to a Snowflake server; account objects are simulated here.

Each statement of the second kind must match the whole of one pattern, written from Snowflake's documentation. One that matches none
goes to the server, which fails with a syntax error for those that it does not know.
"""

import contextlib
import datetime
import json
import re
import threading

import installation
import rights
import services
from services import NOT_ALLOWED, JobFailed, refused  # noqa: F401
from snowflake.snowpark import Row
from snowflake.snowpark._internal.udf_utils import generate_call_python_sp_sql
from snowflake.snowpark.exceptions import SnowparkSQLException

PLAIN = services.PLAIN
NAME = rf'(?:"(?:[^"]|"")+"|{PLAIN})'
# Tasks are in an unversioned schema.
TASK = rf"{NAME}\.\"TASKS\"\.(?P<task>{NAME})"


class Answer:
    """The result of a statement."""

    def __init__(self, rows):
        self.rows = rows

    def collect(self):
        return self.rows

    def to_pandas(self):
        import pandas

        return pandas.DataFrame([row.as_dict() for row in self.rows])


class Account:
    """The account's objects, apart from rows."""

    def __init__(self):
        # A rerun page may still have an active statement, and the server runs one at a time per session.
        self.lock = threading.RLock()
        self.roles, self.procedures, self.blocks, self.pages = set(), {}, {}, set()
        self.tasks = {}
        self.task_runs = []  # The newest last.
        self.views = {}  # Views that are not created yet, by name.
        self.application, self.installation = None, 0
        self.pools = {}
        self.visible_pools = set()  # Pools of others, on which the app has a grant.
        self.grants = set()
        self.readable = set()  # What data readers may read.
        self.bound = {}
        self.dropped = set()  # References whose object is gone.
        self.secret_types = {}  # Only of secrets whose type is not GENERIC_STRING.
        self.unknown_objects = set()  # Objects to which no reference can be set.
        self.jobs = []  # The arguments of each.
        self.mounts = []  # The secrets of the newest.
        self.job = lambda account, args: ""  # What a job does; returns its log.
        self.tells_failures_in_rows = False
        self.ends_jobs = False  # Whether jobs have always ended by the time they are checked.
        self.services = {}  # Jobs that were not dropped.
        self.ran = []  # All jobs.
        self.faults = []
        self.has_warehouse = True
        self.is_installing = False  # The setup script is running.
        self.is_installed = False
        self.grants_at_installation = False  # Whether the privileges of the manifest are granted before the setup script runs.
        self.statements = []

    def end_jobs(self):
        """Finishes every active job."""
        for service in list(self.services.values()):
            if service.status in ("PENDING", "RUNNING"):
                service.end(self)

    def fail(self, pattern, error=None, times=1, after=0):
        """Fails the next `times` statements that match `pattern`, after the first `after` ones."""
        self.faults.append(
            {"pattern": re.compile(pattern), "error": error or refused("out of order"), "times": times, "after": after}
        )

    def fault(self, text):
        """Raises the error planned for a statement, if any."""
        for fault in self.faults:
            if fault["pattern"].match(text) and fault["times"]:
                if fault["after"]:
                    fault["after"] -= 1
                    continue
                fault["times"] -= 1
                raise fault["error"]

    def run_task(self, session, name):
        """Runs a task once, as on schedule, and returns its error, if any."""
        task, begun = self.tasks[name], datetime.datetime.now(datetime.UTC)
        error = task.get("broken")  # Raised before the task's statement runs.
        try:
            if error is None:
                session.sql(task["call"]).collect()
        except SnowparkSQLException as failure:
            error = failure
        run = {"NAME": name, "STATE": "SUCCEEDED" if error is None else "FAILED", "ERROR_MESSAGE": error and str(error), "AT": begun}
        self.task_runs.append(run)
        failed = [one["STATE"] != "SUCCEEDED" for one in self.task_runs if one["NAME"] == name]
        most = task["most_failures"]
        if most and len(failed) >= most and all(failed[-most:]):
            run["STATE"] = "FAILED_AND_AUTO_SUSPENDED"
            task.update(state="suspended", reason="SUSPENDED_DUE_TO_ERRORS", suspended=begun)
        return error

    def create_views(self, real, text):
        """Creates the views that a statement reads. Creating all of them for each test would take longer than the tests."""
        read = {name for name in self.views if f'"VIEWS"."{name}"' in text} if '"VIEWS"."' in text else set()
        read |= set(self.views) if "INFORMATION_SCHEMA" in text else set()
        for name, definition in [(name, self.views.pop(name)) for name in list(self.views) if name in read]:
            self.create_views(real, definition)
            real.sql(definition).collect()

    def running(self):
        """The started tasks, with their schedules."""
        return {name: task["schedule"] for name, task in self.tasks.items() if task["state"] == "started"}


class Session:
    """A Snowpark session of the app in an `Account`."""

    def __init__(self, account, real):
        self.account = account
        self.real = real

    def sql(self, text, params=None):
        return Lazy(self, text, params or [])

    def call(self, name, *arguments):
        """Calls a procedure as Snowpark does, which writes each argument into the statement by its type in Python."""
        return self.sql(generate_call_python_sp_sql(self.real, name, *arguments)).collect()[0][0]


class Lazy:
    """A statement that has not run yet."""

    def __init__(self, session, text, params):
        self.session, self.text, self.params = session, text, params

    def collect(self):
        with self.session.account.lock, with_snowflakes_codes():
            return self._run().collect()

    def to_pandas(self):
        with self.session.account.lock, with_snowflakes_codes():
            return self._run().to_pandas()

    def _run(self):
        account, text = self.session.account, self.text
        account.statements.append(text)
        account.fault(text)
        if not account.is_installing:
            rights.check(text)
        for pattern, imitate in PATTERNS:
            match = re.fullmatch(pattern, text)
            if match:
                return Answer(imitate(self.session, match, self.params) or [])
        created = re.match(r'CREATE OR REPLACE VIEW "(?:[^"]|"")+"\."VIEWS"\."(\w+)" AS ', text)
        if created:
            account.views.pop(created[1], None)
            account.views[created[1]] = text
            return Answer([])
        account.create_views(self.session.real, text)
        return self.session.real.sql(text, params=self.params)


@contextlib.contextmanager
def with_snowflakes_codes():
    """Gives a reference to a missing column its code; the server reports it as a missing object."""
    try:
        yield
    except SnowparkSQLException as error:
        column = re.search(r'Binder Error: (?:Referenced column|Table ".*" does not have a column named) "(\w+)"', str(error))
        if column:
            raise refused(f"SQL compilation error: invalid identifier '\"{column[1]}\"'", 904) from error
        raise


def make_task(session, match, _):
    tasks, name = session.account.tasks, match["task"][1:-1]
    if tasks.get(name, {}).get("state") == "started":
        raise refused("Unable to update a task that is not suspended")
    # The lower limit applies; if one is missing, the account's does.
    assert int(match["statement"]) * 1000 == int(match["task_ms"]) > 0
    # A missing property is unset.
    tasks[name] = {
        "schedule": match["schedule"],
        "call": match["call"],
        "comment": match["comment"],
        "state": "suspended",
        "most_failures": int(match["most_failures"]),
        "largest": "XXLARGE",
        "timeout": int(match["statement"]),
        "monitors": set(),
    }


def alter_task(session, match, _):
    task = session.account.tasks.get(match["task"][1:-1])
    if task is None and not match["lenient"]:
        raise refused(f"Task {match['task']} does not exist or not authorized.", 2003)
    if task and match["what"] == "SUSPEND":
        task.update(state="suspended", reason="USER_SUSPENDED", suspended=datetime.datetime.now(datetime.UTC))
    elif task and match["what"] == "RESUME":
        task["state"] = "started"
    elif task:
        task["largest"] = match["largest"]


def drop_task(session, match, _):
    session.account.tasks.pop(match["task"][1:-1], None)


def show_tasks(session, _, __):
    tasks = session.account.tasks.items()
    return [
        Row(
            name=name,
            state=task["state"],
            last_suspended_on=task.get("suspended"),
            last_suspended_reason=task.get("reason"),
            schedule=task["schedule"],
            definition=task["call"],
            comment=task.get("comment"),
        )
        for name, task in tasks
    ]


def task_history(session, match, _):
    """The runs of the app's own tasks, the newest first."""
    assert match["database"] == session.account.application
    return [Row(**{**run, "AT": run["AT"].replace(tzinfo=None)}) for run in reversed(session.account.task_runs)]


def monitor_task(session, match, _):
    session.account.tasks[match["task"][1:-1]]["monitors"].add(match["role"])


def grant(session, match, _):
    session.account.grants.add(match[1])


def grant_all(session, match, _):
    """Affects existing objects only."""
    database, schema = match["database"], match["schema"]
    text = f"SELECT TABLE_NAME FROM {database}.INFORMATION_SCHEMA.{match['kinds']} WHERE TABLE_SCHEMA = ?"
    rows = session.real.sql(text, params=[schema[1:-1]]).collect()
    session.account.readable.update(f'{database}.{schema}."{row["TABLE_NAME"]}"' for row in rows)


def grant_future(_, __, ___):
    """Always fails: in an app's standard schemas this needs MANAGE GRANTS."""
    raise refused("Insufficient privileges: MANAGE GRANTS is required", NOT_ALLOWED)


def references(session, _, params):
    bound = session.account.bound
    objects = {name: {"alias": f"of {name}", "database": None, "schema": None, "name": bound[name]} for name in bound}
    found = [[objects[name]] if name in bound else [] for name in params]
    return [Row(**{f"R{index}": json.dumps(associations) for index, associations in enumerate(found)})]


def set_reference(session, _, params):
    if params[1] in session.account.unknown_objects:
        raise refused("The reference is invalid: the object does not exist or is not authorized", 505028)
    session.account.bound[params[0]] = params[1]


def remove_reference(session, _, params):
    session.account.bound.pop(params[0], None)


GRANTEE = r"TO APPLICATION ROLE APP_(?:ADMIN|VIEWER|DATA_READER)"
PATTERNS = [
    *installation.PATTERNS,
    *services.PATTERNS,
    (
        rf"CREATE OR ALTER TASK {TASK} USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL' "
        r"SCHEDULE = '(?P<schedule>\d+ (?:SECONDS|MINUTE)|USING CRON (?:[0-9A-Z*,/#-]+ ){5}UTC)' "
        r"STATEMENT_TIMEOUT_IN_SECONDS = (?P<statement>\d+) USER_TASK_TIMEOUT_MS = (?P<task_ms>\d+) "
        r"SUSPEND_TASK_AFTER_NUM_FAILURES = (?P<most_failures>\d+) COMMENT = '(?P<comment>[^']*)' "
        r"AS (?P<call>CALL PUBLIC\.RUN_SCHEDULE\('(?:[^'\\]|'')+'\))",
        make_task,
    ),
    (
        rf"ALTER TASK (?P<lenient>IF EXISTS )?{TASK} "
        r"(?P<what>SUSPEND|RESUME|SET SERVERLESS_TASK_MAX_STATEMENT_SIZE = '(?P<largest>XSMALL)')",
        alter_task,
    ),
    (rf"DROP TASK IF EXISTS {TASK}", drop_task),
    (rf"SHOW TASKS IN SCHEMA {NAME}\.\"TASKS\"", show_tasks),
    (
        r'SELECT "NAME", "STATE", "ERROR_MESSAGE", CONVERT_TIMEZONE\(\'UTC\', "COMPLETED_TIME"\)::TIMESTAMP_NTZ AS "AT" FROM '
        rf'TABLE\({NAME}\."INFORMATION_SCHEMA"\.TASK_HISTORY\(SCHEDULED_TIME_RANGE_START => DATEADD\(HOUR, -167, CURRENT_TIMESTAMP\(\)\), '
        r"SCHEDULED_TIME_RANGE_END => CURRENT_TIMESTAMP\(\), RESULT_LIMIT => 1000, DATABASE_NAME => '\"(?P<database>[^']+)\"', "
        r"SCHEMA_NAME => 'TASKS'\)\) WHERE \"COMPLETED_TIME\" IS NOT NULL ORDER BY \"SCHEDULED_TIME\" DESC",
        task_history,
    ),
    (rf"GRANT MONITOR ON TASK {TASK} TO APPLICATION ROLE (?P<role>APP_ADMIN)", monitor_task),
    (rf"GRANT (MONITOR, OPERATE ON COMPUTE POOL {PLAIN} TO APPLICATION ROLE APP_ADMIN)", grant),
    (rf"GRANT (USAGE ON DATABASE {NAME} {GRANTEE})", grant),
    (rf"GRANT (USAGE ON SCHEMA {NAME}\.{NAME} {GRANTEE})", grant),
    (
        rf"GRANT SELECT ON ALL (?P<kinds>VIEWS|TABLES) IN SCHEMA (?P<database>{NAME})\.(?P<schema>{NAME}) "
        r"TO APPLICATION ROLE APP_DATA_READER",
        grant_all,
    ),
    (rf"GRANT SELECT ON FUTURE (?:VIEWS|TABLES) IN SCHEMA {NAME}\.{NAME} {GRANTEE}", grant_future),
    (rf"GRANT (SELECT ON VIEW {NAME}\.{NAME}\.{NAME} {GRANTEE})", grant),
    (r'SELECT (?:SYSTEM\$GET_ALL_REFERENCES\(\?, TRUE\) AS "R\d+"(?:, )?)+', references),
    (r"SELECT SYSTEM\$SET_REFERENCE\(\?, \?\)", set_reference),
    (r"SELECT SYSTEM\$REMOVE_REFERENCE\(\?\)", remove_reference),
]
