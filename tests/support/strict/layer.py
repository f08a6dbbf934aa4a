"""Processes statements in the strict layer."""

import contextlib
import threading
import time

import duckdb
from fakesnow import cursor as fakesnow_cursor
from fakesnow import transforms
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from strict import (
    casts,
    collations,
    databases,
    loads,
    merges,
    objects,
    plans,
    policies,
    results,
    retention,
    settings,
    shortcuts,
    sizes,
    stages,
    statements,
    tables,
    temporaries,
    transactions,
    types,
    values,
)
from strict.errors import refused

# Thread-local: the tree that fakesnow runs instead of the text.
prepared = threading.local()


def install(server, duck):
    """Installs the layer in fakesnow."""
    values.install(duck)
    databases.install()
    shortcuts.install()
    server.parse_one = lambda sql: statements.read(sql).shape
    fakesnow_cursor.parse_one = parse_or_prepared
    FakeSnowflakeCursor._execute = plans.noting(translating(FakeSnowflakeCursor._execute))


def parse_or_prepared(sql):
    if (ast := getattr(prepared, "ast", None)) is None:
        return statements.read(sql).ast.copy()
    prepared.ast = None
    return ast


def translating(execute):
    def translated(cursor, transformed, params=None):
        with translation(cursor):
            execute(cursor, transformed, params)
            if isinstance(transformed, exp.Create):
                merges.check_candidates(cursor, transformed)

    return translated


@contextlib.contextmanager
def translation(cursor):
    """Raises Snowflake's errors for those of DuckDB."""
    try:
        yield
    except duckdb.InterruptException:
        session = cursor._conn
        raise settings.timed_out(session) if session.timed_out else refused(604, "57014", "SQL execution canceled")
    except duckdb.Error as error:
        if (known := tables.translated(error)) is None:
            raise
        raise known from error
    except ProgrammingError as error:
        # fakesnow's own code for it is that of a missing object.
        if (known := tables.unknown_column(error.__cause__)) is None:
            raise
        raise known from error


def begin_session(session, account, user, parameters):
    """Called after a login."""
    session.account, session.parameters = account, settings.for_login(account, user, parameters)
    session.transaction = session.lost = session.waits_for = None
    session.canceled = session.timed_out = False
    session.last_active = time.monotonic()
    session._autocommit = True  # this layer handles autocommit itself
    settings.set_time_zone(session)


def run(cursor, sql, execute, arguments, of_the_account):
    """Runs a statement. `execute` is fakesnow's; `of_the_account` rewrites statements about the account."""
    session, binds = cursor._conn, arguments.get("binding_params")
    ignore_case = settings.is_true(session.parameters["QUOTED_IDENTIFIERS_IGNORE_CASE"])
    statement = temporaries.of_session(statements.read(sql, ignore_case), session)
    sizes.check(statement, binds)
    if session.lost is not None:
        lost, session.lost = session.lost, None
        raise refused(615, "57014", f"Transaction {lost} was aborted: it was idle, and another one waited for it")
    session.last_active, session.canceled, session.timed_out = time.monotonic(), False, False
    session.is_reused = False
    timer = start_timer(session)
    try:
        perform(cursor, session, statement, execute, arguments, of_the_account)
    finally:
        if timer:
            timer.cancel()
        session.last_active = time.monotonic()


def start_timer(session):
    limit = float(session.parameters["STATEMENT_TIMEOUT_IN_SECONDS"])
    if not 0 < limit < 3600:
        return None

    def interrupt():
        session.timed_out = True
        session._duck_conn.interrupt()

    timer = threading.Timer(limit, interrupt)
    timer.daemon = True
    timer.start()
    return timer


