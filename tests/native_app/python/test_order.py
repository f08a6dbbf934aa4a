"""Calls procedures in random order with random failures: the result matches the last successful requests."""

import random

import pytest

import names

RESOURCES = ["a/b", "a_b/c", "c/d"]
SCHEDULES = {"30m": "30 MINUTE", "2h": "120 MINUTE", "15 2 * * *": "USING CRON 15 2 * * * UTC"}
FAULTS = ["ALTER TASK", "CREATE OR ALTER TASK", "DROP TASK", "MERGE INTO", "SHOW TASKS", "EXECUTE JOB", "DELETE FROM"]


class Model:
    """The expected state."""

    def __init__(self):
        self.enabled, self.schedules, self.paused, self.scheduler = {}, {}, False, "task"

    def running(self):
        enabled = [name for name, on in self.enabled.items() if on]
        if self.paused or self.scheduler == "outside":
            return {}
        in_use = {SCHEDULES[self.schedules.get(name) or "30m"] for name in enabled}
        return {names.task(schedule): schedule for schedule in in_use}


def step(model, rng):
    """A random call, and its effect on the model if it succeeds."""
    name = rng.choice(RESOURCES)
    schedule = rng.choice([None, *SCHEDULES])
    scheduler = rng.choice(["task", "outside"])
    return rng.choice(
        [
            (("enable_resource", name), lambda: model.enabled.update({name: True})),
            (("disable_resource", name), lambda: model.enabled.update({name: False})),
            (("update_resource", name, schedule), lambda: model.schedules.update({name: schedule})),
            (("delete_resource", name), lambda: (model.enabled.pop(name, None), model.schedules.pop(name, None))),
            (("pause_connector",), lambda: setattr(model, "paused", True)),
            (("resume_connector",), lambda: setattr(model, "paused", False)),
            (("update_settings", {"scheduler": scheduler}), lambda: setattr(model, "scheduler", scheduler)),
            (("provision_connector", {"scheduler": model.scheduler}), lambda: None),
        ]
    )


@pytest.mark.parametrize("seed", range(5))
def test_tasks_match_the_enabled_resources_in_any_order(configured, seed):
    rng, model = random.Random(seed), Model()
    for _ in range(20):
        call, effect = step(model, rng)
        known = call[0] not in ("disable_resource", "update_resource") or call[1] in model.enabled
        if rng.random() < 0.3:
            configured.account.fail(rng.choice(FAULTS))
            configured.code(*call)
            configured.account.faults.clear()
        for _ in range(rng.choice([1, 2])):
            assert configured.code(*call) == ("OK" if known else "RESOURCE_NOT_FOUND"), call
        if known:
            effect()
        assert configured.account.running() == model.running(), (seed, call)
        stored = {name: resource["enabled"] for name, resource in configured.resources().items()}
        assert stored == model.enabled, (seed, call)
