"""Texts that are safe to show, and labels."""

import re
import unicodedata

SPECIAL = "\\`*_{}[]()<>#+-.!|~$:&"

# Words in which Markdown or Streamlit finds a link, an address, a symbol or an arrow even when escaped, but not in code.
AUTOLINKED = re.compile(r"//|@|www\.|:[^\s:]+:|--|[<>]=|->|<-|=>|mailto:", re.IGNORECASE)

# Words of settings that are written in capitals.
CAPITALS = {word.lower(): word for word in ("API", "URL", "CA", "ID", "TLS", "HTTP", "HTTPS", "SSL", "SQL", "CSV", "JSON", "IP")}

REFERENCES = {"external_access": "External access integration", "warehouse_reference": "Warehouse"}


def plain(text):
    """A text without characters that affect how other text is shown: line feeds, escape sequences, changes of direction."""
    return "".join(c if unicodedata.category(c) not in HIDDEN_CATEGORIES else " " for c in str(text))


# The Unicode categories of these characters: control, format, surrogate, private use, line and paragraph separator.
HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def escaped(text):
    """An untrusted text as Markdown that shows it verbatim: no link, no image, no HTML. Every untrusted text on the page passes
    through here."""
    return "".join(code(word) if AUTOLINKED.search(word) else backslashed(word) for word in re.split(r"(\s+)", plain(text)))


def backslashed(text):
    """A text with a backslash before each character that is special in Markdown."""
    return "".join("\\" + c if c in SPECIAL else c for c in text)


def code(text):
    """A text as inline code, even if it contains backticks."""
    text = plain(text)
    marks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{space}{text}{space}{marks}"


def sentence(text):
    """An escaped text as a sentence."""
    return escaped(text[:1].upper() + text[1:]) + ("" if text.endswith((".", "?", "!")) else ".") if text else ""


def named(names, most=3):
    """Escaped names in a row: `a, b, c and 4 more`."""
    names = list(names)
    shown = ", ".join(map(escaped, names[:most]))
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def stream_of(status, resource, stream):
    """The name of a stream of a resource: `acme/widgets (comments)`, or the resource's name if it alone stands for the stream. A
    source-wide stream is named alone."""
    if stream in (status.source_wide_streams or []):
        return stream
    return f"{resource} ({stream})" if needs_name(status, stream) else resource


def needs_name(status, stream):
    """Whether a stream has to be named beside its resource. A run of an older version has none."""
    return bool(stream) and stream != status.sole_stream


def label(name, title=None):
    """A setting's label: its title, or else its name in words."""
    if title:
        return title
    words = [CAPITALS.get(word.lower(), word) for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def reference(name):
    """A reference's name as a label."""
    for ending, text in REFERENCES.items():
        if name.endswith(ending):
            return text
    return f"Secret: {label(name)}"


def first_capital(text):
    """A text that begins with a capital."""
    return text[:1].upper() + text[1:]
