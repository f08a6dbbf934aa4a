"""What the page says. Every code that a procedure answers with has a text here: what has happened, and what to do."""

import re
import unicodedata

TEXTS = {
    "OK": ("Done.", ""),
    "INVALID_INPUT": ("This is not understood.", "Change what is named below, and try again."),
    "INVALID_IDENTIFIER": ("This name cannot be used.", "Give another name."),
    "INVALID_SCHEDULE": (
        "This schedule cannot be used.",
        "Give an interval such as 30m or 2h, or a cron expression in UTC such as 15 2 * * *.",
    ),
    "INVALID_CONNECTOR_STATUS": (
        "The connector's status does not allow this.",
        "Resume the connector, then try again.",
    ),
    "INVALID_REFERENCE": ("The app has no such reference.", "Bind references on the tab Configuration only."),
    "INVALID_APPLICATION_NAME": (
        "The application's name needs quotes, with which it can run no container.",
        "Rename it in Snowflake and configure again, or let a process of yours outside of Snowflake start ingestion.",
    ),
    "CONNECTOR_CONFIGURATION_NOT_FOUND": ("The connector is not configured yet.", "Fill in the tab Configuration."),
    "CONFIGURE_CONNECTOR_FAILED": (
        "The connector could not be configured.",
        "Where the database is not the app's own, grant the app USAGE and CREATE SCHEMA on it, and USAGE and CREATE VIEW on its "
        "schema PUBLIC. It is safe to configure again.",
    ),
    "DESTINATION_IN_USE": (
        "This database cannot be used.",
        "Choose another one, or disable what goes to the one in use.",
    ),
    "REQUIRED_PRIVILEGES_MISSING": (
        "The app lacks a privilege.",
        "Grant it on the tab Configuration, or in the app's security settings.",
    ),
    "EAI_UNAVAILABLE": (
        "The app has no way out to the source.",
        "Bind the external access integration on the tab Configuration.",
    ),
    "SECRET_UNAVAILABLE": (
        "A secret is missing, or cannot be used.",
        "Bind a secret of the type GENERIC_STRING on the tab Configuration.",
    ),
    "INACCESSIBLE_WAREHOUSE": (
        "The app has no warehouse.",
        "Bind one on the tab Configuration; the smallest is enough.",
    ),
    "COMPUTE_POOL_UNAVAILABLE": (
        "The compute pool does not start.",
        "Do what is said above, if anything; else grant CREATE COMPUTE POOL and configure again, which makes the pool. SHOW COMPUTE POOLS "
        "tells its state.",
    ),
    "JOB_NOT_STARTED": (
        "The container was not started: something that it needs is gone.",
        "Look whether each object that is bound still exists, and bind another one on the tab Configuration; "
        "if all do, the image is missing: tell the app's provider.",
    ),
    "TEST_CONNECTION_FAILED": (
        "The source cannot be reached.",
        "Check the settings, the secret and the hosts of the external access integration.",
    ),
    "RESOURCE_NOT_FOUND": ("This is not configured.", "Enable it first."),
    "RESOURCE_NOT_ENABLED": ("This is disabled.", "Enable it first."),
    "ENABLE_RESOURCE_ERROR": ("It could not be enabled; nothing has changed.", "Try again."),
    "DISABLE_RESOURCE_ERROR": ("It could not be disabled.", "Try again; pausing the connector stops everything."),
    "UPDATE_RESOURCE_ERROR": ("It could not be changed.", "Try again."),
    "DELETE_RESOURCE_ERROR": ("It could not be deleted entirely.", "Delete it again: what is gone is no obstacle."),
    "ALREADY_RUNNING": ("This is being ingested already.", "Wait until the container has ended, then try again."),
    "FAILED_TO_CREATE_TASK": (
        "The task could not be made.",
        "Grant EXECUTE TASK and EXECUTE MANAGED TASK on the tab Configuration.",
    ),
    "INGESTION_FAILED": (
        "The run failed; what was there before is untouched.",
        "The next run goes on from where this one was to begin.",
    ),
    "INGESTION_PARTIAL": ("The run left something out.", "The next run goes on from there."),
    "JOB_FAILED": ("The container failed.", "Look at the event table of your account, and try again."),
    "PAUSE_CONNECTOR_FAILED": ("The connector could not be paused.", "Try again."),
    "RESUME_CONNECTOR_FAILED": (
        "The connector could not be resumed; it stays as it was.",
        "Check the app's privileges, then try again.",
    ),
    "UNKNOWN_SQL_ERROR": ("A statement failed.", "Try again; if it stays so, report what is below."),
    "INTERNAL_ERROR": ("This is a bug.", "Report what is below to the app's provider."),
    "DESTINATION_UNREADABLE": (
        "The destination database cannot be read.",
        "If it was dropped, configure again, which makes it anew; if the app's access was revoked, grant it again.",
    ),
}

# What each status of the connector means.
STATUSES = {
    "CONFIGURING": "Not configured yet",
    "STARTING": "Starting",
    "STARTED": "Running",
    "PAUSING": "Pausing",
    "PAUSED": "Paused",
    "ERROR": "In doubt: pausing or resuming failed halfway; do it again",
}

SCHEDULERS = {
    "task": "The app's own schedule",
    "outside": "A process of yours outside of Snowflake",
}

# What the container of a resource does.
CONTAINERS = {"PENDING": "waiting for a machine", "RUNNING": "running"}

REFERENCES = {
    "external_access": "External access integration",
    "warehouse_reference": "Warehouse",
}

SPECIAL = "\\`*_{}[]()<>#+-.!|~$:&"

# Words in which Markdown, or Streamlit, finds a link, an address, a symbol or an arrow even where it is escaped, but not in code.
FOUND = re.compile(r"//|@|www\.|:[^\s:]+:|--|[<>]=|->|<-|=>|mailto:", re.IGNORECASE)


def plain(text):
    """A text without characters that control how others are shown: line feeds, escape sequences, changes of direction."""
    return "".join(c if unicodedata.category(c) not in HIDDEN else " " for c in str(text))


# The categories of such characters: controls, formats, surrogates, private use, separators of lines and of paragraphs.
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def escaped(text):
    """A text of somebody else's, as Markdown that shows just it: no link, no image, no HTML. Every such text on the page goes through
    here."""
    return "".join(code(word) if FOUND.search(word) else backslashed(word) for word in re.split(r"(\s+)", plain(text)))


def backslashed(text):
    """A text with a backslash before each character that means something in Markdown."""
    return "".join("\\" + c if c in SPECIAL else c for c in text)


def code(text):
    """A text as code, whatever backticks it has."""
    marks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{space}{text}{space}{marks}"


def sentence(text):
    """The same as a sentence."""
    return escaped(text[:1].upper() + text[1:]) + ("" if text.endswith(".") else ".")


def told(answer):
    """What the page says of an answer that is not OK, as Markdown."""
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


def moment(text):
    """A time as people read it, in UTC. Anything else is nothing."""
    found = re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", str(text), re.ASCII)
    return found[0].replace("T", " ") if found else ""
