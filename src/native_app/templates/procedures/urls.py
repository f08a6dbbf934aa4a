"""URLs among the settings: where credentials go, and what is shown."""

import ipaddress
import re

# A scheme, a host, a port and a path, and nothing that programs read in different ways: no user, no query, no fragment, no backslash.
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^\s\x00-\x20!-,/:-@\[-^`{-\x7f]+)(?::(?P<port>[0-9]{1,5}))?(?:/[^\s?#\\]*)?",
    re.IGNORECASE,
)


def misfit(text):
    """What a setting that is a URL must be, where it is not."""
    match = URL.fullmatch(text) if text.isprintable() else None
    host = match["host"].lower() if match else ""
    if not match or not all(c.isalnum() or c in "-_.:[]" for c in host) or int(match["port"] or 443) > 65535:
        return "a URL such as https://api.example.com/v1, without a user, a password, a query or a fragment"
    return None


def exposes_credentials(text):
    """Whether what is sent to a URL could be read on the way. Through a proxy it cannot: HTTPS is spoken with the source."""
    match = URL.fullmatch(text)
    return match is not None and match["scheme"].lower() == "http" and not is_loopback(match["host"].lower())


def is_loopback(host):
    """Whether a host is the machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
