"""Privileges and references, which the consumer grants in Snowflake's own dialogs."""

import streamlit as st

import data
import texts

try:
    from snowflake import permissions
except ImportError:  # Outside a native app.
    permissions = None

PRIVILEGES = "<<privileges|map(attribute='name')|list>>"


def has_dialogs():
    """Whether Snowflake's dialogs can be opened. The app viewer, outside Snowsight, cannot open them."""
    # Old versions of the package lack this function; they run in Snowsight.
    return permissions is not None and not getattr(permissions, "is_viewer_mode", lambda: False)()


def request_privileges():
    """Opens the dialog once if privileges are missing, and shows a button that opens it again."""
    missing = permissions.get_missing_account_privileges(PRIVILEGES) if permissions else []
    if not missing:
        return
    st.warning(f"The app still needs these privileges: {texts.escaped(', '.join(missing))}.")
    if not has_dialogs():
        show_statements([f"GRANT {privilege} ON ACCOUNT TO APPLICATION {application()};" for privilege in missing])
        return
    pressed = st.button("Grant privileges", key="grant_privileges")
    if pressed or not st.session_state.get("asked_for_privileges"):
        st.session_state["asked_for_privileges"] = True
        permissions.request_account_privileges(missing)


def references(status):
    """Shows each reference, whether it is bound, and a button that opens Snowflake's dialog."""
    message = st.container()
    dialogs = has_dialogs()
    for name, reference in status["references"].items():
        left, right = st.columns([4, 1])
        how = "bound" if reference["bound"] else "**needed**" if reference["required"] else "optional"
        left.markdown(f"{texts.escaped(texts.reference(name))}: {how}")
        waits = bool(reference.get("missing_settings"))
        if waits:
            left.caption(f"Save the settings below first: the host depends on {setting_labels(reference)}.")
        elif reference.get("hosts"):
            left.caption(f"Hosts: {texts.escaped(', '.join(reference['hosts']))}")
        if right.button("Change" if reference["bound"] else "Bind", key=f"bind_{name}", disabled=not dialogs or waits):
            permissions.request_reference(name)
            message.info(f"When this is done, press Refresh: {texts.escaped(texts.reference(name))}.")
            st.session_state.pop("status", None)
    unbound = [name for name, reference in status["references"].items() if not reference["bound"]]
    if unbound and not dialogs:
        show_statements(map(binding_statement, unbound))


def setting_labels(reference):
    """The labels of the settings that a reference waits for."""
    return ", ".join(texts.escaped(texts.label(name)) for name in reference["missing_settings"])


def show_statements(statements):
    """Shows the statements to run in a worksheet where no dialog can be opened."""
    st.info("Snowflake's dialogs cannot be opened here. Open the app in Snowsight, or run this in a worksheet:")
    st.code("\n".join(statements), language="sql")


def binding_statement(name):
    """The statement that binds an object to a reference."""
    kind, privilege = next((of for ending, of in REFERENCE_KINDS.items() if name.endswith(ending)), ("SECRET", "READ"))
    return (
        f"CALL {application()}.PUBLIC.REGISTER_REFERENCE('{name}', 'ADD', "
        f"SYSTEM$REFERENCE('{kind}', '<name>', 'PERSISTENT', '{privilege}'));"
    )


# The kind of object that a reference takes and the privilege on it, by the end of the reference's name. All others are secrets.
REFERENCE_KINDS = {
    "external_access": ("EXTERNAL ACCESS INTEGRATION", "USAGE"),
    "warehouse_reference": ("WAREHOUSE", "USAGE"),
}


def application():
    """The application's name, as SQL."""
    found = data.select('SELECT CURRENT_DATABASE() AS "NAME"')["NAME"].iloc[0]
    return found if found.replace("_", "").isalnum() and found == found.upper() else data.quoted(found)


def missing_references(status):
    """The labels of the required references that are not bound."""
    return [texts.reference(name) for name, one in status["references"].items() if one["required"] and not one["bound"]]
