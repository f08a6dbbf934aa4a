"""Tests names, literals and schedules."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import destination
import names
import schedules
from responses import ProcedureError

CLOSE = st.text(alphabet="aA_-/.2F^é", max_size=6)


def test_similar_names_stay_distinct():
    given_names = ["a-b/c", "a_b/c", "a/b_c", "A-b/c", "a_2d_b", "vercel/next.js", "1x/ß", "a/b" * 100, "a/b" * 100 + "c"]
    made = [names.plain(name) for name in given_names]
    assert len(set(made)) == len(given_names)
    assert all(len(name) <= 255 for name in made)
    assert names.plain("a-b/c") == "A_2D_B_2F_C"


@given(CLOSE, CLOSE)
def test_plain_names_are_unique(a, b):
    assert (names.plain(a) == names.plain(b)) == (a == b)


@given(st.text())
def test_a_plain_name_needs_no_quotes(name):
    assert names.is_plain("SCHEDULE_" + names.plain(name))


def test_a_fence_table_has_the_engines_name():
    # The engine's own test reads the same file.
    known = json.loads((Path(__file__).parent / "fences.json").read_text(encoding="utf-8"))
    assert {key: destination.fence_name(key) for key in known} == known


def test_only_equal_schedules_share_a_task():
    made = {names.task(schedules.normalized(text)) for text in ("30m", "30 minutes", "1800s")}
    assert made == {"SCHEDULE_30_20_MINUTE"}
    others = ["45m", "90s", "* * * * *", "*/5 * * * *", "5 * * * *", "0 5 * * *", "0 5 * * MON", "0 5 * * 1", "0 5 L * *"]
    assert len({names.task(schedules.normalized(text)) for text in others}) == len(others)


@pytest.mark.parametrize("name", ["", "My app", "my_app", "1APP", "A-B", 'A"', "APP\n", "ÄPP"])
def test_a_name_that_needs_quotes_is_not_plain(name):
    assert not names.is_plain(name)


@given(st.text())
def test_no_text_escapes_a_quoted_name(name):
    inside = names.quoted(name)[1:-1]
    assert inside.replace('""', "").count('"') == 0 and inside.replace('""', '"') == name


@given(st.text(alphabet="a'\\$\n é"))
def test_no_text_escapes_a_string_literal(text):
    try:
        constant = names.literal(text)
    except ValueError:
        assert "\\" in text or "\n" in text
    else:
        assert constant[1:-1].replace("''", "").count("'") == 0


@given(st.lists(st.text(alphabet="a$'\"\\{}\n")))
def test_dollar_quoted_json_is_not_escaped_from_and_round_trips(values):
    text = names.json_text(json.dumps(values))
    assert "$" not in text[2:-2] and json.loads(text[2:-2]) == values


@pytest.mark.parametrize(
    ("given_name", "meant"),
    [
        ("sales", "SALES"),
        ('"Sales"', "Sales"),
        ('"a""b"', 'a"b'),
        ("my-db", "my-db"),
        ("a b", "a b"),
        ("Sales_1$", "SALES_1$"),
    ],
)
def test_names_are_parsed_as_in_snowflake(given_name, meant):
    assert names.resolve(given_name) == meant
    assert names.resolve(names.quoted(meant)) == meant


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("30m", "'30 MINUTE'"),
        ("1h 30m", "'90 MINUTE'"),
        ("2 hours", "'120 MINUTE'"),
        ("90s", "'90 SECONDS'"),
        ("120s", "'2 MINUTE'"),
        ("192h", "'11520 MINUTE'"),
        ("15 2 * * *", "'USING CRON 15 2 * * * UTC'"),
        ("*/10 0-6 1,15 jan-mar mon", "'USING CRON */10 0-6 1,15 JAN-MAR MON UTC'"),
        ("0 3 L * 5L", "'USING CRON 0 3 L * 5L UTC'"),
    ],
)
def test_a_schedule_is_converted_to_that_of_a_task(text, schedule):
    assert schedules.to_task_schedule(text) == schedule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "soon",
        "0s",
        "5s",
        "10s",
        "59s",
        "193h",
        "11521m",
        "1 2 3",
        "99 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "*/0 * * * *",
    ]
    + [
        "5-1 * * * *",
        "0 * * * * *",
        "0 0 ? * *",
        "0 0 15W * *",
        "0 0 * * *'; DROP",
        "१ * * * *",
        "1.5h",
        "-5m",
        None,
        5,
    ],
)
def test_a_schedule_no_task_supports_is_rejected(text):
    with pytest.raises(ProcedureError) as refusal:
        schedules.to_task_schedule(text)
    assert refusal.value.code == "INVALID_SCHEDULE"


@given(st.text(alphabet="0123456789*/-,LJANSUN# '$hms", max_size=20))
def test_a_schedule_cannot_escape_its_string_literal(text):
    try:
        schedule = schedules.to_task_schedule(text)
    except ProcedureError:
        return
    assert schedule[0] == schedule[-1] == "'" and "'" not in schedule[1:-1]
