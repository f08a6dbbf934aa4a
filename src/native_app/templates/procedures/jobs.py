"""Jobs: one run of the connector's program in a container."""

import json
import re
import uuid
from dataclasses import dataclass

from snowflake.snowpark.exceptions import SnowparkSQLException

import app_database
import names
import pool
import references
import settings
import store
from responses import MISSING, NOT_ALLOWED, ProcedureError, error_text, ok, redact, wrap_sql_errors
from spec import SPEC

SPECIFICATION = "/job.yaml"
CONTAINER = "connector"
DECODER = json.JSONDecoder()

# How many lines of a failed container's log are read.
LOG_LINES = 200

# How many characters of such a log are kept.
LONGEST_LOG = 100_000

# The name of a job.
NAME = re.compile(r"JOBS\.RUN_[0-9A-F]{32}")

# The status of a job that succeeded, and those of a job that failed. In any other status the job is not finished.
DONE = "DONE"
FAILED = ("FAILED", "CANCELLED", "DELETED", "INTERNAL_ERROR")


@dataclass
class Job:
    """A finished job."""

    name: str
    failure: str  # Empty if Snowflake reports DONE.
    output: str  # The end of the container's log.

    def document(self):
        """The last document that the program printed, or an empty one. A log mixes both streams, so other lines may surround it."""
        lines = self.output.splitlines()
        for start in reversed(range(len(lines))):
            if not lines[start].startswith("{"):
                continue
            try:
                found, _ = DECODER.raw_decode("\n".join(lines[start:]))
            except ValueError:
                continue
            if "schema_version" in found:
                return found
        return {}

    def failure_summary(self):
        """Why it failed, from Snowflake and the last line of the log."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return " — ".join([self.failure, *lines[-1:]])


def new_name():
    """A unique name for a job that needs no quotes."""
    return "JOBS." + f"RUN_{uuid.uuid4().hex}".upper()


def run(session, database, arguments, lines=LOG_LINES):
    """Runs the program with these arguments and waits for its end. Raises if no container could be started. `lines` of its log are read."""
    job = new_name()
    failure = ""
    try:
        message = execute(session, database, job, arguments, waits=True)
        # The statement may succeed although the container failed.
        if DONE not in message.upper():
            failure = message or "Snowflake does not report the container's exit status"
    except SnowparkSQLException as error:
        failure = error_text(error)
    ended = Job(job, failure, log(session, job, lines))
    drop(session, job)
    return ended


def start(session, database, job, arguments):
    """Starts the program with these arguments and does not wait for it. Raises if no container could be started."""
    try:
        execute(session, database, job, arguments, waits=False)
    except SnowparkSQLException as error:
        raise ProcedureError("JOB_NOT_STARTED", f"the container could not be started: {error_text(error)}") from error


def execute(session, database, job, arguments, waits):
    """Executes a job and returns Snowflake's message. Raises an explanation if no container was started."""
    objects = references.required(session)
    bound = list(objects)
    compute_pool = pool.name(session)
    secrets = [name for name in SPEC["secrets"] if name in bound]
    mounts = [
        {"snowflakeSecret": {"objectReference": name}, "directoryPath": f"/run/secrets/{name}"} for name in secrets
    ]
    # The container's environment names the app's database and schema; these arguments override them.
    args = ["--to", "snowflake", "--database", names.quoted(database), "--schema", "PUBLIC", "--json"]
    # The program sends credentials only to hosts from its arguments, so settings in the destination cannot redirect them.
    configuration = settings.load(session)
    for name, value in configuration.options.items():
        args.append(f"--{name.replace('_', '-')}={value if isinstance(value, str) else json.dumps(value)}")
    for name, value in configuration.settings.items():
        if isinstance(value, (str, list, dict)):
            args += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    for name in secrets:
        # A folder: the files that Snowflake writes into it depend on the type of the secret.
        args += ["--set", f"{name}=file:/run/secrets/{name}"]
    access = ""
    if references.EXTERNAL_ACCESS in bound:
        access = f"EXTERNAL_ACCESS_INTEGRATIONS = (reference('{references.EXTERNAL_ACCESS}')) "
    text = (
        f"EXECUTE JOB SERVICE IN COMPUTE POOL {compute_pool} NAME = {job} ASYNC = {'FALSE' if waits else 'TRUE'} "
        f"QUERY_WAREHOUSE = reference('{references.WAREHOUSE}') {access}"
        f"FROM SPECIFICATION_TEMPLATE_FILE = '{SPECIFICATION}' "
        f"USING (args => {names.json_text(json.dumps(args + arguments))}, secrets => {names.json_text(json.dumps(mounts))})"
    )
    try:
        rows = session.sql(text).collect()
    except SnowparkSQLException as error:
        explanation = start_error(error, objects)
        if explanation:
            raise explanation from error
        raise
    return str(rows[0][0] or "") if rows else ""


