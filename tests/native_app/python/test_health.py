"""The views of health give the same answers as the model of the connector's program, `src/engine/health`."""

import datetime
import json

import due_times
import failed_starts
import health
import health_views
import pytest
import settings
from configured_resources import ConfiguredResources
from names import qualified
from paths import HEALTH_CASES

CASES = json.loads(HEALTH_CASES.read_text())
NOW = datetime.datetime.fromisoformat(CASES["now"])


def time(text):
    """A time of the cases, as the views have it."""
    return text and datetime.datetime.fromisoformat(text).replace(tzinfo=None)


@pytest.fixture
def judged(app, monkeypatch):
    """The app, configured, whose views take the time of the cases for now."""
    monkeypatch.setattr(health_views, "NOW", f"CAST('{NOW:%Y-%m-%d %H:%M:%S}' AS TIMESTAMP_NTZ)")
    monkeypatch.setattr(due_times, "today", lambda: (NOW.date() - due_times.EPOCH).days)
    app.bind()
    app.ok("provision_connector", {})
    return app


def name(number):
    """The name of the resource of a case."""
    return f"case/{number}"


def configure(app, numbers):
    """Configures the resources of these cases, and no others."""
    table = qualified(app.data, "STATE", "RESOURCE_CONFIGURATION")
    rows = [{"key": name(number), "value": row(CASES["resources"][number])} for number in numbers]
    app.real.sql(f"DELETE FROM {table}").collect()
    insert(app, f'{table} ("KEY", "VALUE", "DOCUMENT")', "r:key::VARCHAR, PARSE_JSON(TO_JSON(r:value)), TO_JSON(r:value)", rows)
    configuration = settings.load(app.session)
    health.record_facts(app.session, configuration, ConfiguredResources(app.session, configuration))


def row(case):
    """A row of RESOURCE_CONFIGURATION."""
    schedule = {"schedule": case["schedule"]} if case["schedule"] else {}
    return {"enabled": case["enabled"], "streams": list(case["streams"]), **schedule}


def insert(app, into, values, rows):
    """Inserts rows, given as objects."""
    text = f'INSERT INTO {into} SELECT {values} FROM (SELECT f."VALUE" AS r FROM (SELECT PARSE_JSON(?) AS "ROWS") d, LATERAL FLATTEN(input => d."ROWS") f)'
    app.real.sql(text, params=[json.dumps(rows)]).collect()


def record(app):
    """Stores the runs and the states of all cases."""
    runs, states = [], []
    for number, case in enumerate(CASES["resources"]):
        for stream, known in case["streams"].items():
            if known["run"]:
                own = {"resource": name(number), "stream": stream, "id": f"{len(runs):08}-0000-7000-8000-000000000001"}
                runs.append({**known["run"], **own})
            if known["state"]:
                states.append({"key": name(number), "stream": stream, **known["state"]})
    failed_starts.insert(app.session, app.data, runs)
    columns = '("KEY", "STREAM", "VERSION", "AT", "DOCUMENT", "VALUE")'
    values = "r:key::VARCHAR, r:stream::VARCHAR, 1, r:at::VARCHAR, TO_JSON(r:state), PARSE_JSON(TO_JSON(r:state))"
    insert(app, f"{qualified(app.data, 'STATE', 'APP_STATE')} {columns}", values, states)


def facts(expected):
    """The answer of the model, by the columns of the views."""
    failing = expected["failing"] or {}
    names = ("last_checked_at", "last_success_at", "last_change_at", "next_due_at", "late_since")
    return {
        "HEALTH": expected["health"],
        **{name.upper(): time(expected[name]) for name in names},
        "FAILING_SINCE": time(failing.get("since")),
        "TRIES": failing.get("tries"),
        "CODE": failing.get("kind"),
        "MESSAGE": failing.get("message"),
    }


def is_about_schedule(case):
    """Whether the schedule cannot be read, for which the app has its own message."""
    return "cannot be read" in str((case["expected"]["failing"] or {}).get("message"))


def test_each_stream_and_each_resource_has_the_health_that_the_program_says(judged):
    record(judged)
    configure(judged, range(len(CASES["resources"])))
    found = {
        (row["RESOURCE"], row["STREAM"]): row
        for row in judged.rows(f"SELECT f.*, f.\"CHECKED_AT\" AS \"LAST_CHECKED_AT\" FROM {qualified(judged.name, 'VIEWS', 'HEALTH_FACTS')} f")
    }
    together = {row["RESOURCE"]: row for row in judged.rows(f"SELECT * FROM {qualified(judged.name, 'VIEWS', 'RESOURCE_OVERVIEW')}")}
    wrong = []
    for number, case in enumerate(CASES["resources"]):
        for stream, known in case["streams"].items():
            row, expected = found.pop((name(number), stream)), facts(known["expected"])
            if is_about_schedule(case):
                assert "every full moon" in row["MESSAGE"]
                expected |= {name: row[name] for name in ("MESSAGE", "FAILING_SINCE")}
            row["FAILING_SINCE"] = row["SINCE"] if row["HEALTH"] == "failing" else None
            wrong += [(case["resource"], stream, key, row[key], value) for key, value in expected.items() if row[key] != value]
        expected, row = facts(case["expected"]), together[name(number)]
        of_resource = {key: value for key, value in expected.items() if key not in ("FAILING_SINCE", "TRIES", "CODE", "MESSAGE")}
        wrong += [(case["resource"], key, row[key], value) for key, value in of_resource.items() if row[key] != value]
    assert not wrong, "\n".join(map(str, wrong))
    assert not found


def test_the_connector_has_the_health_that_the_program_says(judged):
    record(judged)
    numbers = {case["resource"]: number for number, case in enumerate(CASES["resources"])}
    for case in CASES["connectors"]:
        configure(judged, [numbers[resource] for resource in case["resources"]])
        (row,) = judged.rows(f"SELECT * FROM {qualified(judged.name, 'VIEWS', 'CONNECTOR_OVERVIEW')}")
        expected = facts(case["expected"])
        assert row["HEALTH"] == expected["HEALTH"], case["resources"]
        assert row["RESOURCES"] == len(case["resources"])
        row["LAST_SUCCESS_AT"] = row["COMPLETE_UP_TO"]
        for key in ("LAST_CHECKED_AT", "LAST_SUCCESS_AT", "LAST_CHANGE_AT", "NEXT_DUE_AT"):
            assert row[key] == expected[key], (case["resources"], key)