def perform(cursor, session, statement, execute, arguments, of_the_account):
    kind = statement.kind
    if kind == statements.BEGIN:
        # Ignored within a transaction.
        session.transaction = session.transaction or transactions.Transaction()
        return succeed(cursor)
    if kind in (statements.COMMIT, statements.ROLLBACK):
        transactions.end(session, keep=kind == statements.COMMIT)
        return succeed(cursor)
    if kind == statements.SESSION:
        if settings.alter(session, statement.ast):
            transactions.end(session, keep=True)
        return succeed(cursor)
    if kind == statements.DEFINITION and (
        collations.alter(session, statement.sql)
        or retention.altered(statement.ast, session)
        or objects.answer(session, statement.sql)
        or policies.answer(session, statement.sql, lambda name: described(session, name))
    ):
        transactions.end(session, keep=True)
        return succeed(cursor)
    if kind == statements.OTHER and stages.answer(cursor, session, statement.sql):
        return None
    objects.check_names(statement, session, statements.key)
    if loads.is_load(statement.shape):
        return load(cursor, session, statement)
    if isinstance(statement.shape, exp.Alter) and isinstance(table := statement.ast.this, exp.Table):
        transactions.end(session, keep=True)
        with transactions.definitions:
            is_altered = tables.alter_column(statement.ast, session, objects.spelling(table, session))
        if is_altered:
            transactions.commits.note([statements.key(table, session)])
            return succeed(cursor)
    if kind == statements.QUERY:
        session.is_reused = results.is_reused(session, statement, arguments.get("binding_params"), statements.key)
    text = of_the_account(statement.sql)
    if text is not statement.sql and text != statement.sql:
        statement = statements.read(text, settings.is_true(session.parameters["QUOTED_IDENTIFIERS_IGNORE_CASE"]))
    binds, columns = arguments.get("binding_params"), columns_of(session)
    plan = plans.Plan(session, statement, binds, columns)

    def tree():
        return prepare(statement, session, binds, columns, of_the_account)

    # fakesnow changes the tree that it runs. Errors come before the transaction begins.
    first = [tree()] if plan.steps is None else []

    def work(used):
        if plan.steps is not None:
            return plan.run(used)
        prepared.ast = first.pop() if first else tree()
        try:
            plan.note(lambda: execute(used, statement.sql, **arguments))
        finally:
            prepared.ast = None

    if kind == statements.CHANGE:
        transactions.change(cursor, session, statement, work)
    elif kind == statements.DEFINITION:
        transactions.define(cursor, session, work)
        if isinstance(statement.ast, exp.Alter):
            transactions.commits.note(statements.key(table, session) for table in statement.tables)
        results.define(session, statement, statements.key)
        collations.defined(statement.ast, session)
        retention.defined(statement.ast, session)
        objects.defined(statement, session, statements.key)
    elif kind == statements.QUERY:
        transactions.query(cursor, session, statement, work)
        settings.shape_result(cursor, session)
    else:
        work(cursor)


def load(cursor, session, statement):
    load = loads.Load(session, statement, described)

    def work(used):
        with translation(used):
            load.run(used)

    transactions.change(cursor, session, statement, work)


def succeed(cursor):
    FakeSnowflakeCursor._execute(cursor, transforms.SUCCESS_NOP.copy())


def prepare(statement, session, binds, columns, of_the_account):
    """The tree for fakesnow: checked, with the session's parameters applied."""
    ast = statement.ast.copy()
    if isinstance(ast, exp.Create):
        retention.check(ast, session)
        tables.create(ast, session)
    if isinstance(ast, exp.Alter):
        tables.add_columns(ast, session)
    if statement.kind not in (statements.QUERY, statements.CHANGE) and not isinstance(ast, exp.Create):
        return ast
    policies.apply(ast, lambda table: statements.key(table, session), columns, of_the_account)
    casts.chain(ast)
    casts.apply(ast, types.Types(ast, columns, binds).of)
    known = types.Types(ast, columns, binds)
    types.check(ast, known, columns)
    if isinstance(ast, exp.Merge):
        merges.check_whens(ast)
    settings.apply(ast, session.parameters, known.of)
    return ast


def columns_of(session):
    """Returns a function that looks up a table's columns and their types."""
    found = {}

    def columns(table):
        name = statements.key(table, session)
        if name not in found:
            found[name] = described(session, objects.spelling(table, session))
        return found[name]

    return columns


def described(session, name):
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in name if part)
    try:
        cursor = session._duck_conn.execute(f"SELECT * FROM {quoted} LIMIT 0")
    except duckdb.Error:
        # It makes DuckDB abort the transaction.
        if session.transaction is not None:
            transactions.repeat(session, session.transaction)
        return None
    return {column[0]: of_duck(str(column[1])) for column in cursor.description}


def of_duck(kind):
    """Snowflake's name for a DuckDB type, as fakesnow uses it."""
    known = {
        "JSON": "VARIANT",
        "VARCHAR": "VARCHAR",
        "BOOLEAN": "BOOLEAN",
        "DOUBLE": "FLOAT",
        "FLOAT": "FLOAT",
        "BLOB": "BINARY",
        "DATE": "DATE",
        "TIME": "TIME",
        "TIMESTAMP": "TIMESTAMP_NTZ",
        "TIMESTAMP_NS": "TIMESTAMP_NTZ",
        "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_TZ",
    }
    return known.get(kind) or (
        "NUMBER" if kind.startswith(("DECIMAL", "BIGINT", "INTEGER", "HUGEINT", "UBIGINT")) else None
    )
