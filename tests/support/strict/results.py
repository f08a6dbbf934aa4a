"""The result cache: the queries that Snowflake would answer without a warehouse.

They run here all the same; only the history says that they did not. Snowflake documents no rule for bound values: with them,
nothing is taken from the cache here.
"""

import threading

from sqlglot import exp

from strict import policies, settings, transactions

lock = threading.Lock()

# How often each table or view has been defined, by its key.
defined = {}
# The tables and views that each view names, by its key; nothing if the results of its query are not reused.
views = {}
# The versions of all tables that each query read when it last ran.
answered = {}

# Their results are not reused.
NOT_REUSED = (exp.Rand, exp.Uuid, exp.CurrentTimestamp, exp.CurrentTime, exp.Anonymous)


def define(session, statement, key):
    """Notes that a statement has defined a table or a view. `key` returns a table's key."""
    keys = [key(table, session) for table in statement.tables]
    is_view = isinstance(statement.shape, exp.Create) and statement.shape.kind == "VIEW"
    with lock:
        for name in keys:
            defined[name] = defined.get(name, 0) + 1
        # The first name is that of the object itself.
        if is_view:
            views[keys[0]] = None if changes_by_itself(statement.shape) else keys[1:]
        elif keys and isinstance(statement.shape, (exp.Create, exp.Drop)):
            views.pop(keys[0], None)


def changes_by_itself(tree):
    """Whether a query has a function whose results are not reused."""
    return any(isinstance(node, NOT_REUSED) for node in tree.walk())


def is_reused(session, statement, binds, key):
    """Whether the cache would answer a query; its result is cached from now on. `key` returns a table's key."""
    if binds or session.transaction is not None or not statement.tables:
        return False
    if changes_by_itself(statement.shape):
        return False
    if not settings.is_true(session.parameters["USE_CACHED_RESULT"]):
        return False
    read = behind([key(table, session) for table in statement.tables])
    if read is None or any("INFORMATION_SCHEMA" in name or policies.attached.get(name) for name in read):
        return False
    parameters = tuple(sorted(session.parameters.items()))
    query = (statement.sql, session.database, session.schema, session.role, parameters)
    with lock:
        state = {name: (transactions.commits.last.get(name, 0), defined.get(name, 0)) for name in read}
        before, answered[query] = answered.get(query), state
    return before == state


def behind(names):
    """These tables and views, with all that they depend on; nothing if a view among them is never answered from the cache."""
    found, left = set(), list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        of_view = views.get(name, ())
        if of_view is None:
            return None
        left += of_view
    return found
