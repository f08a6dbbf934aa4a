"""Which view is open, and for which resource. Both are in the page's address, so that a link opens them."""

import streamlit as st

import compat

OVERVIEW, RUNS, DATA, SETTINGS, SETUP = "Overview", "Runs", "Data", "Settings", "Set-up"
ICONS = {OVERVIEW: "monitoring", RUNS: "history", DATA: "table", SETTINGS: "tune", SETUP: "checklist"}


def addressed(views):
    """The view that the page's address names; None if it names none of these."""
    asked = compat.parameter("view")
    return next((view for view in views if view.lower() == (asked or "").lower()), None)


def choose(views):
    """Shows the views, and returns the open one."""
    if st.session_state.get("next_view") in views:
        go(st.session_state.pop("next_view"))
    if "view" not in st.session_state:
        st.session_state["view"] = addressed(views) or views[0]
        if compat.parameter("resource"):
            st.session_state["resource"] = compat.parameter("resource")
    labels = {view: f"{compat.icon(ICONS[view])} {view}".strip() for view in views}
    view = compat.choice("View", views, "view", labels=labels, hidden=True, on_change=leave)
    resource = st.session_state.get("resource")
    compat.set_parameters(view=view.lower(), resource=resource if view in (OVERVIEW, DATA) else None)
    return view


def leave():
    """Closes the resource that is open, when the user chooses a view."""
    st.session_state.pop("resource", None)


def go(view, resource=None, **choices):
    """Opens a view when the page runs next, with the choices of its widgets by key."""
    st.session_state["view"] = view
    st.session_state.pop("resource", None)
    if resource is not None:
        st.session_state["resource"] = resource
    for key, value in choices.items():
        st.session_state[key] = value


def after_this(view):
    """Opens a view when the page runs next, after an action: the choice that is on the page cannot be changed any more."""
    st.session_state["next_view"] = view


def button(label, key, view, resource=None, icon=None, choices=None, **options):
    """A button that opens a view. It changes nothing, so viewers have it, too."""
    compat.button(label, key, icon=icon, on_click=go, args=(view, resource), kwargs=choices or {}, **options)
