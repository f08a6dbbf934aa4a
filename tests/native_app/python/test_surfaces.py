"""What the app's page, its views and its procedures show in each state that an operator meets, and the command line over the app's
database, by the table in `tests/health/surfaces.toml`. The program's side is in `tests/cli/surfaces.rs`."""

import datetime
import json
import os
import re
import subprocess
import time
import tomllib

import pytest

import engine
import page_states
from account import JobFailed
from paths import HERE
from shown import in_state

ROOT = HERE.parents[2]
TABLE = tomllib.loads((ROOT / "tests/health/surfaces.toml").read_text())
GUIDE = (ROOT / "docs/guides/operate.md").read_text()
SURFACES = ("page", "views", "procedure")
COMMANDS = {"status": ["status"], "json": ["--json", "status"], "fail_if_stale": ["status", "--fail-if-stale", "2h"]}

# The longest time that any answer may take here, in seconds, whatever the number of resources.
LONGEST = 30


def loaded(state):
    """Sets up an account with one repository that was read a moment ago by a container of its schedule."""
    state.set_up()
    state.app.ok("enable_resource", "acme/api", ["issues"])
    state.app.account.end_jobs()
    state.app.tick()
    state.app.account.end_jobs()
    assert state.app.ok("get_connector_status", False)["HEALTH"] == "healthy"


def pass_schedule(state, times=1):
    """Runs the tasks as on schedule."""
    for _ in range(times):
        for task in list(state.app.account.running()):
            state.app.account.run_task(state.app.session, task)


def dropped_warehouse(state):
    loaded(state)
    state.app.account.dropped.add("warehouse_reference")
    pass_schedule(state)


def revoked_secret(state):
    loaded(state)
    state.app.account.dropped.add("token")
    pass_schedule(state)


def revoked_token(state):
    loaded(state)
    success = page_states.now().isoformat()

    def refused_by_github(account, args):
        run = engine.record("acme/api", "failed", error=page_states.DENIED)
        failing = {"since": run["ended_at"], "tries": 1}
        engine.write(state.app.real, state.app.data, run | {"last_success_at": success, "last_change_at": success, "failing": failing})
        raise JobFailed(log=json.dumps({"schema_version": 1, "error": page_states.DENIED}))

    state.app.account.job = refused_by_github
    state.app.ok("ingest_data", "acme/api")
    state.app.account.end_jobs()


def pool_cannot_start(state):
    loaded(state)
    state.app.account.pools.clear()
    pass_schedule(state)


def suspended_task(state):
    loaded(state)
    state.app.account.dropped.add("token")
    for task in state.app.account.tasks.values():
        task["most_failures"] = 10
    pass_schedule(state, 10)


def clock_ahead(state):
    loaded(state)
    page_states.age(state.app, 1)


def clock_behind(state):
    loaded(state)
    page_states.age(state.app, -1)


def restored_from_last_week(state):
    """The destination is as it was last week; the app's own database is not."""
    loaded(state)
    runs = f'"{state.app.data}"."STATE"."SNOWFEED_RUN"'
    state.app.rows(f'UPDATE {runs} SET "STARTED_AT" = DATEADD(HOUR, -168, "STARTED_AT"), "ENDED_AT" = DATEADD(HOUR, -168, "ENDED_AT")')
    for row in state.app.rows(f'SELECT "ID", "DOCUMENT" FROM {runs}'):
        state.app.rows(f'UPDATE {runs} SET "DOCUMENT" = ? WHERE "ID" = ?', page_states.older(row["DOCUMENT"], 168), row["ID"])


def never_enabled(state):
    state.set_up()
    assert state.app.code("ingest_data", "acme/never") != "OK"


def ten_thousand_resources(state):
    good, bad = [f"acme/service-{number:04}" for number in range(9_980)], [f"acme/broken-{number:02}" for number in range(20)]
    state.set_up().enable([*good, *bad], streams=None)
    for name in good:
        state.run(name, 12)
    ok = {"last_success_at": (page_states.now() - datetime.timedelta(hours=1)).isoformat()}
    for name in bad:
        began = (page_states.now() - datetime.timedelta(minutes=30)).isoformat()
        state.run(name, 12, "issues", "failed", error=page_states.DENIED, marks={**ok, "failing": {"since": began, "tries": 2}})
    state.stored()


MAKES = (dropped_warehouse, revoked_secret, revoked_token, pool_cannot_start, suspended_task, clock_ahead, clock_behind)
MAKES += (restored_from_last_week, never_enabled, ten_thousand_resources)
SCENES = {make.__name__: make for make in MAKES}


def test_every_case_has_a_scene():
    applies = {name for name, case in TABLE.items() if any("does_not_apply" not in case[surface] for surface in SURFACES)}
    assert applies == set(SCENES)


def compare(what, cell, text, document):
    """Compares a text and a document with a cell."""
    for words in cell.get("says", []):
        assert words in text, f"{what}: {words!r} is not in {text}"
    for words in cell.get("not", []):
        assert words not in text, f"{what}: {words!r} is in {text}"
    for name, expected in cell.get("has", {}).items():
        found = at(document, name) if name.startswith("/") else document[name]
        assert ("null" if found is None else found) == expected, f"{what}: {name}"
    assert len(text) <= cell.get("most_bytes", 10**9), f"{what}: {len(text)} bytes"


