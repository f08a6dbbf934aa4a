"""Masking policies, row access policies and tags: their effects on queries, and their lifecycle.

They apply to the table or view that a statement names. A view over a protected view is not protected here, as it is in Snowflake.
The codes of what is refused, 35xx, are not documented.
"""

import collections
import re
import threading

import sqlglot
from sqlglot import exp

from strict import types
from strict.errors import compilation
from strict.statements import NAME, full_name, parts_of

lock = threading.Lock()

MASKING, ROW_ACCESS, TAG = "MASKING_POLICY", "ROW_ACCESS_POLICY", "TAG"

# `arguments` are pairs of name and type; `body` is the text of an expression over them.
Policy = collections.namedtuple("Policy", "kind arguments body")
# An attachment to a table or view: the key of the policy or tag, the columns (none: all of it), the tag's value.
Attached = collections.namedtuple("Attached", "kind of columns value")

# By key.
policies, tags, attached = {}, set(), {}
# The masking policies of tags: the policy's key by the tag's.
of_tags = {}

WHOLE = rf"{NAME}(?:\.{NAME})*"


def pattern(text):
    """Compiles a pattern in which a blank matches white space and `{name}` a name with dots."""
    text = text.replace("{name}", rf"({WHOLE})").replace("{column}", rf"({NAME})")
    return re.compile(rf"\s*{text}".replace(" ", r"\s+"), re.IGNORECASE | re.DOTALL)


CREATE = pattern(
    r"CREATE( OR REPLACE)? (MASKING|ROW ACCESS) POLICY (?:(IF NOT EXISTS) )?{name} AS\s*\((.*)\) RETURNS .*?->\s*(.*)$"
)
DROP = pattern(r"DROP (MASKING|ROW ACCESS) POLICY (?:(IF EXISTS) )?{name}$")
CREATE_TAG, DROP_TAG = pattern(r"CREATE(?: OR REPLACE)? TAG (?:IF NOT EXISTS )?{name}"), pattern(r"DROP TAG (?:IF EXISTS )?{name}$")
ALTER = pattern(r"ALTER (?:VIEW|TABLE) (?:IF EXISTS )?{name} (.*)$")
ALTER_TAG = pattern(r"ALTER TAG (?:IF EXISTS )?{name} (?:SET MASKING POLICY {name}|UNSET MASKING POLICY .*)$")
ADD_ROW_ACCESS = pattern(r"ADD ROW ACCESS POLICY {name} ON\s*\((.*)\)\s*$")
DROP_ROW_ACCESS = pattern(r"DROP (?:ROW ACCESS POLICY {name}|ALL ROW ACCESS POLICIES)\s*$")
OF_COLUMN = pattern(r"(?:MODIFY|ALTER) (?:COLUMN )?{column} (.*)$")
SET_MASKING = pattern(r"SET MASKING POLICY {name}\s*$")
UNSET_MASKING = pattern(r"UNSET MASKING POLICY\s*$")
SET_TAG, UNSET_TAG = pattern(r"SET TAG (.*)$"), pattern(r"UNSET TAG {name}\s*$")
TAG_VALUE = re.compile(rf"({WHOLE})\s*=\s*'((?:[^']|'')*)'")

REFERENCES = re.compile(
    r"TABLE\((?:[^()]*\.)?\"?INFORMATION_SCHEMA\"?\.(POLICY_REFERENCES|TAG_REFERENCES)\(([^)]*)\)\)", re.IGNORECASE
)
GET_TAG = re.compile(r"SYSTEM\$GET_TAG\(\s*'([^']*)'\s*,\s*'([^']*)'\s*,\s*'(\w+)'\s*\)", re.IGNORECASE)


def key_of(text, session):
    parts = parts_of(text)
    parts = [session.database, session.schema][: 3 - len(parts)] + parts
    return tuple((part or "").upper() for part in parts)


def answer(session, sql, columns):
    """Executes a statement about policies and tags, and returns whether it was one. `columns` returns the columns of a
    table or view, with their types, by its key."""
    if found := CREATE.match(sql):
        create(session, *found.groups())
    elif found := DROP.match(sql):
        drop(session, found[3], found[2])
    elif found := CREATE_TAG.match(sql):
        with lock:
            tags.add(key_of(found[1], session))
    elif found := DROP_TAG.match(sql):
        with lock:
            tags.discard(key_of(found[1], session))
    elif found := ALTER_TAG.match(sql):
        of_tag(session, *found.groups())
    elif found := ALTER.match(sql):
        return alter(session, found[1], found[2], columns)
    else:
        return False
    return True


