"""Compute pools and job services of the account, as Snowflake's documentation describes them."""

import json
import re
from dataclasses import dataclass, field

from snowflake.snowpark import Row
from snowflake.snowpark.exceptions import SnowparkSQLException

PLAIN = "[A-Z_][A-Z0-9_$]*"
JOB = r"JOBS\.[A-Z][A-Z0-9_]{1,60}"
REFERENCE = r"reference\('(\w+)'\)"
NOT_ALLOWED, MISSING, EXISTS = 3001, 2003, 2002


def refused(message, code=1003):
    """An error as Snowflake reports it."""
    return SnowparkSQLException(message, sql_error_code=code)


class JobFailed(Exception):
    """Raised by a test's job: the container writes `log` and exits with a nonzero code."""

    def __init__(self, message="Job failed with exit code 1", log="", code=1):
        super().__init__(message)
        self.log, self.code = log, code


@dataclass
class Pool:
    """A compute pool. It permanently belongs to one installation of one app."""

    application: str
    installation: int
    owner: str
    max_nodes: int
    family: str
    auto_suspend_secs: int
    state: str = "SUSPENDED"


@dataclass
class Service:
    """A job, with everything that Snowflake reports about it."""

    args: list
    secrets: list
    waits: bool
    status: str = "PENDING"
    log: str = ""
    message: str = ""
    code: int | None = None
    history: list = field(default_factory=list)

    def end(self, account):
        """Finishes it."""
        try:
            self.log = account.job(account, self.args)
            self.status, self.code = "DONE", 0
        except JobFailed as failure:
            self.log, self.status, self.code, self.message = failure.log, "FAILED", failure.code, str(failure)


def application(session):
    """The name of the app."""
    return session.account.application


def make_pool(session, match, _):
    account, name = session.account, match["pool"]
    if not (account.is_installed or account.grants_at_installation):
        raise refused("Insufficient privileges: CREATE COMPUTE POOL is required", NOT_ALLOWED)
    if name in account.pools:
        raise refused(f"Object '{name}' already exists.", EXISTS)
    app = application(session)
    account.pools[name] = Pool(
        app, account.installation, app, int(match["nodes"]), match["family"], int(match["seconds"])
    )


def is_own(session, pool):
    """Whether the app owns a pool; it cannot see any other."""
    return pool.owner == application(session) and pool.installation == session.account.installation


def show_pools(session, match, _):
    """Hides pools on which the app has no privilege."""
    return [
        Row(
            name=name,
            state=pool.state,
            min_nodes="1",
            max_nodes=str(pool.max_nodes),
            instance_family=pool.family,
            auto_suspend_secs=str(pool.auto_suspend_secs),
            owner=pool.owner,
            is_exclusive="true",
            application=pool.application,
        )
        for name, pool in session.account.pools.items()
        if name.startswith(match["start"]) and (is_own(session, pool) or name in session.account.visible_pools)
    ]


def alter_pool(session, match, _):
    pool = session.account.pools.get(match["pool"])
    if pool is None or not is_own(session, pool):
        raise refused(f"Compute pool '{match['pool']}' does not exist or not authorized.", MISSING)
    for option, value in re.findall(r"(\w+) = (\w+)", match["options"]):
        if option == "INSTANCE_FAMILY":
            if pool.state != "SUSPENDED":
                raise refused("INSTANCE_FAMILY can be altered only when the compute pool is suspended")
            pool.family = value
        elif option == "MAX_NODES":
            pool.max_nodes = int(value)
        else:
            pool.auto_suspend_secs = int(value)


