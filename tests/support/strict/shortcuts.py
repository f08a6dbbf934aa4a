"""Skips work that fakesnow repeats for each statement; it took half of the time."""

import ast
import functools
import inspect
import threading

from fakesnow import transforms
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp
from sqlglot.expressions.core import Expression

# Thread-local: the known types of the nodes of the current statement.
rewritten = threading.local()


def install():
    FakeSnowflakeCursor._describe_last_sql = described
    FakeSnowflakeCursor._execute = describing(FakeSnowflakeCursor._execute)
    FakeSnowflakeCursor._transform = rewriting(FakeSnowflakeCursor._transform)
    Expression.transform = transforming(Expression.transform)


def described(cursor):
    """The columns of the last result, as DuckDB returned them, without planning the statement again."""
    return [(name, str(kind), None, None, None, None) for name, kind, *_ in cursor._described]


def describing(execute):
    def execute_and_describe(cursor, *arguments, **named):
        execute(cursor, *arguments, **named)
        # Before a commit, which is a separate statement.
        cursor._described = cursor._duck_conn.description

    return execute_and_describe


def rewriting(rewrite):
    def rewrite_with_types(cursor, expression, params):
        rewritten.active, rewritten.types = True, None
        try:
            return rewrite(cursor, expression, params)
        finally:
            rewritten.active = False

    return rewrite_with_types


def transforming(transform):
    """Skips transformations that change nothing: there are more than 70, and each visits the whole tree."""

    def transform_where_concerned(tree, function, *arguments, copy=True, **named):
        if copy or not getattr(rewritten, "active", False):
            return transform(tree, function, *arguments, copy=copy, **named)
        if types := concerned(called(function)):
            if rewritten.types is None:
                rewritten.types = {type(node) for node in tree.walk()}
            if not any(issubclass(present, types) for present in rewritten.types):
                return tree
        rewritten.types = None
        return transform(tree, function, *arguments, copy=copy, **named)

    return transform_where_concerned


def called(function):
    """The transformation, unwrapped from a lambda that adds arguments."""
    if function.__name__ != "<lambda>":
        return function
    named = [getattr(transforms, name, None) for name in function.__code__.co_names]
    found = [function for function in named if inspect.isfunction(function)]
    return found[0] if len(found) == 1 else None


@functools.cache
def concerned(function):
    """The types of nodes that a transformation applies to. Empty if its source does not reveal them."""
    if function is None or not function.__module__.startswith("fakesnow."):
        return ()
    definition = ast.parse(inspect.getsource(function)).body[0]
    given, found = definition.args.args[0].arg, set()
    for node in ast.walk(definition):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), kinds]) if name == given:
                kinds = kinds.elts if isinstance(kinds, ast.Tuple) else [kinds]
                if not all(isinstance(kind, ast.Attribute) for kind in kinds):
                    return ()
                found |= {getattr(exp, kind.attr) for kind in kinds}
    return tuple(found)
