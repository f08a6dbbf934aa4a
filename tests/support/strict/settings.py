"""Parameters of accounts, users and sessions, and what each does."""

import json
import time

import pyarrow
from sqlglot import exp

from strict import formats
from strict.errors import compilation, refused
from strict.statements import call

DEFAULTS = {
    "AUTOCOMMIT": "TRUE",
    "BINARY_OUTPUT_FORMAT": "HEX",
    "DATE_INPUT_FORMAT": "AUTO",
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "DEFAULT_DDL_COLLATION": "",
    "ERROR_ON_NONDETERMINISTIC_MERGE": "TRUE",
    "JSON_INDENT": "2",
    "LOCK_TIMEOUT": "43200",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": "FALSE",
    "READ_CONSISTENCY_MODE": "SESSION",
    "ROWS_PER_RESULTSET": "0",
    "STATEMENT_TIMEOUT_IN_SECONDS": "172800",
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "TIMESTAMP_LTZ_OUTPUT_FORMAT": "",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3",
    "TIMESTAMP_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "TIMESTAMP_TZ_OUTPUT_FORMAT": "",
    "TIMEZONE": "America/Los_Angeles",
    "TIME_INPUT_FORMAT": "AUTO",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS",
    "USE_CACHED_RESULT": "TRUE",
    "WEEK_START": "0",
}

# Parameters that a session cannot set: accounts and objects have them.
NOT_OF_SESSIONS = {"DEFAULT_DDL_COLLATION", "READ_CONSISTENCY_MODE"}

# Accounts by the name in the login. Any other account has Snowflake's defaults.
ACCOUNTS = {
    "HOSTILE": {
        "AUTOCOMMIT": "FALSE",
        "BINARY_OUTPUT_FORMAT": "BASE64",
        "DATE_INPUT_FORMAT": "DD/MM/YYYY",
        "DATE_OUTPUT_FORMAT": "DD/MM/YYYY",
        "DEFAULT_DDL_COLLATION": "en-ci",
        "JSON_INDENT": "4",
        "QUOTED_IDENTIFIERS_IGNORE_CASE": "TRUE",
        "ROWS_PER_RESULTSET": "1",
        "STATEMENT_TIMEOUT_IN_SECONDS": "60",
        "TIMESTAMP_INPUT_FORMAT": "DD/MM/YYYY HH24:MI:SS",
        "TIMESTAMP_LTZ_OUTPUT_FORMAT": "DD/MM/YYYY HH24:MI",
        "TIMESTAMP_NTZ_OUTPUT_FORMAT": "DD/MM/YYYY HH24:MI",
        "TIMESTAMP_OUTPUT_FORMAT": "DD/MM/YYYY HH24:MI",
        "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_LTZ",
        "TIMESTAMP_TZ_OUTPUT_FORMAT": "DD/MM/YYYY HH24:MI",
        "TIMEZONE": "Asia/Kolkata",
        "TIME_INPUT_FORMAT": "HH12:MI AM",
        "TIME_OUTPUT_FORMAT": "HH12:MI AM",
        "WEEK_START": "7",
    }
}

users = {}


def of_user(user):
    """The parameters set for a user, by upper-case name."""
    return users.setdefault(user.upper(), {})


def text(value):
    if isinstance(value, bool):
        return str(value).upper()
    return str(value)


def is_true(value):
    return str(value).upper() in ("TRUE", "ON", "1")


def for_login(account, user, given):
    """The parameters of a new session."""
    given = {name.upper(): text(value) for name, value in given.items() if isinstance(value, (bool, int, float, str))}
    of_session = {name: value for name, value in given.items() if name not in NOT_OF_SESSIONS}
    of_users = {name: value for name, value in of_user(user).items() if name in DEFAULTS}
    return {**DEFAULTS, **ACCOUNTS.get(account.upper(), {}), **of_users, **of_session}


def alter(session, ast):
    """Executes ALTER SESSION. Returns whether it set AUTOCOMMIT."""
    changed = set()
    for item in ast.find_all(exp.SetItem):
        if isinstance(item.this, exp.EQ):
            name, value = item.this.this.name.upper(), item.this.expression
            value = text(value.this if isinstance(value, exp.Boolean) else value.name)
        else:
            name, value = item.this.name.upper(), None
        if name in NOT_OF_SESSIONS:
            raise compilation(1014, f"invalid parameter '{name}' for a session", "22023")
        initial = for_login(session.account, session.user, {})
        session.parameters[name] = initial.get(name, "") if value is None else value
        changed.add(name)
    set_time_zone(session)
    return "AUTOCOMMIT" in changed


def set_time_zone(session):
    session._duck_conn.execute(f"SET SESSION TimeZone = '{session.parameters['TIMEZONE']}'")


