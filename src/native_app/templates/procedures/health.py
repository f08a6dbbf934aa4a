"""What the views of health need and SQL cannot find out: when schedules are due, which resources cannot be used, and what keeps every run
from starting. The procedures store it; the views compute health from it."""

from datetime import UTC, datetime

import due_times
import store

# The keys of the app's configuration.
FACTS, BLOCKED, SETUP, PAUSED = "health", "blocked", "setup", "paused"


def record_facts(session, configuration, resources):
    """Stores when the schedules in use are due, and the problems of resources."""
    facts = store.app_store(session).get(FACTS) or {}
    known = facts.get("schedules") if isinstance(facts.get("schedules"), dict) else {}
    stored = {row.get("schedule") for row in resources.rows.values()} | {configuration.schedule}
    schedules = due_times.described({text for text in stored if isinstance(text, str)}, known, due_times.today())
    put(session, FACTS, {"schedules": schedules, "problems": dict(sorted(resources.problems.items()))}, facts)


def put(session, key, value, before):
    """Stores a value if it has changed; None removes it."""
    if (value or None) != (before or None):
        store.app_store(session).restore(key, value)


def blocked(session):
    """What keeps every run from starting, as it was last found; None if nothing does."""
    return store.app_store(session).get(BLOCKED) or None


def block(session, found):
    """Stores what keeps every run from starting; None if nothing does."""
    put(session, BLOCKED, found, blocked(session))


def record_paused(session, resource, by, at):
    """Stores who has paused a resource; without a time, that it goes on."""
    paused = store.app_store(session).get(PAUSED) or {}
    kept = {name: entry for name, entry in paused.items() if name != resource}
    put(session, PAUSED, kept if at is None else {**kept, resource: {"by": by, "at": at}}, paused)


def in_utc(time):
    """A time without its zone, in UTC; one without a zone is in UTC."""
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def now():
    """The current time as text in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def user(session):
    """The name of the caller; None if Snowflake does not tell it to an app."""
    return session.sql('SELECT CURRENT_USER() AS "NAME"').collect()[0]["NAME"]
