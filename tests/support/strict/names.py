"""Statements of tests differ in little but the names of databases and the ids of runs and transactions. What is made of a statement
is kept with placeholders for them: nothing depends on what they are."""

import re

# The name that a test gives to a database, with numbers of the process and of the database; a UUID; a transaction's id, as a text.
DIFFERENT = re.compile(
    r"(?<![\w$])(?:[A-Z]+\d+_\d+(?:_DATA)?|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=')17\d{17}(?='))(?![\w$])"
)
PLACEHOLDER = re.compile(r"DIFFERENT_(\d)_IN_EACH_TEST")
# The most names in a text, of which each placeholder has a digit, and the most characters.
MOST, LONGEST = 9, 50_000


def found_in(text):
    """The names in a text, in order. None if it is too long, or has too many."""
    found = tuple(dict.fromkeys(DIFFERENT.findall(text))) if len(text) <= LONGEST else ()
    return found if len(found) <= MOST else ()


def hidden(text, names):
    """A text with placeholders for these names."""
    if not names or text is None:
        return text
    return DIFFERENT.sub(lambda found: placeholder(found[0], names), text)


def placeholder(name, names):
    return f"DIFFERENT_{names.index(name)}_IN_EACH_TEST" if name in names else name


def shown(text, names):
    """A text with these names for its placeholders."""
    return PLACEHOLDER.sub(lambda found: names[int(found[1])], text) if names and "_IN_EACH_TEST" in text else text


def replaced(tree, change):
    """A copy of a tree with other texts."""
    copy = tree.copy()
    for node in copy.walk():
        for key, value in node.args.items():
            if type(value) is str and (changed := change(value)) != value:
                node.args[key] = changed
    return copy
