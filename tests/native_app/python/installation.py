"""The setup script, as Snowflake runs it: at installation, and again at every upgrade.

Schemas and tables are made by the Snowflake server. What only an account has is noted, and must fit together: a grant is for a role and
an object that are there by then, a procedure has a handler that takes what its signature says.
"""

import importlib
import inspect
import io
import json
import re
from dataclasses import dataclass

import calls
import paths
from snowflake.connector.util_text import split_statements
from snowflake.snowpark import Row
from snowflake.snowpark.exceptions import SnowparkSQLException

ROLE = r"APP_(?:ADMIN|VIEWER|DATA_READER)"


@dataclass
class Procedure:
    """A procedure: its handler, its declared signature, and its return type."""

    handler: object
    signature: list
    returns: str
    declared: list

    def call(self, session, call):
        """Calls it. A VARIANT is returned as JSON text, as by a driver."""
        try:
            answer = self.handler(session, *call.values(self.signature))
        except (SnowparkSQLException, AssertionError):
            raise
        except Exception as error:
            message = f"Python Interpreter Error:\n{type(error).__name__}: {error}"
            raise SnowparkSQLException(message, sql_error_code=100357) from error
        return json.dumps(answer) if self.returns == "VARIANT" else answer


def run(session):
    """Runs the script, and then the version initializer, as Snowflake does."""
    if session.account.application is None:
        session.account.application = session.real.sql("SELECT CURRENT_DATABASE()").collect()[0][0]
    session.account.is_installing = True
    try:
        script(session)
    finally:
        session.account.is_installing = False
    (initializer,) = re.findall(r"version_initializer: (PUBLIC\.\w+)", (paths.APP / "manifest.yml").read_text())
    session.sql(f"CALL {initializer}()").collect()
    session.account.is_installed = True


def script(session):
    """Runs the script."""
    script = io.StringIO((paths.APP / "setup.sql").read_text())
    for statement, _ in split_statements(script, remove_comments=True):
        text = statement.strip().removesuffix(";")
        if text:
            session.sql(text).collect()


def make_role(session, match, _):
    session.account.roles.add(match[1])


def grant_role(session, match, _):
    assert {match[1], match[2]} <= session.account.roles


def make_version(session, _, __):
    # A new version of the schema starts empty.
    session.account.procedures.clear()
    session.account.blocks.clear()
    session.account.pages.clear()


def make_procedure(session, match, _):
    for file in re.findall(r"'/([^']+)'", match["imports"]):
        assert (paths.APP / file).is_file(), file
    module, function = match["handler"].split(".")
    handler = getattr(importlib.import_module(module), function)
    signature = calls.parameters(match["parameters"])
    taken = list(inspect.signature(handler).parameters.values())[1:]
    optional = [parameter.default is not parameter.empty for parameter in taken]
    assert optional == [parameter.optional for parameter in signature], match["name"]
    declared = [words.split()[1] for words in match["parameters"].split(",") if words]
    session.account.procedures[match["name"]] = Procedure(handler, signature, match["returns"], declared)


def call(session, match, params):
    """A call from anywhere: the page, a task, a callback, a worksheet, another program."""
    parsed = calls.Call(match[0], params)
    if parsed.name in session.account.blocks and not parsed.arguments:
        return run_block(session, parsed.name)
    procedure = session.account.procedures.get(parsed.name)
    if procedure is None or parsed.schema != "PUBLIC":
        raise calls.compilation_error(f"Unknown user-defined function {parsed.schema}.{parsed.name}", 2141)
    if not session.account.has_warehouse:
        raise SnowparkSQLException("No active warehouse selected in the current session.", sql_error_code=606)
    # A procedure runs with its owner's rights for every caller.
    installing, session.account.is_installing = session.account.is_installing, False
    try:
        return [Row(**{parsed.name: procedure.call(session, parsed)})]
    finally:
        session.account.is_installing = installing
        # What a procedure creates does not become the current database of its caller.
        session.real.sql(f"USE DATABASE {session.account.application}").collect()


def make_block(session, match, _):
    """A SQL procedure with one call; it returns the error if the call fails."""
    session.account.blocks[match["name"]] = match["call"]


def run_block(session, name):
    try:
        session.sql(session.account.blocks[name]).collect()
    except SnowparkSQLException as error:
        return [Row(**{name: str(error)})]
    return [Row(**{name: "done"})]


def make_page(session, match, _):
    assert (paths.APP / "page" / match["file"]).is_file()
    session.account.pages.add(match["name"])


def grant_object(session, match, _):
    account, name = session.account, match["name"]
    assert match["role"] in account.roles
    if match["kind"] == "PROCEDURE":
        types = [given for given in match["types"].split(", ") if given]
        assert account.procedures[name].declared == types, f"{name} is granted by another signature"
    if match["kind"] == "STREAMLIT":
        assert name in account.pages


PATTERNS = [
    (r"(?s)CALL .+", call),
    (rf"CREATE APPLICATION ROLE IF NOT EXISTS ({ROLE})\s+COMMENT = '(?:[^'\\]|'')*'", make_role),
    (rf"GRANT APPLICATION ROLE ({ROLE}) TO APPLICATION ROLE ({ROLE})", grant_role),
    (r"CREATE OR ALTER VERSIONED SCHEMA PUBLIC", make_version),
    (
        r"CREATE OR REPLACE PROCEDURE PUBLIC\.(?P<name>\w+)\((?P<parameters>[^()]*)\)\s+RETURNS (?P<returns>VARIANT|STRING)\s+LANGUAGE PYTHON\s+"
        r"RUNTIME_VERSION = '3\.11'\s+PACKAGES = \('snowflake-snowpark-python'\)\s+IMPORTS = \((?P<imports>[^()]+)\)\s+"
        r"HANDLER = '(?P<handler>\w+\.\w+)'\s+EXECUTE AS OWNER",
        make_procedure,
    ),
    (
        r"CREATE OR REPLACE PROCEDURE PUBLIC\.(?P<name>\w+)\(\)\s+RETURNS STRING\s+LANGUAGE SQL\s+EXECUTE AS OWNER\s+AS \$\$\s+"
        r"BEGIN\s+(?P<call>CALL PUBLIC\.\w+\(\));\s+RETURN 'done';\s+EXCEPTION\s+WHEN OTHER THEN\s+RETURN SQLERRM;\s+END\s+\$\$",
        make_block,
    ),
    (
        r"CREATE OR REPLACE STREAMLIT PUBLIC\.(?P<name>\w+)\s+FROM '/page'\s+MAIN_FILE = '/(?P<file>\w+\.py)'\s+"
        r"TITLE = '(?:[^'\\]|'')*'\s+COMMENT = '(?:[^'\\]|'')*'",
        make_page,
    ),
    (
        r"GRANT USAGE ON (?P<kind>SCHEMA|PROCEDURE|STREAMLIT) (?:PUBLIC\.)?(?P<name>\w+)(?:\((?P<types>[\w, ]*)\))? "
        rf"TO APPLICATION ROLE (?P<role>{ROLE})",
        grant_object,
    ),
]
