"""Starts fakesnow as a server, after teaching it what Snowflake knows and version 0.12.1 does not."""

import string
import sys

import duckdb
from fakesnow import cursor, server
from fakesnow.cli import main
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

# What is made has a comment and columns of some length, which are written down in another database: not so here. DuckDB refuses
# it within a transaction that has written to the first database, as MERGE does, which makes a temporary table; and names with
# quotes break it.
execute = FakeSnowflakeCursor._execute


def execute_without_comments(self, statement, *args, **kwargs):
    statement.args.pop("table_comment", None)
    statement.args.pop("text_lengths", None)
    return execute(self, statement, *args, **kwargs)


FakeSnowflakeCursor._execute = execute_without_comments


# What is made is named in a sentence, which a quote in the name must not end.
class Sentence(string.Template):
    def substitute(self, name):
        return super().substitute(name=name.replace("'", "''"))


for constant, value in list(vars(cursor).items()):
    if constant.startswith(("SQL_CREATED_", "SQL_DROPPED")):
        setattr(cursor, constant, Sentence(value.template))


# The end of a session rolls back its transaction.
class Sessions(dict):
    def __delitem__(self, token):
        session = self.pop(token)
        try:
            session._duck_conn.rollback()
        except duckdb.Error:
            pass  # there was no transaction


server.sessions = Sessions()


# TRANSFORM and FILTER of a VARIANT array are DuckDB's functions of a list, with its other way to write a lambda: the arrow is
# also an operator of JSON. As an array, what is none is the only element of one.
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


# GET with a text finds the member of that name, whatever the name is: DuckDB reads what begins with a dollar as a path. As a
# VARCHAR, a text has no quotes.
def member(generator, expression):
    value, name = generator.sql(expression, "this"), generator.sql(expression, "expression")
    parent = expression.parent
    arrow = "->>" if isinstance(parent, exp.Cast) and parent.is_type(*exp.DataType.TEXT_TYPES) else "->"
    return f"({value} {arrow} ('/' || replace(replace({name}, '~', '~0'), '/', '~1')))"


DuckDB.Generator.TRANSFORMS[exp.GetExtract] = member

if __name__ == "__main__":
    sys.exit(main(["-s", "-p", sys.argv[1]]))
