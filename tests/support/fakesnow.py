"""Starts fakesnow as a server, with Snowflake features that version 0.12.1 lacks."""

import asyncio
import collections
import contextlib
import datetime
import gzip
import importlib
import itertools
import json
import re
import string
import sys
import threading
import time

import administration
import anyio
import pyarrow
import sqlglot
import strict
import uvicorn
from administration import GRANTS, WAREHOUSES
from fakesnow import arrow, cursor
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from strict import databases, objects, policies, settings, statements, temporaries, transactions
from strict.layer import begin_session

# `from fakesnow import server` would import a function of that name.
server = importlib.import_module("fakesnow.server")

# fakesnow records a new object's comment and column lengths in another database; here it does not. DuckDB rejects that
# within a transaction that has written to the first database, as MERGE does, which creates a temporary table; and names with
# quotes break it.
execute = FakeSnowflakeCursor._execute


def execute_without_comments(self, statement, *args, **kwargs):
    statement.args.pop("table_comment", None)
    statement.args.pop("text_lengths", None)
    return execute(self, statement, *args, **kwargs)


FakeSnowflakeCursor._execute = execute_without_comments


# The message names the new object in quotes, which a quote in the name must not end.
class Sentence(string.Template):
    def substitute(self, name):
        return super().substitute(name=name.replace("'", "''"))


for constant, value in list(vars(cursor).items()):
    if constant.startswith(("SQL_CREATED_", "SQL_DROPPED")):
        setattr(cursor, constant, Sentence(value.template))


def end(session):
    """Ends a session and rolls back its transaction. It first waits for the active statement, unless that one waits itself, and
    there is none after it: outside of the transaction, what it does would be kept."""
    session.ended = True
    with session.busy:
        transactions.end(session, keep=False)
        temporaries.end(session)


class Sessions(dict):
    def __delitem__(self, token):
        end(self.pop(token))


server.sessions = Sessions()


# Not `async`, so that it waits in a separate thread.
def session(request):
    return asyncio.run(server.session(request))


# Results are kept for a limited time.
# Several threads add to it, so it must not be iterated over.
class Results(collections.OrderedDict):
    def __setitem__(self, statement, result):
        super().__setitem__(statement, result)
        if len(self) > 100:
            self.popitem(last=False)


server.shared_fs.results_cache = Results()


# A null timestamp is not 1970-01-01.
timestamp_to_sf_struct = arrow.timestamp_to_sf_struct


def null_or_struct(timestamps):
    if isinstance(timestamps, pyarrow.ChunkedArray):
        timestamps = timestamps.combine_chunks()
    if timestamps.type.tz is not None:
        # The same instants: only the session's time zone is in the type.
        timestamps = timestamps.cast(pyarrow.timestamp(timestamps.type.unit, "UTC"))
    struct = timestamp_to_sf_struct(timestamps)
    parts = [part.fill_null(0) for part in struct.flatten()]
    return pyarrow.StructArray.from_arrays(parts, fields=list(struct.type), mask=timestamps.is_null())


arrow.timestamp_to_sf_struct = null_or_struct


# TRANSFORM and FILTER of a VARIANT array are DuckDB's list functions, whose lambdas have another syntax: the arrow is
# also an operator of JSON. A value that is not an array is treated as an array with one element.
def over_list(function):
    def generate(generator, expression):
        body = expression.expression
        name = generator.sql(body.expressions[0])
        array = generator.sql(expression, "this")
        elements = f"coalesce(TRY_CAST({array} AS JSON[]), [{array}])"
        return f"to_json({function}({elements}, lambda {name}: {generator.sql(body, 'this')}))"

    return generate


DuckDB.Generator.TRANSFORMS[exp.Transform] = over_list("list_transform")
DuckDB.Generator.TRANSFORMS[exp.ArrayFilter] = over_list("list_filter")


# A cast accepts a time in every format that Snowflake detects by itself.
def to_time(generator, expression):
    if expression.args["format"].name == "AUTO":
        return generator.sql(exp.TryCast(this=expression.this, to=expression.args["target_type"]))
    return generator.strtotime_sql(expression)


DuckDB.Generator.TRANSFORMS[exp.StrToTime] = to_time


# GET with a text finds the member of that name, whatever the name is: DuckDB reads a leading dollar as a path. With a number, it
# finds the element of an array. As a VARCHAR, a text has no quotes.
def member(generator, expression):
    value, name = generator.sql(expression, "this"), generator.sql(expression, "expression")
    parent = expression.parent
    arrow = "->>" if isinstance(parent, exp.Cast) and parent.is_type(*exp.DataType.TEXT_TYPES) else "->"
    return f"({value} {arrow} ('/' || replace(replace(CAST({name} AS VARCHAR), '~', '~0'), '/', '~1')))"


