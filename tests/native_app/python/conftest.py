"""Fixtures of all tests. Each test has its own account, with the app installed but not configured."""

import itertools
import json
import os

import paths  # First: it makes the app's own modules importable.  # noqa: I001
import installation
import pytest
from account import Account, Session
from responses import CODES
from snowflake.snowpark import Session as Snowpark
from snowflake.snowpark.exceptions import SnowparkSQLException

numbers = itertools.count()


def connect():
    """Opens a session on the test's Snowflake server."""
    port = int(os.environ["SNOWFEED_FAKESNOW_PORT"])
    common = {"account": "tests", "user": "tests", "password": "tests", "protocol": "http"}
    return Snowpark.builder.configs({**common, "host": "127.0.0.1", "port": port}).create()


@pytest.fixture(scope="session")
def real():
    """The session shared by all tests."""
    session = connect()
    yield session
    session.connection.close()


class App:
    """The app in its account."""

    def __init__(self, real, name):
        self.name, self.real = name, real
        self.account = Account()
        self.session = Session(self.account, real)
        self.data = f"{name}_DATA"
        self.database(name)
        installation.run(self.session)

    def database(self, name):
        """Creates a database; the session's current database is the app's."""
        self.real.sql(f"CREATE DATABASE {name}").collect()
        self.real.sql(f"USE DATABASE {self.name}").collect()

    def call(self, procedure, *arguments):
        """Calls a procedure as a worksheet does, with arguments of the declared types, and returns the response."""
        signature = self.account.procedures[procedure.upper()].signature
        written = [self.written(value, parameter) for value, parameter in zip(arguments, signature, strict=False)]
        text = f"CALL {self.name}.PUBLIC.{procedure.upper()}({', '.join(text for text, _ in written)})"
        answer = json.loads(self.session.sql(text, params=[value for _, value in written]).collect()[0][0])
        assert answer["response_code"] in CODES and isinstance(answer["message"], str)
        return answer

    def refused(self, procedure, *arguments):
        """Calls a procedure that must raise, and returns the message."""
        with pytest.raises(SnowparkSQLException) as error:
            self.call(procedure, *arguments)
        return str(error.value).partition("CallFailed: ")[2]

    @staticmethod
    def written(value, parameter):
        """The SQL of an argument, and the bound value."""
        if value is not None and parameter.type in ("VARIANT", "ARRAY"):
            return f"PARSE_JSON(?)::{parameter.type}", json.dumps(value)
        return "?", value

    def ok(self, procedure, *arguments):
        """Calls a procedure that must succeed."""
        answer = self.call(procedure, *arguments)
        assert answer["response_code"] == "OK", answer
        return answer

    def code(self, procedure, *arguments):
        """Calls a procedure and returns the response code."""
        return self.call(procedure, *arguments)["response_code"]

    def tick(self):
        """Runs every started task once, as on schedule."""
        for name in [name for name, task in self.account.tasks.items() if task["state"] == "started"]:
            error = self.account.run_task(self.session, name)
            if error is not None:
                raise error

    def ended(self, resource):
        """Finishes every container and returns the status of a resource."""
        self.account.end_jobs()
        resources = self.ok("get_connector_status")["resources"]
        return next(one for one in resources if one["name"] == resource)

    def ingest(self, resource, procedure="ingest_data"):
        """Starts a run, finishes it, and returns the record of its container."""
        self.ok(procedure, resource)
        return self.ended(resource)["last_job"]

    def bind(self, *names):
        """Binds the named references, or all of them."""
        for name in names or ("token", "private_key", "github_external_access", "warehouse_reference"):
            self.ok("register_reference", name, "ADD", f"ref-{name}")

    def rows(self, text, *params):
        """The rows of a statement, as dictionaries."""
        self.account.create_views(self.real, text)
        return [row.as_dict() for row in self.real.sql(text, params=list(params)).collect()]

    def jobs(self):
        """The app's records of its containers."""
        table = f'"{self.name}"."STATE"."INGESTION_JOB"'
        found = self.rows(f'SELECT "KEY" AS "KEY", TO_JSON("VALUE") AS "VALUE" FROM {table} ORDER BY "KEY"')
        return [{"name": row["KEY"], **json.loads(row["VALUE"])} for row in found]

    def resources(self):
        """The resource configuration that the engine reads."""
        table = f'"{self.data}"."STATE"."RESOURCE_CONFIGURATION"'
        return {
            row["KEY"]: json.loads(row["VALUE"])
            for row in self.rows(f'SELECT "KEY", TO_JSON("VALUE") AS "VALUE" FROM {table}')
        }


@pytest.fixture
def app(real):
    """The app, installed but not configured."""
    return App(real, f"APP{next(numbers)}_{os.getpid()}")


@pytest.fixture
def configured(app):
    """The app, configured, with all references bound."""
    app.bind()
    app.ok("provision_connector", {})
    return app
