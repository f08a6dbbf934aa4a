"""MERGE of two source rows into one target row, and INSERT into several tables."""

import importlib
import itertools
import re

from fakesnow import transforms
from fakesnow.transforms.stage import TableStages
from sqlglot import exp

from strict import settings
from strict.errors import compilation, refused

# `from fakesnow.transforms import merge` would import a function of that name.
merge = importlib.import_module("fakesnow.transforms.merge")
numbers = itertools.count(1)

# The tables in which fakesnow and this module keep rows between the steps of a statement. They have no stage and no load history:
# that would be a second database in the transaction, which DuckDB refuses.
INTERNAL = re.compile(r"MERGE_CANDIDATES|MULTI_INSERT_\d+", re.IGNORECASE)

record = TableStages.record_temporary_table


def record_of_user(stages, expression, catalog, schema):
    if isinstance(expression, exp.Create) and not is_internal(expression):
        record(stages, expression, catalog, schema)


TableStages.record_temporary_table = record_of_user

def is_internal(created):
    return INTERNAL.fullmatch(created.this.name) is not None


candidates = merge._create_merge_candidates


def with_target_rows(merge_expr):
    """The source rows of a MERGE, each with the target row that it matches."""
    made = candidates(merge_expr)
    target = merge_expr.this
    row = exp.column("rowid", table=target.alias or target.name, quoted=True)
    made.expression.append("expressions", exp.alias_(row, "MERGE_TARGET"))
    made.set("merge_deletes", [place for place, when in enumerate(merge_expr.args["whens"]) if is_deletion(when)])
    return made


def is_deletion(when):
    return isinstance(when.args["then"], exp.Var)


def check_whens(ast):
    """Rejects clauses after one of the same kind without a condition: they could not be reached."""
    closed = set()
    for when in ast.args["whens"].expressions:
        matched = bool(when.args.get("matched"))
        if matched in closed:
            raise compilation(2048, "unreachable case in MERGE: a WHEN clause without a condition comes before it")
        if when.args.get("condition") is None:
            closed.add(matched)


def check_candidates(cursor, transformed):
    """Rejects a MERGE in which several source rows update or delete one target row."""
    deletions = transformed.args.get("merge_deletes")
    if deletions is None or not settings.is_true(cursor._conn.parameters["ERROR_ON_NONDETERMINISTIC_MERGE"]):
        return
    listed = ", ".join(map(str, deletions)) or "-1"
    several = cursor._duck_conn.execute(
        "SELECT 1 FROM merge_candidates WHERE MERGE_TARGET IS NOT NULL GROUP BY MERGE_TARGET "
        f"HAVING COUNT(*) > 1 AND COUNT_IF(MERGE_OP NOT IN ({listed})) > 0 LIMIT 1"
    ).fetchone()
    if several:
        raise refused(100090, "42P18", "Duplicate row detected during DML action")


def insert_into_all(ast):
    """Splits a multi-table INSERT into statements."""
    if not isinstance(ast, exp.MultitableInserts):
        return [ast]
    source, first = ast.args["source"], ast.args.get("kind", "ALL").upper() == "FIRST"
    name = f"multi_insert_{next(numbers)}"
    from_ = f'"{name}"'
    made = [exp.maybe_parse(f"CREATE OR REPLACE TEMPORARY TABLE {from_} AS SELECT 1", dialect="snowflake")]
    made[0].set("expression", source.copy())
    conditions, into = [], []
    for clause in ast.expressions:
        condition = clause.args.get("expression")
        if clause.args.get("else_"):
            condition = exp.not_(exp.or_(*conditions)) if conditions else None
        elif condition is not None:
            before, condition = list(conditions), condition.copy()
            conditions.append(exp.func("COALESCE", condition.copy(), exp.false()))
            if first and before:
                condition = exp.and_(condition, exp.not_(exp.or_(*before)))
        elif conditions:
            condition = into[-1][1]
        into.append((clause.this, condition))
    for insert, condition in into:
        made.append(insert_from(insert, condition, from_))
    counts = [
        f"(SELECT COUNT(*) FROM {from_}{' WHERE ' + c.sql('snowflake') if c is not None else ''})" for _, c in into
    ]
    names = [target_name(insert) for insert, _ in into]
    columns = [f'{count} AS "number of rows inserted into {target}"' for count, target in zip(counts, names)]
    counted = exp.maybe_parse(f"SELECT {', '.join(columns)}", dialect="snowflake")
    counted.set("merge_counts", True)
    return [*made, counted]


def target_name(insert):
    return insert.find(exp.Table).name.replace('"', '""')


def insert_from(insert, condition, from_):
    target = insert.this.sql("snowflake")
    values = insert.expression
    listed = "*"
    if values is not None:
        row = values.expressions[0] if isinstance(values, exp.Values) else values
        listed = ", ".join(value.sql("snowflake") for value in row.expressions)
    where = f" WHERE {condition.sql('snowflake')}" if condition is not None else ""
    return exp.maybe_parse(f"INSERT INTO {target} SELECT {listed} FROM {from_}{where}", dialect="snowflake")


merge._create_merge_candidates = with_target_rows
explode = transforms.insert_overwrite


def insert_overwrite(ast):
    several = insert_into_all(ast)
    return several if len(several) > 1 else explode(ast)


transforms.insert_overwrite = insert_overwrite
