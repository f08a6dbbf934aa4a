"""Accounts in the states that the page has to show. Rows are those that the engine, the procedures and the consumer would have left; the
app's own views compute health from them."""

import datetime
import functools
import json
import random
import re
import threading

import conftest
import engine
from account import refused
from consumer import Consumer
from names import quoted
from spec import SPEC

FIVE = ["issues", "issue_comments", "labels", "milestones", "releases"]
DENIED = {
    "kind": "authentication",
    "message": 'GitHub answered 403 to GET https://api.github.com/repos/acme/billing/releases: {"message": "Resource not accessible"}',
    "help": "Give the token the permission “Contents: read” at GitHub, then run again",
}
UNKNOWN = {
    "kind": "not_found",
    "message": "GitHub answered 404 to GET https://api.github.com/repos/acme/old-name",
    "help": "If it was renamed, enable the new name and disable this one; if it is private, give the token access to it",
}


def now():
    """The current time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def kind_of(values):
    """The type of a column in SQL."""
    return "NUMBER(38, 0)" if all(isinstance(value, int) for value in values) else "VARCHAR"


class State:
    """An account in one state, with its own session."""

    def __init__(self, name, app=None):
        self.app = app or conftest.App(conftest.connect(), f"PAGE_{name}_{conftest.os.getpid()}".upper())
        self.consumer = Consumer(self.app)
        self.held = self.consumer.held
        self.random = random.Random(7)
        self.runs, self.states, self.jobs, self.rows = [], {}, [], []

    def grant(self):
        """Grants every privilege, as the consumer does first."""
        self.consumer.grant(["CREATE DATABASE", "CREATE COMPUTE POOL", "EXECUTE TASK", "EXECUTE MANAGED TASK"])
        return self

    def set_up(self):
        """Everything but the resources: references, destination, test."""
        self.grant()
        self.app.bind()
        self.app.ok("provision_connector", {})
        self.app.account.job = engine.ingesting(self.app.real, rows=12)
        self.app.ok("test_connection")
        return self

    def enable(self, resources, streams=FIVE, **row):
        """Enables resources without starting them."""
        table = f'"{self.app.data}"."STATE"."RESOURCE_CONFIGURATION"'
        stored = {"enabled": True, **({} if streams is None else {"streams": streams}), **row}
        self.insert(table, [{"KEY": name, "DOCUMENT": json.dumps(stored)} for name in resources], of_json="VALUE")
        self.app.ok("provision_connector", {})

    def insert(self, table, rows, of_json=None):
        """Inserts rows given by column, in one statement with one value; the column `of_json` is the parsed document."""
        names = list(rows[0])
        kinds = {name: kind_of(row[name] for row in rows) for name in names}
        # Without a type the document would be read as what it holds.
        found = [f"GET(f.\"VALUE\", '{name}')::{kinds[name]}" for name in names]
        columns = ", ".join(map(quoted, [*names, *([of_json] if of_json else [])]))
        parsed = [f"PARSE_JSON(GET(f.\"VALUE\", 'DOCUMENT')::VARCHAR)"] if of_json else []
        text = f"INSERT INTO {table} ({columns}) SELECT {', '.join(found + parsed)} FROM TABLE(FLATTEN(input => PARSE_JSON(?))) f"
        self.app.real.sql(text, params=[json.dumps(rows)]).collect()

    def run(self, resource, minutes, stream="issues", status="complete", changed=0, error=None, **details):
        """Records a run that began some minutes ago."""
        started = now() - datetime.timedelta(minutes=minutes)
        total = details.pop("total_ms", self.random.randint(2000, 9000))
        marks = details.pop("marks", {})
        record = engine.record(resource, status, changed, error, stream=stream, started=started, total_ms=total, **details)
        record["counts"]["updated"] = self.random.randint(0, 20) if changed else 0
        record.update(marks)
        self.runs.append(record)
        self.states[resource, stream] = (record, status, error)
        return record

    def job(self, resources, minutes, runs=(), code="OK"):
        """Records a container that began some minutes ago and has ended."""
        started = now() - datetime.timedelta(minutes=minutes)
        name = f"JOBS.RUN_{self.random.getrandbits(128):032X}"
        ended = (started + datetime.timedelta(seconds=20)).isoformat()
        job = {"resources": list(resources), "mode": "incremental", "started_at": started.isoformat(), "after": "", "ended_at": ended}
        job |= {"status": "DONE", "runs": [run["id"] for run in runs], "failed": [], "failed_streams": {}, "code": code, "message": ""}
        self.jobs.append({"KEY": name, "DOCUMENT": json.dumps(job)})

    def stored(self):
        """Writes what was recorded."""
        data = f'"{self.app.data}"."STATE"'
        if self.runs:
            self.insert(f'{data}."SNOWFEED_RUN"', [run_row(record) for record in self.runs])
        states = []
        for (resource, stream), (record, status, error) in self.states.items():
            state = {"status": status, "run": record["id"], **({"message": error["message"]} if error else {})}
            states.append({"KEY": resource, "STREAM": stream, "VERSION": 9, "AT": record["started_at"], "DOCUMENT": json.dumps(state)})
        if states:
            self.insert(f'{data}."APP_STATE"', states, of_json="VALUE")
        own = f'"{self.app.name}"."STATE"'
        if self.jobs:
            self.insert(f'{own}."INGESTION_JOB"', self.jobs, of_json="VALUE")
        if self.rows:
            self.insert(f'{own}."ROW_COUNT"', self.rows)
        return self

    def day(self, resource, streams=FIVE, hours=24, until=0.2, every=30, failing=(), since=0, error=DENIED, joint=True):
        """A day of runs: some change rows, and those of the `failing` streams have failed for `since` hours."""
        minutes = hours * 60
        self.rows += [{"RESOURCE": resource, "STREAM": stream, "ROWS": self.random.randint(20, 9000)} for stream in streams]
        while minutes > until * 60:
            runs = []
            for stream in streams:
                is_bad = stream in failing and minutes < since * 60
                if is_bad:
                    tries = int((since * 60 - minutes) // every) + 1
                    began = (now() - datetime.timedelta(hours=since)).isoformat()
                    ok = (now() - datetime.timedelta(hours=since, minutes=every)).isoformat()
                    marks = {"last_success_at": ok, "failing": {"since": began, "tries": tries}}
                    runs.append(self.run(resource, minutes, stream, "failed", error=error, marks=marks))
                elif self.random.random() < 0.3 or minutes <= until * 60 + every:
                    waited = self.random.choice([0, 0, 0, 0, 38000])
                    total = waited + self.random.randint(2000, 9000)
                    runs.append(self.run(resource, minutes, stream, changed=self.random.randint(1, 30), waited_ms=waited, total_ms=total))
            if joint:
                self.job([resource], minutes, runs, "INGESTION_FAILED" if failing and minutes < since * 60 else "OK")
            minutes -= every


def run_row(run):
    """The row of a run, as the engine writes it."""
    counts = {name.upper(): count for name, count in run["counts"].items() if name != "skipped_by_reason"}
    return {
        "ID": run["id"],
        "RECORDED_AT": run["started_at"][:19].replace("T", " "),
        "RESOURCE": run["resource"],
        "STREAM": run["stream"],
        "MODE": run["mode"],
        "STATUS": run["status"],
        "STARTED_AT": run["started_at"][:19].replace("T", " "),
        "ENDED_AT": run["ended_at"] and run["ended_at"][:19].replace("T", " "),
        **counts,
        "COMMITS": run["commits"],
        "REQUESTS": run["traffic"]["requests"],
        "BYTES": run["traffic"]["bytes"],
        "WAITED_MS": run["traffic"]["waited_ms"],
        "TOTAL_MS": run["timings"]["total_ms"],
        "ERROR": (run["error"] or {}).get("message"),
        "DOCUMENT": json.dumps(run),
    }


def fresh(state):
    """Installed; nothing is granted."""


def half(state):
    """Privileges, warehouse and external access are granted."""
    state.grant()
    state.app.bind("github_external_access", "warehouse_reference")


def last(state):
    """Everything but the choice of resources."""
    state.set_up()


def never_run(state):
    """Two resources are enabled; no run has begun."""
    state.set_up().enable(["acme/api", "acme/web"])


def running(state):
    """The first run of a resource is under way."""
    state.set_up()
    state.app.ok("enable_resource", "acme/api", FIVE)


def healthy(state):
    """Four resources, all read a few minutes ago, of which one has rows."""
    names = ["acme/api", "acme/docs", "acme/infra", "acme/web"]
    state.set_up().enable(names)
    for name in names:
        state.day(name)
    for stream in FIVE:
        engine.fill(state.app.real, state.app.data, "acme/api", 14, stream)
    state.stored()


def late(state):
    """Two resources, of which one was last read two days ago."""
    state.set_up().enable(["acme/api", "acme/web"])
    state.day("acme/api")
    state.day("acme/web", hours=72, until=47, every=120)
    state.stored()


def failing(state):
    """Fourteen resources; three fail, for two causes. The others have every other state."""
    good = ["acme/api", "acme/data", "acme/design", "acme/docs", "acme/infra", "acme/website"]
    bad, more = ["acme/billing", "acme/ledger", "acme/old-name"], ["acme/search", "acme/mobile", "acme/web", "acme/brand-new"]
    state.set_up().enable([*good, *bad, *more])
    state.enable(["acme/archive"], enabled=False)
    for name in good:
        state.day(name)
    for name in bad[:2]:
        state.day(name, failing=["releases"], since=5)
    state.day("acme/old-name", failing=FIVE, since=26, error=UNKNOWN)
    state.day("acme/search")
    state.run("acme/search", 9, status="interrupted")
    state.day("acme/mobile", hours=72, until=47, every=120)
    state.day("acme/web")
    lease = (now() + datetime.timedelta(minutes=10)).isoformat()
    state.run("acme/web", 4, status="running", marks={"lease_until": lease})
    state.day("acme/archive", hours=24 * 13, until=24 * 12, every=120, joint=False)
    state.stored()


def dead(state):
    """Its warehouse was dropped three days ago; Snowflake suspended the task after ten failed starts."""
    state.set_up().enable(["acme/api", "acme/web"])
    state.day("acme/api", hours=90, until=0.2, every=120)
    state.day("acme/web", hours=90, until=0.2, every=120)
    state.stored()
    app = state.app
    app.account.bound.pop("warehouse_reference")
    for task in app.account.tasks.values():
        # As Snowflake does by default, and so with the tasks of earlier versions.
        task["most_failures"] = 10
    for _ in range(10):
        for name in [name for name, task in app.account.tasks.items() if task["state"] == "started"]:
            app.account.run_task(app.session, name)
    age(app, 73)


def paused(state):
    """Paused by its user."""
    healthy(state)
    state.app.ok("pause_connector")


def interrupted(state):
    """The last run of a resource was cut off."""
    state.set_up().enable(["acme/api", "acme/web"])
    state.day("acme/api")
    state.day("acme/web")
    state.run("acme/web", 5, status="interrupted")
    state.stored()


def gone(state):
    """Its destination was dropped."""
    healthy(state)
    missing = refused(f"Database '{state.app.data}' does not exist or not authorized.", 2003)
    state.app.account.fail(rf'(?s).*"{state.app.data}"', missing, times=10_000)


def thousand(state):
    """A thousand resources of one stream, of which three fail."""
    names = [f"acme/service-{number:03}" for number in range(997)]
    bad = ["acme/billing", "acme/ledger", "acme/old-name"]
    state.set_up().enable([*names, *bad], streams=None)
    for name in names:
        state.run(name, 12, changed=state.random.randint(1, 30))
    for name in bad:
        state.day(name, streams=["issues"], failing=["issues"], since=5, error=UNKNOWN if name == "acme/old-name" else DENIED)
    for name in names[:14]:
        state.day(name, streams=["issues"], hours=12)
    state.job(names, 12)
    state.stored()


def one(state):
    """One resource with one stream."""
    state.set_up().enable(["acme/api"], streams=None)
    state.day("acme/api", streams=["issues"])
    engine.fill(state.app.real, state.app.data, "acme/api", 14)
    state.stored()


def ten(state):
    """One resource with ten streams."""
    streams = [stream["name"] for stream in SPEC["streams"]]
    state.set_up().enable(["acme/api"], streams=streams)
    state.day("acme/api", streams=streams)
    state.stored()


STATES = {one.__name__: one for one in (fresh, half, last, never_run, running, healthy, late, failing, dead)}
STATES |= {one.__name__: one for one in (paused, interrupted, gone, thousand, one, ten)}

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")


def older(text, hours):
    """A text with every time earlier by some hours."""
    step = datetime.timedelta(hours=hours)
    return ISO.sub(lambda found: (datetime.datetime.fromisoformat(found[0].replace("Z", "+00:00")) - step).isoformat(), text)


def age(app, hours):
    """Makes everything that has happened in an account some hours older."""
    for run in app.account.task_runs:
        run["AT"] -= datetime.timedelta(hours=hours)
    for task in app.account.tasks.values():
        if task.get("suspended"):
            task["suspended"] -= datetime.timedelta(hours=hours)
    runs = f'"{app.data}"."STATE"."SNOWFEED_RUN"'
    app.rows(
        f'UPDATE {runs} SET "STARTED_AT" = DATEADD(HOUR, {-hours}, "STARTED_AT"), "ENDED_AT" = DATEADD(HOUR, {-hours}, "ENDED_AT")'
    )
    for table, key in ((runs, "ID"), (f'"{app.name}"."STATE"."APP_CONFIGURATION"', "KEY"), (f'"{app.name}"."STATE"."INGESTION_JOB"', "KEY")):
        parsed = "" if key == "ID" else ', "VALUE" = PARSE_JSON(?)'
        for row in app.rows(f'SELECT "{key}" AS "KEY", "DOCUMENT" FROM {table}'):
            text = older(row["DOCUMENT"], hours)
            if text != row["DOCUMENT"] and row["KEY"] != "health":
                app.rows(f'UPDATE {table} SET "DOCUMENT" = ?{parsed} WHERE "{key}" = ?', text, *([text] if parsed else []), row["KEY"])


making = threading.Lock()


@functools.cache
def make(name):
    """Makes an account in this state."""
    made = State(name)
    STATES[name](made)
    return made


def state(name):
    """The account in this state, made when it is first asked for: two tabs may ask at the same time."""
    with making:
        return make(name)