def create(session, replaces, kind, unless, name, arguments, body):
    key = key_of(name, session)
    table = sqlglot.parse_one(f"CREATE TABLE t ({arguments})", read="snowflake")
    given = [(full_name(column.this), types.of_data_type(column.kind)) for column in table.find_all(exp.ColumnDef)]
    with lock:
        if key in policies and unless:
            return
        if key in policies and not replaces:
            raise compilation(2002, f"Object '{name}' already exists.", "42710")
        policies[key] = Policy(ROW_ACCESS if kind.upper().startswith("ROW") else MASKING, given, body.rstrip("; \n"))


def drop(session, name, unless):
    key = key_of(name, session)
    with lock:
        if key not in policies and not unless:
            raise missing("Policy", name)
        used = [one for here in attached.values() for one in here if one.of == key and one.kind != TAG]
        if used or key in of_tags.values():
            raise compilation(3540, f"Policy {name} cannot be dropped as it is associated with one or more entities.")
        policies.pop(key, None)


def missing(kind, name):
    return compilation(2003, f"{kind} '{name}' does not exist or not authorized.", "02000")


def policy(kind, name, session):
    key = key_of(name, session)
    if key not in policies or policies[key].kind != kind:
        raise missing("Policy", name)
    return key


def tag(name, session):
    if (key := key_of(name, session)) not in tags:
        raise missing("Tag", name)
    return key


def of_tag(session, name, masking):
    with lock:
        key = tag(name, session)
        of_tags.pop(key, None)
        if masking is not None:
            of_tags[key] = policy(MASKING, masking, session)


def alter(session, name, action, columns):
    key = key_of(name, session)
    column = None
    if found := OF_COLUMN.match(action):
        column, action = parts_of(found[1])[0], found[2]
    does = {
        ADD_ROW_ACCESS: add_row_access,
        DROP_ROW_ACCESS: drop_row_access,
        SET_MASKING: set_masking,
        UNSET_MASKING: unset_masking,
        SET_TAG: set_tags,
        UNSET_TAG: unset_tag,
    }
    for how, do in does.items():
        if found := how.match(action):
            known = columns(key)
            if known is None:
                raise missing("Object", name)
            if column is not None and column not in known:
                raise compilation(904, f"invalid identifier '{column}'", "42000")
            with lock:
                attached[key] = do(session, attached.get(key, []), known, column, *found.groups())
            return True
    return False


def add_row_access(session, here, known, _, name, names):
    of, bound = policy(ROW_ACCESS, name, session), tuple(parts_of(names))
    if any(one.kind == ROW_ACCESS for one in here):
        raise compilation(3550, "Object already has a ROW_ACCESS_POLICY. Only one ROW_ACCESS_POLICY is allowed at a time.")
    check(of, bound, known, [column for one in here if one.kind == MASKING for column in one.columns])
    return [*here, Attached(ROW_ACCESS, of, bound, None)]


def drop_row_access(session, here, _known, _column, name):
    if name is not None and not any(one.of == key_of(name, session) for one in here):
        raise missing("Policy", name)
    return [one for one in here if one.kind != ROW_ACCESS]


def set_masking(session, here, known, column, name):
    of = policy(MASKING, name, session)
    if any(one.kind == MASKING and column in one.columns for one in here):
        raise compilation(3551, f"Column {column} already attached to another masking policy.")
    check(of, (column,), known, [bound for one in here if one.kind == ROW_ACCESS for bound in one.columns])
    return [*here, Attached(MASKING, of, (column,), None)]


def unset_masking(_session, here, _known, column):
    return [one for one in here if not (one.kind == MASKING and column in one.columns)]


def set_tags(session, here, _known, column, pairs):
    columns = (column,) if column is not None else ()
    for name, value in TAG_VALUE.findall(pairs):
        of = tag(name, session)
        here = [one for one in here if (one.of, one.columns) != (of, columns)]
        here = [*here, Attached(TAG, of, columns, value.replace("''", "'"))]
    return here


def unset_tag(session, here, _known, column, name):
    columns = (column,) if column is not None else ()
    return [one for one in here if (one.of, one.columns) != (key_of(name, session), columns)]


def check(of, bound, known, taken):
    """Rejects columns that a policy cannot be bound to: a column can be in only one policy's signature."""
    arguments = policies[of].arguments
    if len(arguments) != len(bound):
        raise compilation(3552, f"The policy has {len(arguments)} arguments, and {len(bound)} columns were given.")
    for column, (_, wanted) in zip(bound, arguments):
        if column not in known:
            raise compilation(904, f"invalid identifier '{column}'", "42000")
        if known[column] not in (None, wanted):
            raise compilation(3553, f"Column {column} is of type {known[column]}, and the policy's argument of {wanted}.")
        if column in taken:
            raise compilation(3554, f"Column {column} is in the signature of another policy already.")


