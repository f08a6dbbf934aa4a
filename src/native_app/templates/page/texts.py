"""The page's texts. Each response code of the procedures has one: what happened, and what to do."""

import re
import unicodedata

TEXTS = {
    "OK": ("Done.", ""),
    "INVALID_INPUT": ("The input is invalid.", "Correct it as described below, and try again."),
    "INVALID_IDENTIFIER": ("This name is invalid.", "Enter another name."),
    "INVALID_SCHEDULE": (
        "This schedule is invalid.",
        "Enter an interval such as 30m or 2h, or a cron expression in UTC such as 15 2 * * *.",
    ),
    "INVALID_CONNECTOR_STATUS": (
        "The connector's status does not allow this.",
        "Resume the connector, then try again.",
    ),
    "INVALID_REFERENCE": ("The app has no such reference.", "Bind references on the Configuration tab only."),
    "INVALID_APPLICATION_NAME": (
        "The application cannot run containers, because its name needs quotes.",
        "Rename it in Snowflake and configure again, or start ingestion from a process outside Snowflake.",
    ),
    "CONNECTOR_CONFIGURATION_NOT_FOUND": ("The connector is not configured yet.", "Fill in the Configuration tab."),
    "CONFIGURE_CONNECTOR_FAILED": (
        "The connector could not be configured.",
        "If the app does not own the database, grant the app USAGE and CREATE SCHEMA on it, and USAGE and CREATE VIEW on its "
        "schema PUBLIC. It is safe to configure again.",
    ),
    "DESTINATION_IN_USE": (
        "This database cannot be used.",
        "Choose another one, or first disable every resource in the current one.",
    ),
    "REQUIRED_PRIVILEGES_MISSING": (
        "The app lacks a privilege.",
        "Grant it on the Configuration tab, or in the app's security settings.",
    ),
    "EAI_UNAVAILABLE": (
        "The app has no network access to the source.",
        "Bind the external access integration on the Configuration tab.",
    ),
    "SECRET_UNAVAILABLE": (
        "A secret is missing or cannot be used.",
        "Bind a secret of type GENERIC_STRING on the Configuration tab.",
    ),
    "INACCESSIBLE_WAREHOUSE": (
        "The app has no warehouse.",
        "Bind one on the Configuration tab; X-Small is enough.",
    ),
    "COMPUTE_POOL_UNAVAILABLE": (
        "The compute pool does not start.",
        "Follow the message above, if any. Otherwise grant CREATE COMPUTE POOL and configure again, which creates the pool. SHOW "
        "COMPUTE POOLS shows its state.",
    ),
    "JOB_NOT_STARTED": (
        "The container could not start: an object that it needs is missing.",
        "Check that each bound object still exists, and bind another one on the Configuration tab if it does not. "
        "If all exist, the image is missing: contact the app's provider.",
    ),
    "TEST_CONNECTION_FAILED": (
        "The connection test failed.",
        "Check the settings, the secret and the hosts of the external access integration.",
    ),
    "RESOURCE_NOT_FOUND": ("This resource is not configured.", "Enable it first."),
    "RESOURCE_NOT_ENABLED": ("This resource is disabled.", "Enable it first."),
    "ENABLE_RESOURCE_ERROR": ("The resource could not be enabled. Nothing has changed.", "Try again."),
    "DISABLE_RESOURCE_ERROR": ("The resource could not be disabled.", "Try again, or pause the connector to stop everything."),
    "UPDATE_RESOURCE_ERROR": ("The resource could not be changed.", "Try again."),
    "DELETE_RESOURCE_ERROR": ("The resource could not be deleted completely.", "Delete it again."),
    "ALREADY_RUNNING": ("This resource is already being ingested.", "Wait until the container has finished, then try again."),
    "FAILED_TO_CREATE_TASK": (
        "The task could not be created.",
        "Grant EXECUTE TASK and EXECUTE MANAGED TASK on the Configuration tab.",
    ),
    "INGESTION_FAILED": (
        "The run failed. Existing data is unchanged.",
        "The next run starts where this one started.",
    ),
    "INGESTION_PARTIAL": ("The run is incomplete.", "The next run continues from there."),
    "INGESTION_PAUSED": ("The budget is used up.", "Wait for the next period, or set another budget with UPDATE_SETTINGS."),
    "JOB_FAILED": ("The container failed.", "Check your account's event table, and try again."),
    "PAUSE_CONNECTOR_FAILED": ("The connector could not be paused.", "Try again."),
    "RESUME_CONNECTOR_FAILED": (
        "The connector could not be resumed. Its status has not changed.",
        "Check the app's privileges, then try again.",
    ),
    "UNKNOWN_SQL_ERROR": ("A statement failed.", "Try again. If it fails again, report the message."),
    "INTERNAL_ERROR": ("This is a bug.", "Report the message to the app's provider."),
    "DESTINATION_UNREADABLE": (
        "The destination database cannot be read.",
        "If it was dropped, configure again to recreate it. If the app's access was revoked, grant it again.",
    ),
}

# What each status of the connector means.
STATUSES = {
    "CONFIGURING": "Not configured yet",
    "STARTING": "Starting",
    "STARTED": "Running",
    "PAUSING": "Pausing",
    "PAUSED": "Paused",
    "ERROR": "Unknown: pausing or resuming failed halfway; do it again",
}

SCHEDULERS = {
    "task": "The app's own schedule",
    "outside": "A process outside Snowflake",
}

# The state of a resource's container.
CONTAINERS = {"PENDING": "waiting for a machine", "RUNNING": "running"}

REFERENCES = {
    "external_access": "External access integration",
    "warehouse_reference": "Warehouse",
}

SPECIAL = "\\`*_{}[]()<>#+-.!|~$:&"

# Words in which Markdown or Streamlit finds a link, an address, a symbol or an arrow even when escaped, but not in code.
AUTOLINKED = re.compile(r"//|@|www\.|:[^\s:]+:|--|[<>]=|->|<-|=>|mailto:", re.IGNORECASE)


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
    marks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{space}{text}{space}{marks}"


def sentence(text):
    """An escaped text as a sentence."""
    return escaped(text[:1].upper() + text[1:]) + ("" if text.endswith(".") else ".")


def name(status, resource, stream):
    """The name of a stream of a resource: `acme/widgets (comments)`, or the resource's name if it alone stands for the stream. A
    source-wide stream is named alone."""
    if stream in status["source_wide_streams"]:
        return stream
    return f"{resource} ({stream})" if needs_name(status, stream) else resource


def needs_name(status, stream):
    """Whether a stream has to be named beside its resource. A run of an older version has none."""
    return bool(stream) and stream != status["sole_stream"]


def describe(answer):
    """An error response as Markdown."""
    known = answer["response_code"] if answer["response_code"] in TEXTS else "INTERNAL_ERROR"
    title, advice = TEXTS[known]
    parts = [f"**{title}**", escaped(answer.get("message") or ""), advice, code(known)]
    return "\n\n".join(part for part in parts if part)


def label(name):
    """A setting's name as a label."""
    return name.replace("_", " ").capitalize()


def reference(name):
    """A reference's name as a label."""
    for ending, text in REFERENCES.items():
        if name.endswith(ending):
            return text
    return f"Secret: {label(name)}"


def format_time(text):
    """A UTC time as `YYYY-MM-DD HH:MM:SS`; empty for anything else."""
    found = re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", str(text), re.ASCII)
    return found[0].replace("T", " ") if found else ""
