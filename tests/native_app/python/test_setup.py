"""Tests the setup script at installation and at every upgrade."""

import os

import installation
import paths
import pytest
from account import refused
from conftest import App, numbers
from paths import APP


def test_setup_creates_every_called_procedure(app):
    account = app.account
    assert account.roles == {"APP_ADMIN", "APP_VIEWER", "APP_DATA_READER"}
    assert account.pages == {"APP_PAGE", "VIEWER_PAGE"}
    manifest = (paths.APP / "manifest.yml").read_text().upper()
    for callback in ("GRANT_CALLBACK", "REGISTER_REFERENCE", "GET_REFERENCE_CONFIG"):
        assert f"PUBLIC.{callback}" in manifest and callback in account.procedures
    assert "version_initializer: PUBLIC.INITIALIZE_VERSION" in (APP / "manifest.yml").read_text()


def installed(real, prepare):
    """Installs the app in a prepared account."""

    class Prepared(App):
        def database(self, name):
            prepare(self.account)
            super().database(name)

    return Prepared(real, f"SETUP{next(numbers)}_{id(prepare)}")


def test_installation_creates_the_pool_when_granted(real):
    app = installed(real, lambda account: setattr(account, "grants_at_installation", True))
    assert list(app.account.pools) == [f"{app.name}_POOL"]


@pytest.mark.parametrize("prepare", [lambda account: None, lambda account: setattr(account, "has_warehouse", False)])
def test_installation_succeeds_without_a_pool(real, prepare):
    app = installed(real, prepare)
    assert not app.account.pools
    app.account.has_warehouse = True
    assert app.ok("get_connector_status")["configuration_status"] == "INSTALLED"


def test_an_upgrade_keeps_the_state_and_the_tasks(configured):
    configured.ok("enable_resource", "acme/widgets")
    configured.ok("update_resource", "acme/widgets", "2h")
    before = configured.ok("get_connector_status")
    tasks = configured.account.running()
    assert tasks
    configured.account.statements.clear()
    for _ in range(2):
        installation.run(configured.session)
        assert configured.ok("get_connector_status") == before
        assert configured.account.running() == tasks
    assert not any(text.startswith(("CREATE OR ALTER TASK", "ALTER TASK")) for text in configured.account.statements)
    configured.ok("enable_resource", "acme/gadgets")
    assert len(configured.account.running()) == 2


def test_an_upgrade_drops_the_per_resource_tasks_of_older_versions(configured):
    configured.ok("enable_resource", "a/b")
    configured.rows(
        f'UPDATE "{configured.name}"."STATE"."APP_CONFIGURATION" SET "VALUE" = PARSE_JSON(?) WHERE "KEY" = \'config\'',
        f'{{"destination_database": "{configured.data}", "schedule": "1h", "scheduler": "resource", "settings": {{}}}}',
    )
    old = {"schedule": "30 MINUTE", "call": "CALL PUBLIC.INGEST_DATA('a/b')", "state": "started"}
    configured.account.tasks = {"INGEST_A_2F_B": dict(old), "SCHEDULER": {**old, "call": "CALL PUBLIC.RUN_ALL()"}}
    installation.run(configured.session)
    assert configured.account.running() == {"SCHEDULE_60_20_MINUTE": "60 MINUTE"}
    assert list(configured.account.tasks) == ["SCHEDULE_60_20_MINUTE"]
    assert configured.ok("get_connector_status")["configuration"]["max_nodes"] == 1


def test_an_upgrade_recreates_tasks_with_another_definition(configured):
    configured.ok("enable_resource", "a/b")
    (task,) = configured.account.tasks.values()
    task.update(comment="snowfeed of another version", timeout=1)
    installation.run(configured.session)
    (task,) = configured.account.tasks.values()
    assert task["timeout"] == 3600 and task["state"] == "started"


def test_an_upgrade_while_paused_starts_nothing(configured):
    configured.ok("enable_resource", "a/b")
    configured.ok("pause_connector")
    installation.run(configured.session)
    assert configured.account.running() == {}


def test_an_upgrade_applies_views_and_the_pool_size(configured):
    configured.ok("update_settings", {"max_nodes": 3})
    (pool,) = configured.account.pools.values()
    pool.max_nodes = 1
    configured.rows(f'DROP VIEW "{configured.name}"."VIEWS"."SYNC_STATUS"')
    installation.run(configured.session)
    assert pool.max_nodes == 3
    assert len(configured.rows(f'SELECT * FROM "{configured.name}"."VIEWS"."SYNC_STATUS"')) == 1


def test_an_upgrade_while_a_container_runs_does_not_start_it_twice(configured):
    configured.ok("enable_resource", "a/b")
    installation.run(configured.session)
    configured.tick()
    assert len(configured.account.jobs) == 1 and configured.ended("a/b")["last_job"]["code"] == "OK"


@pytest.mark.parametrize("statement", ["CREATE OR REPLACE VIEW", "SHOW TASKS", "SHOW COMPUTE POOLS", "GRANT SELECT", "CALL PUBLIC.APPLY"])
def test_a_failed_migration_does_not_fail_the_upgrade(configured, statement):
    configured.ok("enable_resource", "a/b")
    configured.account.fail(statement, refused("out of order"), times=9)
    installation.run(configured.session)
    configured.account.faults.clear()
    installation.run(configured.session)
    assert len(configured.account.running()) == 1


def test_an_upgrade_widens_collated_columns_of_older_versions(real):
    def made_before(account):
        del account
        name = next(iter(real.sql("SELECT CURRENT_DATABASE()").collect()))[0]
        real.sql(f"ALTER DATABASE {name} SET DEFAULT_DDL_COLLATION = 'en-ci'").collect()
        real.sql(f"CREATE SCHEMA {name}.STATE").collect()
        for table in ("APP_CONFIGURATION", "INGESTION_JOB"):
            columns = '"KEY" VARCHAR NOT NULL PRIMARY KEY, "VALUE" VARIANT, "DOCUMENT" VARCHAR'
            real.sql(f"CREATE TABLE {name}.STATE.{table} ({columns})").collect()

    class Older(App):
        def database(self, name):
            super().database(name)
            if name == self.name:
                made_before(self.account)

    app = Older(real, f"OLDER{next(numbers)}_{os.getpid()}")
    app.bind()
    app.ok("provision_connector", {})
    app.ok("enable_resource", "a/b")
    assert app.ended("a/b")["last_job"]["code"] == "OK"
    for table in ("APP_CONFIGURATION", "INGESTION_JOB"):
        whole = f'"{app.name}"."STATE"."{table}"'
        app.rows(f'UPDATE {whole} SET "DOCUMENT" = REPEAT(\'x\', 20000000)')
        (longest,) = app.rows(f'SELECT MAX(LENGTH("DOCUMENT")) AS "LENGTH" FROM {whole}')
        assert longest["LENGTH"] == 20_000_000


def test_keys_of_the_apps_tables_are_case_insensitively_unique(configured):
    """In an account with a collation, tables of an earlier version have it too."""
    configured.ok("enable_resource", "a/b")
    configured.ended("a/b")
    configured.ingest("a/b")
    for table in ("APP_CONFIGURATION", "INGESTION_JOB"):
        keys = [row["KEY"] for row in configured.rows(f'SELECT "KEY" FROM "{configured.name}"."STATE"."{table}"')]
        assert keys and len({key.upper() for key in keys}) == len(keys), keys


def test_an_upgrade_before_anything_is_configured_changes_nothing(app):
    before = app.ok("get_connector_status")
    installation.run(app.session)
    assert app.ok("get_connector_status") == before
