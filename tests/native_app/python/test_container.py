"""Tests the procedures with the real program in its container."""

import json
import os
import pathlib

import pytest
from consumer import Consumer
from container import Containers
from shown import APP as PAGE, Page
from snowflake.snowpark import context
from streamlit.testing.v1 import AppTest

SCENE = os.environ.get("SNOWFEED_CONTAINER")
NAME = "acme/widgets"

pytestmark = pytest.mark.skipif(SCENE is None, reason="SNOWFEED_CONTAINER names no scene")


@pytest.fixture
def scene():
    """The environment of the container."""
    return json.loads(pathlib.Path(SCENE).read_text())


@pytest.fixture
def running(app, scene):
    """The app, configured to read the test's GitHub server from real containers."""
    app.bind("token", "github_external_access", "warehouse_reference")
    app.account.job = Containers(scene, app.name)
    app.ok("provision_connector", {"settings": {"api_url": scene["upstream"]}})
    return app


def rows(app):
    """The number of rows in the view of the repository's issues."""
    resources = app.ok("get_connector_status")["resources"]
    (view,) = (
        table["view"]
        for resource in resources
        for table in resource["tables"]
        if (resource["name"], table["stream"]) == (NAME, "issues")
    )
    return app.rows(f'SELECT COUNT(*) AS "N" FROM {view}')[0]["N"]


def test_a_consumer_sets_up_the_app_and_sees_rows(running, scene):
    checks = running.ok("test_connection")["checks"]
    assert checks and all(check["ok"] for check in checks), (checks, running.account.ran[-1].log)
    assert running.ok("get_connector_status")["configuration_status"] == "CONNECTED"

    running.ok("enable_resource", NAME)
    first = running.ended(NAME)["last_run"]
    assert (first["status"], first["counts"]["inserted"]) == ("complete", scene["rows"])
    assert rows(running) == scene["rows"]

    # A run without changes has no record.
    assert running.ingest(NAME)["message"] == "nothing new"
    running.ok("reconcile_resource", NAME)
    full = running.ended(NAME)["last_run"]
    assert (full["counts"]["offered"], full["counts"]["inserted"]) == (scene["rows"], 0)
    running.tick()
    assert running.account.jobs[-1][-1] == "ingest" and running.ended(NAME)["last_job"]["code"] == "OK"
    assert rows(running) == scene["rows"]

    (resource,) = running.ok("get_connector_status")["resources"]
    assert (resource["enabled"], resource["state"]["status"]) == (True, "complete")
    view = f'"{running.name}"."VIEWS"."SYNC_STATUS"'
    assert len(running.rows(f"SELECT * FROM {view}")) == 1


def test_a_reset_resource_is_read_from_the_start(running, scene):
    running.ok("enable_resource", NAME)
    running.ended(NAME)
    running.ok("reset_resource", NAME)
    running.ok("ingest_data", NAME)
    again = running.ended(NAME)["last_run"]
    assert (again["counts"]["offered"], again["counts"]["inserted"]) == (scene["rows"], 0)
    assert rows(running) == scene["rows"]


def test_a_resource_is_read_again_after_its_data_was_deleted(running, scene):
    running.ok("enable_resource", NAME)
    running.ended(NAME)
    running.ok("delete_resource", NAME, True)
    assert running.ok("get_connector_status")["resources"] == []
    running.ok("enable_resource", NAME)
    again = running.ended(NAME)["last_run"]
    assert (again["status"], again["counts"]["inserted"]) == ("complete", scene["rows"])
    assert rows(running) == scene["rows"]


def test_a_rejected_token_is_reported_with_help(running, scene):
    scene["secrets"]["token"] = scene["wrong"]
    running.account.job = Containers(scene, running.name)
    assert running.code("test_connection") == "TEST_CONNECTION_FAILED"
    running.ok("enable_resource", NAME)
    resource = running.ended(NAME)
    job = resource["last_job"]
    assert job["code"] == "INGESTION_FAILED"
    assert "401" in job["message"] or "refused" in job["message"], job
    assert scene["wrong_token"] not in json.dumps([resource, *(service.log for service in running.account.ran)])
    assert resource["state"]["status"] == "failed"


def test_a_missing_repository_fails_alone(running, scene):
    running.ok("enable_resource", "acme/nothing")
    running.ok("enable_resource", NAME)
    assert running.ended("acme/nothing")["last_job"]["code"] == "INGESTION_FAILED"
    assert rows(running) == scene["rows"]


def test_the_page_shows_what_the_program_has_written(running, monkeypatch):
    running.ok("enable_resource", NAME)
    running.ended(NAME)
    consumer = Consumer(running)
    consumer.install(monkeypatch.setattr)
    monkeypatch.setattr(context, "get_active_session", lambda: running.session)
    shown = Page(running, consumer, AppTest.from_file(PAGE, default_timeout=600))
    assert len(shown.view("Runs").table()) == 1
    rows = shown.view("Data").table()
    assert len(rows) == 12 and rows["TITLE"].notna().all()
    documents = shown.fill("data_as", "Documents").run.json
    assert len(documents) == 12 and all("id" in json.loads(document.value) for document in documents)
