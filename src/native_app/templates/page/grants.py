"""Privileges and references, which the consumer grants in Snowflake's own dialogs."""

import streamlit as st
from snowflake.snowpark.exceptions import SnowparkClientException

import actions
import compat
import data
import texts

try:
    from snowflake import permissions
except ImportError:  # Outside a native app.
    permissions = None

PRIVILEGES = "<<privileges|map(attribute='name')|list>>"

# The actions that open a dialog, by the end of the reference's name. `privileges` opens another dialog.
DIALOGS = {"warehouse": "warehouse_reference", "access": "external_access", "secret": "", "privileges": None}

# The kind of object that a reference takes and the privilege on it, by the end of the reference's name. All others are secrets.
REFERENCE_KINDS = {"external_access": ("EXTERNAL ACCESS INTEGRATION", "USAGE"), "warehouse_reference": ("WAREHOUSE", "USAGE")}


def has_dialogs():
    """Whether Snowflake's dialogs can be opened. The app viewer, outside Snowsight, cannot open them."""
    # Old versions of the package lack this function; they run in Snowsight.
    return permissions is not None and not getattr(permissions, "is_viewer_mode", lambda: False)()


def missing_privileges():
    """The privileges that the app still needs."""
    try:
        return permissions.get_missing_account_privileges(PRIVILEGES) if permissions else []
    except SnowparkClientException:
        return []


def secrets(status):
    """The references that take secrets."""
    return [name for name in status.references or {} if not name.endswith(tuple(REFERENCE_KINDS))]


def reference_of(status, action):
    """The reference that an action binds; of several secrets, the bound one."""
    if action == "secret":
        names = secrets(status)
        return next((name for name in names if status.references[name]["bound"]), names[-1] if names else None)
    return next((name for name in status.references or {} if name.endswith(DIALOGS[action])), None)


def button(status, action, label, icon, slot=None, **options):
    """The button of an action that opens a dialog; where none can be opened, the statement to run."""
    slot = slot or f"grant_{action}"
    if action == "privileges":
        ask_for_privileges(status, slot, label, icon, **options)
        return
    name = reference_of(status, action)
    if name is not None:
        bind(status, name, slot, label, icon, **options)


def ask_for_privileges(status, slot, label, icon="shield", **options):
    """A button that opens the dialog for the missing privileges, or the statements that grant them."""
    missing = missing_privileges()
    if missing and not has_dialogs():
        statements([f"GRANT {privilege} ON ACCOUNT TO APPLICATION {application(status)};" for privilege in missing])
        return
    if compat.button(label, slot, icon=icon, **options):
        opened(slot, lambda: permissions.request_account_privileges(missing or PRIVILEGES))


def bind(status, name, slot, label, icon, **options):
    """A button that opens the dialog of a reference, or the statement that binds it."""
    if not has_dialogs():
        statements([binding_statement(status, name)])
        return
    waits = bool(status.references[name].get("missing_settings"))
    if compat.button(label, slot, icon=icon, disabled=options.pop("disabled", False) or waits, **options):
        opened(slot, lambda: permissions.request_reference(name))


def opened(slot, open_dialog):
    """Opens a dialog of Snowflake, and says what to do when it is done."""
    try:
        open_dialog()
    except SnowparkClientException as error:
        st.session_state.setdefault("answers", {})[slot] = {**data.failure_response(error), "at": None}
        return
    # The dialog is beside the page, which does not learn when it ends.
    st.session_state.setdefault("waits_for_dialog", set()).add(slot)
    actions.clear(slot)
    data.forget()


def waiting(slot):
    """What is said while a dialog may be open, with a button that checks."""
    if slot not in st.session_state.get("waits_for_dialog", ()):
        return
    for place, content in zip(compat.row(2), ("text", "button"), strict=True):
        with place:
            if content == "text":
                compat.element("caption", "Waiting for Snowflake's dialog. Done there?", width="content")
            else:
                compat.button("Check again", f"check_{slot}", icon="refresh", on_click=checked, args=(slot,))


def checked(slot):
    """Reads the state again after a dialog."""
    st.session_state.get("waits_for_dialog", set()).discard(slot)
    data.forget()


def statements(lines):
    """Shows the statements to run in a worksheet where no dialog can be opened."""
    st.markdown("Snowflake's dialogs cannot be opened here. Open the app in Snowsight, or run this in a worksheet:")
    st.code("\n".join(lines), language="sql")


def binding_statement(status, name):
    """The statement that binds an object to a reference."""
    kind, privilege = next((of for ending, of in REFERENCE_KINDS.items() if name.endswith(ending)), ("SECRET", "READ"))
    return (
        f"CALL {application(status)}.PUBLIC.REGISTER_REFERENCE('{name}', 'ADD', "
        f"SYSTEM$REFERENCE('{kind}', '<name>', 'PERSISTENT', '{privilege}'));"
    )


def application(status):
    """The application's name, as SQL."""
    found = status.application
    return found if found.replace("_", "").isalnum() and found == found.upper() else data.quoted(found)


def setting_labels(status, names):
    """The labels of settings, escaped."""
    properties = (status.settings_schema or {}).get("properties", {})
    return ", ".join(texts.escaped(texts.label(name, properties.get(name, {}).get("title"))) for name in names)
