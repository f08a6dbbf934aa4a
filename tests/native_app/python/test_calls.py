"""Tests how Snowflake resolves calls, and every call in the code and the documentation."""

import json
import re

import calls
import paths
import pytest
from snowflake.snowpark.exceptions import SnowparkSQLException

ROOT = paths.HERE.parents[2]
CALL = re.compile(r"\bCALL [^;`\n]*?PUBLIC\.\w+\([^;`\n]*\)", re.IGNORECASE)


def refusal(app, text, *params):
    """The error code with which Snowflake rejects a call before it runs."""
    with pytest.raises(SnowparkSQLException) as error:
        app.session.sql(text, params=list(params)).collect()
    return error.value.sql_error_code


@pytest.mark.parametrize(
    ("argument", "params"),
    [("'{}'", ()), ("'{}'::STRING", ()), ("?", ("{}",)), ("$${}$$", ()), ("NULL::VARCHAR", ())],
)
def test_a_text_is_not_coerced_to_a_variant(app, argument, params):
    assert refusal(app, f"CALL PUBLIC.PROVISION_CONNECTOR({argument})", *params) == 1044
    assert not app.account.pools


def test_snowpark_passes_a_string_as_varchar_not_variant(app):
    with pytest.raises(SnowparkSQLException, match="Invalid argument types for function 'PROVISION_CONNECTOR': .VARCHAR"):
        app.session.call("PUBLIC.PROVISION_CONNECTOR", "{}")
    assert json.loads(app.session.call("PUBLIC.PROVISION_CONNECTOR", {}))["response_code"] == "OK"


@pytest.mark.parametrize(
    ("argument", "params"),
    [("PARSE_JSON('{}')", ()), ("PARSE_JSON(?)", ("{}",)), ("OBJECT_CONSTRUCT()", ()), ("OBJECT_CONSTRUCT()::VARIANT", ())],
)
def test_an_object_is_a_variant(app, argument, params):
    (row,) = app.session.sql(f"CALL {app.name}.PUBLIC.PROVISION_CONNECTOR({argument})", params=list(params)).collect()
    assert json.loads(row[0])["response_code"] == "OK"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CALL PUBLIC.PAUSE_CONNECTOR(1)", 1044),
        ("CALL PUBLIC.ENABLE_RESOURCE()", 1044),
        ("CALL PUBLIC.ENABLE_RESOURCE('a', 'b')", 1044),
        ("CALL PUBLIC.ENABLE_RESOURCE(ARRAY_CONSTRUCT('a'))", 1044),
        ("CALL PUBLIC.GRANT_CALLBACK('CREATE COMPUTE POOL')", 1044),
        ("CALL PUBLIC.NO_SUCH_PROCEDURE()", 2141),
        ("CALL NO_SUCH_SCHEMA.PAUSE_CONNECTOR()", 2141),
        ("CALL PUBLIC.PROVISION_CONNECTOR(PARSE_JSON('{'))", 100069),
    ],
)
def test_a_call_that_matches_no_signature_is_rejected_before_it_runs(app, text, code):
    app.account.statements.clear()
    assert refusal(app, text) == code
    assert app.account.statements == [text]


def test_null_a_number_and_the_string_true_are_accepted(configured):
    def code(text):
        return json.loads(configured.session.sql(text).collect()[0][0])["response_code"]

    for text in ("CALL PUBLIC.DELETE_RESOURCE('a/b', 'true')", "CALL PUBLIC.DELETE_RESOURCE('a/b')"):
        assert code(text) == "OK"
    # The argument of this call is the text `5`, not a name.
    assert code("CALL PUBLIC.ENABLE_RESOURCE(5)") == "INVALID_IDENTIFIER"
    assert code("CALL PUBLIC.ENABLE_RESOURCE('a/b')") == "OK"
    assert code("CALL PUBLIC.UPDATE_RESOURCE('a/b', NULL)") == "OK"


def written():
    """Every call in the documentation for providers and consumers, and in the deployment's statements."""
    for path in (paths.APP / "README.md", ROOT / "docs/guides/native-app.md", ROOT / "tests/native_app/golden/statements.sql"):
        for text in CALL.findall(path.read_text()):
            yield path.name, text


def test_every_documented_call_matches_a_signature(app):
    found = list(written())
    assert {name for name, _ in found} == {"README.md", "native-app.md", "statements.sql"}
    for name, text in found:
        call = calls.Call(re.sub(r"<[a-z]+>", "name", text), ["bound"] * text.count("?"))
        procedure = app.account.procedures.get(call.name)
        assert procedure, f"{name}: {text}"
        call.values(procedure.signature)


def test_the_page_and_tasks_call_only_existing_procedures(app):
    sources = [*paths.APP.glob("page/*.py"), *paths.APP.glob("procedures/*.py")]
    text = "".join(path.read_text() for path in sources)
    called = set(re.findall(r'(?:actions\.run\(\s*[^,]+,|call\()\s*"([A-Z_]+)"|CALL PUBLIC\.([A-Z_]+)\(', text))
    names = {name for pair in called for name in pair if name}
    assert len(names) > 12 and names <= set(app.account.procedures)
