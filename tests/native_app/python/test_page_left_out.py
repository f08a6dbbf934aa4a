"""Tests what the page says about records that could not be stored, and about deletions that a person has to confirm."""

import datetime

import engine
from shown import VIEWER, loaded, page, ready  # noqa: F401

NO_ID = "no id"
LARGE = 'the document of the key "4711 "a"" has 140000000 bytes, and a row in Snowflake holds 133169152 at most; its beginning is kept here'


def rejected(app):
    """Three records of a repository were left out, two for the same reason."""
    engine.reject(app.real, app.data, "a/b", NO_ID, '{"title": "first"}', 50)
    engine.reject(app.real, app.data, "a/b", NO_ID, '{"title": "second"}', 9)
    engine.reject(app.real, app.data, "a/b", LARGE, '{"title": "[x](https://evil.example)', 3)
    engine.reject(app.real, app.data, "a/c", NO_ID, "{}", 1)


def test_records_that_were_left_out_are_listed_with_their_reasons(loaded, app):
    shown = loaded("a/b", "a/c")
    rejected(app)
    row = shown.press("refresh").table()
    assert list(row["What to do"]) == ["3 records were left out: open it", "1 record was left out: open it"]
    shown.view("Overview", "a/b").says("3 records were left out. All others are loaded.").says("Most often (2 of 3): No id.")
    table = next(one.value for one in shown.run.dataframe if "Reason" in one.value)
    assert list(table["Key"]) == ['4711 "a"', "–", "–"], "the newest first"
    assert list(table["Reason"]) == [LARGE, NO_ID, NO_ID] and table["Record"].iloc[1] == '{"title": "second"}'
    assert table["Last met"].is_monotonic_decreasing
    shown.view("Data", "a/b").says("3 left out")


def test_the_list_of_records_is_bounded(loaded, app):
    shown = loaded()
    for number in range(60):
        engine.reject(app.real, app.data, "a/b", NO_ID, f'{{"number": {number}, "text": "{"x" * 900}"}}', number)
    shown.press("refresh").view("Overview", "a/b").says("The newest 50 of 60 records.")
    table = next(one.value for one in shown.run.dataframe if "Reason" in one.value)
    assert len(table) == 50 and max(map(len, table["Record"])) == 200


def test_a_run_that_left_out_records_lists_them(loaded, app):
    shown = loaded()
    rejected(app)
    run = engine.record("a/b", "partial", inserted=3)
    run["counts"]["rejected"] = 3
    engine.write(app.real, app.data, run)
    shown.press("refresh").view("Runs").fill("open_run", shown.field("open_run").options[1])
    shown.says("3 records were left out").says("Most often (2 of 3)")


def test_viewers_see_how_many_records_were_left_out_but_none_of_them(loaded, app):
    shown = loaded(file=VIEWER)
    rejected(app)
    shown.press("refresh").view("Overview", "a/b").says("3 records were left out.")
    assert not any("Reason" in one.value for one in shown.run.dataframe) and NO_ID not in shown.text().lower()


def asked(app, rows, minutes):
    """A reconcile run that has left deletions to confirm."""
    error = {"kind": "invalid_data", "message": "60 of 100 rows are gone", "help": "check the source", "unconfirmed_deletions": rows}
    started = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes)
    run = engine.record("a/b", "partial" if rows else "complete", error=error if rows else None, mode="reconcile", started=started)
    run["failing"] = {"since": started.isoformat(), "tries": 1} if rows else None
    engine.write(app.real, app.data, run)


def test_deletions_are_confirmed_where_they_are_asked_about(loaded, app):
    shown = loaded()
    asked(app, 2, 0)
    shown.press("refresh").says("Many rows are gone at GitHub").says("then confirm the deletions").press("open_cause_0").says("2 rows are gone at GitHub.")
    assert "Many rows" not in shown.text(), "one card is enough"
    shown.says("2 of 3 rows").says("Nothing was marked as deleted.").press("confirm_deletions").says("Started in a container")
    asked_for = ["ingest", "--reconcile", "--allow-deletions", "--streams", "issues", "--", "a/b"]
    assert app.account.jobs[-1][-len(asked_for) :] == asked_for


def test_a_success_later_does_not_hide_deletions_to_confirm_and_a_reconcile_run_ends_them(loaded, app):
    shown = loaded()
    asked(app, 60, 9)
    engine.write(app.real, app.data, engine.record("a/b", inserted=1))
    assert shown.press("refresh").badge() == "healthy" and list(shown.table()["What to do"]) == ["Confirm 60 deletions"]
    shown.view("Overview", "a/b").says("60 rows are gone at GitHub.")
    asked(app, 0, 0)
    shown.press("refresh")
    assert "gone at GitHub" not in shown.text() and not shown.has("confirm_deletions")
