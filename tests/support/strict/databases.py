"""Supports databases and schemas of any name: fakesnow does not quote names in its own statements."""

import re

import duckdb
from fakesnow import info_schema, macros, transforms
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms import file_format, stage
from sqlglot import exp

from strict.merges import INTERNAL
from strict.statements import parts_of

# A name that needs no quotes and occurs in no statement.
PLAIN = "the_database_of_this_statement"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def text(value):
    return "'" + value.replace("'", "''") + "'"


def with_any_name(creation):
    """The statements that create objects in a database, for a placeholder name."""

    def sql(name):
        return creation(PLAIN).replace(text(PLAIN), text(name)).replace(PLAIN, quoted(name))

    return sql


def path(database, schema):
    """The value of DuckDB's parameter `schema`."""
    return text(f"{quoted(database)}.{quoted(schema)}")


def names(session):
    return {name for (name,) in session._duck_conn.execute("SELECT database_name FROM duckdb_databases()").fetchall()}


create_database, set_schema = transforms.create_database, transforms.set_schema


def create_quoted_database(expression, db_path=None):
    made = create_database(expression, db_path)
    if name := made.args.get("create_db_name"):
        exists = "IF NOT EXISTS " if expression.args.get("exists") else ""
        made.set("expression", exp.Literal.string(f"{exists}DATABASE ':memory:' AS {quoted(name)}"))
    return made


def set_quoted_schema(expression, current_database=None):
    made = set_schema(expression, current_database)
    database, schema = made.args.get("set_database"), made.args.get("set_schema")
    if database or schema:
        made.set("expression", exp.Literal.string(f"schema = {path(database or current_database, schema or 'main')}"))
    return made


# The cursor's message to DuckDB about a new schema or table.
SET_SCHEMA = re.compile(r"SET schema='(.*)\.(.*)'", re.DOTALL)
OF_FILES = re.compile(r"DELETE FROM (.*)(\._fs_information_schema\._fs_load_history WHERE .*)", re.DOTALL)


class Quoting:
    """A connection to DuckDB that quotes names in the statements of fakesnow's cursor."""

    def __init__(self, duck):
        self.duck = duck

    def __getattr__(self, name):
        return getattr(self.duck, name)

    def __enter__(self):
        return self.duck.__enter__()

    def __exit__(self, *error):
        return self.duck.__exit__(*error)

    def execute(self, sql, *arguments):
        if found := SET_SCHEMA.fullmatch(sql):
            sql = f"SET schema = {path(*found.groups())}"
        elif found := OF_FILES.fullmatch(sql):
            if INTERNAL.fullmatch(arguments[0][1]):
                return self  # nothing is loaded into it
            sql = f"DELETE FROM {quoted(found[1])}{found[2]}"
        return self.duck.execute(sql, *arguments)


begin_cursor = FakeSnowflakeCursor.__init__


def begin_quoting_cursor(cursor, conn, duck_conn, *arguments, **named):
    begin_cursor(cursor, conn, duck_conn, *arguments, **named)
    cursor._duck_conn = Quoting(duck_conn)


def stage_parts(name, current_database, current_schema):
    """The database, schema and name of a stage or file format."""
    parts = parts_of(name)
    return tuple([current_database, current_schema][: 3 - len(parts)] + parts)


def begin(session, database, schema):
    """The database and schema that a login names, or nothing. A missing one becomes current once it is created."""
    session.database, session._schema = database, schema
    if database is None:
        return
    session.schema_set = schema is not None and make_current(session, database, schema)
    session.database_set = session.schema_set or make_current(session, database, "main")


def make_current(session, database, schema):
    """Makes a schema current. Returns whether it exists."""
    try:
        session._duck_conn.execute(f"SET schema = {path(database, schema)}")
    except duckdb.Error:
        return False
    return True


def install():
    FakeSnowflakeCursor.__init__ = begin_quoting_cursor
    stage.parts_from_var = file_format.parts_from_var = stage_parts
    transforms.create_database, transforms.set_schema = create_quoted_database, set_quoted_schema
    info_schema.per_db_creation_sql = with_any_name(info_schema.per_db_creation_sql)
    macros.creation_sql = with_any_name(macros.creation_sql)
