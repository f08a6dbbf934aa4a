"""Validates the settings that are URLs."""

import ipaddress
import re

# A scheme, a host, a port and a path. Parts that programs parse differently are excluded: user, query, fragment, backslash.
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^\s\x00-\x20!-,/:-@\[-^`{-\x7f]+)(?::(?P<port>[0-9]{1,5}))?(?:/[^\s?#\\]*)?",
    re.IGNORECASE,
)


def violation(text):
    """What a URL must be, if this text is not a valid one; else None."""
    match = URL.fullmatch(text) if text.isprintable() else None
    host = match["host"].lower() if match else ""
    if not match or not all(c.isalnum() or c in "-_.:[]" for c in host) or int(match["port"] or 443) > 65535:
        return "a URL such as https://api.example.com/v1, without a user, a password, a query or a fragment"
    return None


def host(text):
    """The host of a valid URL, with its port unless that is 443."""
    match = URL.fullmatch(text)
    port = match["port"] or ("443" if match["scheme"].lower() == "https" else "80")
    return match["host"].lower() + ("" if int(port) == 443 else f":{int(port)}")


def exposes_credentials(text):
    """Whether credentials sent to a URL would travel unencrypted. A proxy does not see them: the source itself uses HTTPS."""
    match = URL.fullmatch(text)
    return match is not None and match["scheme"].lower() == "http" and not is_loopback(match["host"].lower())


def is_loopback(host):
    """Whether a host is a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
