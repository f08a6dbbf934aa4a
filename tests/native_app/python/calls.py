"""How Snowflake resolves `CALL`: every argument has a type, and a signature of the procedure must accept it.

A constant text is a VARCHAR, which can be cast to VARIANT but is not coerced to it (data-type-conversion). Where no signature takes the
arguments the call fails with 001044, and an unknown procedure with 002141, before any code runs.
"""

import json
import re
from dataclasses import dataclass

from snowflake.snowpark.exceptions import SnowparkSQLException

# The implicit coercions of each type. Every other conversion needs a cast.
COERCED = {
    "VARCHAR": {"BOOLEAN", "NUMBER", "FLOAT"},
    "NUMBER": {"BOOLEAN", "FLOAT", "VARCHAR", "VARIANT"},
    "FLOAT": {"BOOLEAN", "NUMBER", "VARCHAR", "VARIANT"},
    "BOOLEAN": {"VARCHAR", "VARIANT"},
    "ARRAY": {"VARIANT"},
    "OBJECT": {"VARIANT"},
    "VARIANT": {"ARRAY", "BOOLEAN", "FLOAT", "NUMBER", "OBJECT", "VARCHAR"},
}
# The additional explicit casts.
CAST = {
    "VARCHAR": {"VARIANT"},
    "BOOLEAN": {"NUMBER"},
    "ARRAY": {"VARCHAR"},
    "OBJECT": {"VARCHAR", "ARRAY"},
}
TYPES = {
    "STRING": "VARCHAR",
    "TEXT": "VARCHAR",
    "VARCHAR": "VARCHAR",
    "INT": "NUMBER",
    "INTEGER": "NUMBER",
    "BIGINT": "NUMBER",
    "NUMBER": "NUMBER",
    "FLOAT": "FLOAT",
    "DOUBLE": "FLOAT",
    "BOOLEAN": "BOOLEAN",
    "ARRAY": "ARRAY",
    "OBJECT": "OBJECT",
    "VARIANT": "VARIANT",
}
TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.|'')*')|\$\$(?P<body>.*?)\$\$|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w$]*|"(?:[^"]|"")+")|"""
    r"""(?P<symbol>::|=>|[(),?.]))""",
    re.DOTALL,
)


def compilation_error(message, code):
    """A compilation error, as Snowflake reports it."""
    return SnowparkSQLException(f"SQL compilation error:\n{message}", sql_error_code=code)


@dataclass
class Parameter:
    """A declared parameter of a procedure."""

    name: str
    type: str
    optional: bool


def parameters(text):
    """The parameters of a declaration, such as `NAME STRING, DROP_DATA BOOLEAN DEFAULT FALSE`."""
    found = []
    for words in (one.split() for one in text.split(",") if one.strip()):
        found.append(Parameter(words[0].upper(), TYPES[words[1].upper()], "DEFAULT" in map(str.upper, words)))
    return found


@dataclass
class Value:
    """An argument: its Python value and its SQL type. The type of NULL is None, which matches every type."""

    value: object
    type: str | None

    def cast(self, target):
        """The same value as another type."""
        if self.type is None or self.type == target or self.value is None:
            return Value(self.value, target)
        if target not in COERCED[self.type] | CAST.get(self.type, set()):
            raise compilation_error(f"invalid type [CAST({self.value!r} AS {target})] for parameter '{self.type}'", 1065)
        return Value(converted(self.value, self.type, target), target)


def converted(value, source, target):
    """A value that is not NULL as another type."""
    if target == "VARCHAR":
        if source in ("ARRAY", "OBJECT") or isinstance(value, (dict, list)):
            return json.dumps(value)
        return str(value).lower() if isinstance(value, bool) else str(value)
    if target == "BOOLEAN" and isinstance(value, str):
        if value.lower() in ("true", "t", "yes", "y", "on", "1"):
            return True
        if value.lower() in ("false", "f", "no", "n", "off", "0"):
            return False
        raise SnowparkSQLException(f"Boolean value '{value}' is not recognized", sql_error_code=100037)
    if target == "BOOLEAN":
        return bool(value)
    if target == "ARRAY" and not isinstance(value, list):
        return [value]
    return value


