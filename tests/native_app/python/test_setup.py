"""The setup script: at installation, and at every upgrade."""

import installation
import paths


def test_it_makes_all_that_is_called(app):
    account = app.account
    assert account.roles == {"APP_ADMIN", "APP_VIEWER", "APP_DATA_READER"}
    assert account.pages == {"APP_PAGE", "VIEWER_PAGE"}
    manifest = (paths.APP / "manifest.yml").read_text().upper()
    for callback in ("GRANT_CALLBACK", "REGISTER_REFERENCE", "GET_REFERENCE_CONFIG"):
        assert f"PUBLIC.{callback}" in manifest and callback in account.procedures


def test_an_upgrade_keeps_the_state_and_the_tasks(configured):
    configured.ok("enable_resource", "acme/widgets")
    configured.ok("update_resource", "acme/widgets", "2h")
    before = configured.ok("get_connector_status")
    tasks = configured.account.running()
    assert tasks
    for _ in range(2):
        installation.run(configured.session)
        assert configured.ok("get_connector_status") == before
        assert configured.account.running() == tasks
    configured.ok("enable_resource", "acme/gadgets")
    assert len(configured.account.running()) == 2


def test_an_upgrade_before_anything_is_configured_changes_nothing(app):
    before = app.ok("get_connector_status")
    installation.run(app.session)
    assert app.ok("get_connector_status") == before