def run_job(session, match, _):
    account, name = session.account, match["job"]
    pool = account.pools.get(match["pool"])
    if pool is None or pool.installation != account.installation:
        raise refused(f"Compute pool '{match['pool']}' does not exist or not authorized.", MISSING)
    assert name not in account.services, "a job's name must be unique"
    args, secrets = json.loads(match["args"]), json.loads(match["secrets"])
    of_secrets = [secret["snowflakeSecret"]["objectReference"] for secret in secrets]
    for reference in re.findall(REFERENCE, match[0]) + of_secrets:
        if not account.bound.get(reference):
            raise refused(f"Reference '{reference}' is not bound")
        if reference in account.dropped:
            raise refused(f"Object '{account.bound[reference]}' does not exist or not authorized.", MISSING)
    for reference in of_secrets:
        # Only a secret of this type must be allowed by the integration, whose dialog was configured to allow none.
        if account.secret_types.get(reference) == "OAUTH2":
            raise refused(f"The secret '{account.bound[reference]}' is not allowed by any external access integration", 395019)
    account.jobs.append(args)
    account.mounts = secrets
    service = account.services[name] = Service(args, secrets, match["waits"] == "FALSE")
    account.ran.append(service)
    if not service.waits:
        return [Row(status=f"Job {name} started successfully.")]
    service.end(account)
    if service.status == "DONE":
        return [Row(status=f"Job {name} completed successfully with status DONE.")]
    if account.tells_failures_in_rows:
        return [Row(status=f"Job {name} ended with status FAILED: {service.message}")]
    raise refused(service.message, 395070)


def drop_job(session, match, _):
    session.account.services.pop(match["job"], None)


def show_jobs(session, _, __):
    if session.account.ends_jobs:
        session.account.end_jobs()
    return [
        Row(name=name.removeprefix("JOBS."), status=service.status, is_async_job="false" if service.waits else "true")
        for name, service in session.account.services.items()
    ]


def show_containers(session, match, _):
    service = session.account.services.get(match["job"])
    if service is None:
        raise refused(f"Service '{match['job']}' does not exist or not authorized.", MISSING)
    return [
        Row(
            service_status=service.status,
            container_name="connector",
            status=service.status,
            message=service.message,
            last_exit_code=service.code,
        )
    ]


def service_logs(session, _, params):
    if params[0] not in session.account.services:
        raise refused("no such service", MISSING)
    return [Row(LOG=session.account.services[params[0]].log)]


PATTERNS = [
    (
        rf"CREATE COMPUTE POOL (?P<pool>{PLAIN}) MIN_NODES = 1 MAX_NODES = (?P<nodes>\d+) INSTANCE_FAMILY = (?P<family>\w+) "
        r"AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE AUTO_SUSPEND_SECS = (?P<seconds>\d+)",
        make_pool,
    ),
    (rf"SHOW COMPUTE POOLS STARTS WITH '(?P<start>{PLAIN})'", show_pools),
    (
        rf"ALTER COMPUTE POOL (?P<pool>{PLAIN}) SET "
        r"(?P<options>(?:(?:MAX_NODES|AUTO_SUSPEND_SECS) = \d+ ?|INSTANCE_FAMILY = \w+ ?)+)",
        alter_pool,
    ),
    (
        # The order of the parameters is fixed, and a job cannot be in a versioned schema.
        rf"EXECUTE JOB SERVICE IN COMPUTE POOL (?P<pool>{PLAIN}) NAME = (?P<job>{JOB}) ASYNC = (?P<waits>FALSE|TRUE) "
        rf"QUERY_WAREHOUSE = {REFERENCE} (?:EXTERNAL_ACCESS_INTEGRATIONS = \({REFERENCE}\) )?"
        r"FROM SPECIFICATION_TEMPLATE_FILE = '/[\w.]+' "
        r"USING \(args => \$\$(?P<args>[^$]+)\$\$, secrets => \$\$(?P<secrets>[^$]+)\$\$\)",
        run_job,
    ),
    (rf"DROP SERVICE IF EXISTS (?P<job>{JOB})", drop_job),
    (r'SHOW JOB SERVICES IN SCHEMA "(?:[^"]|"")+"\."JOBS"', show_jobs),
    (rf"SHOW SERVICE CONTAINERS IN SERVICE (?P<job>{JOB})", show_containers),
    (r'SELECT SYSTEM\$GET_SERVICE_LOGS\(\?, 0, \?, \d+\) AS "LOG"', service_logs),
]
