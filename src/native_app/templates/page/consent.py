"""What the consumer must give the app: privileges and references, asked for in Snowflake's own dialogs."""

import streamlit as st

import texts

try:
    from snowflake import permissions
except ImportError:  # Not within a native app.
    permissions = None

PRIVILEGES = "<<privileges|map(attribute='name')|list>>"


def ask_for_privileges():
    """Opens the dialog once for whatever is missing, and leaves a button to open it again."""
    missing = permissions.get_missing_account_privileges(PRIVILEGES) if permissions else []
    if not missing:
        return
    st.warning(f"The app still needs these privileges: {', '.join(missing)}.")
    pressed = st.button("Grant privileges", key="grant_privileges")
    if pressed or not st.session_state.get("asked_for_privileges"):
        st.session_state["asked_for_privileges"] = True
        permissions.request_account_privileges(missing)


def references(status):
    """Shows which references are bound, with a button for each that is not."""
    told = st.container()
    for name, reference in status["references"].items():
        left, right = st.columns([4, 1])
        how = "bound" if reference["bound"] else "**needed**" if reference["required"] else "optional"
        left.markdown(f"{texts.escaped(texts.reference(name))}: {how}")
        if right.button("Change" if reference["bound"] else "Bind", key=f"bind_{name}", disabled=permissions is None):
            permissions.request_reference(name)
            told.info(f"Press Refresh once this is done: {texts.reference(name)}.")
            st.session_state.pop("status", None)


def missing(status):
    """The references that ingestion needs and does not have."""
    return [texts.reference(name) for name, one in status["references"].items() if one["required"] and not one["bound"]]
