"""DEFAULT_DDL_COLLATION: a text column that declares no collation has that of its table, else of the schema, the database, or the
account."""

import re
import threading

from sqlglot import exp

from strict.errors import compilation
from strict.statements import NAME, full_name

lock = threading.Lock()

# The collations of databases and schemas, by their names in upper case: (database,) or (database, schema).
of_objects = {}

ALTER = re.compile(
    rf"\s*ALTER\s+(DATABASE|SCHEMA)\s+(?:IF\s+EXISTS\s+)?({NAME}(?:\.{NAME})*)\s+"
    r"(?:SET\s+DEFAULT_DDL_COLLATION\s*=\s*'([^']*)'|UNSET\s+DEFAULT_DDL_COLLATION)\s*$",
    re.IGNORECASE,
)


def alter(session, sql):
    """Handles ALTER DATABASE and ALTER SCHEMA that set or unset the parameter. Returns whether it was one."""
    found = ALTER.match(sql)
    if found is None:
        return False
    kind, collation = found[1].upper(), found[3]
    parts = [part[1:-1].replace('""', '"') if part[0] == '"' else part for part in re.findall(NAME, found[2])]
    if kind == "SCHEMA" and len(parts) == 1:
        parts = [session.database, *parts]
    key = tuple(part.upper() for part in parts)
    if key not in known(session, kind):
        message = f"{kind.title()} '{found[2]}' does not exist or not authorized."
        raise compilation(2003, message, "02000")
    put(key, collation)
    return True


def known(session, kind):
    what = "database_name" if kind == "DATABASE" else "database_name, schema_name"
    rows = session._duck_conn.execute(f"SELECT {what} FROM duckdb_schemas()").fetchall()
    return {tuple(part.upper() for part in row) for row in rows}


def put(key, collation):
    with lock:
        of_objects.pop(key, None)
        if collation is not None:
            of_objects[key] = collation


def defined(ast, session):
    """Called after CREATE and DROP of a database or schema: stores or removes its collation."""
    if not isinstance(ast, (exp.Create, exp.Drop)) or ast.args.get("kind") not in ("DATABASE", "SCHEMA"):
        return
    table = ast.find(exp.Table)
    parts = [table.args.get("catalog"), table.args.get("db"), table.args.get("this")]
    parts = [full_name(part) for part in parts if part is not None]
    if ast.args["kind"] == "SCHEMA" and len(parts) == 1:
        parts = [session.database, *parts]
    key = tuple(part.upper() for part in parts)
    if isinstance(ast, exp.Create) and ast.args.get("exists") and of_statement(ast) is None:
        return  # it may have existed before
    put(key, of_statement(ast))


def of_statement(ast):
    """The collation that a statement sets."""
    for node in ast.find_all(exp.Property):
        if type(node) is exp.Property and node.this.name.upper() == "DEFAULT_DDL_COLLATION":
            return node.args["value"].name
    return None


def of_table(ast, session):
    """The collation of the text columns that a CREATE TABLE declares without one."""
    if (own := of_statement(ast)) is not None:
        return own
    table = ast.find(exp.Table)
    schema = ((table.catalog or session.database or "").upper(), (table.db or session.schema or "").upper())
    with lock:
        set_here = [of_objects[key] for key in (schema, schema[:1]) if key in of_objects]
    return set_here[0] if set_here else session.parameters["DEFAULT_DDL_COLLATION"]


def is_case_insensitive(collation):
    return "ci" in collation.lower().split("-")
