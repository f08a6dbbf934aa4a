"""Policies, tags, streams and names of tables and views, kept beside the databases."""

import re
import threading

from sqlglot import exp

from strict.errors import compilation
from strict.statements import NAME, full_name

lock = threading.Lock()

# What is attached to a table or view, by its key: (kind, name, column or nothing).
attached = {}
# Streams by key: the key of what each is on, and whether it is stale.
streams = {}
# The spelling of tables and views, by key.
spelled = {}

WHOLE = rf"({NAME}(?:\.{NAME})*)"
ATTACHING = [
    (rf"ALTER\s+(?:VIEW|TABLE)\s+{WHOLE}\s+ADD\s+ROW\s+ACCESS\s+POLICY\s+{WHOLE}\s+ON\b", "ROW_ACCESS_POLICY"),
    (
        rf"ALTER\s+(?:VIEW|TABLE)\s+{WHOLE}\s+(?:MODIFY|ALTER)\s+COLUMN\s+(?P<column>{NAME})"
        rf"\s+SET\s+MASKING\s+POLICY\s+{WHOLE}",
        "MASKING_POLICY",
    ),
    (rf"ALTER\s+(?:VIEW|TABLE)\s+{WHOLE}\s+SET\s+TAG\s+{WHOLE}\s*=", "TAG"),
]
DEFINING = re.compile(
    r"(CREATE|DROP)\s+(OR\s+REPLACE\s+)?(ROW\s+ACCESS\s+POLICY|MASKING\s+POLICY|TAG)\b", re.IGNORECASE
)
STREAM = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?STREAM\s+(?:IF\s+NOT\s+EXISTS\s+)?{WHOLE}\s+ON\s+(?:VIEW|TABLE)\s+{WHOLE}",
    re.IGNORECASE,
)
REFERENCES = re.compile(
    r"TABLE\((?:[^()]*\.)?\"?INFORMATION_SCHEMA\"?\.(POLICY_REFERENCES|TAG_REFERENCES)\(([^)]*)\)\)", re.IGNORECASE
)


def key_of(text, session):
    parts = [part[1:-1].replace('""', '"') if part[0] == '"' else part for part in re.findall(NAME, text)]
    parts = [session.database, session.schema][: 3 - len(parts)] + parts
    return tuple((part or "").upper() for part in parts)


def answer(session, sql):
    """What a statement about policies, tags and streams is for the server: a statement that succeeds; nothing, where it is not
    about them."""
    for pattern, kind in ATTACHING:
        if found := re.match(rf"\s*{pattern}", sql, re.IGNORECASE):
            groups = [group for group in found.groups() if group]
            column = found.groupdict().get("column")
            with lock:
                attached.setdefault(key_of(groups[0], session), []).append((kind, groups[-1].upper(), column))
            return True
    if found := STREAM.match(sql.strip()):
        with lock:
            streams[key_of(found[1], session)] = [key_of(found[2], session), False]
        return True
    return bool(DEFINING.match(sql.strip()))


def references(session, sql, as_table):
    """POLICY_REFERENCES and TAG_REFERENCES over what is attached, and SHOW STREAMS, as statements over constants."""

    def found(match):
        wanted = match[1].upper()
        name = next(iter(re.findall(r"'([^']*)'", match[2])), "")
        with lock:
            here = list(attached.get(key_of(name, session), ()))
        if wanted == "TAG_REFERENCES":
            rows = [(name, column) for kind, name, column in here if kind == "TAG"]
            return f"({as_table(('TAG_NAME', 'COLUMN_NAME'), rows)})"
        rows = [(name, kind, column) for kind, name, column in here if kind != "TAG"]
        return f"({as_table(('POLICY_NAME', 'POLICY_KIND', 'REF_COLUMN_NAME'), rows)})"

    if re.match(r"\s*SHOW\s+STREAMS\b", sql, re.IGNORECASE):
        with lock:
            here = [(name, on, stale) for name, (on, stale) in streams.items() if name[0] == session.database]
        rows = [(name[2], ".".join(on), str(stale).lower()) for name, on, stale in here]
        return as_table(("name", "table_name", "stale"), rows)
    return definition(session, REFERENCES.sub(found, sql))


def definition(session, sql):
    """GET_DDL of a view: what is attached to it is in its head."""
    asked = re.match(r"\s*SELECT GET_DDL\('VIEW', (.*)\) AS \"DDL\"$", sql, re.IGNORECASE | re.DOTALL)
    if asked is None:
        return sql
    name = session._duck_conn.execute(f"SELECT {asked[1]}").fetchone()[0]
    known = key_of(name, session)
    views = session._duck_conn.execute("SELECT database_name, schema_name, view_name FROM duckdb_views()").fetchall()
    if known not in {tuple(part.upper() for part in view) for view in views}:
        raise compilation(2003, f"View '{name}' does not exist or not authorized.", "02000")
    with lock:
        kinds = [kind for kind, _, _ in attached.get(known, ()) if kind != "TAG"]
    head = " ".join(f"WITH {kind.replace('_', ' ')} #UNKNOWN_POLICY" for kind in kinds)
    text = f"create or replace view {known[-1]} {head} as SELECT 1".replace("'", "''")
    return f"SELECT '{text}' AS \"DDL\""


def check_names(statement, session, key):
    """A quoted name is found only as it was written: DuckDB knows no case."""
    for table in statement.tables:
        exact, known = spelling(table, session), spelled.get(key(table, session))
        if known is not None and exact != known and not isinstance(statement.ast, exp.Create):
            raise compilation(2003, f"Object '{'.'.join(exact)}' does not exist or not authorized.", "42S02")
    read = isinstance(statement.ast, exp.Select)
    if read and any(streams.get(key(table, session), (None, False))[1] for table in statement.tables):
        raise compilation(
            91901, "Base table of the stream dropped or recreated: the stream is stale and unreadable", "02000"
        )


def spelling(table, session):
    parts = [table.args.get("catalog"), table.args.get("db"), table.this]
    current = [session.database, session.schema, None]
    return tuple(full_name(part) if isinstance(part, exp.Identifier) else now for part, now in zip(parts, current))


def defined(statement, session, key):
    """What a definition does to what is attached to the object, and to its streams."""
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
    with lock:
        kept = [what for what in attached.pop(known, ()) if copies_tags and what[0] == "TAG"]
        if kept:
            attached[known] = kept
        for stream in streams.values():
            stream[1] = stream[1] or stream[0] == known
