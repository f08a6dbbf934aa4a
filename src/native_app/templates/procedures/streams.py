"""The streams of the source, and which of them a resource reads."""

from responses import ProcedureError, quote_input
from spec import SPEC


def names():
    """The source's streams, in its order."""
    return [stream["name"] for stream in SPEC["streams"]]


def default():
    """The streams that a resource reads unless the user selects others."""
    return [stream["name"] for stream in SPEC["streams"] if stream["is_default"]]


def parse(given):
    """A given selection, in the source's order. Raises INVALID_INPUT."""
    known = names()
    if not isinstance(given, list) or not given:
        raise ProcedureError("INVALID_INPUT", f"select at least one stream of {', '.join(known)}", streams=known)
    unknown = [name for name in given if name not in known]
    if unknown:
        message = f"unknown stream {quote_input(unknown[0])}; known streams: {', '.join(known)}"
        raise ProcedureError("INVALID_INPUT", message, streams=known)
    return [name for name in known if name in given]


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
    if stored is None or violation(row):
        return default()
    return [name for name in names() if name in stored]


def label(resource, stream):
    """A stream of a resource, for a message. The only stream of a source is not named."""
    return f"{resource} ({stream})" if stream and len(names()) > 1 else resource
