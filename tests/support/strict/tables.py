"""CREATE TABLE and ALTER TABLE: enforced lengths, unenforced keys, and collations."""

import re

import duckdb
from sqlglot import exp

from strict import collations, settings
from strict.errors import compilation, refused, unmarked
from strict.statements import full_name

VARCHAR, LONGEST, VARIANT = 16_777_216, 134_217_728, 134_217_728
TEXTS = {exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.CHAR, exp.DType.NCHAR, exp.DType.NVARCHAR}

# Snowflake stores them as metadata, and enforces only NOT NULL.
NOT_ENFORCED = (exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint, exp.Reference)

# What a column that is added IF NOT EXISTS must not have.
NOT_WITH_IF_NOT_EXISTS = (
    exp.DefaultColumnConstraint,
    exp.GeneratedAsIdentityColumnConstraint,
    exp.AutoIncrementColumnConstraint,
    exp.PrimaryKeyColumnConstraint,
    exp.UniqueColumnConstraint,
    exp.Reference,
)

# How DuckDB names a column that a table does not have.
UNKNOWN_COLUMN = re.compile(
    r'Referenced (?:update )?column "?(.*?)"? not found|does not have a column (?:named|with name) "(.*?)"'
)


def create(ast, session):
    """The definition of a table in DuckDB."""
    if ast.args.get("kind") != "TABLE" or not isinstance(ast.this, exp.Schema):
        return
    schema = ast.this
    # A test need not produce 128 MB.
    variant = int(settings.of_user(session.user).get("VARIANT_BYTES", VARIANT))
    collation = collations.of_table(ast, session)
    kept = [node for node in schema.expressions if isinstance(node, exp.ColumnDef)]
    schema.set("expressions", kept)
    for column in kept:
        constraints = [node for node in column.args.get("constraints") or [] if not isinstance(node, exp.Reference)]
        constraints = [node for node in constraints if not isinstance(node.args.get("kind"), NOT_ENFORCED)]
        if (checked := longest(column, variant)) is not None:
            own = [node for node in constraints if isinstance(node.args.get("kind"), exp.CollateColumnConstraint)]
            constraints = [node for node in constraints if node not in own]
            how = own[0].args["kind"].this.name if own else collation
            if column.kind.this in TEXTS and collations.is_case_insensitive(how):
                name = exp.CollateColumnConstraint(this=exp.to_identifier("NOCASE"))
                constraints.insert(0, exp.ColumnConstraint(kind=name))
            constraints.append(exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=checked)))
        column.set("constraints", constraints)


def add_columns(ast, session):
    """The columns that ALTER TABLE adds, in DuckDB: without checks of lengths, and with the collation of the schema or the account
    where they declare none. The imitation does not know the table's own."""
    for column in ast.args.get("actions") or []:
        if not isinstance(column, exp.ColumnDef):
            continue
        constraints = [node.args.get("kind") for node in column.args.get("constraints") or []]
        if column.args.get("exists") and any(isinstance(kind, NOT_WITH_IF_NOT_EXISTS) for kind in constraints):
            raise compilation(1003, "syntax error: IF NOT EXISTS is not allowed with this constraint", "42000")
        own = [kind.this.name for kind in constraints if isinstance(kind, exp.CollateColumnConstraint)]
        how = own[0] if own else collations.of_table(ast, session)
        kept = [node for node in column.args.get("constraints") or [] if not isinstance(node.args.get("kind"), exp.CollateColumnConstraint)]
        if column.kind.this in TEXTS and collations.is_case_insensitive(how):
            kept.insert(0, exp.ColumnConstraint(kind=exp.CollateColumnConstraint(this=exp.to_identifier("NOCASE"))))
        column.set("constraints", kept)


def longest(column, variant):
    """The length check of a text or VARIANT column."""
    kind = column.args.get("kind")
    if kind is None:
        return None
    name = exp.column(column.this.copy())
    if kind.this in TEXTS:
        given = next(iter(kind.expressions), None)
        default = 1 if kind.this in (exp.DType.CHAR, exp.DType.NCHAR) else VARCHAR
        length = int(given.name) if given is not None else default
        if length > LONGEST:
            raise compilation(
                1132, f"Length {length} of column '{column.name}' exceeds the maximum of {LONGEST}", "22023"
            )
        within = exp.LTE(this=exp.Length(this=name), expression=exp.Literal.number(length))
        bytes_within = exp.LTE(
            this=exp.Anonymous(this="strlen", expressions=[name.copy()]), expression=exp.Literal.number(LONGEST)
        )
        return within if length * 4 <= LONGEST else exp.And(this=within, expression=bytes_within)
    if kind.this in (exp.DType.VARIANT, exp.DType.OBJECT, exp.DType.STRUCT, exp.DType.ARRAY, exp.DType.JSON):
        size = exp.Anonymous(this="strlen", expressions=[exp.cast(name, exp.DType.TEXT)])
        return exp.LTE(this=size, expression=exp.Literal.number(variant))
    return None


