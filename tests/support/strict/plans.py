"""What fakesnow makes of a statement, kept for the next time: to make it takes longer than to run it.

A plan belongs to everything that it depends on: the text, the session's database, schema and parameters, the types of bound values,
and the columns of the tables. A statement about a table with policies is planned anew each time.
"""

import collections
import threading

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from sqlglot.expressions.core import Expression

from strict import collations, merges, names, policies, settings, statements

KEPT = (exp.Query, exp.Insert, exp.MultitableInserts, exp.Update, exp.Delete, exp.Merge)
STEPS = (exp.Query, exp.Insert, exp.Update, exp.Delete)
SIZE = 4000

lock, plans = threading.Lock(), collections.OrderedDict()
# Thread-local: the steps of the current statement so far.
noted = threading.local()

TEXT = "text for DuckDB"


def keep(key, steps):
    with lock:
        plans[key] = steps
        plans.move_to_end(key)
        if len(plans) > SIZE:
            plans.popitem(last=False)


def kept(key):
    with lock:
        if (steps := plans.get(key)) is not None:
            plans.move_to_end(key)
        return steps


class Plan:
    """The steps of a statement: the trees that fakesnow runs, each with whether it takes the bound values. Nothing changes them:
    threads share them."""

    def __init__(self, session, statement, binds, columns):
        self.binds, self.steps = binds, None
        self.names = tuple(dict.fromkeys((*statement.names, *names.found_in(session.database or ""))))
        self.key = key_of(session, statement, self.names, binds, columns)
        if self.key is not None:
            self.steps = kept((self.key, self.names)) or self.of_another_database()

    def of_another_database(self):
        if not self.names or (steps := kept((self.key, ()))) is None:
            return None
        steps = [(with_text(tree, lambda text: names.shown(text, self.names)), is_bound) for tree, is_bound in steps]
        keep((self.key, self.names), steps)
        return steps

    def run(self, cursor):
        """Runs the steps as fakesnow's `execute` does."""
        try:
            cursor._sqlstate = None
            for tree, is_bound in self.steps:
                cursor._execute(tree, list(self.binds) if is_bound else None)
        except ProgrammingError as error:
            cursor._sqlstate = error.sqlstate
            raise

    def note(self, execute):
        """Executes a statement and notes its steps."""
        noted.steps = []
        try:
            execute()
            # A bound name is part of the tree.
            if self.key is not None and all(params is None or len(params) == len(self.binds) for _, params in noted.steps):
                self.steps = [(tree, params is not None) for tree, params in noted.steps]
                for tree, _ in self.steps:
                    tree.meta[TEXT] = tree.sql(dialect="duckdb")
                keep((self.key, self.names), self.steps)
                if self.names:
                    hidden = [(with_text(tree, lambda text: names.hidden(text, self.names)), bound) for tree, bound in self.steps]
                    keep((self.key, ()), hidden)
        finally:
            noted.steps = None


def with_text(tree, change):
    """A step with other names. Of queries and changes, fakesnow reads only the text and the kind."""
    if isinstance(tree, STEPS) or isinstance(tree, exp.Create) and merges.is_internal(tree):
        made = type(tree)()
        made.args = tree.args
    else:
        made = names.replaced(tree, change)
    made.meta[TEXT] = change(tree.meta[TEXT])
    return made


def noting(execute):
    def execute_and_note(cursor, transformed, params=None):
        if (steps := getattr(noted, "steps", None)) is not None:
            steps.append((transformed, params))
        return execute(cursor, transformed, params)

    return execute_and_note


def key_of(session, statement, given, binds, columns):
    """All that the plan of a statement depends on; nothing if it is not kept. `columns` gives those of a table."""
    if len(statement.sql) > names.LONGEST or session.nop_regexes or not isinstance(binds, (list, tuple, type(None))):
        return None
    ast, target = statement.shape, None
    if isinstance(ast, exp.Create) and ast.args.get("kind") in ("TABLE", "VIEW", "SCHEMA", "DATABASE"):
        target = ast.this.this if isinstance(ast.this, exp.Schema) else ast.this
        if ast.args.get("clone") or ast.args["kind"] == "TABLE" and ast.expression:
            return None
    elif not isinstance(ast, KEPT):
        return None
    read = []
    for table in statement.tables:
        if table is not target:
            name = statements.key(table, session)
            found = {} if name[1] == "INFORMATION_SCHEMA" else columns(table)
            if policies.attached.get(name) or found is None:
                return None
            read.append(tuple(found.items()))
    return (
        statement.template,
        statement.ignores_case,
        (names.hidden(session.database, given), session.database_set, session.schema, session.schema_set),
        tuple(session.parameters[name] for name in settings.DEFAULTS),
        tuple(session.variables._variables.items()),
        tuple(type(value) for value in binds or ()),
        tuple(read),
        of_definition(ast, session) if target is not None else None,
    )


def of_definition(ast, session):
    """What the definition of a table depends on besides."""
    if ast.args["kind"] != "TABLE":
        return None
    return settings.of_user(session.user).get("VARIANT_BYTES"), collations.of_table(ast, session)


write = Expression.sql


def write_once(tree, dialect=None, **options):
    text = tree.meta_get(TEXT) if dialect == "duckdb" and not options else None
    return write(tree, dialect, **options) if text is None else text


Expression.sql = write_once
