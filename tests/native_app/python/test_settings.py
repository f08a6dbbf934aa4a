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
