"""What went wrong, in the page's words: what happened, what to do, and the buttons that do it.

Each response code of the procedures and each kind of error has a title and a next step. Where the app's views have their own words for
an error, which name the stream or the permission, those are shown.
"""

import re
from dataclasses import dataclass

import texts

# What buttons do. The first one of an error is the card's blue button.
ACTIONS = {
    "warehouse": ("Choose a warehouse", "warehouse"),
    "access": ("Allow access", "public"),
    "secret": ("Change secret", "key"),
    "privileges": ("Grant privileges", "shield"),
    "setup": ("Open set-up", "checklist"),
    "settings": ("Open settings", "tune"),
    "run": ("Run now", "play_arrow"),
    "reconcile": ("Reconcile", "rule"),
    "resume": ("Resume schedule", "play_arrow"),
    "open": ("Open", "chevron_right"),
    "runs": ("Open runs", "history"),
}


@dataclass(frozen=True)
class Text:
    """An error in words. In them, `{source}`, `{kind}` and `{app}` are filled in."""

    title: str
    help: str = ""
    actions: tuple = ()


TEXTS = {
    "OK": Text("Done."),
    "INVALID_INPUT": Text("The input is invalid.", "Correct it as described below, and try again."),
    "INVALID_IDENTIFIER": Text("This name is invalid.", "Enter another name."),
    "INVALID_SCHEDULE": Text("This schedule is invalid.", "Choose one, or give five cron fields in UTC, such as `15 2 * * *`."),
    "INVALID_CONNECTOR_STATUS": Text("The connector's status does not allow this.", "Resume the connector, then try again."),
    "INVALID_REFERENCE": Text("The app has no such reference.", "Bind references in Set-up only."),
    "INVALID_APPLICATION_NAME": Text(
        "The application cannot run containers, because its name needs quotes.",
        "Rename it in Snowflake and save again, or start ingestion from a process outside Snowflake.",
    ),
    "CONNECTOR_CONFIGURATION_NOT_FOUND": Text("The connector is not configured yet.", "Continue with Set-up.", ("setup",)),
    "CONFIGURE_CONNECTOR_FAILED": Text(
        "The connector could not be configured.",
        "If the app does not own the database, grant the app USAGE and CREATE SCHEMA on it, and USAGE and CREATE VIEW on its "
        "schema PUBLIC. It is safe to save again.",
    ),
    "DESTINATION_IN_USE": Text(
        "This database cannot be used.", "Choose another name, or first disable every {kind} in the current one."
    ),
    "DESTINATION_UNREADABLE": Text(
        "The destination database cannot be read.",
        "If it was dropped, Save in Settings makes it anew and all is read again. If the app's access was revoked, grant it again.",
        ("settings",),
    ),
    "REQUIRED_PRIVILEGES_MISSING": Text(
        "The app lacks a privilege.", "Grant it in Set-up, or in the app's security settings.", ("privileges",)
    ),
    "EAI_UNAVAILABLE": Text("The app has no way out to the source.", "Allow access in Set-up, step External access.", ("access",)),
    "SECRET_UNAVAILABLE": Text(
        "A secret is missing or cannot be used.", "Give it again, as a secret of type GENERIC_STRING; nothing is lost.", ("secret",)
    ),
    "INACCESSIBLE_WAREHOUSE": Text(
        "The warehouse is gone or may not be used.", "Choose another; X-Small is enough.", ("warehouse",)
    ),
    "COMPUTE_POOL_UNAVAILABLE": Text(
        "The compute pool does not start.",
        "Wait 5 minutes if it is starting. Otherwise grant CREATE COMPUTE POOL in Set-up and save again, which makes it anew.",
        ("setup",),
    ),
    "JOB_NOT_STARTED": Text(
        "The container could not start: an object that it needs is missing.",
        "Give it again in Set-up. If nothing is missing there, tell the app's provider.",
        ("setup",),
    ),
    "JOB_FAILED": Text(
        "The container failed.",
        "Read its log under Runs. If it was stopped for lack of memory, lower the requests at a time in Settings. The next run goes on "
        "where this one stopped.",
        ("runs", "settings"),
    ),
    "TEST_CONNECTION_FAILED": Text(
        "The connection test failed.",
        "Check the settings, the secret and the hosts of the external access integration.",
        ("secret",),
    ),
    "RESOURCE_NOT_FOUND": Text("This {kind} is not configured.", "Add it first."),
    "RESOURCE_NOT_ENABLED": Text("This {kind} is paused.", "Resume it first."),
    "RESOURCE_SKIPPED": Text("This {kind} is skipped.", "Enable it again, change its schedule, or delete it.", ("open",)),
    "ENABLE_RESOURCE_ERROR": Text("The {kind} could not be enabled. Nothing has changed.", "Try again."),
    "DISABLE_RESOURCE_ERROR": Text("The {kind} could not be paused.", "Try again, or pause the connector to stop everything."),
    "UPDATE_RESOURCE_ERROR": Text("The {kind} could not be changed.", "Try again."),
    "DELETE_RESOURCE_ERROR": Text("The {kind} could not be deleted completely.", "Delete it again."),
    "ALREADY_RUNNING": Text("It is already running.", "Wait until the run has ended."),
    "FAILED_TO_CREATE_TASK": Text(
        "The schedule's task could not be created.", "Grant EXECUTE TASK and EXECUTE MANAGED TASK.", ("privileges",)
    ),
    "INGESTION_FAILED": Text(
        "The run failed. Existing data is unchanged.", "The next run starts where this one started.", ("run",)
    ),
    "INGESTION_PARTIAL": Text(
        "Some records were left out.", "They are listed under Runs, with reasons. All others are loaded.", ("runs",)
    ),
    "INGESTION_PAUSED": Text("The budget is used up.", "Wait for the next period, or set another budget with UPDATE_SETTINGS."),
    "PAUSE_CONNECTOR_FAILED": Text("The connector could not be paused.", "Try again."),
    "RESUME_CONNECTOR_FAILED": Text(
        "The connector could not be resumed. Its status has not changed.", "Check the app's privileges, then try again."
    ),
    "UNKNOWN_SQL_ERROR": Text("A statement failed.", "Try again. If it fails again, report the message."),
    "INTERNAL_ERROR": Text("This is a bug.", "Report the message to the app's provider."),
    # The connector as a whole does not run.
    "TASK_SUSPENDED": Text(
        "The schedule was suspended outside this page.",
        "Resume it, or pause the connector here so that everybody sees it.",
        ("resume",),
    ),
    "TASK_SUSPENDED_BY_FAILURES": Text(
        "Snowflake suspended the schedule after failed starts in a row.", "Resume it when the cause is fixed.", ("resume",)
    ),
    "TASK_MISSING": Text("The schedule's task is gone.", "Resume; it is made anew.", ("resume",)),
    "TASK_FAILED": Text("The last scheduled start failed.", "Run now; the answer names the cause.", ("run",)),
    # The kinds of errors of the connector's program.
    "authentication": Text(
        "{source} refuses the token.", "It has expired or was revoked. Make a new one and give it here.", ("secret", "run")
    ),
    "permission": Text(
        "{source} refuses access.", "Give the token the permission that is missing, then run again.", ("run", "secret")
    ),
    "not_found": Text(
        "{source} does not know this {kind}.",
        "If it was renamed, add the new name and delete this one. If it is private, give the token access.",
        ("open",),
    ),
    "rate_limited": Text("Waiting for {source}'s limit.", "Nothing to do. To avoid it, run less often, or use a token of its own."),
    "unavailable": Text("{source} answers with errors.", "Nothing to do: it is tried again."),
    "network": Text(
        "{source} cannot be reached.", "Give the CA file or the proxy in Settings, Advanced, if there is one.", ("settings",)
    ),
    "invalid_data": Text("Some records could not be read.", "They are listed under Runs, with reasons.", ("runs",)),
    "configuration": Text("A setting is wrong.", "Correct it in Settings.", ("settings",)),
    "checkpoint": Text("The stored state cannot be used.", "Reset the {kind}: the next run reads it from the start.", ("open",)),
    "conflict": Text("Another run was faster.", "Nothing to do: the next run goes on from there."),
    "unsupported": Text("This version cannot read what {source} sent.", "Upgrade the app, or tell its provider.", ("open",)),
    "internal": Text("This is a bug.", "Report the message to the app's provider.", ("open",)),
    "deletions_unconfirmed": Text(
        "Many rows are gone at {source}.", "Nothing was marked as deleted. Check the source, then confirm.", ("open",)
    ),
    "clock": Text("The newest state is from the future, or older than what was seen.", "Reconcile to be sure.", ("reconcile",)),
}

