"""Tests what each view shows in each state, and how many statements it takes."""

import re

import pytest

import page_states
from shown import VIEWER, in_state

# What the page must say in each state, and what it must not.
SAYS = {
    "fresh": (["Seven steps until data arrives", "Do this now"], ["Needs you"]),
    "half": (["Next: sign in to GitHub", "3 of 7 done"], []),
    "last": (["Last step: choose what to load", "6 of 7 done"], []),
    "never_run": (["Waiting for the first run."], ["Needs you"]),
    "running": (["The first run is under way."], ["Needs you"]),
    "healthy": (["Everything is fresh.", "All 4 repositories were checked within the last"], ["Needs you"]),
    "late": (["1 repository is behind."], ["Needs you"]),
    "failing": (["3 of 14 repositories need you.", "Two causes, below.", "1 is paused", "acme/billing, acme/ledger"], []),
    "dead": (["Nothing has run for 3 d", "Snowflake suspended the schedule", "X-Small is enough", "complete up to"], []),
    "paused": (["Paused", "Data stays as it was then."], ["Needs you"]),
    "interrupted": (["1 repository is behind."], ["Needs you"]),
    "gone": (["cannot be read"], []),
    "one": (["Everything is fresh.", "The repository was checked"], ["Needs you"]),
    "ten": (["Everything is fresh."], ["Needs you"]),
}
BADGES = {"fresh": "not configured", "half": "not configured", "last": "not configured", "never_run": "never run"}
BADGES |= {"dead": "failing", "gone": "failing", "one": "healthy", "ten": "healthy"}


def check(shown):
    """No page shows `None` or an empty heading, in a text or in a table."""
    texts = [shown.text(), *(label for button in shown.run.button for label in [button.label])]
    tables = [str(cell) for table in shown.run.dataframe for column in table.value if column not in ("Due", "Last success", "7 days")
              for cell in table.value[column] if "Last" not in column]
    for text in texts + tables:
        assert not re.search(r"\bNone\b|\bNaN\b|\bNaT\b|\+0\b", text), text


@pytest.mark.parametrize("name", SAYS)
def test_the_page_in_each_state(name, monkeypatch):
    state = page_states.state(name)
    shown = in_state(state, monkeypatch)
    assert shown.badge() == BADGES.get(name, name)
    answer = state.app.call("get_connector_status", False)
    assert shown.badge() == answer["HEALTH"].replace("_", " "), "the badge is what the status says"
    for text in SAYS[name][0]:
        shown.says(text)
    for text in SAYS[name][1]:
        assert text not in shown.text()
    check(shown)
    primary = [button.key for button in shown.run.button if button.proto.type == "primary"]
    assert len(primary) <= 1, primary


# At most this many statements, with nothing remembered.
STATEMENTS = {"Overview": 4, "Runs": 2, "Data": 3, "Settings": 1, "Set-up": 1, "acme/billing": 4}


@pytest.mark.parametrize("view", STATEMENTS)
def test_a_view_takes_few_statements(view, monkeypatch):
    state = page_states.state("failing" if view == "acme/billing" else "healthy")
    asked, sql = [], state.app.session.sql
    monkeypatch.setattr(state.app.session, "sql", lambda text, params=None: asked.append(text) or sql(text, params))
    opened = {"view": "Overview", "resource": view} if "/" in view else {"view": view}
    shown = in_state(state, monkeypatch, **opened)
    own = [text for text in asked if called(text)]
    assert len(own) <= STATEMENTS[view], own
    check(shown)
    asked.clear()
    shown.again()
    assert not [text for text in asked if called(text)], "what was read is remembered"


def called(text):
    """Whether the page itself has run a statement, not a procedure that it called."""
    return text.startswith("CALL ") or ' "VIEWS"."' in text or "LIMIT 12" in text or '"INFORMATION_SCHEMA"."COLUMNS"' in text


@pytest.mark.parametrize("name", ["healthy", "failing", "dead", "fresh", "gone"])
def test_viewers_can_change_nothing(name, monkeypatch):
    state = page_states.state(name)
    shown = in_state(state, monkeypatch, VIEWER)
    allowed = re.compile("refresh|open_cause_|show_causes|wider|next_page|previous_page|clear_")
    for view in ("Overview", "Runs", "Data"):
        shown.view(view)
        assert all(allowed.match(button.key) for button in shown.run.button), [button.key for button in shown.run.button]
        assert not shown.run.json and not shown.run.text_area
        assert "Resource not accessible" not in shown.text(), "messages may mention settings"
    if name == "healthy":
        assert not shown.run.dataframe, "the SQL, but no rows"
        shown.says("SELECT * FROM")


def test_causes_are_grouped_and_have_one_blue_button(monkeypatch):
    shown = in_state(page_states.state("failing"), monkeypatch)
    assert [one.value for one in shown.run.subheader][:1] == ["Needs you"]
    shown.says("acme/billing, acme/ledger · stream releases").says("acme/old-name").says("Give the token the permission “Contents: read”")
    assert [button.label for button in shown.run.button if button.proto.type == "primary"] == ["Change secret"]
    table = shown.table()
    assert [one[0] for one in table["Health"]][:4] == ["✕ Failing"] * 3 + ["↯ Interrupted"]
    assert shown.press("open_cause_0").has("All repositories")
    shown.says("the other 4 streams are fresh").says("Resource not accessible")


def test_the_table_is_searched_filtered_and_paged(monkeypatch):
    shown = in_state(page_states.state("failing"), monkeypatch)
    assert len(shown.fill("search", "ACME/W").table()) == 2
    shown.fill("search", "nothing").says("No repository matches").press("clear_filter")
    assert [one[0] for one in shown.fill("healths", ["paused", "late"]).table()["Health"]] == ["◷ Late", "‖ Paused"]


def test_a_thousand_resources_are_paged_by_the_statement(monkeypatch):
    shown = in_state(page_states.state("thousand"), monkeypatch).says("3 of 1,000 repositories need you.").says("Rows 1–50 of 1,000, worst first")
    assert len(shown.table()) == 50 and shown.says("The 14 that need most attention, of 1,000")
    assert len(shown.press("next_page").says("Rows 51–100 of 1,000").table()) == 50


def test_runs_are_filtered_and_opened(monkeypatch):
    shown = in_state(page_states.state("failing"), monkeypatch, view="Runs")
    assert len(shown.table()) == 50 and shown.says("the newest first")
    shown.fill("outcomes", ["partial"])
    assert {one[0] for one in shown.table()["Outcome"]} == {"! Partial"}
    shown.fill("open_run", shown.field("open_run").options[1]).says("! Partial").says("releases: ")
    assert "releases" in list(shown.table(0)["Stream"]), "the streams of the run are above the table"


def test_rows_and_documents_are_shown_with_their_sql(monkeypatch):
    state = page_states.state("healthy")
    shown = in_state(state, monkeypatch, view="Data").says("SELECT * FROM")
    rows = shown.table()
    assert "RAW" not in rows and len(rows) == 12 and rows["TITLE"].iloc[0].startswith("Issue ")
    assert len(shown.fill("data_as", "Documents").run.json) == 12
    shown.fill("data_stream", "labels").says("acme/api/labels")
    shown.says("GRANT APPLICATION ROLE")


def test_a_table_that_is_not_there_yet_is_explained(monkeypatch):
    in_state(page_states.state("never_run"), monkeypatch, view="Data").says("The table appears with the first run")
