"""Starts fakesnow as a server, after teaching it what Snowflake knows and version 0.12.1 does not."""

import sys

from fakesnow.cli import main
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

# MERGE is carried out through a temporary table. That this table has no comment is written down in another database,
# which DuckDB refuses within a transaction that has written to the first one.
execute = FakeSnowflakeCursor._execute


def execute_within_a_transaction(self, statement, *args, **kwargs):
    if isinstance(statement, exp.Create) and statement.find(exp.Table).name.upper() == "MERGE_CANDIDATES":
        statement.args.pop("table_comment", None)
        statement.args.pop("text_lengths", None)
    return execute(self, statement, *args, **kwargs)


FakeSnowflakeCursor._execute = execute_within_a_transaction


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
