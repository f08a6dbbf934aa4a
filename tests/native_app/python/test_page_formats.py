"""Tests ages, times, numbers and labels, and the texts of errors."""

from datetime import datetime, timedelta

import pytest
import streamlit

import blocked
import charts
import errors
import formats
import forms
import paths
import responses
import schedule_choice
import texts
import words
from app_test import AppTest
from data import Status

NOW = datetime(2026, 11, 28, 1, 39)
CLOCK = formats.Clock(NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (40, "40 s"),
        (100, "1 min 40 s"),
        (120, "2 min"),
        (12 * 60 + 50, "12 min"),
        (104 * 60, "1 h 44 min"),
        (5 * 3600 + 700, "5 h"),
        (27 * 3600, "1 d 3 h"),
        (74 * 3600, "3 d"),
        (-5, "0 s"),
    ],
)
def test_an_age_has_one_unit_from_three_of_it_on(seconds, text):
    assert formats.span(seconds) == text


def test_times_are_relative_and_absolute_with_their_zone():
    earlier = NOW - timedelta(hours=5)
    assert CLOCK.ago(earlier) == "5 h ago" and CLOCK.at(earlier) == "27 Nov 20:39 UTC" and CLOCK.at(NOW) == "01:39 UTC"
    assert CLOCK.due(NOW + timedelta(minutes=18)) == "in 18 min" and CLOCK.due(NOW - timedelta(minutes=44)) == "44 min overdue"
    assert CLOCK.due(NOW) == "now" and CLOCK.at(datetime(2025, 1, 2, 3, 4)) == "2 Jan 2025 03:04 UTC"
    assert [CLOCK.ago(None), CLOCK.due(None), CLOCK.at("soon"), CLOCK.day(float("nan"))] == ["–"] * 4
    berlin = formats.Clock(NOW, "Europe/Berlin")
    assert berlin.at(NOW) == "02:39 CET" and berlin.at("2026-11-27T20:39:00Z") == "27 Nov 21:39 CET"


def test_numbers_are_never_none():
    assert [formats.number(52811), formats.number(None), formats.number(float("nan"))] == ["52,811", "–", "–"]
    assert [formats.signed(227), formats.signed(-3), formats.signed(0), formats.signed(None)] == ["+227", "-3", "–", "–"]
    assert [formats.duration(one) for one in (None, 0.2, 6, 45, 200, 7200)] == ["–", "< 1 s", "6 s", "45 s", "3 min 20 s", "2 h"]
    assert [formats.megabytes(one) for one in (0, 50_000, 300_000)] == ["0.0 MB", "< 0.1 MB", "0.3 MB"]
    assert formats.credits(None) == "" and formats.credits(0.91, True) == "about 0.9 credits"


@pytest.mark.parametrize(
    ("name", "schema", "label"),
    [
        ("api_url", {}, "API URL"),
        ("ca_file", {"title": "CA file"}, "CA file"),
        ("retries", {"type": "integer", "minimum": 1, "maximum": 10, "title": "Tries per request"}, "Tries per request (1–10)"),
        ("quota_percent", {"type": "integer", "minimum": 1, "maximum": 100}, "Quota (1–100 %)"),
        ("max_wait_minutes", {"type": "integer", "minimum": 0}, "Max wait (min)"),
    ],
)
def test_labels_have_capitals_and_ranges(name, schema, label):
    assert forms.label(name, schema) == label


@pytest.mark.parametrize(
    ("schedule", "choice", "text"),
    [
        ("30m", "Every 30 min", "every 30 min"),
        ("60 m", "Hourly", "hourly"),
        ("24h", "Daily", "daily"),
        ("15 2 * * *", "Cron", "cron 15 2 * * *"),
        ("45m", "Other", "every 45m"),
    ],
)
def test_a_schedule_is_one_of_a_few_choices(schedule, choice, text):
    assert schedule_choice.chosen_for(schedule) == choice and schedule_choice.in_words(schedule) == text


