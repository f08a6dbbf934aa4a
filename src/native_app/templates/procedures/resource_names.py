"""Names of resources, by the rule that the source declares: which ones there can be, and which are of one resource."""

import re
from urllib.parse import urlsplit

from answers import Refusal, shown
from spec import SPEC

# What is longer is no name that any source has.
LONGEST = 1000


def canonical(given, settings=None):
    """The name of the resource that is meant, in its canonical form. Raises INVALID_IDENTIFIER."""
    if not isinstance(given, str) or not given or given.strip() != given:
        raise Refusal("INVALID_IDENTIFIER", "the resource needs a name without leading or trailing white space")
    if len(given) > LONGEST or not given.isprintable() or "\\" in given:
        raise Refusal("INVALID_IDENTIFIER", "the resource's name is too long, or holds a control character or a backslash")
    rule = SPEC["resource_names"]
    if rule is None:
        return given
    name = within_address(rule, given, settings or {})
    for suffix in rule["suffixes"]:
        while name.endswith(suffix):
            name = name[: -len(suffix)]
    if not re.fullmatch(rule["pattern"], name, re.ASCII):
        kind = SPEC["resource_kind"]
        raise Refusal("INVALID_IDENTIFIER", f"{shown(given)} is not a {kind}: write `{rule['form']}`, or the address of the {kind}")
    return lower(name) if rule["ignores_case"] else name


def is_form_of(name, wanted, settings):
    """Whether a name that is stored is another form of a canonical one."""
    try:
        return canonical(name, settings) == wanted
    except Refusal:
        return False


def within_address(rule, given, settings):
    """The part of an address that names the resource, or else the whole text. Raises INVALID_IDENTIFIER for another server's."""
    for pattern in rule["addresses"]:
        match = re.match(pattern, given, re.ASCII)
        if match:
            if not is_served_here(rule, lower(match["host"]), settings):
                raise Refusal("INVALID_IDENTIFIER", f"{shown(given)} is on another server than `{rule['url_setting']}`")
            return match["name"]
    return given.rstrip("/")


def is_served_here(rule, host, settings):
    """Whether a host is that of the API in the settings, or of its web site."""
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
