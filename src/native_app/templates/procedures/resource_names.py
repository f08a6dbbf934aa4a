"""Names of resources, validated and normalized by the rule that the source declares."""

import re
from urllib.parse import urlsplit

from responses import ProcedureError, quote_input
from spec import SPEC

# No source has longer names.
MAX_LENGTH = 1000


def canonical(given, settings=None):
    """The canonical form of a resource's name. Raises INVALID_IDENTIFIER."""
    if not isinstance(given, str) or not given or given.strip() != given:
        raise ProcedureError("INVALID_IDENTIFIER", "the resource needs a name without leading or trailing whitespace")
    if len(given) > MAX_LENGTH or not given.isprintable() or "\\" in given:
        raise ProcedureError("INVALID_IDENTIFIER", "the resource's name is too long, or contains a control character or a backslash")
    rule = SPEC["resource_names"]
    if rule is None:
        return given
    name = within_address(rule, given, settings or {})
    for suffix in rule["suffixes"]:
        while name.endswith(suffix):
            name = name[: -len(suffix)]
    if not re.fullmatch(rule["pattern"], name, re.ASCII):
        kind = SPEC["resource_kind"]
        message = f"{quote_input(given)} is not a {kind}: write `{rule['form']}`, or the address of the {kind}"
        raise ProcedureError("INVALID_IDENTIFIER", message)
    return lower(name) if rule["ignores_case"] else name


def is_form_of(name, wanted, settings):
    """Whether a stored name has this canonical form."""
    try:
        return canonical(name, settings) == wanted
    except ProcedureError:
        return False


def within_address(rule, given, settings):
    """The part of a URL that names the resource, or else the whole text. Raises INVALID_IDENTIFIER for the URL of another server."""
    for pattern in rule["addresses"]:
        match = re.match(pattern, given, re.ASCII)
        if match:
            if not is_served_here(rule, lower(match["host"]), settings):
                raise ProcedureError("INVALID_IDENTIFIER", f"{quote_input(given)} is on another server than `{rule['url_setting']}`")
            return match["name"]
    return given.rstrip("/")


def is_served_here(rule, host, settings):
    """Whether a host is the API's host from the settings, or that of its web site."""
    url = settings.get(rule["url_setting"]) or SPEC["settings"]["properties"][rule["url_setting"]].get("default")
    try:
        api = urlsplit(str(url)).hostname or ""
    except ValueError:
        api = ""
    site = host.removeprefix("www.")
    return host == api or api.removeprefix("api.") == site or site in rule["hosts"]


def lower(text):
    """ASCII letters in lower case."""
    return "".join(c.lower() if c.isascii() else c for c in text)
