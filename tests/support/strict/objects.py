"""Streams, and the names of tables and views, stored outside the databases."""

import re
import threading

from sqlglot import exp

from strict import policies, retention
from strict.errors import compilation
from strict.statements import NAME, full_name, read

lock = threading.Lock()

# Streams by key: the key of each one's table or view, and whether it is stale.
streams = {}
# The spelling of tables and views, by key.
spelled = {}

WHOLE = rf"({NAME}(?:\.{NAME})*)"
STREAM = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?STREAM\s+(?:IF\s+NOT\s+EXISTS\s+)?{WHOLE}\s+ON\s+(?:VIEW|TABLE)\s+{WHOLE}",
    re.IGNORECASE,
)


def answer(session, sql):
    """Executes a statement about streams, and returns whether it was one."""
    found = STREAM.match(sql.strip())
    if found is None:
        return False
    with lock:
        streams[policies.key_of(found[1], session)] = [policies.key_of(found[2], session), False]
    return True


def described(session, sql, as_table):
    """SHOW STREAMS, SHOW TABLES, and GET_DDL of a view, as statements over constants."""
    if re.match(r"\s*SHOW\s+STREAMS\b", sql, re.IGNORECASE):
        with lock:
            here = [(name, on, stale) for name, (on, stale) in streams.items() if name[0] == session.database]
        rows = [(name[2], ".".join(on), str(stale).lower()) for name, on, stale in here]
        return as_table(("name", "table_name", "stale"), rows)
    if re.match(r"\s*SHOW\s+TABLES\b", sql, re.IGNORECASE):
        return retention.shown(session, read(sql).ast, as_table, spelled) or sql
    return definition(session, sql)


def definition(session, sql):
    """GET_DDL of a view, with its policies and tags."""
    asked = re.match(r"\s*SELECT GET_DDL\('VIEW', (.*)\) AS \"DDL\"$", sql, re.IGNORECASE | re.DOTALL)
    if asked is None:
        return sql
    name = session._duck_conn.execute(f"SELECT {asked[1]}").fetchone()[0]
    known = policies.key_of(name, session)
    views = session._duck_conn.execute("SELECT database_name, schema_name, view_name FROM duckdb_views()").fetchall()
    if known not in {tuple(part.upper() for part in view) for view in views}:
        raise compilation(2003, f"View '{name}' does not exist or not authorized.", "02000")
    head = " ".join(f"WITH {kind.replace('_', ' ')} #UNKNOWN_POLICY" for kind in policies.kinds_on(known))
    text = f"create or replace view {known[-1]} {head} as SELECT 1".replace("'", "''")
    return f"SELECT '{text}' AS \"DDL\""


def check_names(statement, session, key):
    """Checks the case of quoted names, which DuckDB ignores."""
    for table in statement.tables:
        exact, known = spelling(table, session), spelled.get(key(table, session))
        if known is not None and exact != known and not isinstance(statement.shape, exp.Create):
            raise compilation(2003, f"Object '{'.'.join(exact)}' does not exist or not authorized.", "42S02")
    read = isinstance(statement.shape, exp.Select)
    if read and any(streams.get(key(table, session), (None, False))[1] for table in statement.tables):
        raise compilation(
            91901, "Base table of the stream dropped or recreated: the stream is stale and unreadable", "02000"
        )


def spelling(table, session):
    parts = [table.args.get("catalog"), table.args.get("db"), table.this]
    current = [session.database, session.schema, None]
    return tuple(full_name(part) if isinstance(part, exp.Identifier) else now for part, now in zip(parts, current))


def defined(statement, session, key):
    """Applies the effects of a definition on the object's policies, tags and streams."""
    ast = statement.ast
    if isinstance(ast, exp.Drop) and ast.args.get("kind") in ("TABLE", "VIEW"):
        for table in statement.tables:
            spelled.pop(key(table, session), None)
            replaced(key(table, session), copies_tags=False)
    if not isinstance(ast, exp.Create) or ast.args.get("kind") not in ("TABLE", "VIEW"):
        return
    table = ast.this.this if isinstance(ast.this, exp.Schema) else ast.this
    if not isinstance(table, exp.Table):
        return
    known = key(table, session)
    if ast.args.get("replace"):
        replaced(known, statement.copies_tags)
        spelled[known] = spelling(table, session)
    else:
        spelled.setdefault(known, spelling(table, session))


def replaced(known, copies_tags):
    policies.replaced(known, copies_tags)
    with lock:
        for stream in streams.values():
            stream[1] = stream[1] or stream[0] == known
