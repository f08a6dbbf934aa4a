"""Tests deletions that need confirmation: the page shows them and starts the confirmed run."""

import engine
from test_page import VIEWER, configure, page  # noqa: F401

ASKS = {
    "kind": "invalid_data",
    "message": "more than 100 of the 1000 live rows of the table `issues` have disappeared at once; no row was marked deleted",
    "help": "check the source first",
}


def unconfirmed(app, rows=950):
    """A job whose reconcile run needs confirmation unless it has `--allow-deletions`."""
    good, bad = engine.ingesting(app.real), engine.unconfirmed(app.real, unconfirmed_deletions=rows, **ASKS)
    return lambda account, args: (bad if "--reconcile" in args and "--allow-deletions" not in args else good)(account, args)


def warnings(shown):
    return [one.value for one in shown.run.warning if "marked nothing as deleted" in one.value]


def test_deletions_of_a_reconcile_run_are_confirmed_on_the_page(page, app):
    app.account.job = unconfirmed(app)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    assert not warnings(shown) and not shown.has("allow_deletions")
    shown.press("reconcile").ended().says("no longer lists 950 rows").says("more than 100 of the 1000 live rows")
    assert shown.disabled("allow_deletions")
    # A later incremental run does not resolve it: the question stays.
    shown.press("ingest").ended().says("no longer lists 950 rows")
    assert app.account.jobs[-1][-2:] == ["--", "a/b"]
    (box,) = [one for one in shown.run.checkbox if str(one.key).startswith("sure_deletions_")]
    assert box.label == "Yes, mark up to 950 rows as deleted"
    box.set_value(True).run()
    shown.press("allow_deletions").says("Started in a container")
    assert app.account.jobs[-1][-5:] == ["ingest", "--reconcile", "--allow-deletions", "--", "a/b"]
    assert not warnings(shown.ended()) and not shown.has("allow_deletions")


def test_a_confirmation_is_for_one_run_and_waits_for_the_current_one(page, app):
    app.account.job = unconfirmed(app, rows=1)
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended().press("reconcile").ended()
    shown.says("no longer lists 1 row that")
    (box,) = [one for one in shown.run.checkbox if str(one.key).startswith("sure_deletions_")]
    box.set_value(True).run()
    assert not shown.disabled("allow_deletions")
    shown.press("reconcile")
    assert shown.disabled("allow_deletions"), "a container is starting"
    assert shown.ended().disabled("allow_deletions"), "another run asks again"


def test_viewers_are_asked_nothing(page, app):
    app.account.job = unconfirmed(app)
    configure(page()).fill("new_resource", "a/b").press("Enable").ended().press("reconcile").ended()
    viewed = page(VIEWER)
    assert [button.key for button in viewed.run.button] == ["refresh"] and not viewed.run.checkbox


def test_an_invalid_count_asks_nothing(page, app):
    shown = configure(page()).fill("new_resource", "a/b").press("Enable").ended()
    for wrong in ("950", -1, True, None, [950]):
        app.account.job = unconfirmed(app, rows=wrong)
        assert not warnings(shown.press("reconcile").ended()), wrong
