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

# The elements that show Markdown. Streamlit's `code` and `json` show plain text.
MARKDOWN = ("markdown", "write", "caption", "error", "warning", "info", "success", "title", "header", "subheader", "heading", "fold")
MARKDOWN += ("checkbox", "button", "expander", "text_input", "text_area", "selectbox", "number_input", "metric", "spinner", "popover")
MARKDOWN += ("form_submit_button", "toggle", "radio", "element", "choice", "several", "switch", "dialog")
# What returns Markdown that shows its argument verbatim, or no text of others at all.
SAFE = ("escaped", "code", "sentence", "described", "named", "words", "filled", "setting_labels", "int", "len", "count", "as_badge", "health")
SAFE += ("title", "story", "progress", "where", "since", "icon", "next_due", "checked", "kinds_of", "failed", "span")


def raw(node):
    """The texts of others in an expression that do not pass one of the safe functions: members of a row, a response or the status."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in SAFE or (name == "map" and getattr(node.args[0], "attr", "") in SAFE):
            return []
        if name == "get":
            return [node]
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return [node]
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "status" and node.attr != "controls":
        return [node]
    if isinstance(node, ast.IfExp):
        # What decides is not shown.
        return raw(node.body) + raw(node.orelse)
    if isinstance(node, ast.Compare):
        return []
    return [one for child in ast.iter_child_nodes(node) for one in raw(child)]


def test_every_text_of_an_element_is_escaped():
    found = []
    for file in sorted((paths.APP / "page").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MARKDOWN and node.args:
                shown_here = node.args[1:2] if node.func.attr == "element" else node.args[:1]
                shown_here = [one for one in shown_here if isinstance(one, (ast.JoinedStr, ast.BinOp, ast.IfExp, ast.Subscript, ast.Attribute, ast.Call))]
                found += [f"{file.name}: {ast.unparse(node)[:200]}" for one in shown_here if raw(one)]
    assert not found, "\n".join(found)


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


def test_the_page_shows_hostile_errors_and_names_as_text(loaded, app):
    shown_page = loaded()
    app.account.job = engine.failing(app.real, message=" ".join(HOSTILE[:12]), help="[x](https://evil.example)")
    app.ok("ingest_data", "a/b")
    app.account.end_jobs()
    app.rows(
        f'INSERT INTO "{app.data}"."STATE"."RESOURCE_CONFIGURATION" ("KEY", "VALUE", "DOCUMENT") SELECT ?, PARSE_JSON(?), ?',
        "[x](https://evil.example)",
        '{"enabled": true}',
        "",
    )
    shown_page.press("refresh")
    seen = []
    for view, resource in (("Overview", None), ("Overview", "a/b"), ("Overview", "[x](https://evil.example)"), ("Runs", None), ("Set-up", None)):
        run = shown_page.view(view, resource).run
        elements = [one.value for kind in (run.error, run.caption, run.markdown, run.header, run.subheader) for one in kind]
        seen += elements + [one.label for kind in (run.checkbox, run.button, run.expander) for one in kind]
    assert any("evil" in one for one in seen)
    for element in seen:
        rest = re.sub(r"\\(.)", r"\1", shown(element)[1])
        assert "evil" not in rest, element