def alter_column(ast, session, name):
    """Executes ALTER COLUMN by recreating the table where DuckDB cannot alter it: with another text length, and with NOT NULL, which it
    refuses while another transaction is open. Returns whether it was one."""
    actions = ast.args.get("actions") or []
    if not isinstance(ast, exp.Alter) or len(actions) != 1 or not isinstance(actions[0], exp.AlterColumn):
        return False
    action, duck = actions[0], session._duck_conn
    wanted, requires = action.args.get("dtype"), action.args.get("allow_null") is False
    if not requires and (wanted is None or wanted.this not in TEXTS):
        return False
    catalog, schema, table = name
    made = duck.execute(
        "SELECT sql FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        [catalog, schema, table],
    ).fetchone()
    if made is None:
        return False
    column = full_name(action.this.this if isinstance(action.this, exp.Column) else action.this)
    create = required(duck, name, made[0], column) if requires else widened(made[0], column, wanted)
    if create is None:
        return requires
    recreate(duck, name, create)
    return True


def widened(create, column, wanted):
    """The definition of a table with a longer column; nothing if the column has no length."""
    given = next(iter(wanted.expressions), None)
    length = int(given.name) if given is not None else VARCHAR
    checked = re.compile(rf'length\("?{re.escape(column)}"?\) <= (\d+)')
    before = checked.search(create)
    if before is None:
        return None
    if int(before[1]) > length:
        raise compilation(2108, f"cannot reduce the byte-length of column {column}", "22000")
    return checked.sub(lambda found: found[0].replace(found[1], str(length)), create)


def required(duck, name, create, column):
    """The definition of a table with a mandatory column; nothing if it is mandatory already."""
    if duck.execute(f"SELECT 1 FROM {whole(name)} WHERE {whole([column])} IS NULL LIMIT 1").fetchone():
        raise refused(100072, "22000", f"NULL result in a non-nullable column {column}")
    declared = re.compile(rf'([(,]\s*"?{re.escape(column)}"? \w+(?:\([^)]*\))?)(?! NOT NULL)(?=[ ,)])')
    create, count = declared.subn(r"\1 NOT NULL", create, count=1)
    return create if count else None


def whole(name):
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)


def recreate(duck, name, create):
    """Replaces a table by one with this definition, and keeps its rows."""
    *schema, table = name
    old = f"{table}^=old"
    columns = create[create.index("(", create.index(table.replace('"', '""')) + len(table)) :]
    duck.execute(f"ALTER TABLE {whole(name)} RENAME TO {whole([old])}")
    duck.execute(f"CREATE TABLE {whole(name)} {columns}")
    duck.execute(f"INSERT INTO {whole(name)} SELECT * FROM {whole([*schema, old])}")
    duck.execute(f"DROP TABLE {whole([*schema, old])}")


def unknown_column(error):
    """Snowflake's error, if a statement names a column that its table does not have."""
    found = isinstance(error, duckdb.BinderException) and UNKNOWN_COLUMN.search(str(error))
    return compilation(904, f"invalid identifier '{found[1] or found[2]}'", "42000") if found else None


def translated(error):
    """Snowflake's message for a DuckDB error, without the values; nothing for an unknown error."""
    said = str(error)
    if found := unmarked(said):
        return found
    if isinstance(error, duckdb.ConstraintException):
        if "CHECK constraint failed" in said:
            column = re.search(r'(?:length|strlen)\((?:CAST\()?"?(.*?)"?[\s)]', said)
            column = column[1] if column else "?"
            if "AS VARCHAR)" in said or "AS TEXT)" in said:
                return refused(100082, "22000", f"The value of column {column} is larger than a VARIANT can be")
            return refused(100078, "22000", f"String is too long and would be truncated in column {column}")
        if column := re.search(r"NOT NULL constraint failed: .*\.(.*)", said):
            return refused(100072, "22000", f"NULL result in a non-nullable column {column[1]}")
    if isinstance(error, duckdb.InvalidInputException) and "according to format specifier" in said:
        return refused(100035, "22007", "Timestamp is not recognized in the format of the session")
    return None