def check_time(session):
    """Cancels a statement that exceeds its timeout."""
    limit = float(session.parameters["STATEMENT_TIMEOUT_IN_SECONDS"])
    if limit and time.monotonic() - session.last_active >= limit:
        raise timed_out(session)


def timed_out(session):
    limit = session.parameters["STATEMENT_TIMEOUT_IN_SECONDS"]
    message = f"Statement reached its statement or warehouse timeout of {limit} second(s) and was canceled."
    return refused(630, "57014", message)


TIMESTAMPS = {
    exp.DType.TIMESTAMPNTZ: "NTZ",
    exp.DType.TIMESTAMPLTZ: "LTZ",
    exp.DType.TIMESTAMPTZ: "TZ",
    exp.DType.TIMESTAMP: "NTZ",
}
MAPPED = {"TIMESTAMP_LTZ": exp.DType.TIMESTAMPLTZ, "TIMESTAMP_TZ": exp.DType.TIMESTAMPTZ}


def output_format(parameters, kind):
    if kind == "DATE":
        return parameters["DATE_OUTPUT_FORMAT"]
    if kind == "TIME":
        return parameters["TIME_OUTPUT_FORMAT"]
    return parameters[f"TIMESTAMP_{kind}_OUTPUT_FORMAT"] or parameters["TIMESTAMP_OUTPUT_FORMAT"]


def input_format(parameters, kind):
    kind = kind if kind in ("DATE", "TIME") else "TIMESTAMP"
    return parameters[f"{kind}_INPUT_FORMAT"]


def kind_of(to):
    """DATE, TIME, or the kind of timestamp, of a data type."""
    if to.this in (exp.DType.DATE, exp.DType.TIME):
        return to.this.name
    return TIMESTAMPS.get(to.this)


def apply(ast, parameters, type_of):
    """Applies a session's parameters to a statement. `type_of` returns the type of an expression, if known."""
    mapped = MAPPED.get(parameters["TIMESTAMP_TYPE_MAPPING"])
    week = int(parameters["WEEK_START"] or 0)
    for node in list(ast.walk()):
        if isinstance(node, exp.DataType) and node.this == exp.DType.TIMESTAMP and mapped:
            node.set("this", mapped)
        elif isinstance(node, (exp.Cast, exp.TryCast)):
            convert(node, parameters, type_of)
        elif isinstance(node, (exp.TimestampTrunc, exp.DateTrunc)) and week > 1 and unit_of(node) == "WEEK":
            inner, days = node.this, week - 1
            moved = call(f"DATEADD(day, -{days}, x)", x=inner)
            node.set("this", moved)
            node.replace(call(f"DATEADD(day, {days}, x)", x=node))


def unit_of(node):
    unit = node.args.get("unit")
    return unit.name.upper() if unit is not None else None


def convert(node, parameters, type_of):
    """Parses and formats times in the session's formats."""
    kind = kind_of(node.to)
    if kind and type_of(node.this) == "VARCHAR":
        wanted = input_format(parameters, kind)
        if wanted.upper() != "AUTO":
            read = "try_strptime" if isinstance(node, exp.TryCast) else "strptime"
            pattern = exp.Literal.string(formats.strftime(wanted))
            node.set("this", exp.Anonymous(this=read, expressions=[node.this, pattern]))
    elif node.to.this in (exp.DType.VARCHAR, exp.DType.TEXT) and not node.to.expressions:
        kind = formats.KINDS.get(type_of(node.this))
        if kind:
            wanted = exp.Literal.string(formats.strftime(output_format(parameters, kind)))
            written = exp.Anonymous(this="strftime", expressions=[node.this.copy(), wanted])
            if kind == "TIME":
                written.expressions[0].replace(call("CAST('1970-01-01' AS DATE) + x", x=node.this))
            node.set("this", written)


def shape_result(cursor, session):
    """Limits a result to the session's ROWS_PER_RESULTSET and formats its VARIANT values."""
    table = cursor._arrow_table
    if table is None:
        return
    limit = int(session.parameters["ROWS_PER_RESULTSET"] or 0)
    if limit and table.num_rows > limit:
        table = table.slice(0, limit)
    indent = int(session.parameters["JSON_INDENT"])
    described = cursor._duck_conn.description or []
    for index, column in enumerate(described[: table.num_columns]):
        if str(column[1]) == "JSON":
            values = [indented(value, indent) for value in table.column(index).to_pylist()]
            table = table.set_column(index, table.field(index).name, pyarrow.array(values, pyarrow.string()))
    cursor._arrow_table = table


def indented(value, indent):
    if value is None:
        return None
    if indent <= 0 or value[:1] not in "{[":
        return value
    return json.dumps(json.loads(value), indent=indent, ensure_ascii=False)
