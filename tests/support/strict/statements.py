"""Parses and classifies statements, and finds the tables that they name."""

import collections
import functools
import re
import threading

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from strict import names

QUERY, CHANGE, DEFINITION, BEGIN, COMMIT, ROLLBACK, SESSION, OTHER = range(8)

# UPDATE, DELETE, MERGE and TRUNCATE lock their table; INSERT and COPY do not.
LOCKING = (exp.Update, exp.Delete, exp.Merge, exp.TruncateTable)
CHANGES = (exp.Insert, exp.MultitableInserts, exp.Copy, *LOCKING)
DEFINING_COMMANDS = ("ALTER", "COMMENT", "CREATE", "DROP", "GRANT", "REVOKE", "UNDROP")

NAME = r'(?:"(?:[^"]|"")*"|[\w$]+)'
COPY_OPTIONS = re.compile(
    rf"\A(\s*CREATE\s+OR\s+REPLACE\s+(?:SECURE\s+)?VIEW\s+{NAME}(?:\.{NAME})*)((?:\s+COPY\s+(?:GRANTS|TAGS))+)(?=\s+AS\b)",
    re.IGNORECASE,
)


class Statement:
    """A statement, or one that differs from another one only in its names."""

    def __init__(self, sql, ast, ignores_case, copies_tags, known=None):
        self.sql, self.ignores_case, self.copies_tags = sql, ignores_case, copies_tags
        self.names = names.found_in(sql)
        self.template = names.hidden(sql, self.names)
        # The tree, perhaps with other names: enough to ask what kind of statement it is.
        self.shape = known.shape if known else ast
        self.kind = known.kind if known else kind(ast)
        self.has_other_names = known is not None

    @functools.cached_property
    def ast(self):
        return self.with_names(self.shape)

    @functools.cached_property
    def tables(self):
        return [self.with_names(table) for table in tables_in(self.shape)]

    @functools.cached_property
    def longest_name(self):
        """The longest identifier, up to names that differ between tests."""
        return max((node.name for node in self.shape.find_all(exp.Identifier)), key=len, default="")

    def with_names(self, tree):
        return names.replaced(tree, lambda text: names.shown(text, self.names)) if self.has_other_names else tree

    def targets(self):
        """The tables that a statement writes to."""
        ast = self.shape
        if isinstance(ast, exp.MultitableInserts):
            return [self.with_names(into.this.find(exp.Table)) for into in ast.expressions]
        if isinstance(ast, exp.TruncateTable):
            return list(map(self.with_names, ast.expressions))
        if not isinstance(ast, CHANGES):
            return []
        target = ast.this.this if isinstance(ast.this, exp.Schema) else ast.this
        return [self.with_names(target)] if isinstance(target, exp.Table) else []

    def locks(self):
        return self.targets() if isinstance(self.shape, LOCKING) else []


def tables_in(ast):
    tables = [table for table in ast.find_all(exp.Table) if isinstance(table.this, exp.Identifier)]
    # Names of common table expressions are not tables.
    within = {cte.alias_or_name.upper() for cte in ast.find_all(exp.CTE)}
    return [table for table in tables if table.db or table.name.upper() not in within]


def kind(ast):
    match ast:
        case exp.Transaction():
            return BEGIN
        case exp.Commit():
            return COMMIT
        case exp.Rollback():
            return ROLLBACK
        case exp.Alter() if ast.args.get("kind") == "SESSION":
            return SESSION
        case exp.Create() | exp.Drop() | exp.Alter() | exp.Comment() | exp.Grant() | exp.Revoke() | exp.Undrop():
            return DEFINITION
        case exp.Command() if str(ast.this).upper() in DEFINING_COMMANDS:
            return DEFINITION
        case exp.Query():
            return QUERY
    return CHANGE if isinstance(ast, CHANGES) else OTHER


def key(table, session):
    """The key of a table, in upper case because DuckDB ignores case."""
    parts = (table.catalog or session.database, table.db or session.schema, table.name)
    return tuple((part or "").upper() for part in parts)


def full_name(identifier):
    """A name as Snowflake stores it."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.upper()


def parts_of(text):
    """The parts of a name with dots, as Snowflake stores them. A stage of a table begins with %."""
    parts = re.findall(rf"%?{NAME}", text)
    return [part[1:-1].replace('""', '"') if part[0] == '"' else part.upper() for part in parts]


lock = threading.Lock()
# Statements by their texts, with this many characters in all; the newest is kept, however long it is.
cache, SIZE, size = collections.OrderedDict(), 2_000_000, 0


def upper_case(node):
    if isinstance(node, exp.Identifier) and node.args.get("quoted"):
        node.set("this", node.name.upper())
    return node


def read(sql, ignore_case=False):
    """Parses a statement, with a cache. Callers must not change the tree."""
    global size
    with lock:
        if found := cache.get((sql, ignore_case)):
            cache.move_to_end((sql, ignore_case))
            return found
    statement = of_template(sql, ignore_case) or parse(sql, ignore_case)
    with lock:
        if (sql, ignore_case) not in cache:
            size += len(sql)
        cache[sql, ignore_case] = statement
        while size > SIZE and len(cache) > 1:
            (text, _), _ = cache.popitem(last=False)
            size -= len(text)
    return statement


def of_template(sql, ignore_case):
    """Makes a statement from one that has other names and ids; nothing if it has none."""
    given = names.found_in(sql)
    if not given:
        return None
    try:
        known = read(names.hidden(sql, given), ignore_case)
    except ParseError:
        return None  # the error quotes the text
    # Most queries and changes run by a plan that is known, which needs no tree.
    is_lazy = known.kind in (QUERY, CHANGE)
    ast = None if is_lazy else names.replaced(known.ast, lambda text: names.shown(text, given))
    return Statement(sql, ast, ignore_case, known.copies_tags, known if is_lazy else None)


def kind_of(sql):
    """The kind of a text, which need not be a statement."""
    try:
        return read(sql).kind
    except ParseError:
        return OTHER


def parse(sql, ignore_case):
    options = COPY_OPTIONS.match(sql)
    text = COPY_OPTIONS.sub(without_tags, sql) if options else sql
    try:
        ast = sqlglot.parse_one(text, read="snowflake")
    except ParseError:
        # The parser does not know Snowflake's policies.
        if not re.match(r"\s*(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?[\w\s]*\bPOLICY\b", sql, re.IGNORECASE):
            raise
        verb, rest = sql.split(None, 1)
        ast = exp.Command(this=verb.upper(), expression=f" {rest}")
    if ignore_case:
        ast = ast.transform(upper_case, copy=False)
    if "'@" in text:
        remove_quotes_of_stages(ast)
    return Statement(sql, ast, ignore_case, bool(options and re.search("TAGS", options[2], re.IGNORECASE)))


def remove_quotes_of_stages(ast):
    """A stage may be in quotes, as a name with a space must be: PUT accepts it here only without them."""
    for location in ast.find_all(exp.Var):
        if location.name.startswith("'"):
            location.set("this", template(location.name).name)


def without_tags(found):
    return found[1] + re.sub(r"\s+COPY\s+TAGS", "", found[2], flags=re.IGNORECASE)


@functools.cache
def template(sql):
    return sqlglot.parse_one(sql, read="snowflake")


def call(sql, **arguments):
    """A Snowflake expression, with its columns replaced by name."""
    return template(sql).transform(
        lambda node: arguments[node.name].copy() if isinstance(node, exp.Column) and node.name in arguments else node
    )