def at(document, pointer):
    """A member by its JSON pointer."""
    for name in pointer[1:].split("/"):
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def timed(what, ask):
    """An answer, which must not take long."""
    began = time.monotonic()
    answer = ask()
    took = time.monotonic() - began
    assert took < LONGEST, f"{what} took {took:.1f} s"
    return answer, took


def say(name, surface, text):
    """Prints what a surface says."""
    for line in text.splitlines()[:12]:
        print(f"{name} | {surface} | {line[:240]}")


def compare_with_guide(name, surface, text):
    """Compares a text with what the guide shows of the dead connector: each line there is one here. `…` stands for what differs."""
    if name != "dropped_warehouse":
        return
    block = GUIDE.partition(f"<!-- dead connector: {surface} -->\n\n```text\n")[2].partition("\n```")[0]
    assert block, f"the guide lacks what {surface} says"
    for line in block.splitlines():
        pattern = ".*".join(re.escape(part) for part in line.split("…"))
        assert re.search(f"(?m)^{pattern}$", text), f"the guide shows {line!r}, but it is: {text}"


@pytest.mark.parametrize("name", SCENES)
def test_each_surface_shows_it(name, monkeypatch):
    case, state = TABLE[name], page_states.State(f"surfaces_{name}")
    SCENES[name](state)
    # The views alone, before a procedure has looked for causes.
    if name != "suspended_task":
        check_views(name, case["views"], state)

    answer, took = timed(name, lambda: state.app.ok("get_connector_status", False))
    compare(f"{name}, procedure", case["procedure"], json.dumps(answer), answer)
    steps = {one["step"]: one["state"] for one in answer["SETUP"]}
    for step, expected in case["procedure"].get("setup", {}).items():
        assert steps[step] == expected, f"{name}: {steps}"
    print(f"{name} | procedure | took {took:.2f} s, {len(json.dumps(answer)):,} bytes")
    if name == "suspended_task":
        # Only the task's own history tells it, which views cannot read: the procedure has stored it for them.
        check_views(name, case["views"], state)

    shown, took = timed(name, lambda: in_state(state, monkeypatch))
    assert shown.badge() == case["page"]["badge"], shown.text()
    text = shown.text().replace("\\", "")
    compare(f"{name}, page", case["page"], text, {})
    plain = re.sub(r"[*`]", "", text)
    say(name, "page", plain)
    compare_with_guide(name, "page", plain)
    print(f"{name} | page | took {took:.2f} s, {len(text):,} characters")
    if case["program"] == "app":
        check_commands(name, case, state)


def check_views(name, cell, state):
    """Compares the views."""
    views = f'"{state.app.name}"."VIEWS"'
    (found,), took = timed(name, lambda: state.app.rows(f'SELECT * FROM {views}."CONNECTOR_OVERVIEW"'))
    errors = state.app.rows(f'SELECT DISTINCT "CODE" FROM {views}."CONNECTOR_ERRORS" WHERE "IS_OPEN" ORDER BY "CODE"')
    print(f"{name} | views | took {took:.2f} s")
    compare(f"{name}, views", cell, "", found)
    assert not any(value.tzinfo for value in found.values() if isinstance(value, datetime.datetime))
    for column in ("LAST_CHECKED_AT", "OLDEST_SUCCESS_AT", "COMPLETE_UP_TO", "LAST_CHANGE_AT", "SINCE"):
        assert found[column] is None or found[column] <= found["AS_OF"], f"{name}: {column} is in the future"
    if "errors" in cell:
        assert [row["CODE"] for row in errors] == cell["errors"], name
    if "days_behind" in cell:
        assert round((found["AS_OF"] - found["COMPLETE_UP_TO"]) / datetime.timedelta(days=1)) == cell["days_behind"], f"{name}: {found['COMPLETE_UP_TO']}"
    say(name, "views", f"{found['HEALTH']}, {found['CAUSE_CODE']}: {found['CAUSE']} {found['HELP']}")


def check_commands(name, case, state):
    """Compares what the program's commands say over the app's database."""
    account = {"ACCOUNT": "testorg-account", "HOST": "127.0.0.1", "PORT": os.environ["SNOWFEED_FAKESNOW_PORT"], "PROTOCOL": "http"}
    account |= {"USER": "tester", "PASSWORD": "tests", "DATABASE": f'"{state.app.data}"'}
    variables = {"SNOWFEED_TO": "snowflake", "HOME": "/nonexistent", **{f"SNOWFLAKE_{key}": value for key, value in account.items()}}
    for surface, args in COMMANDS.items():
        command = [os.environ["SNOWFEED_PROGRAM"], *args]
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
        said = ended.stdout + ended.stderr
        assert ended.returncode == case[surface]["exit"], f"{name}, {surface}: {said}"
        compare(f"{name}, {surface}", case[surface], said, json.loads(ended.stdout) if surface == "json" else {})
        if surface == "status":
            say(name, surface, said)
