"""Jobs: the connector's own program in a container, once, until it ends."""

import json
import uuid
from dataclasses import dataclass

from snowflake.snowpark.exceptions import SnowparkSQLException

import names
import place
import pool
import references
import settings
from answers import MISSING, NOT_ALLOWED, Refusal, sentence, sql_failures
from spec import SPEC

SPECIFICATION = "/job.yaml"
CONTAINER = "connector"

# How many lines of a container's log are read to find why it has failed.
LOG_LINES = 200

# The status of a job that has ended well, and those of one that has ended otherwise. In any other one it has not ended.
DONE = "DONE"
FAILED = ("FAILED", "CANCELLED", "DELETED", "INTERNAL_ERROR")


@dataclass
class Job:
    """A job that has ended."""

    name: str
    failure: str  # Empty where Snowflake calls it done.
    output: str  # What is left of the container's log.

    def document(self):
        """The JSON document that the program has printed, or an empty one."""
        for line in reversed(self.output.splitlines()):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found
        start = self.output.find("{\n")
        try:
            found = json.loads(self.output[start:]) if start >= 0 else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def last_words(self):
        """Why it has failed, as far as Snowflake and the log tell."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return " — ".join([self.failure, *lines[-1:]])


def new_name():
    """A name for a job. It must be new, and may not be in quotes."""
    return "JOBS." + f"RUN_{uuid.uuid4().hex}".upper()


def run(session, database, arguments):
    """Runs the program with these arguments, and waits for its end. Raises where no container could be started."""
    job = new_name()
    failure = ""
    try:
        told = execute(session, database, job, arguments, waits=True)
        # The statement itself may succeed although the container has failed.
        if DONE not in told.upper():
            failure = told or "Snowflake does not say how the container has ended"
    except SnowparkSQLException as error:
        failure = sentence(error)
    ended = Job(job, failure, log(session, job))
    drop(session, job)
    return ended


def start(session, database, job, arguments):
    """Starts the program with these arguments and does not wait for it. Raises where no container could be started."""
    try:
        execute(session, database, job, arguments, waits=False)
    except SnowparkSQLException as error:
        raise Refusal("JOB_NOT_STARTED", f"the container could not be started: {sentence(error)}") from error


def execute(session, database, job, arguments, waits):
    """Executes a job, and gives what Snowflake answers. Raises what explains why no container was started."""
    bound = references.required(session)
    compute_pool = pool.name(session)
    secrets = [name for name in SPEC["secrets"] if name in bound]
    mounts = [
        {"snowflakeSecret": {"objectReference": name}, "directoryPath": f"/run/secrets/{name}"} for name in secrets
    ]
    # A container's own environment names a database and a schema, too: those of the app.
    args = ["--to", "snowflake", "--database", names.quoted(database), "--schema", "PUBLIC", "--json"]
    # The program sends a credential only to hosts that its call names: whoever can write to the destination decides none.
    for name, value in settings.load(session).settings.items():
        if isinstance(value, (str, list, dict)):
            args += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    for name in secrets:
        # The folder: which files Snowflake writes into it depends on the type of the secret.
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
        refusal = not_started(error, bound)
        if refusal:
            raise refusal from error
        raise
    return str(rows[0][0] or "") if rows else ""


def not_started(error, bound):
    """Why no container has run, of which there is no log then; None where one may have run."""
    told = sentence(error)
    if error.sql_error_code == NOT_ALLOWED:
        return Refusal("REQUIRED_PRIVILEGES_MISSING", f"the container could not be started: {told}")
    if "compute pool" in told.lower():
        return Refusal("COMPUTE_POOL_UNAVAILABLE", told)
    if error.sql_error_code in MISSING:
        return Refusal("JOB_NOT_STARTED", f"{told.rstrip('.')}; bound are {', '.join(bound)}", bound=bound)
    if "secret" in told.lower():
        wanted = "bind a secret of the type GENERIC_STRING"
        return Refusal("SECRET_UNAVAILABLE", f"{told.rstrip('.')}; {wanted}", bound=bound)
    return None


def states(session):
    """The status of every job that Snowflake still knows, by its name."""
    with sql_failures("UNKNOWN_SQL_ERROR", "the containers cannot be listed"):
        rows = session.sql(f"SHOW JOB SERVICES IN SCHEMA {place.inside(session, 'JOBS')}").collect()
    found = [row.as_dict() for row in rows]
    return {f"JOBS.{row['name']}": str(row["status"]).upper() for row in found}


def reason(session, job):
    """What Snowflake says of the containers of a job that does not do well; empty where it says nothing."""
    try:
        rows = session.sql(f"SHOW SERVICE CONTAINERS IN SERVICE {job}").collect()
    except SnowparkSQLException:
        return ""
    told = []
    for row in (row.as_dict() for row in rows):
        code = row.get("last_exit_code")
        parts = [row.get("message"), f"exit code {code}" if code not in (None, "", 0, "0") else None]
        told += [str(part) for part in parts if part]
    return ", ".join(told)


def drop(session, job):
    """Removes a job that has ended: an account has room for a limited number of services, and keeps jobs for weeks. Its log is in
    the event table; a job that remains is no failure of the run."""
    try:
        session.sql(f"DROP SERVICE IF EXISTS {job}").collect()
    except SnowparkSQLException:
        pass


def log(session, job):
    """The end of a container's log. There may be none any more: its node goes when it is idle."""
    text = f'SELECT SYSTEM$GET_SERVICE_LOGS(?, 0, ?, {LOG_LINES}) AS "LOG"'
    try:
        return session.sql(text, params=[job, CONTAINER]).collect()[0]["LOG"] or ""
    except SnowparkSQLException:
        return ""
