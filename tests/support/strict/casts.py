"""The functions AS_…: a value of a VARIANT that has the type, else NULL.

sql-reference/functions/as and its pages. A number is an INTEGER if it is written without a fraction and an exponent; AS_DOUBLE takes every
number, as the examples of the page show. An integer has up to 37 digits here, because fakesnow's NUMBER(38, 0) has 64 bits, and 38 in Snowflake.
"""

from sqlglot import exp

from strict.errors import compilation
from strict.statements import call

JSON = "TO_JSON(v)"
FORMS = {
    "AS_VARCHAR": f"CASE WHEN LEFT({JSON}, 1) = '\"' THEN JSON_EXTRACT_STRING(v, '$') END",
    "AS_INTEGER": f"CASE WHEN REGEXP_LIKE({JSON}, '^-?[0-9]+$') THEN TRY_CAST({JSON} AS NUMBER(37, 0)) END",
    "AS_DOUBLE": f"CASE WHEN REGEXP_LIKE({JSON}, '^-?[0-9].*$') THEN TRY_CAST({JSON} AS FLOAT) END",
    "AS_BOOLEAN": f"CASE {JSON} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END",
}
FORMS["AS_CHAR"], FORMS["AS_REAL"] = FORMS["AS_VARCHAR"], FORMS["AS_DOUBLE"]


def chain(ast):
    """Replaces paths with quoted names by chains of GET, which are equivalent (sql-reference/functions/get_path): of a path, fakesnow's
    TO_JSON is not the JSON text."""
    for node in list(ast.find_all(exp.JSONExtract)):
        path = node.expression
        names = path.expressions[1:] if isinstance(path, exp.JSONPath) else []
        if not names or not all(isinstance(name, exp.JSONPathKey) and name.args.get("quoted") for name in names):
            continue
        value = node.this
        for name in names:
            value = exp.GetExtract(this=value, expression=exp.Literal.string(name.name))
        node.replace(value)


def apply(ast, kind_of):
    """Replaces the functions; `kind_of` gives the type of an expression."""
    for node in list(ast.find_all(exp.Anonymous)):
        name = str(node.this).upper()
        if name not in FORMS or len(node.expressions) != 1:
            continue
        value = node.expressions[0]
        if (kind := kind_of(value)) not in (None, "VARIANT", "NULL"):
            raise compilation(1044, f"Invalid argument types for function '{name}': ({kind})", "42P13")
        node.replace(exp.Paren(this=call(FORMS[name], v=value)))
