"""Tests the page's texts, the types of its forms, and the Streamlit features that it uses."""

import pytest

import responses
import forms
import paths
import texts


@pytest.mark.parametrize("code", sorted(responses.CODES))
def test_every_code_has_a_help_text(code):
    shown = texts.describe({"response_code": code, "message": "it *was* <b>so</b>"})
    assert texts.TEXTS[code][0] and (texts.TEXTS[code][1] or code == "OK")
    assert f"`{code}`" in shown and "\\*was\\* \\<b\\>" in shown


def test_the_page_uses_only_features_snowflake_supports():
    source = "".join(file.read_text() for file in (paths.APP / "page").glob("*.py"))
    for name in (
        "st.image",
        "file_uploader",
        "components",
        "st.toast",
        "st.data_editor",
        "st.dialog",
        "st.fragment",
        "hide_index",
        "st.divider",
    ):
        assert name not in source, name
    assert source.count("st.rerun") == source.count("experimental_rerun") == 1


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "string"}, ({"string"}, False)),
        ({"type": ["integer", "null"]}, ({"integer"}, True)),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ({"string"}, True)),
        ({}, ({"object"}, False)),
    ],
)
def test_the_types_of_a_setting_are_read_from_its_schema(schema, kinds):
    assert forms.kinds(schema) == kinds
