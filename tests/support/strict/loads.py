"""COPY INTO a table from files that are named, or whose members are matched to columns. fakesnow knows neither for JSON.

What these statements do not use is refused: an option that is ignored would go unnoticed.
"""

import datetime
import gzip
import hashlib
import json
import zlib

import pyarrow
from fakesnow.transforms import stage
from sqlglot import exp

from strict import objects, values
from strict.errors import compilation, refused
from strict.stages import Place, respond

# File names in FILES.
FILES = 1_000
TRUE, FALSE = exp.true(), exp.false()
# The value of a member that a row does not have.
ABSENT = object()

COLUMNS = {
    "file": "VARCHAR",
    "status": "VARCHAR",
    "rows_parsed": "BIGINT",
    "rows_loaded": "BIGINT",
    "error_limit": "BIGINT",
    "errors_seen": "BIGINT",
    "first_error": "VARCHAR",
    "first_error_line": "BIGINT",
    "first_error_character": "BIGINT",
    "first_error_column_name": "VARCHAR",
}


def is_load(ast):
    """Whether fakesnow leaves this statement to us."""
    return isinstance(ast, exp.Copy) and bool({"FILES", "MATCH_BY_COLUMN_NAME"} & options_of(ast).keys())


def options_of(ast):
    return {option.this.name.upper(): option for option in ast.args.get("params") or []}


def unknown(what):
    return refused(2, "0A000", f"Unsupported feature '{what}': this imitation does not know it")


def words(value):
    """The texts of a list in parentheses, which the parser reads in three ways."""
    match value:
        case exp.Tuple():
            return [text.name for text in value.expressions]
        case exp.Paren():
            return [value.this.name]
    return [value.name]


class Options:
    def __init__(self, ast):
        found = {name: option.args.get("expression") for name, option in options_of(ast).items()}
        formats = options_of(ast).get("FILE_FORMAT")
        found.pop("FILE_FORMAT", None)
        self.files = words(found.pop("FILES")) if "FILES" in found else None
        if self.files is not None and len(self.files) > FILES:
            raise compilation(1475, f"FILES names {len(self.files)} files; the maximum is {FILES}", "54000")
        self.match = text_of(found.pop("MATCH_BY_COLUMN_NAME", None), "NONE")
        if self.match not in ("CASE_SENSITIVE", "CASE_INSENSITIVE", "NONE"):
            raise compilation(1008, f"Invalid value '{self.match}' for parameter MATCH_BY_COLUMN_NAME", "22023")
        if self.match != "NONE" and isinstance(ast.args["files"][0], exp.Subquery):
            raise compilation(2019, "match_by_column_name is not supported with copy transform.", "0A000")
        if text_of(found.pop("ON_ERROR", None), "ABORT_STATEMENT") != "ABORT_STATEMENT":
            raise unknown("ON_ERROR")
        self.force = found.pop("FORCE", FALSE) == TRUE
        if found or isinstance(ast.this, exp.Schema) or isinstance(ast.args["files"][0], exp.Subquery):
            raise unknown(", ".join(found) or "columns or a query with FILES")
        given = {option.this.name.upper(): option.args.get("value") for option in formats.expressions} if formats else {}
        if text_of(given.pop("TYPE", None), "CSV") != "JSON":
            raise unknown("a format other than TYPE = JSON")
        self.compression = text_of(given.pop("COMPRESSION", None), "AUTO")
        self.many_lines = given.pop("MULTI_LINE", TRUE) == TRUE
        self.null_if = set(words(given.pop("NULL_IF"))) if "NULL_IF" in given else {"\\N"}
        if given or self.compression not in ("AUTO", "GZIP", "NONE"):
            raise unknown(", ".join(given) or "COMPRESSION")


def text_of(value, default):
    return value.name.upper() if value is not None else default


class File:
    """The rows of a staged file. They are read once: a statement that is repeated sees what it saw at first."""

    def __init__(self, path, options):
        self.path, self.name = path, stage.internal_file_name(path)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            raise missing(self.name) from None
        self.key = f"{path}#{hashlib.md5(content).hexdigest()}"
        is_gzip = content.startswith(b"\x1f\x8b") if options.compression == "AUTO" else options.compression == "GZIP"
        try:
            text = (gzip.decompress(content) if is_gzip else content).decode()
        except (EOFError, OSError, zlib.error):
            raise self.flaw(100142, "The file is not compressed with GZIP, or is cut", 1) from None
        except UnicodeDecodeError:
            raise self.flaw(100144, "Invalid UTF8 detected", 1) from None
        self.rows = list(self.documents(text.removeprefix("\ufeff"), options.many_lines))

    def documents(self, text, many_lines):
        decoder = values.Reader().strict
        try:
            number = 0
            for number, document in enumerate([text] if many_lines else text.split("\n"), 1):
                at, end = start(document, 0), len(document)
                while at < end:
                    value, at = decoder.raw_decode(document, at)
                    yield value
                    at = start(document, at)
                    if at < end and not many_lines:
                        raise json.JSONDecodeError("more than one document in a line", document, at)
        except json.JSONDecodeError as error:
            line = error.lineno if many_lines else number
            raise self.flaw(100069, f"Error parsing JSON: {error.msg}", line, error.colno) from None
        except (values.Duplicate, RecursionError) as error:
            raise self.flaw(100069, f"Error parsing JSON: duplicate or too deep: {error}", number) from None

    def flaw(self, code, message, line, character=1, column=None):
        where = f"\n  File '{self.name}', line {line}, character {character}\n  Row {line}"
        return refused(code, "22000", f"{message}{where}, column {column or '$1'}")


