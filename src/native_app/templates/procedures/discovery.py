"""Lists the resources that the source offers, read by a container and kept for the page."""

import json

import health
import jobs
import resources
import settings
import store
from responses import ProcedureError, ok

# The key of the app's configuration.
KEY = "discovered"

# How many names a response has at most.
MOST = 10_000


def discover(session, prefix, most, again):
    """The first `most` resources whose names or titles begin with a prefix, whatever its case. A list that is there is not read `again` unless
    asked."""
    most = int(most)
    if not 1 <= most <= MOST:
        raise ProcedureError("INVALID_INPUT", f"the number of rows must be from 1 to {MOST}")
    kept = store.app_store(session).get(KEY)
    if again or kept is None or not isinstance(kept.get("names"), list):
        kept = read(session)
        store.app_store(session).put(KEY, kept)
    # Missing in a list that an earlier version has kept.
    titles, prefix = kept.get("titles") or {}, (prefix or "").lower()
    wanted = [name for name in kept["names"] if name.lower().startswith(prefix) or titles.get(name, "").lower().startswith(prefix)]
    rows = [
        {"NAME": name, **({"TITLE": titles.get(name)} if titles else {}), "READ_AT": kept["read_at"]} for name in wanted[:most]
    ]
    message = (
        f"{len(wanted)} found"
        if kept["is_complete"]
        else f"{len(wanted)} found; the list was too long to be read completely"
    )
    return ok(
        message,
        rows=rows,
        columns=["NAME", "TITLE"] if titles else ["NAME"],
        matches=len(wanted),
        read_at=kept["read_at"],
        is_complete=kept["is_complete"],
    )


def read(session):
    """Reads the list in a container, and waits for it."""
    configuration = settings.load(session)
    resources.require_container(configuration)
    ended = jobs.run(session, configuration.destination_database, ["discover"], lines=2 * MOST)
    document = ended.document()
    if document.get("error") or ended.failure:
        raise resources.job_error(ended)
    names, titles = document.get("resources"), document.get("titles") or {}
    is_complete = isinstance(names, list)
    if not is_complete:
        # Snowflake returns only the end of a long log.
        names, titles = listed_in(ended.output)
    known = sorted({name for name in names if isinstance(name, str)}, key=str.lower)
    return {"names": known, "titles": titles, "read_at": health.now(), "is_complete": is_complete}


def listed_in(output):
    """The names and titles in the end of a document that lists resources: a line has one name, or a name with its title."""
    names, titles = [], {}
    for line in output.splitlines():
        text = line.strip().removesuffix(",")
        try:
            if text.startswith('"') and '": "' in text:
                titles |= json.loads("{" + text + "}")
            else:
                names.append(json.loads(text))
        except ValueError:
            continue
    return [*names, *titles], titles
