"""Temporary tables: each session has its own, which hide others of the same name and end with the session.

DuckDB has them in a catalog of its own only. Here each is a table whose name only its session knows.
"""

import re
import uuid

from sqlglot import exp

from strict import statements
from strict.statements import key

TEMPORARY = re.compile(r"\A(\s*CREATE\s+(?:OR\s+REPLACE\s+)?)(?:LOCAL\s+|GLOBAL\s+)?TEMP(?:ORARY)?\s+(?=TABLE\b)", re.IGNORECASE)


def of_session(statement, session):
    """The statement with the session's own tables instead of those that it names."""
    if not hasattr(session, "temporary"):
        session.temporary = {}
    if created := TEMPORARY.match(statement.sql):
        table = statement.ast.this.find(exp.Table)
        session.temporary[key(table, session)] = f"{table.name}/{uuid.uuid4()}"
    own = {table.this: session.temporary[name] for table in statement.tables if (name := key(table, session)) in session.temporary}
    if not own:
        return statement
    text = TEMPORARY.sub(r"\1", statement.sql) if created else statement.sql
    for name, unique in own.items():
        quoted = '"' + name.name.replace('"', '""') + '"'
        written = re.escape(quoted) if name.args.get("quoted") else rf'(?<![\w$"]){re.escape(name.name)}(?![\w$"])'
        text = re.sub(written, lambda _: '"' + unique.replace('"', '""') + '"', text)
    if isinstance(statement.ast, exp.Drop):
        for table in statement.tables:
            session.temporary.pop(key(table, session), None)
    return statements.read(text, statement.ignores_case)


def end(session):
    """Drops the tables of a session that ends."""
    for name, own in getattr(session, "temporary", {}).items():
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (*name[:-1], own))
        session._duck_conn.execute(f"DROP TABLE IF EXISTS {quoted}")
    session.temporary = {}
