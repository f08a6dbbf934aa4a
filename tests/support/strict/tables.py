"""CREATE TABLE: lengths that are enforced, keys that are not, and collations."""

import re

import duckdb
from sqlglot import exp

from strict.errors import compilation, refused, unmarked

VARCHAR, LONGEST, VARIANT = 16_777_216, 134_217_728, 134_217_728
TEXTS = {exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.CHAR, exp.DType.NCHAR, exp.DType.NVARCHAR}

# Snowflake keeps them as a comment, and enforces none of them but NOT NULL.
NOT_ENFORCED = (exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint, exp.Reference)


def create(ast, parameters):
    """What a table becomes in DuckDB."""
    if ast.args.get("kind") != "TABLE" or not isinstance(ast.this, exp.Schema):
        return
    schema = ast.this
    collation = table_collation(ast)
    collation = parameters["DEFAULT_DDL_COLLATION"] if collation is None else collation
    kept = [node for node in schema.expressions if isinstance(node, exp.ColumnDef)]
    schema.set("expressions", kept)
    for column in kept:
        constraints = [node for node in column.args.get("constraints") or [] if not isinstance(node.args.get("kind"), NOT_ENFORCED)]
        constraints = [node for node in constraints if not isinstance(node, exp.Reference)]
        if (checked := longest(column)) is not None:
            own = [node for node in constraints if isinstance(node.args.get("kind"), exp.CollateColumnConstraint)]
            constraints = [node for node in constraints if node not in own]
            how = own[0].args["kind"].this.name if own else collation
            if column.kind.this in TEXTS and is_case_insensitive(how):
                name = exp.CollateColumnConstraint(this=exp.to_identifier("NOCASE"))
                constraints.insert(0, exp.ColumnConstraint(kind=name))
            constraints.append(exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=checked)))
        column.set("constraints", constraints)


def table_collation(ast):
    for node in ast.find_all(exp.Property):
        if type(node) is exp.Property and node.this.name.upper() == "DEFAULT_DDL_COLLATION":
            return node.args["value"].name
    return None


def is_case_insensitive(collation):
    return "ci" in collation.lower().split("-")


def longest(column):
    """The condition that a value of a column fits into it, for texts and VARIANT."""
    kind = column.args.get("kind")
    if kind is None:
        return None
    name = exp.column(column.this.copy())
    if kind.this in TEXTS:
        given = next(iter(kind.expressions), None)
        default = 1 if kind.this in (exp.DType.CHAR, exp.DType.NCHAR) else VARCHAR
        length = int(given.name) if given is not None else default
        if length > LONGEST:
            raise compilation(1132, f"Length {length} of column '{column.name}' exceeds the maximum of {LONGEST}", "22023")
        within = exp.LTE(this=exp.Length(this=name), expression=exp.Literal.number(length))
        bytes_within = exp.LTE(
            this=exp.Anonymous(this="strlen", expressions=[name.copy()]), expression=exp.Literal.number(LONGEST)
        )
        return within if length * 4 <= LONGEST else exp.And(this=within, expression=bytes_within)
    if kind.this in (exp.DType.VARIANT, exp.DType.OBJECT, exp.DType.STRUCT, exp.DType.ARRAY, exp.DType.JSON):
        size = exp.Anonymous(this="strlen", expressions=[exp.cast(name, exp.DType.TEXT)])
        return exp.LTE(this=size, expression=exp.Literal.number(VARIANT))
    return None


def translated(error):
    """What Snowflake says instead of DuckDB, without the values; nothing, where it is not known here."""
    said = str(error)
    if found := unmarked(said):
        return found
    if isinstance(error, duckdb.ConstraintException):
        if "CHECK constraint failed" in said:
            column = re.search(r'(?:length|strlen)\((?:CAST\()?"?(.*?)"?[\s)]', said)
            column = column[1] if column else "?"
            return refused(100078, "22000", f"String is too long and would be truncated in column {column}")
        if column := re.search(r"NOT NULL constraint failed: .*\.(.*)", said):
            return refused(100072, "22000", f"NULL result in a non-nullable column {column[1]}")
    if isinstance(error, duckdb.InvalidInputException) and "according to format specifier" in said:
        return refused(100035, "22007", "Timestamp is not recognized in the format of the session")
    return None


def is_lengthened(sql):
    """Whether a statement gives a text column a greater length: DuckDB has none, and cannot alter a column that is checked."""
    return re.match(r"\s*ALTER\s+TABLE\s.*\sALTER\s+COLUMN\s.*\sSET\s+DATA\s+TYPE\s+VARCHAR\(134217728\)\s*$", sql, re.IGNORECASE | re.DOTALL)
