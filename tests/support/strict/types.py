"""Types of expressions, and conversions that need a cast.

A type is known where it follows from the text and the tables. What is not known is not refused.
"""

from sqlglot import exp

from strict.errors import compilation
from strict.statements import full_name

TEXTS = {"VARCHAR", "TEXT", "CHAR", "NCHAR", "NVARCHAR"}
NUMBERS = {"INT", "BIGINT", "SMALLINT", "TINYINT", "DECIMAL", "INT128", "UBIGINT", "BIGDECIMAL"}
FLOATS = {"FLOAT", "DOUBLE"}

# The types that each type is not coerced to, although it can be cast to them.
NOT_COERCIBLE = {
    "VARIANT": {"VARCHAR", "BINARY", "DATE", "TIME", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"},
    "ARRAY": {"VARCHAR", "NUMBER", "FLOAT", "BOOLEAN", "OBJECT"},
    "OBJECT": {"VARCHAR", "NUMBER", "FLOAT", "BOOLEAN", "ARRAY"},
    "VARCHAR": {"ARRAY", "OBJECT", "BINARY"},
    "NUMBER": {"BOOLEAN"},
}

FLATTENED = {
    "SEQ": "NUMBER",
    "KEY": "VARCHAR",
    "PATH": "VARCHAR",
    "INDEX": "NUMBER",
    "VALUE": "VARIANT",
    "THIS": "VARIANT",
}

OF_EXPRESSION = {
    exp.ParseJSON: "VARIANT",
    exp.GetExtract: "VARIANT",
    exp.JSONExtract: "VARIANT",
    exp.ToVariant: "VARIANT",
    exp.Bracket: "VARIANT",
    exp.JSONFormat: "VARCHAR",
    exp.ToChar: "VARCHAR",
    exp.Concat: "VARCHAR",
    exp.DPipe: "VARCHAR",
    exp.Upper: "VARCHAR",
    exp.Lower: "VARCHAR",
    exp.Left: "VARCHAR",
    exp.Right: "VARCHAR",
    exp.Replace: "VARCHAR",
    exp.Substring: "VARCHAR",
    exp.Chr: "VARCHAR",
    exp.Trim: "VARCHAR",
    exp.CurrentUser: "VARCHAR",
    exp.Transform: "ARRAY",
    exp.ArrayFilter: "ARRAY",
    exp.Array: "ARRAY",
    exp.ArrayAgg: "ARRAY",
    exp.Struct: "OBJECT",
    exp.Count: "NUMBER",
    exp.CountIf: "NUMBER",
    exp.ArraySize: "NUMBER",
    exp.Length: "NUMBER",
    exp.RowNumber: "NUMBER",
    exp.ToNumber: "NUMBER",
    exp.Boolean: "BOOLEAN",
    exp.RegexpLike: "BOOLEAN",
    exp.StartsWith: "BOOLEAN",
    exp.Contains: "BOOLEAN",
    exp.Predicate: "BOOLEAN",
    exp.Connector: "BOOLEAN",
    exp.Not: "BOOLEAN",
    exp.Binary: "NUMBER",
    exp.Null: "NULL",
}

# Their type is that of their argument.
TRANSPARENT = (
    exp.Paren,
    exp.Alias,
    exp.Max,
    exp.Min,
    exp.AnyValue,
    exp.FirstValue,
    exp.LastValue,
    exp.Window,
    exp.IgnoreNulls,
    exp.Lag,
    exp.Lead,
)


def of_data_type(data_type):
    name = data_type.this.name if isinstance(data_type.this, exp.DType) else str(data_type.this)
    if name in TEXTS:
        return "VARCHAR"
    if name in NUMBERS:
        return "NUMBER"
    if name in FLOATS:
        return "FLOAT"
    return {
        "TIMESTAMP": "TIMESTAMP_NTZ",
        "TIMESTAMPNTZ": "TIMESTAMP_NTZ",
        "TIMESTAMPLTZ": "TIMESTAMP_LTZ",
        "TIMESTAMPTZ": "TIMESTAMP_TZ",
        "VARBINARY": "BINARY",
        "STRUCT": "OBJECT",
    }.get(name, name)


class Types:
    """The types in one statement. `columns` gives the columns of a table with their types, or nothing; `binds` are the bound
    values."""

    def __init__(self, ast, columns, binds):
        self.columns = columns
        marks = [node for node in ast.find_all(exp.Placeholder, bfs=False)]
        values = list(binds) if isinstance(binds, (list, tuple)) else []
        self.binds = {id(mark): value for mark, value in zip(marks, values)}
        self.scopes, self.known = {}, {}

    def of(self, node):
        if id(node) not in self.known:
            self.known[id(node)] = None  # in case it refers to itself
            self.known[id(node)] = self.find(node)
        return self.known[id(node)]

    def find(self, node):
        match node:
            case exp.Literal():
                return "VARCHAR" if node.is_string else "NUMBER"
            case exp.Cast():
                return of_data_type(node.to)
            case exp.StrToTime():
                target = node.args.get("target_type")
                return of_data_type(target) if target else None
            case exp.Column():
                return self.of_column(node)
            case exp.Placeholder():
                return {str: "VARCHAR", int: "NUMBER", bool: "BOOLEAN"}.get(type(self.binds.get(id(node))))
            case exp.Case():
                branches = [branch.args["true"] for branch in node.args["ifs"]]
                return self.of_first(branches + [node.args.get("default")])
            case exp.If():
                return self.of_first([node.args.get("true"), node.args.get("false")])
            case exp.Coalesce():
                return self.of_first([node.this, *node.expressions])
            case exp.Subquery() | exp.Query():
                return next(
                    iter(self.projections(node.unnest() if isinstance(node, exp.Subquery) else node).values()), None
                )
            case exp.JSONExtractScalar():
                return None
            case _ if isinstance(node, TRANSPARENT):
                return self.of(node.this)
        return next((kind for known, kind in OF_EXPRESSION.items() if isinstance(node, known)), None)

    def of_first(self, nodes):
        found = (self.of(node) for node in nodes if node is not None)
        return next((kind for kind in found if kind not in (None, "NULL")), None)

    def of_column(self, column):
        name, table, scope = full_name(column.this), column.table.upper(), column
        while scope := scope.find_ancestor(exp.Select, exp.Merge, exp.Update, exp.Delete):
            for alias, columns in self.sources(scope).items():
                if table in ("", alias) and name in columns:
                    return columns[name]
        return None

    def sources(self, scope):
        if id(scope) not in self.scopes:
            self.scopes[id(scope)] = {}
            found = {}
            for source in sources_of(scope):
                found[source.alias_or_name.upper()] = self.of_source(source)
            self.scopes[id(scope)] = found
        return self.scopes[id(scope)]

    def of_source(self, source):
        match source:
            case exp.Table():
                for cte in (with_ for scope in ancestors(source) for with_ in ctes(scope)):
                    if not source.db and cte.alias_or_name.upper() == source.name.upper():
                        return self.projections(cte.this)
                return self.columns(source) or {}
            case exp.Lateral():
                return FLATTENED
            case exp.Subquery():
                return self.projections(source.unnest())
        return {}

    def projections(self, query):
        """The columns of a query, with their types."""
        if isinstance(query, exp.SetOperation):
            return self.projections(query.left.unnest() if isinstance(query.left, exp.Subquery) else query.left)
        if not isinstance(query, exp.Select):
            return {}
        found = {}
        for place, node in enumerate(query.expressions):
            if isinstance(node, exp.Star):
                for columns in self.sources(query).values():
                    found.update(columns)
            elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
                found.update(self.sources(query).get(node.table.upper(), {}))
            else:
                alias = node.args.get("alias") if isinstance(node, exp.Alias) else node.this
                name = full_name(alias) if isinstance(alias, exp.Identifier) else f"${place + 1}"
                found[name if name not in found else f"${place + 1}"] = self.of(node)
        return found


def ancestors(node):
    while node := node.parent:
        yield node


def ctes(scope):
    with_ = scope.args.get("with_") if isinstance(scope, exp.Expression) else None
    return with_.expressions if with_ else []


def sources_of(scope):
    found = []
    if isinstance(scope, exp.Merge):
        found = [scope.this, scope.args["using"]]
    elif isinstance(scope, (exp.Update, exp.Delete)):
        found = [scope.this]
    if isinstance(from_ := scope.args.get("from_"), exp.From):
        found.append(from_.this)
    found += [join.this for join in scope.args.get("joins") or []] + list(scope.args.get("laterals") or [])
    return [source for source in found if source is not None]


def check(ast, types, columns):
    """Rejects conversions that Snowflake would reject."""
    for node in ast.walk():
        if isinstance(node, exp.TryCast):
            if (kind := types.of(node.this)) not in (None, "NULL", "VARCHAR"):
                target = of_data_type(node.to)
                message = f"Function TRY_CAST cannot be used with arguments of types {kind} and {target}"
                raise compilation(1065, message, "22023")
        elif isinstance(node, (exp.GetExtract, exp.JSONExtract)):
            if (kind := types.of(node.this)) == "VARCHAR":
                message = f"Invalid argument types for function 'GET': ({kind}(16777216), VARCHAR(16777216))"
                raise compilation(1044, message, "42P13")
        elif isinstance(node, (exp.StrToTime, exp.ToNumber)):
            if node.args.get("safe") and (kind := types.of(node.this)) not in (None, "NULL", "VARCHAR"):
                name = "TRY_TO_TIMESTAMP" if isinstance(node, exp.StrToTime) else "TRY_TO_NUMBER"
                raise compilation(1044, f"Invalid argument types for function '{name}': ({kind})", "42P13")
    for table, names, values in assignments(ast):
        known = columns(table) or {}
        for name, value in zip(names or list(known), values):
            coerce(name, known.get(name), types.of(value))


def coerce(column, target, source):
    if source in NOT_COERCIBLE.get(target, ()):
        shown = f"{source}(16777216)" if source == "VARCHAR" else source
        message = (
            f"Expression type does not match column data type, expecting {target} but got {shown} for column {column}"
        )
        raise compilation(2023, message, "22000")


def assignments(ast):
    """The targets of a statement: tables, column names (none means all), and expressions."""
    if isinstance(ast, exp.Insert):
        yield from inserted(ast)
    elif isinstance(ast, exp.MultitableInserts):
        source = ast.args["source"]
        for into in ast.expressions:
            target, names = target_of(into.this)
            values = into.this.expression
            if values is None:
                yield target, names, source.expressions
    elif isinstance(ast, exp.Update):
        yield (
            ast.this,
            [full_name(set_.this.this) for set_ in ast.expressions],
            [set_.expression for set_ in ast.expressions],
        )
    elif isinstance(ast, exp.Merge):
        for when in ast.args["whens"].expressions:
            then = when.args["then"]
            if isinstance(then, exp.Update):
                names = [full_name(set_.this.this) for set_ in then.expressions]
                yield ast.this, names, [set_.expression for set_ in then.expressions]
            elif isinstance(then, exp.Insert) and isinstance(then.expression, exp.Tuple):
                names = [full_name(column.this) for column in then.this.expressions] if then.this else []
                yield ast.this, names, then.expression.expressions


def target_of(insert):
    if isinstance(insert.this, exp.Schema):
        return insert.this.this, [full_name(name) for name in insert.this.expressions]
    return insert.this, []


def inserted(insert):
    target, names = target_of(insert)
    source = insert.expression
    if isinstance(source, exp.Values):
        for row in source.expressions:
            yield target, names, row.expressions if isinstance(row, exp.Tuple) else [row]
    elif isinstance(source, exp.SetOperation):
        for branch in (source.left, source.right):
            if isinstance(branch, exp.Select):
                yield target, names, branch.expressions
    elif isinstance(source, exp.Select) and not any(isinstance(node, exp.Star) for node in source.expressions):
        yield target, names, source.expressions
