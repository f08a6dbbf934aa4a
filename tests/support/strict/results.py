"""The result cache: the queries that Snowflake would answer without a warehouse.

They run here all the same; only the history says that they did not. Snowflake documents no rule for bound values: with them,
nothing is taken from the cache here.
"""

import functools
import threading

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from strict import policies, settings, transactions

lock = threading.Lock()

# How often each table or view has been defined, by its key, and the number of all definitions.
defined, definitions = {}, 0
# All views, and the number of definitions before they were looked up.
views = None, {}
# The versions of all tables that each query read when it last ran.
answered = {}

# Their results are not reused.
NOT_REUSED = (exp.Rand, exp.Uuid, exp.CurrentTimestamp, exp.CurrentTime, exp.Anonymous)


def define(keys):
    global definitions
    with lock:
        definitions += 1
        for key in keys:
            defined[key] = defined.get(key, 0) + 1


def is_reused(session, statement, binds, key):
    """Whether the cache would answer a query; its result is cached from now on. `key` returns a table's key."""
    if binds or session.transaction is not None or not statement.tables:
        return False
    if any(isinstance(node, NOT_REUSED) for node in statement.shape.walk()):
        return False
    if not settings.is_true(session.parameters["USE_CACHED_RESULT"]):
        return False
    try:
        read = behind([key(table, session) for table in statement.tables], views_of(session), session, key)
    except (duckdb.Error, SqlglotError):
        return False  # DuckDB rewrites a view's text
    if any("INFORMATION_SCHEMA" in name or policies.attached.get(name) for name in read):
        return False
    parameters = tuple(sorted(session.parameters.items()))
    query = (statement.sql, session.database, session.schema, session.role, parameters)
    with lock:
        state = {name: (transactions.commits.last.get(name, 0), defined.get(name, 0)) for name in read}
        before, answered[query] = answered.get(query), state
    return before == state


def views_of(session):
    """The texts of all views. They are looked up once for each definition."""
    global views
    number = definitions
    if views[0] != number:
        rows = session._duck_conn.execute("SELECT database_name, schema_name, view_name, sql FROM duckdb_views() WHERE NOT internal")
        views = number, {tuple(part.upper() for part in row[:3]): row[3] for row in rows.fetchall()}
    return views[1]


def behind(names, views, session, key):
    """These tables and views, with all that they depend on."""
    found, left = set(), list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        if name in views:
            left += [key(table, session) for table in named_in(views[name])]
    return found


@functools.lru_cache(1000)
def named_in(view):
    """The tables and views in the text of a view."""
    ast = sqlglot.parse_one(view, read="duckdb")
    return [table for table in ast.find_all(exp.Table) if isinstance(table.this, exp.Identifier)]
