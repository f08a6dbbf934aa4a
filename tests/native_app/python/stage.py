"""The page as a server, for a browser: one account, kept as long as the process."""

import os

from snowflake.snowpark import context

import conftest
import engine
from consumer import Consumer

app = conftest.App(conftest.connect(), f"SHOW_{os.getpid()}")
consumer = Consumer(app)
consumer.install(setattr)
good, bad = engine.ingesting(app.real, rows=12, waited_ms=300), engine.failing(app.real)
# A container ends as soon as the page looks again.
app.account.ends_jobs = True
app.account.job = lambda account, args: (bad if args[-1] == "acme/broken" else good)(account, args)
context.get_active_session = lambda: app.session
