"""Set-up as a checklist: only the first open step has controls; what is done can be changed."""

import streamlit as st

import actions
import compat
import errors
import formats
import forms
import grants
import picker
import texts
import view_settings
from navigation import OVERVIEW, go

PRIVILEGES, WAREHOUSE, ACCESS, SIGN_IN, DESTINATION, TEST, RESOURCES = (
    "privileges",
    "warehouse",
    "external_access",
    "sign_in",
    "destination",
    "test",
    "resources",
)

# About how many minutes each step takes.
MINUTES = {PRIVILEGES: 2, WAREHOUSE: 1, ACCESS: 2, SIGN_IN: 2, DESTINATION: 0.5, TEST: 0.5, RESOURCES: 2}

# The states in which a step has controls.
OPEN = ("now", "problem", "waiting", "working")

COUNTED = {1: "One step", 2: "Two steps", 3: "Three steps", 4: "Four steps", 5: "Five steps", 6: "Six steps", 7: "Seven steps"}


def titles(status):
    """The names of the steps."""
    return {
        PRIVILEGES: "Privileges",
        WAREHOUSE: "Warehouse",
        ACCESS: "External access",
        SIGN_IN: "Sign-in",
        DESTINATION: "Destination",
        TEST: "Test",
        RESOURCES: texts.first_capital(status.kinds),
    }


def reasons(status):
    """What each step is for, in one line."""
    source = status.source
    hosts = ", ".join(access_of(status).get("hosts") or []) or "the source's own host"
    return {
        PRIVILEGES: "Lets the app create its database, its compute pool and its task. Snowflake asks you; nothing else is granted.",
        WAREHOUSE: "Merges rows into your tables. X-Small is enough; it runs for seconds.",
        ACCESS: f"The only way out: {hosts}. Snowflake creates the integration.",
        SIGN_IN: f"A secret for {source}. The app cannot read it; only the container that calls {source} can.",
        DESTINATION: "The database that receives the tables. It belongs to the app, and you may read it.",
        TEST: "Starts the container once, signs in and counts what it may see. Takes about a minute.",
        RESOURCES: "Choose what to load and how often. The connector runs as soon as one is enabled.",
    }


def nexts(status):
    """What is next, for the headline."""
    return {
        PRIVILEGES: "grant the privileges",
        WAREHOUSE: "choose a warehouse",
        ACCESS: "allow access",
        SIGN_IN: f"sign in to {status.source}",
        DESTINATION: "name the destination",
        TEST: "test the connection",
        RESOURCES: "choose what to load",
    }


def access_of(status):
    """The reference of the external access integration."""
    return next((one for name, one in (status.references or {}).items() if name.endswith("external_access")), {})


def steps_of(status):
    """The steps, with what only the page knows: which privileges are granted, and which done step the user changes."""
    steps = [dict(step) for step in status.steps()]
    missing, seen_open = grants.missing_privileges() if grants.permissions else None, False
    for step in steps:
        if step["step"] == PRIVILEGES and missing is not None:
            # The app's status cannot know it: only the page may ask Snowflake.
            if missing:
                step.update(state="now", problem=f"{' and '.join(missing)}: not granted yet." if step["state"] == "done" else None)
            elif step["state"] != "done":
                step.update(state="done", problem=None)
        if (
            step["step"] == SIGN_IN
            and step["state"] == "optional"
            and not status.settings
            and not st.session_state.get("without_secret")
        ):
            # Signing in is possible but not needed: ask once, before anything is stored.
            step["state"] = "later" if seen_open else "now"
        if step["state"] in OPEN:
            if seen_open and step["state"] == "now":
                step["state"] = "later"
            seen_open = True
        elif step["state"] == "later" and not seen_open:
            step["state"], seen_open = "now", True
    return steps


def show(status):
    """Headline, progress, and the steps; beside them the cost and the same in SQL."""
    steps = steps_of(status)
    left, right = compat.columns()
    with left:
        head(status, steps)
        checklist(status, steps)
    with right:
        beside(status)


