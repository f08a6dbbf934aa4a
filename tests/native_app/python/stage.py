"""Serves the page to a browser, with one account per process."""

import json
import os

from snowflake.snowpark import context

import conftest
import engine
from consumer import Consumer

app = conftest.App(conftest.connect(), f"SHOW_{os.getpid()}")
consumer = Consumer(app)
consumer.install(setattr)
good, bad = engine.ingesting(app.real, rows=12, waited_ms=300), engine.failing(app.real)
# Containers finish before the page's next check.
app.account.ends_jobs = True
EVIL = "https://evil.example/x www.evil.example me@evil.example [x](https://evil.example) <a href='https://evil.example'>x</a>"
EVIL += " ![x](https://evil.example/x.png) <img src='https://evil.example/x.png'>"
evil = engine.unconfirmed(app.real, kind="invalid_data", message=EVIL, help=EVIL, unconfirmed_deletions=7)


def hostile(account, args):
    """Stores a run with hostile records, and one with a hostile error."""
    if "--reconcile" in args:
        return evil(account, args)
    output = good(account, args)
    database, name = args[args.index("--database") + 1], args[-1]
    document = json.dumps({"id": 1, "number": 1, "title": EVIL, "state": "https://evil.example/state"})
    text = f'UPDATE {database}."PUBLIC_RAW"."{name}" SET "KEY" = ?, "RAW" = PARSE_JSON(?), "DOCUMENT" = ?'
    app.real.sql(text, params=[EVIL, document, document]).collect()
    return output


JOBS = {"acme/broken": bad, "acme/evil": hostile}
app.account.job = lambda account, args: JOBS.get(args[-1], good)(account, args)
context.get_active_session = lambda: app.session