def start(text, at):
    """The first character from here on that is no white space."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def missing(name):
    return refused(91016, "22000", f"Remote file '{name}' was not found. The file might not exist.")


class Load:
    """One statement. It can be run again, when its transaction is repeated."""

    def __init__(self, session, statement, described):
        ast = statement.ast
        self.options = Options(ast)
        self.table = objects.spelling(ast.this, session)
        kinds = described(session, self.table)
        if kinds is None:
            raise compilation(2003, f"Object '{'.'.join(self.table)}' does not exist or not authorized.", "42S02")
        self.variants = {name for name, kind in kinds.items() if kind == "VARIANT"}
        if self.options.match == "NONE" and (len(kinds) > 1 or not self.variants):
            message = (
                "JSON file format can produce one and only one column of type variant, object, or array. Load data into separate "
                "columns using the MATCH_BY_COLUMN_NAME copy option or copy with transformation."
            )
            raise compilation(2019, message, "0A000")
        place = Place(session, ast.args["files"][0].this.name)
        if self.options.files is None:
            paths = place.files()
        else:
            paths = [self.named(place, name) for name in dict.fromkeys(self.options.files)]
        self.files = [File(path, self.options) for path in paths]
        self.columns = list(kinds)
        self.contents = [self.as_table(file) for file in self.files]

    def named(self, place, name):
        if (path := place.file(name)) is None:
            raise missing(f"{place.path}{name}")
        return path

    def as_table(self, file):
        """The rows of a file: a text for each column, JSON for one of type VARIANT."""
        columns = {}
        for column in self.columns:
            texts = [self.text(row, column) for row in self.members(file, column)]
            try:
                columns[column] = pyarrow.array(texts, pyarrow.large_string())
            except UnicodeEncodeError:
                # Half of a surrogate pair.
                row = next(row for row, text in enumerate(texts, 1) if not is_unicode(text))
                raise file.flaw(100144, "Invalid UTF8 detected", row, column=column) from None
        count, file.rows = len(file.rows), None
        return pyarrow.table({**columns, "^=row": pyarrow.array(range(1, count + 1), pyarrow.int64())})

    def members(self, file, column):
        if self.options.match == "NONE":
            return file.rows
        if wrong := next((row for row, value in enumerate(file.rows, 1) if not isinstance(value, dict)), None):
            raise file.flaw(100069, "Error parsing JSON: the record is no object", wrong)
        if self.options.match == "CASE_SENSITIVE":
            return [row.get(column, ABSENT) for row in file.rows]
        return [next((row[name] for name in row if name.upper() == column.upper()), ABSENT) for row in file.rows]

    def text(self, value, column):
        if value is ABSENT or value is None and column not in self.variants:
            return None
        plain = value if isinstance(value, str) else values.write(value)
        if plain in self.options.null_if:
            return None
        return values.write(value) if column in self.variants else plain

    def run(self, cursor):
        duck, rows = cursor._conn._duck_conn, []
        for file, loaded in zip(self.files, self.contents):
            if not self.options.force and self.is_loaded(duck, file):
                rows.append((file.name, "LOAD_SKIPPED", 0, 0, None, 1, "File was loaded before.", None, None, None))
                continue
            self.insert(duck, file, loaded)
            count = loaded.num_rows
            rows.append((file.name, "LOADED", count, count, 1, 0, None, None, None, None))
        if rows:
            respond(cursor, tuple(COLUMNS), COLUMNS.values(), rows)
        else:
            respond(cursor, ("status",), ("VARCHAR",), [("Copy executed with 0 files processed.",)])

    def insert(self, duck, file, loaded):
        """Checks the rows and adds them. DuckDB finds `loaded`, the table of Arrow, by its name."""
        name = quoted(self.table)
        kinds = {column[0]: str(column[1]) for column in duck.execute(f"SELECT * FROM {name} LIMIT 0").description}
        cast, listed = {}, ", ".join(quoted([column]) for column in self.columns)
        for column in self.columns:
            whole = quoted([column])
            cast[column] = f"TRY_CAST({whole} AS {kinds[column]})" if kinds[column] != "BLOB" else f"unhex({whole})"
        for column in self.columns:
            if kinds[column] in ("VARCHAR", "BLOB"):
                continue
            bad = f'SELECT min("^=row") FROM loaded WHERE {quoted([column])} IS NOT NULL AND {cast[column]} IS NULL'
            if (row := duck.execute(bad).fetchone()[0]) is not None:
                kind = "Numeric value" if kinds[column].startswith(("DECIMAL", "BIGINT", "DOUBLE")) else "The value"
                raise file.flaw(100038, f"{kind} is not recognized", row, column=column)
        selected = ", ".join(cast.values())
        duck.execute(f'INSERT INTO {name} ({listed}) SELECT {selected} FROM loaded ORDER BY "^=row"')
        self.note(duck, file, loaded.num_rows)

    # What a table has loaded is in its database, and so part of the transaction. fakesnow forgets it with the table. It notes
    # names only; here a file with other content is another file.

    def is_loaded(self, duck, file):
        sql = f"SELECT 1 FROM {self.history()} WHERE schema_name = ? AND table_name = ? AND file_name IN (?, ?)"
        return duck.execute(sql, [*self.table[1:], file.path, file.key]).fetchone() is not None

    def note(self, duck, file, count):
        columns = "schema_name, table_name, file_name, last_load_time, status, row_count, row_parsed, error_count, error_limit"
        sql = f"INSERT INTO {self.history()} ({columns}) VALUES (?, ?, ?, ?, 'LOADED', ?, ?, 0, 1)"
        now = datetime.datetime.now(datetime.timezone.utc)
        duck.execute(sql, [*self.table[1:], file.key, now, count, count])

    def history(self):
        return quoted([self.table[0], "_fs_information_schema", "_fs_load_history"])


def quoted(parts):
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def is_unicode(text):
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True
