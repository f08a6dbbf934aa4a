"""The app's compute pool, on which its containers run."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import app_database
import names
import roles
from responses import EXISTS, ProcedureError, error_text
from spec import SPEC

# The maximum number of machines in a pool, a guard against typing errors: each machine costs credits.
MAX_NODES = 50

# The pool suspends after this many seconds without a container.
AUTO_SUSPEND_SECONDS = 60


def name(session):
    """The name of the app's compute pool: the app's name and a suffix. Raises INVALID_APPLICATION_NAME."""
    application = app_database.app_name(session)
    if not names.is_plain(application):
        quoted = names.quoted(application)
        raise ProcedureError(
            "INVALID_APPLICATION_NAME",
            f"the application's name {quoted} needs quotes, so it cannot have a compute pool: rename it to letters, digits "
            f"and underscores (ALTER APPLICATION {quoted} RENAME TO …), or choose the scheduler `outside`",
        )
    return f"{application}_POOL"


def ensure(session, max_nodes=1):
    """Creates or alters the compute pool. It is suspended, and costs nothing, while no job runs.

    Returns notes of what could not be done. Grants the administrators MONITOR and OPERATE, because they pay for the pool. Raises
    COMPUTE_POOL_UNAVAILABLE if a pool of this name belongs to another app.
    """
    own = name(session)
    notes = []
    found = find(session, own)
    if found is None:
        try:
            # Not IF NOT EXISTS: that also succeeds if the pool belongs to an app that was dropped.
            session.sql(
                f"CREATE COMPUTE POOL {own} MIN_NODES = 1 MAX_NODES = {max_nodes} INSTANCE_FAMILY = {SPEC['pool_family']} "
                f"AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE AUTO_SUSPEND_SECS = {AUTO_SUSPEND_SECONDS}"
            ).collect()
        except SnowparkSQLException as error:
            if error.sql_error_code != EXISTS:
                raise
            found = find(session, own)
            if found is None:
                raise foreign_pool_error(own) from error
    if found is not None:
        if str(found.get("application") or "") != app_database.app_name(session):
            raise foreign_pool_error(own)
        notes += change(session, own, found, max_nodes)
    return notes + roles.grant(session, [f"MONITOR, OPERATE ON COMPUTE POOL {own}"], roles.ADMIN)


def find(session, own):
    """The pool of this name, if the app may see it: it cannot see the pool of an app that was dropped."""
    rows = session.sql(f"SHOW COMPUTE POOLS STARTS WITH {names.literal(own)}").collect()
    return next((row for row in (row.as_dict() for row in rows) if row["name"] == own), None)


def foreign_pool_error(own):
    """The error for a pool that belongs to another app. It belongs to that app for as long as it exists."""
    return ProcedureError(
        "COMPUTE_POOL_UNAVAILABLE",
        f"the compute pool {own} belongs to another application, or to one that was dropped, and cannot be used again: "
        f"ALTER COMPUTE POOL {own} STOP ALL, DROP COMPUTE POOL {own}, then configure again",
    )


def change(session, own, found, max_nodes):
    """Alters a pool that differs. The instance family can be changed only while the pool is suspended."""
    wanted = {"MAX_NODES": str(max_nodes), "AUTO_SUSPEND_SECS": str(AUTO_SUSPEND_SECONDS)}
    changes = [f"{option} = {value}" for option, value in wanted.items() if str(found.get(option.lower())) != value]
    notes = []
    family = str(found.get("instance_family") or "").upper()
    if family != SPEC["pool_family"]:
        if str(found.get("state")).upper() == "SUSPENDED":
            changes.append(f"INSTANCE_FAMILY = {SPEC['pool_family']}")
        else:
            notes.append(f"the compute pool keeps the family {family}: to use {SPEC['pool_family']}, suspend it and configure again")
    if not changes:
        return notes
    try:
        session.sql(f"ALTER COMPUTE POOL {own} SET {' '.join(changes)}").collect()
    except SnowparkSQLException as error:
        notes.append(f"the compute pool was not changed: {', '.join(changes)} ({error_text(error)})")
    return notes
