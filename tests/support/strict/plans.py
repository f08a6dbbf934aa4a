"""What fakesnow makes of a statement, kept for the next time: to make it takes longer than to run it.

A plan belongs to everything that it depends on: the text, the session's database, schema and parameters, the types of bound values,
and the columns of the tables. A statement about a table with policies is planned anew each time.
"""

import collections
import threading

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from sqlglot.expressions.core import Expression

from strict import policies, settings, statements

KEPT = (exp.Query, exp.Insert, exp.MultitableInserts, exp.Update, exp.Delete, exp.Merge)
SIZE = 2000

lock, plans = threading.Lock(), collections.OrderedDict()
# Thread-local: the steps of the current statement so far.
noted = threading.local()

TEXT = "text for DuckDB"


class Plan:
    """`ast` is the checked tree of a statement, and `steps` are the trees that fakesnow runs, each with whether it takes the bound
    values. Nothing changes them: threads share them."""

    def __init__(self, ast):
        self.ast, self.steps = ast, None

    def run(self, cursor, binds):
        """Runs the steps as fakesnow's `execute` does."""
        try:
            cursor._sqlstate = None
            for tree, is_bound in self.steps:
                if tree.meta_get(TEXT) is None:
                    tree.meta[TEXT] = tree.sql(dialect="duckdb")
                cursor._execute(tree, list(binds) if is_bound else None)
        except ProgrammingError as error:
            cursor._sqlstate = error.sqlstate
            raise

    def note(self, execute, binds):
        """Executes a statement and notes its steps."""
        noted.steps = []
        try:
            execute()
            # A bound name is part of the tree.
            if all(params is None or len(params) == len(binds) for _, params in noted.steps):
                self.steps = [(tree, params is not None) for tree, params in noted.steps]
        finally:
            noted.steps = None


def noting(execute):
    def execute_and_note(cursor, transformed, params=None):
        if (steps := getattr(noted, "steps", None)) is not None:
            steps.append((transformed, params))
        return execute(cursor, transformed, params)

    return execute_and_note


def key_of(session, statement, binds, columns):
    """All that the plan of a statement depends on; nothing if it is not kept. `columns` gives those of a table."""
    if not isinstance(statement.ast, KEPT) or not isinstance(binds, (list, tuple, type(None))) or session.nop_regexes:
        return None
    read = {}
    for table in statement.tables:
        name = statements.key(table, session)
        if policies.attached.get(name) or (found := columns(table)) is None:
            return None
        read[name] = tuple(found.items())
    return (
        statement.sql,
        statement.ignores_case,
        (session.database, session.database_set, session.schema, session.schema_set),
        tuple(session.parameters[name] for name in settings.DEFAULTS),
        tuple(session.variables._variables.items()),
        tuple(type(value) for value in binds or ()),
        tuple(read.items()),
    )


def find(key, prepare):
    """The plan with this key. `prepare` returns the checked tree of one that is not known."""
    if key is None:
        return Plan(prepare())
    with lock:
        if (plan := plans.get(key)) is not None:
            plans.move_to_end(key)
            return plan
    plan = Plan(prepare())
    with lock:
        plans[key] = plan
        if len(plans) > SIZE:
            plans.popitem(last=False)
    return plan


write = Expression.sql


def write_once(tree, dialect=None, **options):
    text = tree.meta_get(TEXT) if dialect == "duckdb" and not options else None
    return write(tree, dialect, **options) if text is None else text


Expression.sql = write_once
