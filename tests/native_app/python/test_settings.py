"""Tests changing settings and validating them against their schema."""

import pytest

from spec import SPEC

def test_settings_are_merged_and_null_removes_one(configured):
    configured.ok("update_settings", {"settings": {"page_size": 50, "retries": 3}, "schedule": "1h"})
    configured.ok("update_settings", {"settings": {"page_size": None}})
    configuration = configured.ok("get_connector_status")["configuration"]
    assert configuration["settings"] == {"retries": 3} and configuration["schedule"] == "1h"
    assert configured.code("update_settings", {"settings": {"page_size": "x"}}) == "INVALID_INPUT"
    assert configured.ok("get_connector_status")["configuration"] == configuration


FULL_OR_SHORT = [{"const": "full", "type": "string"}, {"const": "short", "type": "string"}]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": ["string", "null"], "enum": ["full", "short", None]}, "must be one of full, short"),
        ({"anyOf": [{"type": "string", "enum": ["full", "short"]}, {"type": "null"}]}, "must be one of full, short"),
        ({"oneOf": FULL_OR_SHORT}, "must be full or short"),
        ({"anyOf": [{"oneOf": FULL_OR_SHORT}, {"type": "null"}]}, "must be full or short"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "must be a whole number"),
    ],
)
def test_an_invalid_choice_is_rejected_with_the_valid_ones(app, monkeypatch, schema, words):
    monkeypatch.setitem(SPEC, "settings", {"type": "object", "properties": {"detail": schema}})
    for wrong in ("Full", True, ["full"]):
        answer = app.call("provision_connector", {"settings": {"detail": wrong}})
        assert answer["response_code"] == "INVALID_INPUT" and answer["message"].endswith(words), answer
    right = 5 if "number" in words else "short"
    app.ok("provision_connector", {"settings": {"detail": right}})
    app.ok("update_settings", {"settings": {"detail": None}})
    assert app.ok("get_connector_status")["configuration"]["settings"] == {}


@pytest.mark.parametrize(
    ("schema", "wrong", "words", "right"),
    [
        ({"type": "string", "minLength": 2}, "a", "of at least 2 characters", "ab"),
        ({"type": "string", "maxLength": 2}, "abc", "of at most 2 characters", "ab"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "A", "a text that matches '^[a-z]+$'", "a"),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "more than 0", 0.5),
        ({"type": "array", "items": {"minimum": 1}, "maxItems": 2}, [1, 2, 3], "of at most 2 entries", [1, 2]),
        ({"type": "array", "items": {"minimum": 1}}, [0], "a list whose every item is at least 1", [1]),
        ({"properties": {"x": {"maximum": 9}}}, {"x": 10}, "an object whose 'x' is at most 9", {"x": 9}),
        ({"properties": {"x": {}}}, {"y": 1}, "an object of x", {"x": 1}),
        ({"properties": {"x": {}}, "required": ["x"]}, {}, "an object with 'x'", {"x": 1}),
        ({"additionalProperties": {"maximum": 9}}, {"x": 10}, "an object whose 'x' is at most 9", {"y": 9}),
    ],
)
def test_a_schema_violation_is_rejected_with_the_valid_values(app, monkeypatch, schema, wrong, words, right):
    monkeypatch.setitem(SPEC, "settings", {"type": "object", "properties": {"detail": schema}})
    answer = app.call("provision_connector", {"settings": {"detail": wrong}})
    assert answer["response_code"] == "INVALID_INPUT" and answer["message"].endswith(words), answer
    app.ok("provision_connector", {"settings": {"detail": right}})


def test_options_are_passed_to_the_program_and_null_removes_one(configured):
    configured.account.job = lambda account, args: ""
    configured.ok("update_settings", {"options": {"transient": True, "retention_days": 1, "commit_mib": 100, "warehouse_size": "SMALL"}})
    configured.ok("update_settings", {"options": {"commit_mib": None, "keep_documents": False}, "settings": {"page_size": 50}})
    configuration = configured.ok("get_connector_status")["configuration"]
    assert configuration["options"] == {"transient": True, "retention_days": 1, "warehouse_size": "SMALL", "keep_documents": False}
    configured.ok("enable_resource", "a/b")
    (args,) = configured.account.jobs
    options = {"--transient=true", "--retention-days=1", "--warehouse-size=SMALL", "--keep-documents=false"}
    assert options <= set(args) and not any("commit" in arg for arg in args)
    configured.ok("update_settings", {"schedule": "1h"})
    assert configured.ok("get_connector_status")["configuration"]["options"] == configuration["options"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retention_days": 91}, "'retention_days' must be from 0 to 90"),
        ({"commit_mib": 0}, "'commit_mib' must be from 64 to 250"),
        ({"commit_seconds": "60"}, "'commit_seconds' must be a whole number"),
        ({"transient": 1}, "'transient' must be true or false"),
        ({"warehouse_size": "HUGE"}, "'warehouse_size' must be one of XSMALL, SMALL"),
        ({"load_warehouse": "OTHER"}, "known options: commit_mib, commit_seconds, keep_documents"),
        ({"transient": True, "retention_days": 2}, "make 'retention_days' 0 or 1"),
        ([], "`options` must be an object"),
    ],
)
def test_an_invalid_option_is_rejected_and_changes_nothing(configured, options, words):
    before = configured.ok("get_connector_status")["configuration"]
    answer = configured.call("update_settings", {"options": options})
    assert answer["response_code"] == "INVALID_INPUT" and words in answer["message"], answer
    assert configured.ok("get_connector_status")["configuration"] == before


def test_a_budget_is_kept_where_the_engine_reads_it(configured):
    def stored():
        table = f'"{configured.data}"."STATE"."APP_CONFIGURATION"'
        rows = configured.rows(f'SELECT "DOCUMENT" FROM {table} WHERE "KEY" = \'budget\'')
        return [row["DOCUMENT"] for row in rows]

    assert stored() == []
    configured.ok("update_settings", {"budget": "1.5/day"})
    configured.ok("update_settings", {"settings": {"page_size": 50}})
    assert stored() == ['"1.5/day"']
    for wrong in ("1.5", "1/week", "-1/day", "NaN/day", "", 5, "1e3/day", "0.1234567/day"):
        assert configured.code("update_settings", {"budget": wrong}) == "INVALID_INPUT", wrong
    assert stored() == ['"1.5/day"']
    configured.ok("update_settings", {"budget": "none"})
    assert stored() == []
