"""The hosts that the container connects to."""

import re

import settings
import urls
from spec import SPEC

# A setting in a host.
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def url_settings():
    """The settings that are URLs."""
    return [name for name, declared in SPEC["settings"].get("properties", {}).items() if settings.is_url(declared)]


def has_any():
    """Whether the source connects to hosts."""
    return bool(SPEC["hosts"] or url_settings())


def configured(configuration):
    """The hosts with this configuration, or without one, and the settings that others depend on and that are missing."""
    values = configuration.settings if configuration else {}
    properties = SPEC["settings"].get("properties", {})
    found, missing = [], []

    def value(name):
        return values.get(name, properties.get(name, {}).get("default"))

    for host in SPEC["hosts"]:
        names = PLACEHOLDER.findall(host)
        missing += [name for name in names if not value(name)]
        if all(map(value, names)):
            found.append(PLACEHOLDER.sub(lambda match: value(match[1]), host))
    for name in url_settings():
        if value(name):
            found.append(urls.host(value(name)))
        elif name in SPEC["settings"].get("required", []):
            missing.append(name)
    return list(dict.fromkeys(found)), list(dict.fromkeys(missing))