def head(status, steps):
    """What is next, and how much is left."""
    remaining = [step["step"] for step in steps if step["state"] not in ("done", "optional")]
    done = len(steps) - len(remaining)
    if not remaining:
        compat.heading("Set-up is complete.", 4)
        st.caption("What was given is below; each part can be changed.")
        return
    if done == 0:
        compat.heading(f"{COUNTED[len(steps)]} until data arrives", 4)
        st.markdown(
            "Have at hand: a role that may grant account privileges (such as ACCOUNTADMIN), the name of a warehouse, and an account at "
            f"{texts.escaped(status.source)} that sees the {texts.escaped(status.kinds)}."
        )
    elif remaining == [RESOURCES]:
        compat.heading("Last step: choose what to load", 4)
    else:
        compat.heading(f"Next: {texts.escaped(nexts(status)[remaining[0]])}", 4)
    st.caption("You can leave and come back: each step is kept. Nothing runs on schedule before the last one.")
    minutes = round(sum(MINUTES[step] for step in remaining) + 0.1)
    left = " left" if done else ""
    st.markdown(f"**{done} of {len(steps)} done** · about {formats.count(max(minutes, 1), 'minute')}{left}")
    st.progress(done / len(steps))


def checklist(status, steps):
    """The steps: those that are done, the open one, and those that come later."""
    changing = st.session_state.get("changing")
    groups = []
    for number, step in enumerate(steps, 1):
        kind = (
            "open"
            if step["state"] in OPEN or step["step"] == changing
            else "done" if step["state"] in ("done", "optional") else "later"
        )
        if groups and groups[-1][0] == kind != "open":
            groups[-1][1].append((number, step))
        else:
            groups.append((kind, [(number, step)]))
    for kind, members in groups:
        with compat.card():
            for number, step in members:
                {"open": open_step, "done": done_step, "later": later_step}[kind](status, number, step)


def done_step(status, number, step):
    """A step that is done, in one line, with Change."""
    left, right = compat.split([4, 1])
    value = value_of(status, step)
    with left:
        st.markdown(f"{view_settings.tick()} **{texts.escaped(titles(status)[step['step']])}** {value}")
    with right:
        compat.button("Change", f"change_{step['step']}", type="tertiary", on_click=change, args=(step["step"],))


def change(step):
    """Opens a step that is done."""
    st.session_state["changing"] = step


def value_of(status, step):
    """What a step that is done says."""
    value = step.get("value")
    if step["step"] == RESOURCES:
        value = formats.count(status.resources_count or value, status.kind, status.kinds)
    if step["step"] == TEST and value:
        value = "passed"
    if step["step"] == ACCESS and value and access_of(status).get("hosts"):
        value = f"{value} → {', '.join(access_of(status)['hosts'])}"
    if step["step"] == PRIVILEGES and value:
        value = f"compute pool {value}" if value.isupper() else value
    if step["state"] == "optional" and not value:
        value = "optional, not given"
    if not value:
        return ""
    text = str(value)
    # A name of an object is code.
    return (
        texts.code(text)
        if text.replace("_", "").replace("$", "").isalnum() and text.isupper()
        else f":gray[{texts.escaped(text)}]" if compat.HAS_ICONS else texts.escaped(text)
    )


def later_step(status, number, step):
    """A step that comes later: one grey line with a lock."""
    lock = compat.icon("lock")
    text = f"{lock} **{number} · {texts.escaped(titles(status)[step['step']])}** :small[{texts.escaped(reasons(status)[step['step']])}]"
    st.markdown(f":gray[{text}]" if compat.HAS_BADGES else f"{number} · {texts.escaped(titles(status)[step['step']])}")


