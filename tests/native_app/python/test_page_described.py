"""Tests the page of an API that a file describes: its own settings, and a host that depends on one of them."""

import json

import connector
from shown import page  # noqa: F401


def fields(shown):
    """The labels of the text fields, by key."""
    return {field.key: field for field in shown.run.text_input}


def test_the_form_has_the_settings_of_the_description(page):
    shown = page()
    subdomain = fields(shown)["setting_subdomain"]
    assert (subdomain.label, subdomain.help) == ("Subdomain", "The first part of the address of your desk.")
    assert not {"setting_email", "setting_token"} & set(fields(shown))
    assert shown.run.title[0].value == "Desk connector"
    shown.says("Secret: Email").says("Secret: Token")


def test_the_host_is_known_when_the_setting_is_saved(page, app):
    shown = page()
    shown.says("Save the settings below first: the host depends on Subdomain.")
    assert shown.disabled("bind_desk_external_access") and not shown.disabled("bind_token")
    refused = json.loads(connector.get_reference_config(app.session, "desk_external_access"))
    assert refused["type"] == "ERROR" and "subdomain" in refused["payload"]["message"]

    shown.fill("setting_subdomain", "evil.example/").press("Configure").says("subdomain")
    assert app.ok("get_connector_status")["configuration"] is None
    shown.fill("setting_subdomain", "acme").press("Configure").says("Hosts: acme.desk.example")
    payload = json.loads(connector.get_reference_config(app.session, "desk_external_access"))["payload"]
    assert payload["host_ports"] == ["acme.desk.example"]
    for name in ("desk_external_access", "warehouse_reference", "email", "token"):
        shown.press(f"bind_{name}")
    shown.press("refresh").press("test_connection")
    (args,) = app.account.jobs
    assert "subdomain=acme" in args and "token=file:/run/secrets/token" in args
