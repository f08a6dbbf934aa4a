"""The app's compute pool: the machines that its containers run on."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import names
import place
import roles
from answers import EXISTS, Refusal, sentence
from spec import SPEC

# How many machines a pool may have at most. More are rarely meant, and each is paid for.
MOST_NODES = 50

# After how many seconds without a container the machines are given back.
SUSPENDS_AFTER = 60


def name(session):
    """The name of the app's compute pool, which begins with the app's. Raises INVALID_APPLICATION_NAME."""
    application = place.application(session)
    if not names.is_plain(application):
        quoted = names.quoted(application)
        raise Refusal(
            "INVALID_APPLICATION_NAME",
            f"the application is called {quoted}; with a name in quotes it can have no compute pool: rename it to letters, digits "
            f"and underscores (ALTER APPLICATION {quoted} RENAME TO …), or choose the scheduler `outside`",
        )
    return f"{application}_POOL"


def make(session, max_nodes=1):
    """Makes the compute pool, or changes the one there is. It stands still, and costs nothing, while there is no job.

    Gives back what could not be done: whoever pays for the pool is to see it, and may suspend it. Raises COMPUTE_POOL_UNAVAILABLE
    where the name belongs to a pool that is not this app's.
    """
    own = name(session)
    notes = []
    found = find(session, own)
    if found is None:
        try:
            # Without IF NOT EXISTS, which succeeds on the pool of an app that was dropped, too.
            session.sql(
                f"CREATE COMPUTE POOL {own} MIN_NODES = 1 MAX_NODES = {max_nodes} INSTANCE_FAMILY = {SPEC['pool_family']} "
                f"AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE AUTO_SUSPEND_SECS = {SUSPENDS_AFTER}"
            ).collect()
        except SnowparkSQLException as error:
            if error.sql_error_code != EXISTS:
                raise
            found = find(session, own)
            if found is None:
                raise foreign(own) from error
    if found is not None:
        if str(found.get("application") or "") != place.application(session):
            raise foreign(own)
        notes += change(session, own, found, max_nodes)
    return notes + roles.grant(session, [f"MONITOR, OPERATE ON COMPUTE POOL {own}"], roles.ADMIN)


def find(session, own):
    """The pool of this name, as far as the app may see it: it sees none of an app that was dropped."""
    rows = session.sql(f"SHOW COMPUTE POOLS STARTS WITH {names.literal(own)}").collect()
    return next((row for row in (row.as_dict() for row in rows) if row["name"] == own), None)


def foreign(own):
    """Why a pool of this name cannot be used: it is bound to another app for as long as it exists."""
    return Refusal(
        "COMPUTE_POOL_UNAVAILABLE",
        f"the compute pool {own} belongs to another application, or to one that was dropped, and cannot be used again: "
        f"ALTER COMPUTE POOL {own} STOP ALL, DROP COMPUTE POOL {own}, then configure again",
    )


def change(session, own, found, max_nodes):
    """Makes a pool as it is to be. The family of its machines can be changed only while it is suspended."""
    wanted = {"MAX_NODES": str(max_nodes), "AUTO_SUSPEND_SECS": str(SUSPENDS_AFTER)}
    changes = [f"{option} = {value}" for option, value in wanted.items() if str(found.get(option.lower())) != value]
    notes = []
    family = str(found.get("instance_family") or "").upper()
    if family != SPEC["pool_family"]:
        if str(found.get("state")).upper() == "SUSPENDED":
            changes.append(f"INSTANCE_FAMILY = {SPEC['pool_family']}")
        else:
            notes.append(f"the compute pool stays with {family}: to use {SPEC['pool_family']}, suspend it and configure again")
    if not changes:
        return notes
    try:
        session.sql(f"ALTER COMPUTE POOL {own} SET {' '.join(changes)}").collect()
    except SnowparkSQLException as error:
        notes.append(f"the compute pool was not changed: {', '.join(changes)} ({sentence(error)})")
    return notes
