"""Tests the page of a source with several streams, of which one is read by default."""

import engine
from test_page import VIEWER, configure, page  # noqa: F401
from test_streams import ALL, BOTH, DENIED, Older, change_row, without_comments


def choice(shown, key):
    """The multiselect whose key begins with this text."""
    return next(one for one in shown.run.multiselect if one.key.startswith(key))


def lines(shown):
    """The rows of the table of resources: stream if there is such a column, whether it is read, state, changed rows."""
    table = shown.run.dataframe[0].value
    streams = ["Stream"] if "Stream" in table else []
    return list(table[[*streams, "Enabled", "State", "Rows changed"]].itertuples(index=False, name=None))


def test_the_default_streams_are_preselected_and_not_stored(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = configure(page())
    assert choice(shown, "new_streams").value == ["issues"] and choice(shown, "new_streams").options == ALL
    shown.fill("new_resource", "a/b").press("Enable").says("Enabled.")
    assert app.resources() == {"a/b": {"enabled": True}}
    assert lines(shown) == [("yes", "waiting for a machine", 0)]
    assert lines(shown.ended()) == [("yes", "complete", 3)]


def test_streams_are_selected_when_a_resource_is_enabled(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = configure(page()).fill("new_resource", "a/b")
    choice(shown, "new_streams").set_value([])
    shown.press("Enable").says("Select at least one stream.")
    assert app.resources() == {}
    shown.fill("new_resource", "a/b")
    choice(shown, "new_streams").set_value(["comments", "issues"])
    shown.press("Enable").says("Enabled.")
    assert app.resources() == {"a/b": {"enabled": True, "streams": BOTH}}
    assert lines(shown.ended()) == [("issues", "yes", "complete", 3), ("comments", "yes", "complete", 3)]


def test_the_selection_of_a_resource_is_changed(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    assert choice(shown, "streams_a/b").value == ["issues"]
    choice(shown, "streams_a/b").set_value([])
    shown.press("Set streams").says("Select at least one stream.")
    choice(shown, "streams_a/b").set_value(["comments"])
    shown.press("Set streams").says("Enabled.")
    assert app.resources() == {"a/b": {"enabled": True, "streams": ["comments"]}}
    assert lines(shown) == [("comments", "yes", "not run yet", 0), ("issues", "no", "not selected", 3)]
    shown.press("disable").press("enable_again")
    assert app.resources()["a/b"]["streams"] == ["comments"], "enabling keeps it"
    shown.press("disable")
    choice(shown, "streams_a/b").set_value(BOTH)
    shown.press("Enable with these streams")
    assert app.resources()["a/b"] == {"enabled": True, "streams": BOTH}
    shown.fill("new_resource", "a/b").press("Enable")
    assert app.resources()["a/b"]["streams"] == BOTH, "it has one already"
    choice(shown, "streams_a/b").set_value(["reactions"])
    shown.press("Set streams")
    assert choice(shown, "streams_a/b").value == ["comments", "reactions"], "with the required one"
    choice(shown, "streams_a/b").set_value(["issues"])
    shown.press("Set streams")
    assert app.resources()["a/b"] == {"enabled": True}, "the default streams"


def test_a_selected_stream_that_the_source_no_longer_has_is_named(page, app):
    shown = configure(page())
    change_row(app, {"enabled": True, "streams": ["gone", "comments"]})
    shown.press("refresh").says("no streams named gone")
    choice(shown, "streams_a/b").set_value(BOTH)
    shown.press("Set streams")
    assert "gone" not in shown.text() and app.resources()["a/b"]["streams"] == BOTH


def test_a_failing_stream_is_named(page, app):
    app.account.job = without_comments(app)
    shown = configure(page()).fill("new_resource", "a/b")
    choice(shown, "new_streams").set_value(BOTH)
    shown.press("Enable").ended()
    assert lines(shown) == [("issues", "yes", "complete", 3), ("comments", "yes", "failed", 3)]
    table = shown.run.dataframe[0].value
    assert list(table["Message"]) == ["", DENIED["message"]]
    shown.says(f"a/b (comments): {DENIED['message']}").says("Failing 1")
    assert "a/b:" not in shown.text().replace("\\", ""), "only comments failed"
    choice(shown, "streams_a/b").set_value(["issues"])
    shown.press("Set streams").says("Failing 0")


def test_the_sole_default_stream_goes_by_the_name_of_its_resource(page, app):
    app.account.job = engine.failing(app.real)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended().says("Failing 1").says("a/b: ")
    assert "(issues)" not in shown.text().replace("\\", "")
    shown = page(VIEWER).says("a/b: ")
    assert "(issues)" not in shown.text().replace("\\", "")


def test_runs_have_a_stream_and_are_filtered_by_it(page, app):
    app.account.job = without_comments(app)
    shown = configure(page()).fill("new_resource", "a/b")
    choice(shown, "new_streams").set_value(BOTH)
    shown.press("Enable").ended()
    for shown, at in ((shown, 1), (page(VIEWER), 0)):
        history = shown.run.dataframe[at].value
        assert sorted(zip(history["Stream"], history["Status"], strict=True)) == [("comments", "failed"), ("issues", "complete")]
        assert shown.field("runs_of_stream").options == ["All", *ALL]
        shown.fill("runs_of_stream", "comments").fill("runs_of", "a/b")
        shown.run.run()
        assert list(shown.sound().run.dataframe[at].value["Stream"]) == ["comments"]


def test_each_stream_has_its_own_preview(page, app):
    app.account.job = engine.ingesting(app.real)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    assert shown.field("preview_of").options == ["a/b"]
    app.ok("enable_resource", "a/b", BOTH)
    app.ok("ingest_data", "a/b")
    shown.ended()
    assert shown.field("preview_of").options == ["a/b (comments)", "a/b"]


def test_deletions_of_streams_are_confirmed_together(page, app):
    def job(account, args):
        for stream in BOTH:
            error = {"kind": "invalid_data", "message": "too many", "unconfirmed_deletions": 20}
            engine.write(app.real, app.data, engine.record("a/b", "partial", error=error, mode="reconcile", stream=stream))
        return ""

    app.account.job = job
    app_shown = configure(page()).fill("new_resource", "a/b")
    choice(app_shown, "new_streams").set_value(BOTH)
    app_shown.press("Enable").ended().says("The last reconcile run of issues, comments marked nothing").says("no longer lists 40 rows")


def test_a_database_of_an_older_version_is_shown(page, app):
    shown = configure(page())
    older = Older(app)
    shown.fill("new_resource", "a/b").press("Enable")
    older.ingest("a/b")
    assert lines(shown.ended()) == [("yes", "complete", 2)]
    for shown, at in ((shown, 1), (page(VIEWER), 0)):
        history = shown.run.dataframe[at].value
        assert "Stream" not in history and list(history["Inserted"]) == [2]
    older.migrate()
    for shown, at in ((page(), 1), (page(VIEWER), 0)):
        history = shown.run.dataframe[at].value
        assert "Stream" not in history and list(history["Inserted"]) == [2] and shown.field("runs_of_stream").options == ["All", *ALL]
