"""Transient tables, and the days of Time Travel: what CREATE TABLE and ALTER TABLE set, and SHOW TABLES shows.

user-guide/data-time-travel, user-guide/tables-temp-transient; the documentation does not state the errors, which are those that users
report."""

import threading

from sqlglot import exp

from strict import settings
from strict.errors import compilation
from strict.statements import full_name, key

PARAMETER, MOST, MOST_TRANSIENT, DEFAULT = "DATA_RETENTION_TIME_IN_DAYS", 90, 1, 1

lock = threading.Lock()

# Whether a table is transient, and its days, by key.
tables = {}


def days(ast):
    """The days that a statement sets, if it sets any."""
    for node in ast.find_all(exp.Property):
        if type(node) is exp.Property and node.this.name.upper() == PARAMETER:
            return int(node.args["value"].sql())
    return None


def check(ast, session):
    """Refuses a number of days that the table, or the edition of the account, does not allow."""
    wanted = days(ast)
    if wanted is None:
        return
    if isinstance(ast, exp.Create):
        is_transient = ast.find(exp.TransientProperty) is not None
    else:
        is_transient, _ = of(key(ast.this, session))
    # A user's accounts may be of the Standard Edition.
    most = int(settings.of_user(session.user).get("MAX_RETENTION_DAYS", MOST))
    if wanted < 0 or (is_transient and wanted > MOST_TRANSIENT):
        raise compilation(1008, f"invalid value [{wanted}] for parameter '{PARAMETER}'", "22023")
    if wanted > most:
        raise compilation(714, f"Exceeds maximum allowable retention time ({most} day(s)).", "23001")


def of(name):
    with lock:
        return tables.get(name, (False, DEFAULT))


def altered(ast, session):
    """ALTER TABLE … SET of the days. Returns whether it was one."""
    if not isinstance(ast, exp.Alter) or ast.args.get("kind") != "TABLE" or days(ast) is None:
        return False
    check(ast, session)
    name = key(ast.this, session)
    is_transient, _ = of(name)
    with lock:
        tables[name] = (is_transient, days(ast))
    return True


def defined(ast, session):
    """Called after a definition."""
    table = ast.find(exp.Table) if isinstance(ast, (exp.Create, exp.Drop)) else None
    if table is None or ast.args.get("kind") != "TABLE":
        return
    name = key(table, session)
    with lock:
        if isinstance(ast, exp.Drop):
            tables.pop(name, None)
        elif name not in tables or not ast.args.get("exists"):
            wanted = days(ast)
            is_transient = ast.find(exp.TransientProperty) is not None
            tables[name] = (is_transient, DEFAULT if wanted is None else wanted)


def shown(session, ast, as_table, spelled):
    """SHOW TABLES IN SCHEMA, as a statement over constants; nothing for any other."""
    if not isinstance(ast, exp.Show) or ast.name != "TABLES" or ast.args.get("scope_kind") != "SCHEMA":
        return None
    scope = ast.args["scope"]
    names = [full_name(part) for part in (scope.args.get("db"), scope.this) if part is not None]
    database, schema = names if len(names) == 2 else (session.database, *names)
    select = "SELECT table_name FROM duckdb_tables() WHERE upper(database_name) = ? AND upper(schema_name) = ? ORDER BY 1"
    rows = []
    for (table,) in session._duck_conn.execute(select, [database.upper(), schema.upper()]).fetchall():
        name = (database.upper(), schema.upper(), table.upper())
        is_transient, kept = of(name)
        rows.append((spelled.get(name, (table,))[-1], "TRANSIENT" if is_transient else "TABLE", str(kept)))
    return as_table(("name", "kind", "retention_time"), rows)
