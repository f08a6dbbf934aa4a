"""Checks that text from records, errors, names and settings cannot become a link, an image or HTML."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
import paths
import texts
from shown import loaded, page, ready  # noqa: F401

HOSTILE = [
    "https://evil.example/x",
    "see (https://evil.example).",
    "https\\://evil.example",
    "www.evil.example",
    "me@evil.example",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<a href='//evil.example'>x</a>",
    "<script>alert(1)</script>",
    "**bold** `code` ``",
    "`` https://evil.example `",
    "# title\n# title",
    ":material/home: :smile: :red[x]",
    "$x^2$",
    "a -> b --allow <- c >= d",
    "\x1b[31m\u202egnp.exe",
]

# The elements that show Markdown, and the functions that escape text for it. Streamlit's `code` and `json` show plain text.
MARKDOWN = ("markdown", "write", "caption", "error", "warning", "info", "success", "title", "header", "subheader")
MARKDOWN += ("checkbox", "button", "expander", "text_input", "text_area", "selectbox", "number_input", "metric", "spinner")
MARKDOWN += ("form_submit_button", "toggle", "radio")
SAFE = ("escaped", "code", "sentence", "describe", "int", "plain")
# The page's own texts, by name.
OWN = ("doing", "how", "rows", "connector_status")


def parts(node):
    """The expressions in the text of an element."""
    if isinstance(node, ast.JoinedStr):
        return [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
    if isinstance(node, ast.BinOp):
        return parts(node.left) + parts(node.right)
    if isinstance(node, ast.IfExp):
        return parts(node.body) + parts(node.orelse)
    return [] if isinstance(node, ast.Constant) else [node]


def is_safe(node):
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            return all(is_safe(one) for one in node.args)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in SAFE or (name == "map" and getattr(node.args[0], "attr", "") in SAFE)
    return ast.unparse(node) in OWN or ast.unparse(node).endswith("texts.label(name))")


def test_every_text_of_an_element_is_escaped():
    found = []
    for file in sorted((paths.APP / "page").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MARKDOWN and node.args:
                found += [f"{file.name}: {ast.unparse(node)}" for part in parts(node.args[0]) if not is_safe(part)]
    known = {"tab_preview.py: left.selectbox(status['resource_kind'].capitalize(), list(tables), key=f'{key}_of')"}
    left = [one for one in found if one not in known and "selectbox(kind.capitalize()" not in one]
    assert not left, "\n".join(left)


def shown(markdown):
    """The visible text, and the part that Markdown can interpret: without code, with backslashes resolved."""
    code = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)|\\(.)")
    seen = code.sub(lambda match: match[3] or match[2].strip(), markdown)
    return seen, code.sub(lambda match: match[0] if match[3] else " ", markdown)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_verbatim(text):
    seen, rest = shown(texts.escaped(text))
    assert seen.split() == texts.plain(text).split() and "\x1b" not in seen and "\u202e" not in seen
    resolved = re.sub(r"\\(.)", r"\1", rest)
    assert not re.search(r"https?://|www\.|\w@\w|:\w+:|--|->|<-|>=", resolved), rest
    assert not re.search(r"(?<!\\)[\[\]<>*_$#!|`]", rest), rest


@given(st.text(alphabet="ab `\\*[]()<>:/@w.h-=>\n"))
def test_no_text_contains_active_markdown(text):
    _, rest = shown(texts.escaped(text))
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]<>*_`]", rest), rest
    assert not re.search(r"//|@|www\.", re.sub(r"\\(.)", r"\1", rest)), rest


def test_the_page_shows_hostile_errors_and_names_as_text(page, app):
    app.account.job = engine.failing(app.real, message=" ".join(HOSTILE[:12]), help="[x](https://evil.example)")
    shown_page = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    app.rows(
        f'INSERT INTO "{app.data}"."STATE"."RESOURCE_CONFIGURATION" ("KEY", "VALUE", "DOCUMENT") SELECT ?, PARSE_JSON(?), ?',
        "[x](https://evil.example)",
        '{"enabled": true}',
        "",
    )
    shown_page.press("refresh").says("is skipped")
    run = shown_page.run
    elements = [one.value for kind in (run.error, run.warning, run.info, run.success, run.caption, run.markdown) for one in kind]
    elements += [one.label for kind in (run.checkbox, run.button, run.expander) for one in kind]
    assert any("evil" in one for one in elements)
    for element in elements:
        rest = re.sub(r"\\(.)", r"\1", shown(element)[1])
        assert "evil" not in rest, element