DuckDB.Generator.TRANSFORMS[exp.GetExtract] = member


# The account of the databases: rejected credentials, and a query history. Roles and warehouses are in `administration`.

REFUSED = {
    "wrong-password": ("390100", "Incorrect username or password was specified."),
    "expired-token": ("390318", "OAuth access token expired. [1172527951]"),
}

# A login creates nothing.
server.shared_fs.create_database_on_connect = False
server.shared_fs.create_schema_on_connect = False

session_numbers = itertools.count(4_503_599_627_370_496)
history = {}


def plain_or_quoted(name):
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.upper()


def refusal(code, message):
    return JSONResponse({"data": None, "code": code, "message": message, "success": False, "headers": None})


async def login(request):
    sent = await request.body()
    data = json.loads(gzip.decompress(sent) if request.headers.get("Content-Encoding") == "gzip" else sent)["data"]
    for secret in (data.get("PASSWORD"), data.get("TOKEN")):
        if secret in REFUSED:
            return refusal(*REFUSED[secret])
    if settings.of_user(data.get("LOGIN_NAME", "")).get("REFUSED"):
        return refusal(*REFUSED["wrong-password"])
    role = plain_or_quoted(request.query_params.get("roleName", "ACCOUNTADMIN"))
    if role not in GRANTS:
        message = f"Role '{role}' specified in the connect string does not exist or not authorized."
        return refusal("390189", message)
    if administration.may_log_in(data.get("LOGIN_NAME", ""), role, data.get("TOKEN")) is False:
        return refusal("390144", "JWT token is invalid.")
    warehouse = plain_or_quoted(request.query_params.get("warehouse", "COMPUTE_WH"))
    # It accepts no names that need quotes.
    nameless = Request({**request.scope, "query_string": b""})
    nameless._body = sent
    answer = json.loads((await server.login_request(nameless)).body)
    session = server.sessions[answer["data"]["token"]]
    database, schema = (request.query_params.get(name) for name in ("databaseName", "schemaName"))
    # Snowflake's databases have a schema of this name, which is current unless another one is named.
    databases.begin(session, database and plain_or_quoted(database), plain_or_quoted(schema or "PUBLIC"))
    answer["data"]["sessionInfo"] = {"databaseName": session.database, "schemaName": session.schema}
    begin_session(session, data.get("ACCOUNT_NAME", ""), data.get("LOGIN_NAME", ""), data.get("SESSION_PARAMETERS") or {})
    session.user, session.role = data.get("LOGIN_NAME", "").upper(), role
    # A warehouse that the role may not use is silently treated as none.
    may_use = warehouse in WAREHOUSES and role != "NOBODY" and administration.may_use_warehouse(role, warehouse)
    session.warehouse = warehouse if may_use else None
    session.number = answer["data"]["sessionId"] = next(session_numbers)
    history[session.number] = []
    session.busy, session.ended, session.found = threading.Lock(), False, False
    return JSONResponse(answer)


async def end_sessions(request):
    """Ends a user's sessions, each once its statement is done, as Snowflake does with those whose process has died."""
    user = request.query_params["user"].upper()
    tokens = [token for token, session in list(server.sessions.items()) if session.user == user]
    ended = [server.sessions.pop(token) for token in tokens]
    for session in ended:
        session.ended = True  # none of them waits for another one
    for session in ended:
        await run_in_threadpool(end, session)
    return JSONResponse({"success": True})


async def abort_transactions(request):
    """Aborts the transactions of a user's idle sessions, as Snowflake does after five minutes with those that block others.
    With `silently` the next statement gets no error."""
    user, silently = request.query_params["user"].upper(), "silently" in request.query_params
    for session in [session for session in list(server.sessions.values()) if session.user == user]:
        await run_in_threadpool(abort_transaction, session, silently)
    return JSONResponse({"success": True})


def abort_transaction(session, silently):
    with session.busy:
        transactions.abort(session, silently)


async def set_of_user(request):
    """Sets parameters of a user for new sessions, as ALTER USER does, and limits that a test lowers: `IDLE`, the
    seconds after which a blocking transaction of the user is aborted, `VARIANT_BYTES`, the size limit of a VARIANT,
    `MAX_RETENTION_DAYS`, the days of Time Travel that the account's edition allows, and `REFUSED`: logins fail."""
    given = dict(request.query_params)
    settings.of_user(given.pop("user")).update(given)
    return JSONResponse({"success": True})


