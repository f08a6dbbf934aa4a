"""What each error means and what to do, for views that everybody may read: they never show the message of an error, which may mention
settings."""

from names import literal
from spec import SPEC


def source_name(name, title):
    """The source's name in texts: as the title spells it, such as `GitHub`."""
    spelt = [word for word in title.split() if word.casefold() == name.casefold()]
    return spelt[0] if spelt else name[:1].upper() + name[1:]


SOURCE, KIND = source_name(SPEC["name"], SPEC["title"]), SPEC["resource_kind"]

# For each code a title, the next step, and whether a person has to act. The codes in lower case are the kinds of the program's errors.
TEXTS = {
    "configuration": ("A setting is missing or wrong.", "Correct it in Settings; the message names it.", True),
    "authentication": (
        f"{SOURCE} refuses the credentials.",
        "They have expired, were revoked, or lack a permission. Make new ones and give them in Set-up.",
        True,
    ),
    "not_found": (
        f"{SOURCE} does not know this {KIND}.",
        "If it was renamed, enable the new name and disable this one. If it is private, give the token access.",
        True,
    ),
    "rate_limited": (
        f"The limit of {SOURCE}, or the budget, is used up.",
        "Nothing to do: the next run goes on. To avoid it, run less often, or use credentials of its own.",
        False,
    ),
    "unavailable": (
        f"{SOURCE} cannot be reached, or answers with errors.",
        "Nothing to do: it is tried again with the next run.",
        False,
    ),
    "invalid_data": (
        f"{SOURCE} sent data that cannot be read.",
        "Run it again. If it stays so, report the message.",
        True,
    ),
    "deletions_unconfirmed": (
        f"Many rows are gone at {SOURCE}.",
        "Nothing was marked as deleted. Check the source, then confirm the deletions.",
        True,
    ),
    "checkpoint": (
        "This version cannot go on from the stored state.",
        f"Reset the {KIND}: the next run reads it from the start.",
        True,
    ),
    "conflict": ("Another run has moved on.", "Nothing to do.", False),
    "unsupported": ("The destination does not support this.", "Report the message.", True),
    "internal": ("The run failed.", "The message says why. If it stays so, report it.", True),
    "INACCESSIBLE_WAREHOUSE": ("The warehouse is gone or may not be used.", "Choose another; X-Small is enough.", True),
    "COMPUTE_POOL_UNAVAILABLE": (
        "The compute pool does not start.",
        "Wait 5 minutes if it is starting; otherwise grant the privileges again in Set-up.",
        True,
    ),
    "JOB_NOT_STARTED": (
        "The container could not start: an object that it needs is missing.",
        "Give it again in Set-up. If nothing is missing there, tell the provider.",
        True,
    ),
    "JOB_FAILED": (
        "The container was stopped before its run ended.",
        "The next run goes on where it stopped. If it stays so, read the log of the job.",
        True,
    ),
    "EAI_UNAVAILABLE": (f"The app has no way out to {SOURCE}.", "Allow access in Set-up.", True),
    "SECRET_UNAVAILABLE": ("A secret is gone.", "Give it again in Set-up; nothing is lost.", True),
    "REQUIRED_PRIVILEGES_MISSING": ("The app lacks a privilege.", "Grant it in Set-up.", True),
    "DESTINATION_UNREADABLE": (
        "The destination cannot be read.",
        "If it was dropped, Save in Settings makes it anew and all is read again. If access was revoked, grant it.",
        True,
    ),
    "TASK_SUSPENDED_BY_FAILURES": (
        "Snowflake suspended the schedule after failed starts.",
        "Remove the cause, then resume.",
        True,
    ),
    "TASK_SUSPENDED": (
        "The schedule was suspended outside of the app.",
        "Resume it, or pause the connector here so that everybody sees it.",
        True,
    ),
    "TASK_MISSING": ("The schedule's task is gone.", "Resume; it is made anew.", True),
    "TASK_FAILED": (
        "The schedule fails before it can start a container.",
        "Run it by hand: the answer names the cause.",
        True,
    ),
    "NOTHING_STARTED": (
        "Nothing has started, and Snowflake does not say why.",
        "Run it by hand: the answer names the cause.",
        True,
    ),
    "INVALID_APPLICATION_NAME": (
        "The application's name needs quotes, so it cannot have a compute pool.",
        "Rename it.",
        True,
    ),
}

# Of codes that a later version has recorded.
OTHER = ("The run failed.", "The message says why. If it stays so, report it.", True)


def title(code):
    """The title of an error."""
    return TEXTS.get(code, OTHER)[0]


def next_step(code):
    """The next step after an error."""
    return TEXTS.get(code, OTHER)[1]


def in_sql(code, index):
    """A text of an error in SQL: 0 is its title, 1 the next step, and 2 whether a person has to act. NULL without a code."""
    write = literal if index < 2 else lambda value: "TRUE" if value else "FALSE"
    cases = " ".join(f"WHEN {code} = {literal(name)} THEN {write(texts[index])}" for name, texts in TEXTS.items())
    return f"CASE WHEN {code} IS NULL THEN NULL {cases} ELSE {write(OTHER[index])} END"