def open_step(status, number, step):
    """The step to do now, with its controls."""
    name, title = step["step"], texts.escaped(titles(status)[step["step"]])
    # What was given once and is gone has to be given again.
    is_problem = step["state"] == "problem" or step.get("problem") or (step["state"] in OPEN and status.is_set_up())
    if compat.HAS_BADGES:
        sign = view_settings.cross() if is_problem else f":blue[{compat.icon('arrow_circle_right')}]"
        mark = "" if step["state"] == "done" else " :red-badge[Needs you again]" if is_problem else " :blue-badge[Do this now]"
        st.markdown(f"{sign} **{number} · {title}**{mark}")
    else:
        st.markdown(f"**{number} · {title}** {'' if step['state'] == 'done' else '(do this now)'}")
    if step.get("problem"):
        known = errors.known(step["problem"])
        st.markdown(errors.filled(status, f"{known.title} {known.help}") if known else texts.sentence(step["problem"]))
    st.markdown(texts.escaped(reasons(status)[name]))
    CONTROLS[name](status, step)
    if step["state"] == "done":
        compat.button("Keep it as it is", f"keep_{name}", type="tertiary", on_click=change, args=(None,))


def privileges(status, step):
    """The dialog for privileges."""
    places = compat.row(2)
    with places[0]:
        grants.ask_for_privileges(status, "grant_privileges", "Grant privileges", type="primary")
    with places[1]:
        if grants.has_dialogs():
            compat.element("caption", "Snowflake opens a dialog. Come back here when it is done.", width="content")
    actions.answer(status, "grant_privileges")
    grants.waiting("grant_privileges")


def dialog_of(status, ending, label, icon, note):
    """The dialog of a reference."""
    name = next((one for one in status.references or {} if one.endswith(ending)), None)
    if name is None:
        return
    slot = f"bind_{name}"
    places = compat.row(2)
    with places[0]:
        grants.bind(status, name, slot, label, icon, type="primary")
    with places[1]:
        if grants.has_dialogs():
            compat.element("caption", note, width="content")
    actions.answer(status, slot)
    grants.waiting(slot)


def warehouse(status, step):
    """The dialog for the warehouse."""
    dialog_of(status, "warehouse_reference", "Choose a warehouse", "warehouse", "Snowflake lists those that you may use.")


def external_access(status, step):
    """The dialog for the integration; before it, the settings that name the host."""
    missing = access_of(status).get("missing_settings") or []
    if missing:
        st.markdown(f"Save this first: the host depends on {grants.setting_labels(status, missing)}.")
        store(status, forms.required(status), "Save", "save_host")
        return
    dialog_of(status, "external_access", "Allow access", "public", "Snowflake creates the integration, or lists those that exist.")


def sign_in(status, step):
    """How to sign in, and the dialog for the secret."""
    ways = ways_of(status)
    picked = ways[0]
    if len(ways) > 1:
        labels = [way["title"] for way in ways]
        picked = ways[
            labels.index(compat.choice(f"How does the app sign in to {texts.escaped(status.source)}?", labels, "sign_in_way"))
        ]
    if picked["help"]:
        st.markdown(texts.escaped(picked["help"]))
    if not picked["secrets"]:
        compat.button("Go on without", "go_without_secret", type="primary", on_click=go_without)
        return
    unbound = [name for name in picked["secrets"] if not status.references.get(name, {}).get("bound")]
    for name in picked["secrets"]:
        slot, title = f"bind_{name}", texts.label(name)
        is_first = name == (unbound or picked["secrets"])[0]
        verb = "Change" if name not in unbound else "Give"
        grants.bind(
            status,
            name,
            slot,
            f"{verb} the {texts.escaped(title[:1].lower() + title[1:])}",
            "key",
            **({"type": "primary"} if is_first else {}),
        )
        actions.answer(status, slot)
        grants.waiting(slot)
    if grants.has_dialogs():
        st.caption("Or use a secret that exists: the same dialog lists them.")


def go_without():
    """Goes on without signing in."""
    st.session_state["without_secret"] = True


