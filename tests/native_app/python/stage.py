"""The page as a server, for a browser: one account, kept as long as the process."""

import os

from snowflake.snowpark import context

import conftest
import engine
from consumer import Consumer

app = conftest.App(conftest.connect(), f"SHOW_{os.getpid()}")
consumer = Consumer(app)
consumer.install(setattr)
app.account.job = engine.ingesting(app.real, rows=12, waited_ms=300)
context.get_active_session = lambda: app.session
