"""Starts fakesnow as a server, after teaching it what Snowflake knows and version 0.12.1 does not."""

import string
import sys

import duckdb
import pyarrow
from fakesnow import arrow, cursor, server
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


# A timestamp that is null is not the beginning of 1970.
timestamp_to_sf_struct = arrow.timestamp_to_sf_struct


def null_or_struct(timestamps):
    if isinstance(timestamps, pyarrow.ChunkedArray):
        timestamps = timestamps.combine_chunks()
    struct = timestamp_to_sf_struct(timestamps)
    parts = [part.fill_null(0) for part in struct.flatten()]
    return pyarrow.StructArray.from_arrays(parts, fields=list(struct.type), mask=timestamps.is_null())


arrow.timestamp_to_sf_struct = null_or_struct


# TRANSFORM and FILTER of a VARIANT array are DuckDB's functions of a list, with its other way to write a lambda: the arrow is
# also an operator of JSON.
def over_list(function):
    def generate(generator, expression):
        body = expression.expression
        name = generator.sql(body.expressions[0])
        array = generator.sql(expression, "this")
        return f"to_json({function}(CAST({array} AS JSON[]), lambda {name}: {generator.sql(body, 'this')}))"

    return generate


DuckDB.Generator.TRANSFORMS[exp.Transform] = over_list("list_transform")
DuckDB.Generator.TRANSFORMS[exp.ArrayFilter] = over_list("list_filter")

if __name__ == "__main__":
    sys.exit(main(["-s", "-p", sys.argv[1]]))