class Call:
    """A parsed `CALL [database.]schema.procedure(…)`."""

    def __init__(self, text, params=()):
        self.tokens = tokens(text)
        self.binds = list(params)
        self.expect("CALL")
        path = [self.word()]
        while self.accept("."):
            path.append(self.word())
        self.name = path[-1].upper()
        self.schema = path[-2].upper() if len(path) > 1 else None
        self.arguments = self.list()
        if self.tokens or self.binds:
            raise compilation_error("syntax error: unexpected end of CALL", 1003)

    def peek(self):
        return self.tokens[0] if self.tokens else (None, None)

    def accept(self, symbol):
        kind, text = self.peek()
        if kind in ("symbol", "word") and text.upper() == symbol:
            return bool(self.tokens.pop(0))
        return False

    def expect(self, symbol):
        if not self.accept(symbol):
            raise compilation_error(f"syntax error: expected {symbol}, found {self.peek()[1]}", 1003)

    def word(self):
        kind, text = self.tokens.pop(0)
        assert kind == "word", text
        return text

    def list(self):
        """Expressions in parentheses."""
        self.expect("(")
        found = []
        while not self.accept(")"):
            if found:
                self.expect(",")
            found.append(self.expression())
        return found

    def expression(self):
        """A constant, a bound value or a function call, with casts."""
        value = self.primary()
        while self.accept("::"):
            value = value.cast(TYPES[self.word().upper()])
            if self.peek() == ("symbol", "("):
                self.list()
        return value

    def primary(self):
        kind, text = self.tokens.pop(0)
        if kind in ("text", "body"):
            return Value(text, "VARCHAR")
        if kind == "number":
            return Value(float(text), "FLOAT") if "." in text else Value(int(text), "NUMBER")
        if (kind, text) == ("symbol", "?"):
            return bound(self.binds.pop(0))
        if kind == "word" and self.peek() == ("symbol", "("):
            return function(text.upper(), self.list())
        constants = {"NULL": Value(None, None), "TRUE": Value(True, "BOOLEAN"), "FALSE": Value(False, "BOOLEAN")}
        if kind == "word" and text.upper() in constants:
            return constants[text.upper()]
        raise compilation_error(f"invalid identifier '{text}'", 904)

    def values(self, signature):
        """The arguments, cast to the declared types, in the procedure's order."""
        least = sum(not parameter.optional for parameter in signature)
        fits = least <= len(self.arguments) <= len(signature) and all(
            value.type in (None, parameter.type) or parameter.type in COERCED[value.type]
            for value, parameter in zip(self.arguments, signature, strict=False)
        )
        if not fits:
            types = ", ".join(value.type or "NULL" for value in self.arguments)
            raise compilation_error(f"Invalid argument types for function '{self.name}': ({types})", 1044)
        return [
            value.cast(parameter.type).value for value, parameter in zip(self.arguments, signature, strict=False)
        ]


def tokens(text):
    """The tokens of a statement."""
    found, at = [], 0
    text = text.strip().removesuffix(";")
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            if not text[at:].strip():
                break
            raise compilation_error(f"syntax error at {text[at : at + 20]!r}", 1003)
        at = match.end()
        kind, value = match.lastgroup, match[match.lastgroup]
        found.append((kind, unescaped(value[1:-1]) if kind == "text" else value))
    return found


def unescaped(text):
    """The text of a single-quoted literal."""
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)|''", lambda match: escapes.get(match[1], match[1]) if match[1] else "'", text, flags=re.DOTALL)


def bound(value):
    """A bound value, with the type that the driver sends."""
    if value is None:
        return Value(None, None)
    types = {bool: "BOOLEAN", int: "NUMBER", float: "FLOAT", str: "VARCHAR"}
    if type(value) not in types:
        raise TypeError(f"a {type(value).__name__} cannot be bound")
    return Value(value, types[type(value)])


def function(name, arguments):
    """The functions allowed in arguments."""
    values = [argument.value for argument in arguments]
    if name == "PARSE_JSON":
        (text,) = arguments
        if text.type not in ("VARCHAR", None):
            raise compilation_error(f"Invalid argument types for function 'PARSE_JSON': ({text.type})", 1044)
        try:
            return Value(None if text.value is None else json.loads(text.value), "VARIANT")
        except ValueError as error:
            raise SnowparkSQLException(f"Error parsing JSON: {error}", sql_error_code=100069) from error
    if name == "OBJECT_CONSTRUCT":
        return Value(dict(zip(values[::2], values[1::2], strict=True)), "OBJECT")
    if name == "ARRAY_CONSTRUCT":
        return Value(values, "ARRAY")
    if name == "TO_VARIANT":
        return arguments[0].cast("VARIANT")
    if name == "SYSTEM$REFERENCE":
        return Value("reference of " + str(values[1]), "VARCHAR")
    raise compilation_error(f"Unknown function {name}", 2140)