async def query(request):
    """COMMIT and ROLLBACK outside of a transaction succeed, without data."""
    session = server.sessions.get(server.to_token(request)) if request.headers.get("Authorization") else None
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    data = json.loads(body)
    if session is None or not hasattr(session, "number"):
        return await server.query_request(request)
    given = {name.upper(): settings.text(value) for name, value in (data.get("parameters") or {}).items()}
    before, session.parameters = session.parameters, {**session.parameters, **given}
    try:
        kind = statements.kind_of(data["sqlText"])
        none = kind in (statements.COMMIT, statements.ROLLBACK) and session.transaction is None and session.lost is None
        answer = await server.query_request(request)
    finally:
        if session.parameters.items() >= given.items():
            session.parameters = {**session.parameters, **{name: before[name] for name in given if name in before}}
    if none and json.loads(answer.body)["success"]:
        return JSONResponse({"data": None, "code": None, "message": None, "success": True})
    return answer


async def abort_request(request):
    """Cancels the statement that a session waits for."""
    session = server.sessions.get(server.to_token(request)) if request.headers.get("Authorization") else None
    if session is not None:
        session.canceled = True
    return JSONResponse({"success": True})


server.app.router.routes[0] = Route("/session/v1/login-request", login, methods=["POST"])
server.app.router.routes[1] = Route("/session", session, methods=["POST"])
server.app.router.routes = [
    Route("/queries/v1/query-request", query, methods=["POST"]),
    Route("/queries/v1/abort-request", abort_request, methods=["POST"]),
    Route("/tests/end-sessions", end_sessions, methods=["POST"]),
    Route("/tests/abort-transactions", abort_transactions, methods=["POST"]),
    Route("/tests/parameters", set_of_user, methods=["POST"]),
    *server.app.router.routes,
]


def text(value):
    return "NULL" if value is None else "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def table(columns, rows):
    rows = [", ".join(f'{text(value)} AS "{name}"' for name, value in zip(columns, row)) for row in rows]
    nothing = ", ".join(f'NULL::VARCHAR AS "{name}"' for name in columns)
    return " UNION ALL ".join(f"SELECT {row}" for row in rows) or f"SELECT {nothing} WHERE FALSE"


# The columns of the history. Bytes scanned are bytes returned: the simulation has no better number.
PAST = ("EXECUTION_TIME", "WAREHOUSE_SIZE", "QUERY_TAG", "QUERY_TEXT", "BYTES_SCANNED", "START_TIME")


def past(sql, statements):
    """The history as a table, with the statements' texts on request."""
    count = len(PAST) if "QUERY_TEXT" in sql else 3
    return table(PAST[:count], [statement[:count] for statement in statements])


def of_the_account(self, sql):
    """Rewrites a statement about the account as an equivalent one over constants."""
    session = self._conn
    if found := re.match(r"SELECT SYSTEM\$ABORT_TRANSACTION\((\d+)\)$", sql):
        for other in list(server.sessions.values()):
            if other is not session and other.transaction is not None and str(other.transaction.id) == found[1]:
                abort_transaction(other, silently=False)
                return "SELECT 'Aborted transaction id: %s.' AS \"ABORTED\"" % found[1]
        raise ProgrammingError(msg=f"Transaction {found[1]} does not exist.", errno=2147, sqlstate="22023")
    if re.match("SHOW WAREHOUSES", sql):
        shown = [(name, *how) for name, how in WAREHOUSES.items() if session.role != "NOBODY"]
        return table(("name", "state", "auto_resume"), shown)
    if found := re.match("SHOW GRANTS TO ROLE (.*)", sql):
        role = plain_or_quoted(found[1])
        grants = list(GRANTS[role])
        if role == "SYSADMIN":
            grants += [("OWNERSHIP", "DATABASE", exp.to_identifier(name).sql("snowflake")) for name in databases.names(session)]
        return table(("privilege", "granted_on", "name"), grants)
    if found := re.match("SHOW SCHEMAS IN DATABASE (.*)", sql):
        if plain_or_quoted(found[1]) not in databases.names(session):
            raise ProgrammingError(
                msg="SQL compilation error:\nObject does not exist, or operation cannot be performed.",
                errno=2043,
                sqlstate="02000",
            )
        return "SELECT 'INFORMATION_SCHEMA' AS \"name\""
    if "QUERY_HISTORY_BY_SESSION" in sql and session.role == "BLIND":
        message = "SQL compilation error:\nInsufficient privileges to operate on table function"
        raise ProgrammingError(msg=message, errno=3001, sqlstate="42501")
    for of_the_session in ("user", "role", "warehouse"):
        sql = sql.replace(f"CURRENT_{of_the_session.upper()}()", text(getattr(session, of_the_session)))
    if "CURRENT_TRANSACTION()" in sql:
        transaction = session.transaction and str(session.transaction.id)
        sql = sql.replace("CURRENT_TRANSACTION()", f"CAST({text(transaction)} AS VARCHAR)")
    sql = policies.references(session, objects.described(session, sql, table), table, text)
    return re.sub(
        r'TABLE\([^()]*"?INFORMATION_SCHEMA"?\.QUERY_HISTORY_BY_SESSION\(SESSION_ID => (\d+)[^)]*\)\)',
        lambda found: "(%s)" % past(sql, history[int(found[1])]),
        sql,
    )


