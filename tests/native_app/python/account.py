"""A Snowflake account for the app's Python: SQL over rows goes to a Snowflake server; what only an account has is imitated here.

Each statement of the second kind must match the whole of one pattern, written from Snowflake's documentation. One that matches none
goes to the server, which fails with a syntax error for those that it does not know.
"""

import json
import re
import threading

import installation
from snowflake.snowpark import Row
from snowflake.snowpark._internal.udf_utils import generate_call_python_sp_sql
from snowflake.snowpark.exceptions import SnowparkSQLException

PLAIN = "[A-Z_][A-Z0-9_$]*"
NAME = rf'(?:"(?:[^"]|"")+"|{PLAIN})'
TASK = rf"{NAME}\.\"TASKS\"\.(?P<task>{NAME})"
REFERENCE = r"reference\('(\w+)'\)"
NOT_ALLOWED = 3001


def refused(message, code=1003):
    """An error as Snowflake sends it."""
    return SnowparkSQLException(message, sql_error_code=code)


class JobFailed(Exception):
    """Raised by a job of a test: the container ends with an exit code that is not 0, after it has written `log`."""

    def __init__(self, message="Job failed with exit code 1", log=""):
        super().__init__(message)
        self.log = log


class Answer:
    """What a statement has given."""

    def __init__(self, rows):
        self.rows = rows

    def collect(self):
        return self.rows

    def to_pandas(self):
        import pandas

        return pandas.DataFrame([row.as_dict() for row in self.rows])


class Account:
    """What is in the account beside rows."""

    def __init__(self):
        # A page that is run anew may still have a statement under way, and the server takes one at a time of a session.
        self.turn = threading.RLock()
        self.roles, self.procedures, self.pages = set(), {}, set()
        self.tasks = {}
        self.started = []  # Tasks that were run by hand.
        self.pools = {}
        self.grants = set()
        self.readable = set()  # What data readers may read.
        self.bound = {}
        self.dropped = set()  # References whose object is gone.
        self.jobs = []  # The arguments of each.
        self.mounts = []  # The secrets of the newest.
        self.job = lambda account, args: ""  # What a job does; gives its log.
        self.logs = {}
        self.services = set()  # Jobs that were not dropped.
        self.faults = []
        self.task = None  # Within which task procedures are called.
        self.statements = []

    def fail(self, pattern, error=None, times=1, after=0):
        """Makes the next statements that begin like this fail, but for the first so many."""
        self.faults.append(
            {"pattern": re.compile(pattern), "error": error or refused("out of order"), "times": times, "after": after}
        )

    def fault(self, text):
        """Fails if this statement is to."""
        for fault in self.faults:
            if fault["pattern"].match(text) and fault["times"]:
                if fault["after"]:
                    fault["after"] -= 1
                    continue
                fault["times"] -= 1
                raise fault["error"]

    def running(self):
        """The tasks that run on schedule, with it."""
        return {name: task["schedule"] for name, task in self.tasks.items() if task["state"] == "started"}


class Session:
    """A Snowpark session of the app in such an account."""

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
        with self.session.account.turn:
            return self._run().collect()

    def to_pandas(self):
        with self.session.account.turn:
            return self._run().to_pandas()

    def _run(self):
        account, text = self.session.account, self.text
        account.statements.append(text)
        account.fault(text)
        for pattern, imitate in PATTERNS:
            match = re.fullmatch(pattern, text)
            if match:
                return Answer(imitate(self.session, match, self.params) or [])
        return self.session.real.sql(text, params=self.params)


def make_task(session, match, _):
    tasks, name = session.account.tasks, match["task"][1:-1]
    if tasks.get(name, {}).get("state") == "started":
        raise refused("Unable to update a task that is not suspended")
    # What is not said is unset.
    tasks[name] = {"schedule": match["schedule"], "call": match["call"], "state": "suspended", "largest": "XXLARGE"}


def alter_task(session, match, _):
    task = session.account.tasks.get(match["task"][1:-1])
    if task is None and not match["lenient"]:
        raise refused(f"Task {match['task']} does not exist or not authorized.", 2003)
    if task and match["what"] == "SUSPEND":
        task.update(state="suspended", reason="USER_SUSPENDED")
    elif task and match["what"] == "RESUME":
        task["state"] = "started"
    elif task:
        task["largest"] = match["largest"]


def drop_task(session, match, _):
    session.account.tasks.pop(match["task"][1:-1], None)


def execute_task(session, match, _):
    if match["task"][1:-1] not in session.account.tasks:
        raise refused(f"Task {match['task']} does not exist or not authorized.", 2003)
    session.account.started.append(match["task"][1:-1])


def show_tasks(session, _, __):
    tasks = session.account.tasks.items()
    return [
        Row(
            name=name,
            state=task["state"],
            last_suspended_reason=task.get("reason"),
            schedule=task["schedule"],
            definition=task["call"],
        )
        for name, task in tasks
    ]


def make_pool(session, match, _):
    session.account.pools.setdefault(match[1], match[0])


