"""Tests the page of an API that a file describes: its own settings, and a host that depends on one of them."""

import json

import connector
from shown import page  # noqa: F401


def test_the_host_is_known_when_the_setting_is_saved(page, app):
    shown = page()
    assert shown.run.header[0].value.startswith("Desk connector")
    shown.press("grant_privileges").press("check_grant_privileges")
    shown.press("bind_warehouse_reference").press("check_bind_warehouse_reference")
    shown.says("Save this first: the host depends on Subdomain.")
    subdomain = shown.field("setting_subdomain")
    assert (subdomain.label, subdomain.help) == ("Subdomain", "The first part of the address of your desk\\.")
    assert not shown.has("bind_desk_external_access")
    refused = json.loads(connector.get_reference_config(app.session, "desk_external_access"))
    assert refused["type"] == "ERROR" and "subdomain" in refused["payload"]["message"]

    shown.fill("setting_subdomain", "evil.example/").press("save_host").says("subdomain")
    assert app.ok("get_connector_status")["configuration"] is None
    shown.fill("setting_subdomain", "acme").press("save_host").press("bind_desk_external_access")
    payload = json.loads(connector.get_reference_config(app.session, "desk_external_access"))["payload"]
    assert payload["host_ports"] == ["acme.desk.example"]
