"""Tests that settings follow the same rules as in the connector's program, and that no error repeats a possible secret."""

import json

import pytest

import resource_names
import schedules
import schema
import settings
import urls
from responses import ProcedureError, quote_input
from paths import HERE
from spec import SPEC

HOSTILE_URLS = [
    "http:/user:hunter2@host.example",
    "https:user:hunter2@host.example",
    "https:\\\\user:hunter2@host.example",
    "https://user:hunter2@host.example",
    "https://user@host.example",
    "https://host.example?token=hunter2",
    "https://host.example/#hunter2",
    "https://host.example\\@evil.example",
    "https://host.example:99999",
    "https://host.example\n",
    "https://ho st.example",
    "https://%68ost.example",
    "https:///path",
    "ftp://host.example",
    "javascript:alert(1)",
    "host.example",
    "",
]


@pytest.mark.parametrize("url", HOSTILE_URLS)
@pytest.mark.parametrize("name", ["api_url", "proxy"])
def test_a_url_with_more_than_a_host_and_a_path_is_rejected_and_not_repeated(name, url):
    with pytest.raises(ProcedureError) as refusal:
        settings.check({name: url})
    assert refusal.value.code == "INVALID_INPUT" and name in str(refusal.value)
    assert "hunter2" not in str(refusal.value) and "evil" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    ["http://api.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "HTTP://10.0.0.1/x", "http://[2001:db8::1]/"],
)
def test_credentials_without_tls_go_to_loopback_only(url):
    with pytest.raises(ProcedureError):
        settings.check({"api_url": url})
    assert urls.exposes_credentials(url)


def test_valid_urls_are_accepted():
    for url in ("https://ghe.example/api/v3", "http://127.0.0.1:8080/api", "http://localhost", "http://[::1]:3000", "https://a.example:8443"):
        assert settings.check({"api_url": url}) == {"api_url": url}
    assert settings.check({"proxy": "http://proxy.example:3128"}), "a proxy does not see the credentials either"


TOKEN = "ghp_" + "0123456789abcdefghij0123456789abcdef"


@pytest.mark.parametrize(
    "given",
    [
        {"token": TOKEN},
        {"token": f"env:{TOKEN}"},
        {"app_id": TOKEN},
        {"ca_file": f"file:{TOKEN}"},
        {"repositories": ["acme/widgets", TOKEN]},
        {"repositories": [f"https://x:{TOKEN}@github.com/acme"]},
        {"page_size": TOKEN},
        {"pull_requests": TOKEN},
        {"proxy": TOKEN},
        {TOKEN: 1},
    ],
)
def test_a_misplaced_token_is_rejected_and_not_repeated(app, given):
    for procedure, config in (("provision_connector", {"settings": given}), ("update_settings", {"settings": given})):
        if procedure == "update_settings":
            app.ok("provision_connector", {})
        answer = app.call(procedure, config)
        assert answer["response_code"] == "INVALID_INPUT" and TOKEN not in json.dumps(answer), answer


@pytest.mark.parametrize("member", ["schedule", "scheduler", "destination_database", "max_nodes", TOKEN])
def test_no_possibly_secret_key_is_repeated(app, member):
    app.ok("provision_connector", {})
    answer = app.call("update_settings", {member: f"{TOKEN}\n"})
    assert answer["response_code"] != "OK" and TOKEN not in json.dumps(answer), answer
    for procedure, arguments in (("enable_resource", (TOKEN,)), ("update_resource", ("a/b", TOKEN))):
        assert TOKEN not in json.dumps(app.call(procedure, *arguments))


@pytest.mark.parametrize("text", [TOKEN, "env:" + TOKEN, "x" * 300, "https://a:b@c", "q7" * 12])
def test_possible_secrets_are_not_shown(text):
    assert quote_input(text) == "the value"


