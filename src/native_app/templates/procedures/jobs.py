"""Jobs: one run of the connector's program in a container."""

import json
import uuid
from dataclasses import dataclass

from snowflake.snowpark.exceptions import SnowparkSQLException

import app_database
import names
import pool
import references
import settings
from responses import MISSING, NOT_ALLOWED, ProcedureError, error_text, wrap_sql_errors
from spec import SPEC

SPECIFICATION = "/job.yaml"
CONTAINER = "connector"
DECODER = json.JSONDecoder()

# How many lines of a failed container's log are read.
LOG_LINES = 200

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


def run(session, database, arguments):
    """Runs the program with these arguments and waits for its end. Raises if no container could be started."""
    job = new_name()
    failure = ""
    try:
        message = execute(session, database, job, arguments, waits=True)
        # The statement may succeed although the container failed.
        if DONE not in message.upper():
            failure = message or "Snowflake does not report the container's exit status"
    except SnowparkSQLException as error:
        failure = error_text(error)
    ended = Job(job, failure, log(session, job))
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
    bound = references.required(session)
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
        explanation = start_error(error, bound)
        if explanation:
            raise explanation from error
        raise
    return str(rows[0][0] or "") if rows else ""


def start_error(error, bound):
    """The error if no container ran, so that there is no log; None if one may have run."""
    message = error_text(error)
    if error.sql_error_code == NOT_ALLOWED:
        return ProcedureError("REQUIRED_PRIVILEGES_MISSING", f"the container could not be started: {message}")
    if "compute pool" in message.lower():
        return ProcedureError("COMPUTE_POOL_UNAVAILABLE", message)
    if error.sql_error_code in MISSING:
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


def drop(session, job):
    """Drops a finished job: an account can hold a limited number of services and keeps jobs for weeks. Its log stays in the event
    table. An error is ignored."""
    try:
        session.sql(f"DROP SERVICE IF EXISTS {job}").collect()
    except SnowparkSQLException:
        pass


def log(session, job):
    """The end of a container's log; empty if its node is already gone."""
    text = f'SELECT SYSTEM$GET_SERVICE_LOGS(?, 0, ?, {LOG_LINES}) AS "LOG"'
    try:
        return session.sql(text, params=[job, CONTAINER]).collect()[0]["LOG"] or ""
    except SnowparkSQLException:
        return ""
