"""Documented limits of Snowflake."""

import gzip

from sqlglot import exp

from strict.errors import compilation, refused

# Bytes of a statement with its bound values, compressed. Snowflake runs a larger one, but can neither retry nor keep it: here it
# is refused, so that a test sees it.
STATEMENT = 1 << 20
# Bytes of a view's definition.
VIEW = 1 << 20
# Characters of a name.
NAME = 255


def check(statement, binds):
    check_text(statement.sql, binds)
    if len(longest := statement.longest_name) > NAME:
        raise compilation(1070, f"The identifier '{longest[:40]}...' is longer than {NAME} characters", "22026")
    ast = statement.shape
    if isinstance(ast, exp.Create) and ast.args.get("kind") == "VIEW" and len(statement.sql.encode()) > VIEW:
        raise compilation(1015, f"The definition of a view is limited to {VIEW} bytes", "54001")


def check_text(sql, binds):
    values = binds.values() if isinstance(binds, dict) else binds or ()
    texts = [sql, *(value for value in values if isinstance(value, str))]
    if sum(map(len, texts)) * 4 <= STATEMENT:
        return
    size = len(gzip.compress("\0".join(texts).encode("utf-8", "replace"), compresslevel=1))
    if size > STATEMENT:
        raise refused(
            603,
            "54000",
            f"The statement and its bound values have {size} bytes compressed; the recommended limit is 1 MB",
        )