def apply(ast, key, columns, as_text):
    """Replaces each protected table or view by its visible part. `as_text` renders the session's context."""
    if isinstance(ast, exp.Create) and ast.args.get("kind") == "VIEW":
        return  # the reader's role counts
    target = ast.this if isinstance(ast, (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create)) else None
    target = target.this if isinstance(target, exp.Schema) else target
    within = {cte.alias_or_name.upper() for cte in ast.find_all(exp.CTE)}
    for table in list(ast.find_all(exp.Table)):
        if table is target or not isinstance(table.this, exp.Identifier):
            continue
        if not table.db and table.name.upper() in within:
            continue
        with lock:
            here = list(attached.get(key(table), ()))
            rows = [one for one in here if one.kind == ROW_ACCESS]
            known = columns(table) or {}
            masks = {column: of for column, kind in known.items() if (of := mask_of(column, kind, here)) is not None}
            if rows or masks:
                table.replace(protected(table, known, rows, masks, as_text))


def mask_of(column, kind, here):
    """The key of the masking policy of a column: its own, or that of a tag on it or on the whole."""
    for one in here:
        if one.kind == MASKING and column in one.columns:
            return one.of
    for one in here:
        of = of_tags.get(one.of) if one.kind == TAG and (not one.columns or column in one.columns) else None
        if of is not None and policies[of].arguments[0][1] == kind:
            return of
    return None


def protected(table, known, rows, masks, as_text):
    """Filters rows before it masks values, because policies see unmasked values."""
    alias = table.args.get("alias")
    alias = alias.this.copy() if alias is not None else table.this.copy()
    plain = table.copy()
    plain.set("alias", None)
    allowed = exp.select("*").from_(plain)
    for one in rows:
        allowed = allowed.where(bound(policies[one.of], one.columns, as_text))
    shown = []
    for column in known:
        value = bound(policies[masks[column]], (column,), as_text) if column in masks else quoted_column(column)
        shown.append(exp.alias_(value, column, quoted=True))
    return exp.select(*shown).from_(allowed.subquery("allowed")).subquery(alias)


def quoted_column(name):
    return exp.column(exp.to_identifier(name, quoted=True))


def bound(policy, names, as_text):
    """A policy's body over these columns."""
    arguments = {argument: name for (argument, _), name in zip(policy.arguments, names)}
    body = sqlglot.parse_one(as_text(policy.body), read="snowflake")

    def column(node):
        if isinstance(node, exp.Column) and not node.table and full_name(node.this) in arguments:
            return quoted_column(arguments[full_name(node.this)])
        return node

    return exp.paren(body.transform(column))


def references(session, sql, as_table, as_text):
    """POLICY_REFERENCES, TAG_REFERENCES and SYSTEM$GET_TAG over the attached policies and tags, as constants."""

    def listed(match):
        wanted = match[1].upper()
        name = next(iter(re.findall(r"'([^']*)'", match[2])), "")
        with lock:
            here = list(attached.get(key_of(name, session), ()))
        if wanted == "TAG_REFERENCES":
            rows = [(one.of[-1], one.value, next(iter(one.columns), None)) for one in here if one.kind == TAG]
            return f"({as_table(('TAG_NAME', 'TAG_VALUE', 'COLUMN_NAME'), rows)})"
        rows = [(one.of[-1], one.kind, one.columns) for one in here if one.kind != TAG]
        rows = [(name, kind, columns[0] if kind == MASKING else None) for name, kind, columns in rows]
        return f"({as_table(('POLICY_NAME', 'POLICY_KIND', 'REF_COLUMN_NAME'), rows)})"

    def value(match):
        parts, column = parts_of(match[2]), ()
        if match[3].upper() == "COLUMN":
            column = (parts.pop(),)
        name = ".".join('"' + part.replace('"', '""') + '"' for part in parts)
        with lock:
            of, here = tag(match[1], session), attached.get(key_of(name, session), ())
            found = next((one.value for one in here if (one.of, one.columns) == (of, column)), None)
        return f"CAST({as_text(found)} AS VARCHAR)"

    return GET_TAG.sub(value, REFERENCES.sub(listed, sql))


def kinds_on(known):
    """The kinds of the policies that are attached to a table or view."""
    with lock:
        return [one.kind for one in attached.get(known, ()) if one.kind != TAG]


def replaced(known, copies_tags):
    """Detaches the policies of a dropped or replaced object; its tags stay with COPY TAGS."""
    with lock:
        kept = [one for one in attached.pop(known, ()) if copies_tags and one.kind == TAG]
        if kept:
            attached[known] = kept