def start_error(error, objects):
    """The error if no container ran, so that there is no log; None if one may have run. `objects` are those of the bound references."""
    message, bound = error_text(error), list(objects)
    if error.sql_error_code == NOT_ALLOWED:
        return ProcedureError("REQUIRED_PRIVILEGES_MISSING", f"the container could not be started: {message}")
    if "compute pool" in message.lower():
        return ProcedureError("COMPUTE_POOL_UNAVAILABLE", message)
    if error.sql_error_code in MISSING:
        for reference, name in objects.items():
            if name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message):
                code = references.known()[reference][1]
                return ProcedureError(code, f"{message.rstrip('.')}; it is bound to {reference}", bound=bound)
        return ProcedureError("JOB_NOT_STARTED", f"{message.rstrip('.')}; bound references: {', '.join(bound)}", bound=bound)
    if "secret" in message.lower():
        wanted = "bind a secret of type GENERIC_STRING"
        return ProcedureError("SECRET_UNAVAILABLE", f"{message.rstrip('.')}; {wanted}", bound=bound)
    return None


def states(session):
    """The status of every job that Snowflake still lists, by name."""
    with wrap_sql_errors("UNKNOWN_SQL_ERROR", "the containers cannot be listed"):
        rows = session.sql(f"SHOW JOB SERVICES IN SCHEMA {app_database.app_object(session, 'JOBS')}").collect()
    found = [row.as_dict() for row in rows]
    return {f"JOBS.{row['name']}": str(row["status"]).upper() for row in found}


def reason(session, job):
    """Snowflake's message about the containers of a failed job; empty if there is none."""
    try:
        rows = session.sql(f"SHOW SERVICE CONTAINERS IN SERVICE {job}").collect()
    except SnowparkSQLException:
        return ""
    message = []
    for row in (row.as_dict() for row in rows):
        code = row.get("last_exit_code")
        parts = [row.get("message"), f"exit code {code}" if code not in (None, "", 0, "0") else None]
        message += [str(part) for part in parts if part]
    return ", ".join(message)


def keep_log(session, job):
    """Keeps the end of the log of a container that has failed: Snowflake forgets it with the container."""
    found = log(session, job)
    if found:
        store.log_store(session).put(job, {"log": redact(found)[-LONGEST_LOG:]})


def read_log(session, job, lines):
    """The last lines of the log of a container."""
    lines = int(lines)
    if not 1 <= lines <= LOG_LINES:
        raise ProcedureError("INVALID_INPUT", f"the number of lines must be from 1 to {LOG_LINES}")
    if not isinstance(job, str) or not NAME.fullmatch(job):
        raise ProcedureError("INVALID_INPUT", "this is not the name of a job, such as that in the view RUN_HISTORY")
    kept = store.log_store(session).get(job)
    found = redact(log(session, job)) if kept is None else str(kept.get("log") or "")
    message = "" if found else "there is no log: the container has ended well, or its log was lost with its machine"
    return ok(message, job=job, log="\n".join(found.splitlines()[-lines:]))


def drop(session, job):
    """Drops a finished job: an account can hold a limited number of services and keeps jobs for weeks. Its log stays in the event
    table. An error is ignored."""
    try:
        session.sql(f"DROP SERVICE IF EXISTS {job}").collect()
    except SnowparkSQLException:
        pass


def log(session, job, lines=LOG_LINES):
    """The end of a container's log, of which Snowflake returns at most 100 KB; empty if its node is already gone."""
    text = f'SELECT SYSTEM$GET_SERVICE_LOGS(?, 0, ?, {lines}) AS "LOG"'
    try:
        return session.sql(text, params=[job, CONTAINER]).collect()[0]["LOG"] or ""
    except SnowparkSQLException:
        return ""
