"""Serves the page to a browser, with one account per state. The page's address names the state: `?state=failing`."""

import json
import os

import streamlit as st
from snowflake.snowpark import context

import conftest
import engine
import page_states
from snowflake import permissions

EVIL = "https://evil.example/x www.evil.example me@evil.example [x](https://evil.example) <a href='https://evil.example'>x</a>"
EVIL += " ![x](https://evil.example/x.png) <img src='https://evil.example/x.png'>"

# Seconds of the day in which the server was started; a state is made when it is first asked for.
accounts = {}


def asked_for(name):
    """A parameter of the page's address."""
    if hasattr(st, "query_params"):
        return st.query_params.get(name)
    return st.experimental_get_query_params().get(name, [None])[0]


def current():
    """The state that this browser's session shows."""
    if "state" not in st.session_state:
        st.session_state["state"] = asked_for("state") or "walk"
        st.session_state["viewer"] = asked_for("viewer") is not None
    name = st.session_state["state"]
    return walk() if name == "walk" else page_states.state(name)


def walk():
    """The account in which the test sets up the app."""
    if "walk" not in accounts:
        state = accounts["walk"] = page_states.State("walk", conftest.App(conftest.connect(), f"WALK_{os.getpid()}"))
        good, bad = engine.ingesting(state.app.real, rows=12, waited_ms=300), engine.failing(state.app.real)
        evil = engine.unconfirmed(state.app.real, kind="invalid_data", message=EVIL, help=EVIL, unconfirmed_deletions=7)
        # Containers finish before the page's next check.
        state.app.account.ends_jobs = True

        def hostile(account, args):
            """Stores a run with hostile records, and one with a hostile error."""
            if "--reconcile" in args:
                return evil(account, args)
            output = good(account, args)
            database, name = args[args.index("--database") + 1], args[-1]
            document = json.dumps({"id": 1, "number": 1, "title": EVIL, "state": "https://evil.example/state"})
            text = f'UPDATE {database}."PUBLIC_RAW"."{name}" SET "KEY" = ?, "RAW" = PARSE_JSON(?), "DOCUMENT" = ?'
            state.app.real.sql(text, params=[EVIL, document, document]).collect()
            return output

        jobs = {"acme/broken": bad, "acme/evil": hostile}
        state.app.account.job = lambda account, args: jobs.get(args[-1], good)(account, args)
    return accounts["walk"]


# Each call goes to the account of the session that makes it.
context.get_active_session = lambda: current().app.session
for name in ("missing", "grant", "bind"):
    replaced = {"missing": "get_missing_account_privileges", "grant": "request_account_privileges", "bind": "request_reference"}[name]
    setattr(permissions, replaced, lambda *given, name=name: getattr(current().consumer, name)(*given))