def find_functions(self):
    """Snowflake's built-in functions are here in each database. A session older than its database must be pointed to them."""
    session = self._conn
    if not (session.database_set or session.found) and session.database in databases.names(session):
        self._duck_conn.execute(f"SET schema = {databases.path(session.database, 'main')}")
        session.found = True


def drop_database(session, name):
    """Drops a database, which is then no session's current one."""
    if name not in databases.names(session):
        raise administration.missing("Database", name)
    for other in server.sessions.values():
        if other.database == name:
            with other.busy:
                other._duck_conn.execute("SET schema = 'memory.main'")
                other.database = other.schema = None
                other.database_set = other.schema_set = False
    session._duck_conn.execute(f"DETACH {databases.quoted(name)}")
    return table(("status",), [(f"{name} successfully dropped.",)])


# A database appears at once: no session sees it before the server has filled it.
making = threading.Lock()

execute_statement = FakeSnowflakeCursor.execute


def execute_in_account(self, sql, *args, **kwargs):
    session = self._conn
    if not hasattr(session, "number"):
        return execute_statement(self, sql, *args, **kwargs)
    if session.role in ("READER", "NOBODY") and sql.startswith("CREATE"):
        raise ProgrammingError(
            msg="SQL access control error:\nInsufficient privileges to operate on account 'TEST'",
            errno=3001,
            sqlstate="42501",
        )
    administration.check(session.role, sql)
    if found := re.fullmatch(r'DROP DATABASE (\w+|"[^"]+")', sql):
        sql = drop_database(session, plain_or_quoted(found[1]))
    if (said := administration.execute(session, sql, lambda: databases.names(session))) is not None:
        sql = table(("status",), [(said,)])
    works = re.match("(SELECT .* FROM|MERGE|INSERT|UPDATE|DELETE|COPY)", sql, re.DOTALL) is not None
    if session.warehouse not in WAREHOUSES:  # it was dropped
        session.warehouse = None
    if works and (session.warehouse is None or WAREHOUSES[session.warehouse] == ("SUSPENDED", "false")):
        raise ProgrammingError(
            msg="No active warehouse selected in the current session.  Select an active warehouse with the "
            "'use warehouse' command.",
            errno=606,
            sqlstate="57P03",
        )
    began, started = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
    is_making = sql.startswith("CREATE DATABASE")
    if not is_making:
        with making:
            pass
    with session.busy, making if is_making else contextlib.nullcontext():
        if session.ended:
            raise ProgrammingError(msg="Session no longer exists.  New login required.", errno=390111, sqlstate="08001")
        find_functions(self)
        strict.run(self, sql, execute_statement, kwargs, lambda text: of_the_account(self, text))
    took = str(round((time.monotonic() - began) * 1000))
    on_warehouse = works and not session.is_reused
    read = self._arrow_table.nbytes if on_warehouse and self._arrow_table is not None else 0
    tag = session.parameters.get("QUERY_TAG")
    size = "X-Small" if on_warehouse else None
    history[session.number].append((took, size, tag, sql[:100_000], str(read), str(started)))
    return self


FakeSnowflakeCursor.execute = execute_in_account
# Each statement runs in a thread of its own. More of them for one small statement only cost time.
server.shared_fs.duck_conn.execute("SET threads = 1")
strict.install(server, server.shared_fs.duck_conn)


async def widen(app):
    """Statements that wait for locks occupy threads."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = 200
    yield


server.app.router.lifespan_context = contextlib.asynccontextmanager(widen)

if __name__ == "__main__":
    uvicorn.run(server.app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False)
