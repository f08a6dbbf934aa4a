"""The checklist of the set-up: what is done, what is next, and what has gone wrong again."""

import hashlib
import json

import pool
import references
import store
from health import SETUP, put
from responses import ProcedureError
from spec import SPEC

# The step that repairs the cause of an error.
REPAIRS = {
    "REQUIRED_PRIVILEGES_MISSING": "privileges",
    "COMPUTE_POOL_UNAVAILABLE": "privileges",
    "INACCESSIBLE_WAREHOUSE": "warehouse",
    "EAI_UNAVAILABLE": "external_access",
    "SECRET_UNAVAILABLE": "sign_in",
    "DESTINATION_UNREADABLE": "destination",
}


def steps(session, configuration, bound, enabled, cause):
    """The steps, in order: `{"step", "state", "value", "problem"}`. `bound` are the objects of the references, `enabled` the number of
    enabled resources, and `cause` the code of what keeps runs from starting. Without a container, only some apply."""
    has_container = SPEC["container"] and (configuration is None or configuration.has_tasks())
    found = {}
    if has_container:
        found["privileges"] = own_pool(session)
    found["warehouse"] = bound.get(references.WAREHOUSE)
    if has_container and references.EXTERNAL_ACCESS in references.known():
        found["external_access"] = bound.get(references.EXTERNAL_ACCESS)
    if has_container and SPEC["secrets"]:
        found["sign_in"] = ", ".join(f"{name}: {bound[name]}" for name in SPEC["secrets"] if name in bound) or None
    found["destination"] = configuration.destination_database if configuration else None
    problems = {REPAIRS[cause]: cause} if cause in REPAIRS else {}
    if has_container:
        tested = store.app_store(session).get("connection")
        is_current = tested is not None and tested.get("digest") in (None, digest(configuration, bound))
        found["test"] = tested.get("job") if is_current else None
        if tested is not None and not is_current:
            problems["test"] = "Changed since the last test."
    found["resources"] = str(enabled) if enabled else None
    optional = [name for name in ("sign_in",) if not is_required_sign_in()]
    return with_states(found, problems, optional)


def with_states(found, problems, optional):
    """The steps with their states: the first that is not done is `now`, and those after it `later`."""
    listed, is_open = [], False
    for step, value in found.items():
        if step in problems and (value or not is_open):
            # A step that was done is open again, however late.
            state = "now" if step == "test" and not is_open else "problem" if step != "test" else "later"
        elif value:
            state = "done"
        elif step in optional:
            state = "optional"
        else:
            state = "later" if is_open else "now"
        is_open = is_open or state in ("now", "problem")
        listed.append({"step": step, "state": state, "value": value, "problem": problems.get(step)})
    return listed


def record(session, listed):
    """Stores for the views whether the set-up is complete."""
    before = store.app_store(session).get(SETUP)
    put(session, SETUP, {"is_complete": all(step["state"] in ("done", "optional") for step in listed)}, before)


def digest(configuration, bound):
    """A digest of what a connection test depends on."""
    tested = [vars(configuration) if configuration else None, {name: value for name, value in bound.items() if name != references.WAREHOUSE}]
    return hashlib.sha256(json.dumps(tested, sort_keys=True).encode()).hexdigest()[:16]


def is_required_sign_in():
    """Whether the source cannot be read without credentials."""
    return any(needed for name, (needed, _) in references.known().items() if name in SPEC["secrets"])


def own_pool(session):
    """The compute pool; None if it does not exist, because the privilege to create it is missing."""
    try:
        name = pool.name(session)
    except ProcedureError:
        return None
    return name if pool.find(session, name) else None
