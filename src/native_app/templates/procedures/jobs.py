"""Jobs: the connector's own program in a container, once, until it ends."""

import json
import uuid
from dataclasses import dataclass

from snowflake.snowpark.exceptions import SnowparkSQLException

import names
import place
import references
import roles
from answers import MISSING, NOT_ALLOWED, Refusal, sentence
from spec import SPEC

SPECIFICATION = "/job.yaml"
CONTAINER = "connector"

# How many lines of a container's log are looked at for its last words.
LOG_LINES = 200


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
        """Why it has failed, as far as anybody knows."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return " — ".join([self.failure, *lines[-1:]])


def pool(session):
    """The name of the app's compute pool, which begins with the app's. Raises INVALID_APPLICATION_NAME."""
    application = place.application(session)
    if not names.is_plain(application):
        name = names.quoted(application)
        raise Refusal(
            "INVALID_APPLICATION_NAME",
            f"the application is called {name}; with a name in quotes it can have no compute pool: rename it to letters, digits "
            f"and underscores (ALTER APPLICATION {name} RENAME TO …), or choose the scheduler `outside`",
        )
    return f"{application}_POOL"


def make_pool(session):
    """Makes the compute pool where it is missing. It stands still, and costs nothing, while there is no job. Gives back what
    could not be granted: whoever pays for the pool is to see it, and may suspend it."""
    name = pool(session)
    session.sql(
        f"CREATE COMPUTE POOL IF NOT EXISTS {name} MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = {SPEC['pool_family']} "
        "AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE AUTO_SUSPEND_SECS = 60"
    ).collect()
    return roles.grant(session, [f"MONITOR, OPERATE ON COMPUTE POOL {name}"], roles.ADMIN)


def run(session, database, arguments):
    """Runs the program with these arguments, and waits for its end. Raises where no container could be started."""
    bound = references.required(session)
    secrets = [name for name in SPEC["secrets"] if name in bound]
    mounts = [
        {"snowflakeSecret": {"objectReference": name}, "directoryPath": f"/run/secrets/{name}"} for name in secrets
    ]
    # A container's own environment names a database and a schema, too: those of the app.
    args = ["--to", "snowflake", "--database", names.quoted(database), "--schema", "PUBLIC", "--json"]
    for name in secrets:
        args += ["--set", f"{name}=file:/run/secrets/{name}/secret_string"]
    # Its name must be new, and may not be in quotes.
    job = "JOBS." + f"RUN_{uuid.uuid4().hex}".upper()
    access = ""
    if references.EXTERNAL_ACCESS in bound:
        access = f"EXTERNAL_ACCESS_INTEGRATIONS = (reference('{references.EXTERNAL_ACCESS}')) "
    text = (
        f"EXECUTE JOB SERVICE IN COMPUTE POOL {pool(session)} NAME = {job} ASYNC = FALSE "
        f"QUERY_WAREHOUSE = reference('{references.WAREHOUSE}') {access}"
        f"FROM SPECIFICATION_TEMPLATE_FILE = '{SPECIFICATION}' "
        f"USING (args => {names.json_text(json.dumps(args + arguments))}, secrets => {names.json_text(json.dumps(mounts))})"
    )
    failure = ""
    try:
        session.sql(text).collect()
    except SnowparkSQLException as error:
        refusal = not_started(error, bound)
        if refusal:
            raise refusal from error
        failure = sentence(error)
    ended = Job(job, failure, log(session, job))
    drop(session, job)
    return ended


def not_started(error, bound):
    """Why no container has run, of which there is no log then; None where one may have run."""
    told = sentence(error)
    if error.sql_error_code == NOT_ALLOWED:
        return Refusal("REQUIRED_PRIVILEGES_MISSING", f"the container could not be started: {told}")
    if "compute pool" in told.lower():
        return Refusal("COMPUTE_POOL_UNAVAILABLE", told)
    if error.sql_error_code in MISSING:
        return Refusal("JOB_NOT_STARTED", f"{told.rstrip('.')}; bound are {', '.join(bound)}", bound=bound)
    return None


def drop(session, job):
    """Removes a job that has ended: an account has room for so many services, and keeps jobs for weeks. Its log is in the event
    table; what remains is no failure of the run."""
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