@pytest.mark.parametrize(
    ("rule", "wrong", "right"),
    [
        ({"enum": [1, "a"]}, True, 1),
        ({"const": 0}, False, 0),
        ({"type": "integer"}, True, 1),
        ({"type": "integer"}, 1.5, 1.0),
        ({"type": "number"}, float("nan"), 0.5),
        ({"type": "number", "multipleOf": 5}, 7, 10),
        ({"type": "string", "pattern": "^[a-z]+$"}, "abc\n", "abc"),
        ({"type": "string", "pattern": r"^\d$"}, "१", "1"),
        ({"type": "string", "pattern": r"^[$]\$$"}, "$$\n", "$$"),
        ({"type": "array", "uniqueItems": True}, [1, 1], [1, True]),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, {"a": 1}),
        ({"type": "object", "patternProperties": {"^a": {"maximum": 1}}}, {"ab": 2}, {"ab": 1}),
        ({"allOf": [{"properties": {"x": {"maximum": 1}}}, {"properties": {"y": {}}}]}, {"z": 1}, {"x": 1, "y": 2}),
        ({"allOf": [{"minimum": 2}]}, 1, 2),
        ({"anyOf": [{"type": "null"}, {"type": "string", "format": "secret-reference"}]}, "env:A", None),
    ],
)
def test_a_value_is_validated_against_the_schema(rule, wrong, right):
    assert schema.violation(rule, wrong) and schema.violation(rule, right) is None


def test_a_recursive_schema_is_validated(monkeypatch):
    inner = {"type": "object", "properties": {"not": {"$ref": "#/$defs/Filter"}, "size": {"maximum": 9}}}
    monkeypatch.setitem(SPEC, "settings", {"$defs": {"Filter": inner}})
    rule = {"$ref": "#/$defs/Filter"}
    assert schema.violation(rule, {"not": {"not": {"size": 10}}}) and schema.violation(rule, {"nor": 1})
    assert schema.violation(rule, {"not": {"not": {"size": 9}}}) is None
    assert schema.violation({"allOf": [{"$ref": "#/$defs/Loop"}]}, 5) is None


@pytest.mark.parametrize(("api_url", "name", "wanted"), json.loads((HERE / "resource_names.json").read_text(encoding="utf-8")))
def test_resource_names_match_those_of_the_program(api_url, name, wanted):
    # The program's own test reads the same file.
    try:
        found = resource_names.canonical(name, {"api_url": api_url} if api_url else {})
    except ProcedureError as refusal:
        found = None
        assert refusal.code == "INVALID_IDENTIFIER"
    assert found == wanted


def test_all_spellings_enable_one_resource(configured):
    for name in ("Acme/Widgets", "acme/widgets", "https://github.com/ACME/widgets/issues?q=1", "git@github.com:acme/widgets.git"):
        assert configured.ok("enable_resource", name)["resource"] == "acme/widgets"
    assert list(configured.resources()) == ["acme/widgets"] and len(configured.account.jobs) == 1
    configured.ok("disable_resource", "ACME/WIDGETS")
    assert configured.resources() == {"acme/widgets": {"enabled": False}}
    for name in ("nope", "a/b/c", "acme/*", "https://gitlab.com/acme/widgets"):
        answer = configured.call("enable_resource", name)
        assert answer["response_code"] == "INVALID_IDENTIFIER" and "owner/name" in answer["message"] or "server" in answer["message"]
    configured.ok("delete_resource", "https://github.com/Acme/Widgets")
    assert configured.resources() == {}


def test_the_minimum_schedule_matches_the_program(configured):
    configured.ok("enable_resource", "a/b")
    for schedule in ("1s", "10s", "59s"):
        assert configured.code("update_resource", "a/b", schedule) == "INVALID_SCHEDULE"
        assert configured.code("update_settings", {"schedule": schedule}) == "INVALID_SCHEDULE"
    configured.ok("update_resource", "a/b", "60s")
    assert schedules.normalized("30s") == "30 SECONDS", "a schedule of an earlier version stays valid"
