"""LIST and REMOVE of the files that PUT has stored."""

import contextlib
import datetime
import hashlib
import os
import re

import sqlglot
from fakesnow.transforms import stage
from sqlglot import exp

from strict.errors import compilation
from strict.statements import NAME

LISTED = ("name", "size", "md5", "sha1", "last_modified")
REMOVED = ("name", "result")

STATEMENT = re.compile(
    rf"\s*(?P<verb>LIST|LS|REMOVE|RM)\s+(?:(?P<plain>@%?{NAME}[^\s';]*)|(?P<quoted>'(?:[^']|'')*'))"
    r"(?:\s+PATTERN\s*=\s*'(?P<pattern>(?:[^']|'')*)')?\s*;?\s*",
    re.IGNORECASE,
)


class Place:
    """A stage, or a path on one: the prefix of its files' names. Slashes and dots in it have no meaning of their own."""

    def __init__(self, session, location):
        whole, _, self.path = location.removeprefix("@").partition("/")
        parts = stage.parts_from_var(whole, session.database, session.schema)
        found = session._duck_conn.execute(stage.stage_lookup_sql(*parts, session.table_stages)).fetchone()
        if found is None:
            raise stage.not_found_error(".".join(parts))
        self.root = stage.internal_dir(found[0])

    def files(self):
        """The files whose names begin with the path, as paths on this machine, in the order of their names."""
        found = [os.path.join(folder, name) for folder, _, names in os.walk(self.root) for name in names]
        return sorted(path for path in found if path.startswith(self.root + self.path))

    def file(self, name):
        """The file whose name is the path with this name appended, or nothing."""
        path = self.root + self.path + name
        return path if os.path.normpath(path) == path and os.path.isfile(path) else None


def answer(cursor, session, sql):
    """Executes a statement about staged files, and returns whether it was one."""
    asked = STATEMENT.fullmatch(sql)
    if asked is None:
        return False
    location = asked["plain"] or unquoted(asked["quoted"])
    if not location.startswith("@"):
        raise compilation(1003, f"syntax error: '{location}' is no stage", "42000")
    files = Place(session, location).files()
    if asked["pattern"] is not None:
        files = [path for path in files if re.fullmatch(unquoted(f"'{asked['pattern']}'"), stage.internal_file_name(path))]
    if asked["verb"].upper() in ("LIST", "LS"):
        respond(cursor, LISTED, ("VARCHAR", "BIGINT", "VARCHAR", "VARCHAR", "VARCHAR"), listed(files))
    else:
        respond(cursor, REMOVED, ("VARCHAR", "VARCHAR"), list(removed(files)))
    return True


def unquoted(literal):
    return sqlglot.parse_one(literal, read="snowflake").name


def listed(files):
    rows = []
    for path in files:
        # Another session can remove it meanwhile.
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            content, changed = file.read(), os.fstat(file.fileno()).st_mtime
            when = datetime.datetime.fromtimestamp(changed, datetime.timezone.utc)
            md5, modified = hashlib.md5(content).hexdigest(), when.strftime("%a, %d %b %Y %H:%M:%S GMT")
            rows.append((stage.internal_file_name(path), len(content), md5, None, modified))
    return rows


def removed(files):
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
            yield stage.internal_file_name(path), "removed"


def respond(cursor, columns, kinds, rows):
    """Makes rows the result of a cursor."""
    values = exp.values(rows or [(None,) * len(columns)], alias="answer", columns=columns)
    shown = [exp.cast(exp.column(name), kind).as_(name, quoted=True) for name, kind in zip(columns, kinds)]
    result = exp.select(*shown).from_(values)
    cursor._execute(result if rows else result.where("FALSE"))