@pytest.mark.parametrize("code", sorted(responses.CODES))
def test_every_code_has_a_help_text(code):
    status = Status({"name": "github", "resource_kind": "repository"}, NOW, True)
    shown = errors.described(status, {"response_code": code, "message": "it *was* <b>so</b>"})
    assert errors.TEXTS[code].title and (errors.TEXTS[code].help or code == "OK")
    assert f"`{code}`" in shown and "\\*was\\* \\<b\\>" in shown and "{" not in shown


def test_every_action_has_a_button_and_a_step():
    for text in errors.TEXTS.values():
        assert set(text.actions) <= set(errors.ACTIONS)
    assert set(blocked.STEPS) <= set(errors.ACTIONS)


def test_words_have_signs_and_an_unknown_one_is_not_healthy():
    assert [words.health(name).signed for name in ("never_run", "FAILING")] == ["○ Never run", "✕ Failing"]
    assert words.health("new word").name == "unknown" and len({word.sign for word in words.HEALTH.values()}) == len(words.HEALTH)


def test_plurals_come_from_the_provider_or_from_english():
    assert [Status({"resource_kind": kind}, NOW, True).kinds for kind in ("repository", "desk", "day")] == ["repositories", "desks", "days"]
    assert Status({"RESOURCE_KIND": "person", "RESOURCE_KIND_PLURAL": "people"}, NOW, True).kinds == "people"


def test_a_cell_of_the_timeline_is_an_interval_and_shows_the_worst():
    starts, step = charts.slices(NOW, "24 hours")
    assert len(starts) == 48 and step == timedelta(minutes=30) and starts[-1] == datetime(2026, 11, 28, 1, 30)
    found = [("a", starts[0], starts[3], "nothing new", 4), ("a", starts[1], starts[1], "failed", 1), ("a", starts[1], starts[1], "changed", 2)]
    cells = charts.worst([*found, ("b", starts[0], None, "running", 1), ("c", starts[0], None, "failed", 1)], {"a", "b"}, NOW, "24 hours")
    assert [(cell["lane"], cell["outcome"], cell["runs"]) for cell in cells] == [
        ("a", "nothing new", 0),
        ("a", "failed", 3),
        ("a", "nothing new", 0),
        ("a", "nothing new", 0),
        ("b", "running", 1),
    ]


def test_new_features_are_used_in_one_module_only():
    for file in (paths.APP / "page").glob("*.py"):
        source = file.read_text()
        for name in ("st.image", "file_uploader", "components.", "st.toast", "unsafe_allow_html", "st.html"):
            assert name not in source, (file.name, name)
        if file.name != "compat.py":
            for name in ("segmented_control", "pills(", "st.dialog", "st.fragment", "st.rerun", "st.badge", "query_params", "st.context"):
                assert f"{name}" not in source.replace("resource_table.pills", "").replace("= pills(", "").replace("def pills(", ""), (file.name, name)
        assert source.count("\n") < 500, file.name


def test_plain_text_has_no_control_characters():
    assert texts.plain("a\x1b[31m\u202eb\n") == "a [31m b "


def test_the_tests_run_the_streamlit_that_the_page_asks_for():
    assert f"streamlit={streamlit.__version__}" in (paths.APP / "page/environment.yml").read_text()


def test_a_choice_stays_when_its_options_change():
    def script():
        import compat
        import streamlit as st

        options = ["b", "a", "c"] if st.checkbox("turn", key="turn") else ["a", "b", "c"]
        st.markdown(compat.choice("Letter", options, "letter"))

    shown = AppTest.from_function(script, default_timeout=60).run()
    assert shown.markdown[0].value == "a"
    shown.button_group[0].set_value("c").run()
    assert shown.markdown[0].value == "c"
    assert shown.checkbox[0].check().run().markdown[0].value == "c", "in another order"
    assert shown.button_group[0].set_value(None).run().markdown[0].value == "c", "it cannot be emptied"