def ways_of(status):
    """The ways to sign in: those that the settings schema names, or else one for each secret, and none if none is required."""
    schema = status.settings_schema or {}
    declared = schema.get("properties", {})
    secrets = grants.secrets(status)
    said = schema.get("x-alternatives")
    if isinstance(said, list) and all(isinstance(one, dict) for one in said):
        ways = [
            {
                "title": one.get("title", "Secret"),
                "help": one.get("description", ""),
                "secrets": [name for name in one.get("secrets", []) if name in secrets],
            }
            for one in said
        ]
        return ways or [{"title": "Secret", "help": "", "secrets": secrets}]
    needed = [name for name in secrets if name in schema.get("required", [])]
    if needed:
        return [{"title": "Secret", "help": " ".join(help_of(declared, name) for name in needed), "secrets": needed}]
    # The likeliest first: a token.
    ordered = sorted(secrets, key=lambda name: "token" not in name)
    ways = [{"title": texts.label(name), "help": help_of(declared, name), "secrets": [name]} for name in ordered]
    without = {"title": "Without (public only)", "help": "Only public data is read, with the lowest limits.", "secrets": []}
    return [*ways, without]


def help_of(declared, name):
    """What a setting is."""
    text = " ".join(str(declared.get(name, {}).get("description", "")).replace("`", "").split())
    # The program takes a reference to a secret; here it is the secret itself.
    return texts.first_capital(text.removeprefix("A reference to "))


def destination(status, step):
    """The destination and the settings that are required."""
    store(status, forms.required(status), "Save", "save_destination")


def store(status, names, label, slot):
    """The destination's name and these settings, with the button that stores them."""
    database = st.text_input(
        "Destination database",
        value=view_settings.quoted_if_needed(status.settings.get("destination_database", "")),
        help="The app creates it if it does not exist. If empty: a database named after the app.",
        placeholder="named after the app",
        key="destination_database",
    ).strip()
    form = forms.Form(status)
    for name in names:
        form.show(name)
    if compat.button(label, slot, icon="save", type="primary"):
        problems = form.finish()
        if problems:
            actions.problem(slot, " · ".join(map(texts.escaped, problems)))
        else:
            given = {"settings": {**status.settings.get("settings", {}), **form.given()}}
            provision(status, {**given, **({"destination_database": database} if database else {})}, slot)
    actions.answer(status, slot)


def provision(status, given, slot):
    """Stores a part of the configuration."""
    procedure = "UPDATE_SETTINGS" if status.settings else "PROVISION_CONNECTOR"
    actions.run(slot, procedure, given, doing="Creating the destination…")


def test(status, step):
    """The connector's own check, in its container."""
    if compat.button("Test now", "test_now", icon="speed", type="primary"):
        actions.run("test_now", "TEST_CONNECTION", doing="Container, network, sign-in, read: the first start takes a few minutes…")
    actions.answer(status, "test_now")


def resources(status, step):
    """What to load."""
    picker.show(status, "setup")
    if step["state"] == "done":
        compat.button("To the overview", "to_overview", type="tertiary", on_click=go, args=(OVERVIEW,))


CONTROLS = {
    PRIVILEGES: privileges,
    WAREHOUSE: warehouse,
    ACCESS: external_access,
    SIGN_IN: sign_in,
    DESTINATION: destination,
    TEST: test,
    RESOURCES: resources,
}


def beside(status):
    """What it costs, and the same in SQL."""
    with compat.card():
        st.markdown(
            "**What it will cost**  \nAn X-Small warehouse for seconds while rows are merged, and a compute pool for the minutes of a run. "
            "Both stop by themselves. A run without changes merges nothing."
        )
    with compat.card():
        st.markdown("**Prefer SQL?**")
        application = grants.application(status)
        schedule = (status.settings.get("schedule") or status.default_schedule or "30m").replace("'", "")
        st.code(f"CALL {application}.PUBLIC\n  .PROVISION_CONNECTOR(\n    {{'schedule': '{schedule}'}}::VARIANT);", language="sql")
