"""Temporary tables: each session has its own, which hide others of the same name and end with the session.

DuckDB has them in a catalog of its own only. Here each is a table whose name only its session knows.
"""

import itertools

from sqlglot import exp

from strict.statements import Statement, full_name, key

numbers = itertools.count(1)


def of_session(statement, session):
    """The statement with the session's own tables instead of those that it names."""
    if not hasattr(session, "temporary"):
        session.temporary, session.number_of_temporaries = {}, next(numbers)
    table = created(statement.ast)
    if table is not None:
        session.temporary[key(table, session)] = f"{full_name(table.this)}^=temporary/{session.number_of_temporaries}"
    if not any(key(table, session) in session.temporary for table in statement.tables):
        return statement
    ast = statement.ast.copy()
    for table in ast.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and (own := session.temporary.get(key(table, session))):
            table.set("this", exp.to_identifier(own, quoted=True))
    for kind in list(ast.find_all(exp.TemporaryProperty)):
        kind.pop()
    if isinstance(ast, exp.Drop):
        for table in statement.tables:
            session.temporary.pop(key(table, session), None)
    return Statement(statement.sql, ast, statement.copies_tags)


def created(ast):
    """The name of the temporary table that a statement creates."""
    if not isinstance(ast, exp.Create) or ast.args.get("kind") != "TABLE" or ast.find(exp.TemporaryProperty) is None:
        return None
    return ast.this.find(exp.Table) if isinstance(ast.this, exp.Schema) else ast.this


def end(session):
    """Drops the tables of a session that ends."""
    for name, own in getattr(session, "temporary", {}).items():
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (*name[:-1], own))
        session._duck_conn.execute(f"DROP TABLE IF EXISTS {quoted}")
    session.temporary = {}
