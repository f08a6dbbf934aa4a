"""The streams of the source, and which of them a resource reads, by the same rules as in the connector's program."""

from responses import ProcedureError, quote_input
from spec import SPEC

# The word for the default streams, also those that a later version adds. No stream has this name.
DEFAULT = "default"

# The resource that stands for the source as a whole: the states, runs and rows of source-wide streams belong to it.
SOURCE = "*"


def names():
    """The source's streams. A stream comes after the one that it requires."""
    return [stream["name"] for stream in SPEC["streams"]]


def source_wide():
    """The streams that are read once for the source, not once per resource."""
    return [stream["name"] for stream in SPEC["streams"] if stream["is_source_wide"]]


def owner(resource, stream):
    """The resource to which the states, runs and rows of a stream belong that this resource reads."""
    return SOURCE if stream in source_wide() else resource


def default():
    """The streams that a resource reads unless the user selects others."""
    return with_required(stream["name"] for stream in SPEC["streams"] if stream["is_default"])


def with_required(selected):
    """The source's streams among these, in its order, with those that they require."""
    selected = set(selected)
    for stream in reversed(SPEC["streams"]):
        if stream["name"] in selected and stream["requires"]:
            selected.add(stream["requires"])
    return [name for name in names() if name in selected]


def parse(given):
    """The selection to store for a given one; None for the default streams. Raises INVALID_INPUT."""
    named = parse_names(given)
    return None if given == [DEFAULT] else with_required(named)


def parse_names(given):
    """The streams that a caller names, in the source's order. Raises INVALID_INPUT."""
    known = names()
    if given == [DEFAULT]:
        return [stream["name"] for stream in SPEC["streams"] if stream["is_default"]]
    if not isinstance(given, list) or not given:
        message = f"select at least one stream of {', '.join(known)}, or {DEFAULT!r}"
        raise ProcedureError("INVALID_INPUT", message, streams=known)
    unknown = [name for name in given if name not in known]
    if DEFAULT in unknown:
        raise ProcedureError("INVALID_INPUT", f"{DEFAULT!r} cannot be combined with other streams", streams=known)
    if unknown:
        message = f"unknown stream {quote_input(unknown[0])}; known streams: {', '.join(known)}"
        raise ProcedureError("INVALID_INPUT", message, streams=known)
    return [name for name in known if name in given]


def option(named):
    """The program's option for these streams; without them, none."""
    return ["--streams", ",".join(named)] if named else []


def violation(row):
    """Why the selection in a row of RESOURCE_CONFIGURATION cannot be used; None if it can."""
    stored = row.get("streams")
    if stored is None:
        return None
    if not isinstance(stored, list) or not all(isinstance(name, str) for name in stored):
        return "its streams in RESOURCE_CONFIGURATION cannot be read: enable it again"
    # Streams that only another version of the source has are left out.
    return None if set(stored) & set(names()) else f"it reads no stream: enable it again with some of {', '.join(names())}"


def selected(row):
    """The streams that a resource reads, by its row in RESOURCE_CONFIGURATION."""
    stored = row.get("streams")
    return default() if stored is None or violation(row) else with_required(stored)


def dropped(row):
    """The selected streams that this version of the source does not have."""
    stored = row.get("streams")
    return [] if stored is None or violation(row) else sorted(set(stored) - set(names()))


def label(resource, stream):
    """A stream of a resource, for a message: `acme/widgets (comments)`, or only the resource if its name alone stands for the stream. A
    source-wide stream is named alone."""
    if stream in source_wide():
        return stream
    return resource if stream in (None, SPEC["sole_stream"]) else f"{resource} ({stream})"
