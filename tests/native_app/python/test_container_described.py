"""Tests the app of an API that a file describes, with the program `snowfeed` and the file in its container."""

import json
import os
import pathlib

import pytest
from container import Containers

SCENE = os.environ.get("SNOWFEED_CONTAINER")

pytestmark = pytest.mark.skipif(SCENE is None, reason="SNOWFEED_CONTAINER names no scene")


@pytest.fixture
def scene():
    """The environment of the container."""
    return json.loads(pathlib.Path(SCENE).read_text())


def test_a_consumer_sets_up_the_app_and_sees_rows(app, scene):
    app.bind("token", "helpdesk_external_access", "warehouse_reference")
    app.account.job = Containers(scene, app.name)
    app.ok("provision_connector", {"settings": {"url": scene["upstream"]}})
    checks = app.ok("test_connection")["checks"]
    assert checks and all(check["ok"] for check in checks), (checks, app.account.ran[-1].log)

    app.ok("enable_resource", "acme")
    resource = app.ended("acme")
    assert resource["last_job"]["code"] == "OK", (resource, app.account.ran[-1].log)
    counted = {
        table["stream"]: app.rows(f'SELECT COUNT(*) AS "N" FROM {table["view"]}')[0]["N"] for table in resource["tables"]
    }
    assert counted == {"tickets": scene["rows"], "comments": scene["rows"]}
    assert app.ingest("acme")["code"] == "OK"
    assert len(app.rows(f'SELECT "ID", "SUBJECT" FROM "{app.data}"."PUBLIC"."acme/tickets" WHERE "SUBJECT" LIKE \'Ticket%\'')) == scene["rows"]
