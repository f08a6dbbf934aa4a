"""The parts of every test: an account of its own, with the app installed and nothing configured."""

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
    """A session on the Snowflake server of the tests."""
    port = int(os.environ["SNOWFEED_FAKESNOW_PORT"])
    common = {"account": "tests", "user": "tests", "password": "tests", "protocol": "http"}
    return Snowpark.builder.configs({**common, "host": "127.0.0.1", "port": port}).create()


@pytest.fixture(scope="session")
def real():
    """The session that all tests share."""
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
        """Makes a database. The session stays, or comes to be, in the app's."""
        self.real.sql(f"CREATE DATABASE {name}").collect()
        self.real.sql(f"USE DATABASE {self.name}").collect()

    def call(self, procedure, *arguments):
        """Calls a procedure as a worksheet does, each argument of the type that is declared, and gives its answer."""
        signature = self.account.procedures[procedure.upper()].signature
        written = [self.written(value, parameter) for value, parameter in zip(arguments, signature, strict=False)]
        text = f"CALL {self.name}.PUBLIC.{procedure.upper()}({', '.join(text for text, _ in written)})"
        answer = json.loads(self.session.sql(text, params=[value for _, value in written]).collect()[0][0])
        assert answer["response_code"] in CODES and isinstance(answer["message"], str)
        return answer

    def refused(self, procedure, *arguments):
        """What a call says that is to fail."""
        with pytest.raises(SnowparkSQLException) as error:
            self.call(procedure, *arguments)
        return str(error.value).partition("CallFailed: ")[2]

    @staticmethod
    def written(value, parameter):
        """An argument as it is written, and the value that is bound."""
        if value is not None and parameter.type in ("VARIANT", "ARRAY"):
            return f"PARSE_JSON(?)::{parameter.type}", json.dumps(value)
        return "?", value

    def ok(self, procedure, *arguments):
        """The same, where all must be well."""
        answer = self.call(procedure, *arguments)
        assert answer["response_code"] == "OK", answer
        return answer

    def code(self, procedure, *arguments):
        """The code of the answer."""
        return self.call(procedure, *arguments)["response_code"]

    def tick(self):
        """Runs every task that is started, as Snowflake does when its time has come."""
        for task in [task for task in self.account.tasks.values() if task["state"] == "started"]:
            self.session.sql(task["call"]).collect()

    def ended(self, resource):
        """Lets every container come to its end; then how a resource stands."""
        self.account.end_jobs()
        resources = self.ok("get_connector_status")["resources"]
        return next(one for one in resources if one["name"] == resource)

    def ingest(self, resource, procedure="ingest_data"):
        """Starts a run and lets it end; then what is recorded of its container."""
        self.ok(procedure, resource)
        return self.ended(resource)["last_job"]

    def bind(self, *names):
        """Binds references: without names, all of them."""
        for name in names or ("token", "private_key", "github_external_access", "warehouse_reference"):
            self.ok("register_reference", name, "ADD", f"ref-{name}")

    def rows(self, text, *params):
        """The rows of a statement, as dictionaries."""
        return [row.as_dict() for row in self.real.sql(text, params=list(params)).collect()]

    def jobs(self):
        """What the app remembers of its containers."""
        table = f'"{self.name}"."STATE"."INGESTION_JOB"'
        found = self.rows(f'SELECT "KEY" AS "KEY", TO_JSON("VALUE") AS "VALUE" FROM {table} ORDER BY "KEY"')
        return [{"name": row["KEY"], **json.loads(row["VALUE"])} for row in found]

    def resources(self):
        """What the engine would read about resources."""
        table = f'"{self.data}"."STATE"."RESOURCE_CONFIGURATION"'
        return {
            row["KEY"]: json.loads(row["VALUE"])
            for row in self.rows(f'SELECT "KEY", TO_JSON("VALUE") AS "VALUE" FROM {table}')
        }


@pytest.fixture
def app(real):
    """The app, installed and nothing else."""
    return App(real, f"APP{next(numbers)}_{os.getpid()}")


@pytest.fixture
def configured(app):
    """The app, configured, with everything bound."""
    app.bind()
    app.ok("provision_connector", {})
    return app
