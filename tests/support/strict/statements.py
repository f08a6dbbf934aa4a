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
    def __init__(self, sql, ast, ignores_case, copies_tags):
        self.sql, self.ast, self.ignores_case, self.copies_tags = sql, ast, ignores_case, copies_tags
        self.names = names.found_in(sql)
        self.template = names.hidden(sql, self.names)
        self.kind = kind(ast)
        self.tables = [table for table in ast.find_all(exp.Table) if isinstance(table.this, exp.Identifier)]
        # Names of common table expressions are not tables.
        within = {cte.alias_or_name.upper() for cte in ast.find_all(exp.CTE)}
        self.tables = [table for table in self.tables if table.db or table.name.upper() not in within]

    def targets(self):
        """The tables that a statement writes to."""
        ast = self.ast
        if isinstance(ast, exp.MultitableInserts):
            return [into.this.find(exp.Table) for into in ast.expressions]
        if isinstance(ast, exp.TruncateTable):
            return list(ast.expressions)
        if not isinstance(ast, CHANGES):
            return []
        target = ast.this.this if isinstance(ast.this, exp.Schema) else ast.this
        return [target] if isinstance(target, exp.Table) else []

    def locks(self):
        return self.targets() if isinstance(self.ast, LOCKING) else []


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
    ast = names.replaced(known.ast, lambda text: names.shown(text, given))
    return Statement(sql, ast, ignore_case, known.copies_tags)


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
    return Statement(sql, ast, ignore_case, bool(options and re.search("TAGS", options[2], re.IGNORECASE)))


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
