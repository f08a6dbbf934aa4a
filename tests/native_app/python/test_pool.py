"""Tests the compute pool: created, altered, and rejected if it belongs to another app."""

import pytest

import pool
from account import refused
from spec import SPEC


def test_the_pool_is_created_once_the_privilege_is_granted(app):
    app.ok("grant_callback", ["EXECUTE TASK"])
    app.ok("grant_callback", None)
    assert not app.account.pools
    app.ok("grant_callback", ["create compute pool", "EXECUTE TASK"])
    app.ok("grant_callback", ["CREATE COMPUTE POOL"])
    assert list(app.account.pools) == [f"{app.name}_POOL"]
    app.account.pools.clear()
    app.account.fail("CREATE COMPUTE POOL", refused("no", 3001))
    assert app.refused("grant_callback", ["CREATE COMPUTE POOL"]).startswith("REQUIRED_PRIVILEGES_MISSING: ")


def test_the_pool_size_setting_is_applied(configured):
    pool = configured.account.pools[f"{configured.name}_POOL"]
    assert pool.max_nodes == 1
    configured.ok("update_settings", {"max_nodes": 5})
    assert pool.max_nodes == 5
    configured.account.statements.clear()
    configured.ok("update_settings", {"settings": {}})
    assert pool.max_nodes == 5 and not any(text.startswith("ALTER COMPUTE") for text in configured.account.statements)
    for wrong in (0, 51, "3", True, 1.5):
        assert configured.code("update_settings", {"max_nodes": wrong}) == "INVALID_INPUT"
    configured.account.fail("ALTER COMPUTE POOL", refused("no MODIFY", 3001))
    (note,) = configured.ok("update_settings", {"max_nodes": 2})["notes"]
    assert "MAX_NODES = 2" in note and "no MODIFY" in note


def test_another_family_is_applied_once_the_pool_is_suspended(configured, monkeypatch):
    monkeypatch.setitem(SPEC, "pool_family", "CPU_X64_L")
    pool = configured.account.pools[f"{configured.name}_POOL"]
    pool.state = "ACTIVE"
    (note,) = configured.ok("provision_connector", {})["notes"]
    assert "suspend it" in note and pool.family == "CPU_X64_XS"
    pool.state = "SUSPENDED"
    assert configured.ok("provision_connector", {})["notes"] == [] and pool.family == "CPU_X64_L"


@pytest.mark.parametrize("visible", [False, True])
@pytest.mark.parametrize("owner", ["KEEPER", None])
def test_a_pool_of_another_or_a_dropped_app_is_rejected(app, visible, owner):
    app.ok("grant_callback", ["CREATE COMPUTE POOL"])
    name = f"{app.name}_POOL"
    # The application is dropped and reinstalled under the same name. The pool still belongs to the first one.
    app.account.installation += 1
    pool = app.account.pools[name]
    pool.application, pool.owner = ("DROPPED_APP", owner or "DROPPED_APP") if visible else (app.name, owner or app.name)
    if visible:
        app.account.visible_pools.add(name)
    for answer in (app.call("provision_connector", {}), {"message": app.refused("grant_callback", ["CREATE COMPUTE POOL"])}):
        assert f"DROP COMPUTE POOL {name}" in answer["message"] and answer.get("response_code", "COMPUTE_POOL_UNAVAILABLE") == (
            "COMPUTE_POOL_UNAVAILABLE"
        )
    app.account.pools.clear()
    app.ok("provision_connector", {})
    assert app.account.pools[name].installation == app.account.installation


def test_concurrent_calls_create_one_pool(app, monkeypatch):
    app.ok("grant_callback", ["CREATE COMPUTE POOL"])
    find, looks = pool.find, []

    def late(*arguments):
        looks.append(arguments)
        return None if len(looks) == 1 else find(*arguments)

    monkeypatch.setattr(pool, "find", late)
    app.ok("grant_callback", ["CREATE COMPUTE POOL"])
    assert len(looks) == 2 and len(app.account.pools) == 1
