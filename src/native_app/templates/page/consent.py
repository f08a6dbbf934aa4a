"""What the consumer must give the app: privileges and references, asked for in Snowflake's own dialogs."""

import streamlit as st

import data
import texts

try:
    from snowflake import permissions
except ImportError:  # Not within a native app.
    permissions = None

PRIVILEGES = "<<privileges|map(attribute='name')|list>>"


def has_dialogs():
    """Whether Snowflake's dialogs can be opened: not by the address of the app viewer, outside of Snowsight."""
    # Old versions of the package do not know where they run; those pages run in Snowsight.
    return permissions is not None and not getattr(permissions, "is_viewer_mode", lambda: False)()


def ask_for_privileges():
    """Opens the dialog once for whatever is missing, and leaves a button to open it again."""
    missing = permissions.get_missing_account_privileges(PRIVILEGES) if permissions else []
    if not missing:
        return
    st.warning(f"The app still needs these privileges: {texts.escaped(', '.join(missing))}.")
    if not has_dialogs():
        instead([f"GRANT {privilege} ON ACCOUNT TO APPLICATION {application()};" for privilege in missing])
        return
    pressed = st.button("Grant privileges", key="grant_privileges")
    if pressed or not st.session_state.get("asked_for_privileges"):
        st.session_state["asked_for_privileges"] = True
        permissions.request_account_privileges(missing)


def references(status):
    """Shows which references are bound, with a button for each that opens Snowflake's dialog."""
    told = st.container()
    dialogs = has_dialogs()
    for name, reference in status["references"].items():
        left, right = st.columns([4, 1])
        how = "bound" if reference["bound"] else "**needed**" if reference["required"] else "optional"
        left.markdown(f"{texts.escaped(texts.reference(name))}: {how}")
        if right.button("Change" if reference["bound"] else "Bind", key=f"bind_{name}", disabled=not dialogs):
            permissions.request_reference(name)
            told.info(f"Press Refresh once this is done: {texts.escaped(texts.reference(name))}.")
            st.session_state.pop("status", None)
    unbound = [name for name, reference in status["references"].items() if not reference["bound"]]
    if unbound and not dialogs:
        instead(map(binding, unbound))


def instead(statements):
    """What a worksheet does where no dialog can be opened."""
    st.info("Snowflake's dialogs do not open here. Open the app in Snowsight, or run this in a worksheet:")
    st.code("\n".join(statements), language="sql")


def binding(name):
    """The statement that binds an object to a reference."""
    kind, privilege = next((of for ending, of in OBJECTS.items() if name.endswith(ending)), ("SECRET", "READ"))
    return (
        f"CALL {application()}.PUBLIC.REGISTER_REFERENCE('{name}', 'ADD', "
        f"SYSTEM$REFERENCE('{kind}', '<name>', 'PERSISTENT', '{privilege}'));"
    )


# The kind of object that a reference is for, with the privilege on it, by the end of its name. All others are secrets.
OBJECTS = {
    "external_access": ("EXTERNAL ACCESS INTEGRATION", "USAGE"),
    "warehouse_reference": ("WAREHOUSE", "USAGE"),
}


def application():
    """The name of the app, as it is written in a statement."""
    found = data.select('SELECT CURRENT_DATABASE() AS "NAME"')["NAME"].iloc[0]
    return found if found.replace("_", "").isalnum() and found == found.upper() else data.quoted(found)


def missing(status):
    """The references that ingestion needs and does not have."""
    return [texts.reference(name) for name, one in status["references"].items() if one["required"] and not one["bound"]]