def run_job(session, match, _):
    account = session.account
    if match["pool"] not in account.pools:
        raise refused(f"Compute pool '{match['pool']}' does not exist or not authorized.", 2003)
    assert match["job"] not in account.logs, "a job's name must be new"
    args, secrets = json.loads(match["args"]), json.loads(match["secrets"])
    of_secrets = [secret["snowflakeSecret"]["objectReference"] for secret in secrets]
    for name in re.findall(REFERENCE, match[0]) + of_secrets:
        if not account.bound.get(name):
            raise refused(f"Reference '{name}' is not bound")
        if name in account.dropped:
            raise refused(f"Object '{account.bound[name]}' does not exist or not authorized.", 2003)
    account.jobs.append(args)
    account.mounts = secrets
    account.logs[match["job"]] = ""
    account.services.add(match["job"])
    try:
        account.logs[match["job"]] = account.job(account, args)
    except JobFailed as failure:
        account.logs[match["job"]] = failure.log
        raise refused(str(failure), 395070) from None
    return [Row(status=f"Job {match['job']} completed successfully with status DONE.")]


def drop_job(session, match, _):
    session.account.services.discard(match[1])


def grant(session, match, _):
    session.account.grants.add(match[1])


def grant_all(session, match, _):
    """Counts for what is there, and not for what is made later."""
    database, schema = match["database"], match["schema"]
    text = f"SELECT TABLE_NAME FROM {database}.INFORMATION_SCHEMA.{match['kinds']} WHERE TABLE_SCHEMA = ?"
    rows = session.real.sql(text, params=[schema[1:-1]]).collect()
    session.account.readable.update(f'{database}.{schema}."{row["TABLE_NAME"]}"' for row in rows)


def grant_future(_, __, ___):
    """An app cannot: its schemas are standard ones, in which this needs MANAGE GRANTS."""
    raise refused("Insufficient privileges: MANAGE GRANTS is required", NOT_ALLOWED)


def references(session, _, params):
    bound = session.account.bound
    objects = {name: {"alias": f"of {name}", "database": None, "schema": None, "name": bound[name]} for name in bound}
    found = [[objects[name]] if name in bound else [] for name in params]
    return [Row(**{f"R{index}": json.dumps(associations) for index, associations in enumerate(found)})]


def set_reference(session, _, params):
    session.account.bound[params[0]] = params[1]


def remove_reference(session, _, params):
    session.account.bound.pop(params[0], None)


def service_logs(session, _, params):
    if params[0] not in session.account.services:
        raise refused("no such service", 2003)
    return [Row(LOG=session.account.logs[params[0]])]


def task_name(session, _, __):
    if session.account.task is None:
        raise refused("SYSTEM$CURRENT_USER_TASK_NAME is called outside of a task")
    return [Row(TASK=session.account.task)]


GRANTEE = r"TO APPLICATION ROLE APP_(?:ADMIN|VIEWER|DATA_READER)"
PATTERNS = [
    *installation.PATTERNS,
    (
        rf"CREATE OR ALTER TASK {TASK} USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL' "
        r"SCHEDULE = '(?P<schedule>\d+ (?:SECONDS|MINUTE)|USING CRON (?:[0-9A-Z*,/#-]+ ){5}UTC)' "
        r"USER_TASK_TIMEOUT_MS = \d+ SUSPEND_TASK_AFTER_NUM_FAILURES = \d+ "
        r"AS (?P<call>CALL PUBLIC\.(?:RUN_ALL\(\)|INGEST_DATA\('(?:[^'\\]|'')+'\)))",
        make_task,
    ),
    (
        rf"ALTER TASK (?P<lenient>IF EXISTS )?{TASK} "
        r"(?P<what>SUSPEND|RESUME|SET SERVERLESS_TASK_MAX_STATEMENT_SIZE = '(?P<largest>XSMALL)')",
        alter_task,
    ),
    (rf"DROP TASK IF EXISTS {TASK}", drop_task),
    (rf"EXECUTE TASK {TASK}", execute_task),
    (rf"SHOW TASKS IN SCHEMA {NAME}\.\"TASKS\"", show_tasks),
    (
        rf"CREATE COMPUTE POOL IF NOT EXISTS ({PLAIN}) MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = \w+ "
        r"AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE AUTO_SUSPEND_SECS = \d+",
        make_pool,
    ),
    (
        rf"EXECUTE JOB SERVICE IN COMPUTE POOL (?P<pool>{PLAIN}) NAME = (?P<job>JOBS\.[A-Z][A-Z0-9_]{{1,60}}) ASYNC = FALSE "
        rf"QUERY_WAREHOUSE = {REFERENCE} (?:EXTERNAL_ACCESS_INTEGRATIONS = \({REFERENCE}\) )?"
        r"FROM SPECIFICATION_TEMPLATE_FILE = '/[\w.]+' "
        r"USING \(args => \$\$(?P<args>[^$]+)\$\$, secrets => \$\$(?P<secrets>[^$]+)\$\$\)",
        run_job,
    ),
    (r"DROP SERVICE IF EXISTS (JOBS\.[A-Z][A-Z0-9_]+)", drop_job),
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
    (r'SELECT SYSTEM\$GET_SERVICE_LOGS\(\?, 0, \?, \d+\) AS "LOG"', service_logs),
    (r'SELECT SYSTEM\$CURRENT_USER_TASK_NAME\(\) AS "TASK"', task_name),
]