# Codes of the views that mean one of the above.
SAME = {
    "forbidden": "permission",
    "permission_denied": "permission",
    "unauthorized": "authentication",
    "server": "unavailable",
    "tls": "network",
    "connection": "network",
    "transport": "network",
}


def known(code):
    """The words for a code; None for a code that only another version has."""
    code = str(code or "")
    return TEXTS.get(code) or TEXTS.get(code.upper()) or TEXTS.get(code.lower()) or TEXTS.get(SAME.get(code.lower(), ""))


def words(status, code, title=None, help=None):
    """The words for an error: those that the views give, or else the page's own. The texts are escaped; the title has no full stop."""
    own = known(code) or Text("It fails." if title is None else "", "", ("open",))
    return Text(
        texts.escaped(texts.first_capital(title.rstrip("."))) if title else filled(status, own.title).rstrip("."),
        texts.sentence(help) if help else filled(status, own.help),
        own.actions,
    )


def filled(status, text):
    """One of the page's own texts with its names. Code in it stays code."""
    names = {"source": texts.escaped(status.source), "kind": texts.escaped(status.kind), "app": texts.escaped(status.title or "")}
    return re.sub(r"{(\w+)}", lambda found: names[found[1]], text)


def described(status, answer):
    """An error response as Markdown: what happened, the message, what to do."""
    code = answer["response_code"] if known(answer.get("response_code")) else "INTERNAL_ERROR"
    own = known(code)
    message = texts.sentence(texts.plain(answer.get("message") or "").strip())
    parts = [f"**{filled(status, own.title)}**", message, filled(status, own.help), texts.code(code)]
    return " ".join(part for part in parts if part)
