"""Tests Snowflake's limits for a page: no dialogs in the app viewer, and a maximum message size."""

from snowflake import permissions

import engine
from test_page import configure, page  # noqa: F401


def test_without_dialogs_the_page_shows_the_statements(page, app, monkeypatch):
    def closed(*_):
        raise permissions.PermissionRequestNotAvailableError

    shown = page()
    monkeypatch.setattr(permissions, "is_viewer_mode", lambda: True)
    monkeypatch.setattr(permissions, "request_reference", closed)
    monkeypatch.setattr(permissions, "request_account_privileges", closed)
    shown.consumer.held.clear()
    shown.press("refresh").says("dialogs cannot be opened here")
    assert shown.disabled("bind_token") and not shown.has("grant_privileges")
    privileges, references = (block.value for block in shown.run.code)
    assert f"GRANT CREATE COMPUTE POOL ON ACCOUNT TO APPLICATION {app.name};" in privileges
    for text in references.splitlines():
        app.session.sql(text).collect()
    assert set(app.account.bound) == set(shown.run.session_state["status"]["references"])
    assert "dialogs cannot be opened here" not in page().text().partition("Warehouse")[2]


def test_rows_stay_below_the_message_limit(page, app):
    shown = configure(page()).fill("new_resource", "acme/big").press("Enable")
    engine.fill(app.real, app.data, "acme/big", 8)
    raw, view = f'"{app.data}"."PUBLIC_RAW"."acme/big"', f'"{app.data}"."PUBLIC"."acme/big"'
    app.rows(f'UPDATE {raw} SET "DOCUMENT" = REPEAT(\'x\', 900000)')
    app.rows(f'UPDATE {raw} SET "DOCUMENT" = REPEAT(\'x\', 1200000) WHERE "KEY" = \'7\'')
    app.rows(f'CREATE OR REPLACE VIEW {view} AS SELECT "KEY", REPEAT(\'y\', 900000) AS "TITLE", "RAW" FROM {raw}')
    shown.press("refresh").says("too large to show: 1200000 characters").says("Only the first")
    assert sum(len(document.value) for document in shown.run.json) < 8_000_000
    flat = shown.run.dataframe[1].value
    assert "RAW" not in flat and max(map(len, flat["TITLE"])) < 30_000 and "900000 characters" in flat["TITLE"].iloc[0]
