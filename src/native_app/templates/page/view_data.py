"""The data of one stream of one resource: the SQL that reads it, its newest rows, and the grants for readers."""

import json
import re

import pandas
import streamlit as st

import actions
import compat
import data
import formats
import grants
import queries
import resource_table
import run_table
import texts
import view_overview
import words

# Streamlit limits a message to the browser to 32 MB. Previews stop far below that.
MAX_BYTES = 8_000_000
# Longer texts are cut by the statement, in cells and in documents.
MAX_CELL = 2_000
MAX_DOCUMENT = 1_000_000
ROWS = (12, 50, 200)

# The columns by which the newest rows are found, the best first.
NEWEST_BY = ("UPDATED_AT", "CHANGED_AT", "MODIFIED_AT", "CREATED_AT")


def show(status):
    """Resource and stream, then the SQL, then the rows."""
    if not status.is_set_up():
        view_overview.before_set_up(status)
        return
    first, second = compat.row(2, bottom=True)
    with first:
        name, streams = choose_resource(status)
    if name is None:
        return
    with second:
        stream = choose_stream(status, name, streams)
    if stream is None or not stream["VIEW_NAME"]:
        not_yet(status, name, stream)
        return
    columns = columns_of(stream) or columns_in_catalog(stream["VIEW_NAME"])
    as_documents = head(status, stream, columns)
    if status.controls:
        if not stream["ROWS_TOTAL"]:
            st.markdown(
                f"The source has no records for this stream. Last checked {texts.escaped(status.clock.ago(stream['LAST_CHECKED_AT']))}."
            )
        elif as_documents:
            documents(status, stream)
        else:
            rows(status, stream, columns)
        readers(status)


def choose_resource(status):
    """The resource and its streams; None if there is none."""
    search = ""
    if status.resources_count > queries.CHOICES:
        search = st.text_input(f"Search {texts.escaped(status.kinds)}", key="data_search").strip()
    asked = st.session_state.get("resource")
    found = queries.tables(asked, search)
    names = sorted({row["RESOURCE"] for row in found} | ({asked} if asked else set()))
    if not names:
        st.markdown(f"No {texts.escaped(status.kind)} matches." if search else f"No {texts.escaped(status.kind)} is loaded yet.")
        return None, []
    streams = [row for row in found if row["STREAM"] is not None]
    current = asked if asked in names else (streams[0]["RESOURCE"] if streams else names[0])
    if len(names) > 1:
        st.session_state["data_of"] = current
        compat.element(
            "selectbox", texts.escaped(texts.first_capital(status.kind)), names, key="data_of", on_change=chosen, width=300
        )
    return current, streams


def chosen():
    """Opens the data of the resource that the user chose."""
    st.session_state["resource"] = st.session_state["data_of"]


def choose_stream(status, name, streams):
    """The stream whose table is shown; None if the resource has none."""
    named = [row["STREAM"] for row in streams]
    if not named:
        return None
    order = [one for one in status.streams or named if one in named] + [
        one for one in named if one not in (status.streams or named)
    ]
    if len(order) == 1:
        picked = order[0]
    elif len(order) <= 6:
        picked = compat.choice("Stream", order, "data_stream", default=order[0])
    else:
        compat.kept("data_stream", order, order[0])
        picked = compat.element("selectbox", "Stream", order, key="data_stream", width=300)
    return next(row for row in streams if row["STREAM"] == picked)


def not_yet(status, name, stream):
    """What is shown before the first run has made the table."""
    due = stream and stream["NEXT_DUE_AT"]
    when = f", {texts.escaped(status.clock.due(due))}" if due is not None and stream else ""
    st.markdown(f"The table appears with the first run{when}.")
    if status.controls and not status.runs_outside() and status.status == "STARTED":
        if compat.button("Run now", "data_run", icon="play_arrow", type="primary"):
            actions.run("data", "INGEST_DATA", name, doing="Starting a container…", follows=name)
        actions.answer(status, "data")


# What the page calls the types of columns, by those that the engine records.
KINDS = {"integer": "WHOLE", "decimal": "NUMBER", "float": "FLOAT", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP", "date": "DATE"}
KINDS |= {"text": "TEXT", "any": "TEXT", "json": "VARIANT"}


def columns_of(stream):
    """The names and types of the columns of a stream's view, as the engine has recorded them, without that of the raw document; empty
    if they cannot be read."""
    found = data.parsed(stream["COLUMNS"])
    if not isinstance(found, list) or not all(isinstance(one, dict) and one.get("kind") in KINDS and one.get("name") for one in found):
        return {}
    kinds = {one["name"].upper(): "ARRAY" if "[]" in str(one.get("path")) else KINDS[one["kind"]] for one in found}
    return {**({"PARENT_KEY": "TEXT"} if stream["PARENT"] else {}), **kinds, "DELETED_AT": "TIMESTAMP"}


def columns_in_catalog(view):
    """The same as the catalog has them. A view to which a policy is attached keeps its columns until the policy is detached."""
    database, schema, name = (part.replace('""', '"') for part in re.findall(r'"((?:[^"]|"")+)"', view))
    rows = data.select(
        f'SELECT "COLUMN_NAME", "DATA_TYPE", "NUMERIC_SCALE" FROM {data.quoted(database)}."INFORMATION_SCHEMA"."COLUMNS" '
        'WHERE "TABLE_SCHEMA" = ? AND "TABLE_NAME" = ? ORDER BY "ORDINAL_POSITION"',
        schema,
        name,
    )
    kinds = {row["COLUMN_NAME"]: str(row["DATA_TYPE"]).upper() for row in rows if row["COLUMN_NAME"] != "RAW"}
    whole = {row["COLUMN_NAME"] for row in rows if row["NUMERIC_SCALE"] == 0}
    return {name: "WHOLE" if name in whole and kind == "NUMBER" else kind for name, kind in kinds.items()}


def newest_by(columns):
    """The column by which the newest rows are found; None if there is none."""
    return next((name for name in NEWEST_BY if name in columns), None)


def statement(view, columns):
    """The SQL that a user would write."""
    lines = [f"SELECT * FROM {readable(view)}"]
    if "DELETED_AT" in columns:
        lines.append("WHERE DELETED_AT IS NULL")
    if newest_by(columns):
        lines.append(f"ORDER BY {newest_by(columns)} DESC")
    return "\n".join(lines) + ";"


def head(status, stream, columns):
    """Health, rows and newest change of the stream, and its SQL. Returns whether documents are wanted."""
    clock, as_documents = status.clock, False
    with compat.card():
        left, right = compat.split([5, 3])
        with left:
            deleted = int(stream["ROWS_DELETED"] or 0)
            parts = [f"**{texts.escaped(formats.count(stream['ROWS_TOTAL'], 'row'))}**"]
            if stream["LAST_CHANGE_AT"] is not None:
                parts.append(f"newest change {texts.escaped(clock.ago(stream['LAST_CHANGE_AT']))}")
            if deleted:
                parts.append(f"{deleted:,} marked deleted")
            if stream["REJECTED"]:
                parts.append(f"{int(stream['REJECTED']):,} left out")
            st.markdown(f"{words.health(stream['HEALTH']).as_badge()} {' · '.join(parts)}")
        if status.controls:
            with right:
                labels = {
                    "Columns": f"{compat.icon('table')} Columns".strip(),
                    "Documents": f"{compat.icon('data_object')} Documents".strip(),
                }
                as_documents = compat.choice("Show as", list(labels), "data_as", labels=labels, hidden=True) == "Documents"
        st.code(
            documents_statement(stream["RAW_NAME"]) if as_documents else statement(stream["VIEW_NAME"], columns), language="sql"
        )
    return as_documents


def readable(name):
    """A qualified name without the quotes that it does not need."""
    return re.sub(r'"([A-Z_][A-Z0-9_]*)"', r"\1", name)


def documents_statement(raw):
    """The SQL that reads documents."""
    return f"SELECT KEY, RAW FROM {readable(raw)}\nWHERE DELETED_AT IS NULL\nORDER BY CHANGED_AT DESC;"


def how_many(key):
    """How many rows are wanted."""
    return compat.element(
        "selectbox", "Rows", list(ROWS), key=key, format_func=lambda count: f"{count} rows", label_visibility="collapsed", width=130
    )


def cut(name, kind):
    """A column of a preview: a text is cut by the statement."""
    column = data.quoted(name)
    if kind.startswith(("VARCHAR", "TEXT", "STRING")):
        return f"LEFT({column}, {MAX_CELL}) AS {column}"
    if kind.startswith(("VARIANT", "ARRAY", "OBJECT")):
        return f"LEFT(TO_JSON({column}), {MAX_CELL}) AS {column}"
    return column


def rows(status, stream, columns):
    """The newest rows, with a column for each field."""
    left, right = compat.split([5, 2])
    with right:
        limit = how_many("data_rows")
    try:
        shown, found = newest_rows(stream["VIEW_NAME"], columns, limit)
    except data.Unreadable:
        columns = columns_in_catalog(stream["VIEW_NAME"])
        shown, found = newest_rows(stream["VIEW_NAME"], columns, limit)
    sizes = [len(json.dumps(list(row.values()), default=str)) for row in found]
    fits = rows_that_fit(sizes)
    with left:
        total = sum(sizes[:fits])
        changed = ", those changed last" if newest_by(columns) else ""
        text = f"{fits:,} of {formats.count(stream['ROWS_TOTAL'], 'row')}{changed} · {formats.megabytes(total)}."
        st.caption(texts.escaped(f"{text} Texts longer than {MAX_CELL:,} characters are cut here, not in the table."))
    omitted(fits, len(found))
    frame = pandas.DataFrame(found[:fits], columns=list(shown))
    for name, kind in shown.items():
        if kind.startswith("ARRAY") and hasattr(st, "column_config"):
            frame[name] = frame[name].map(of_array)
        elif kind.startswith(("WHOLE", "NUMBER", "FLOAT", "BOOLEAN", "TIMESTAMP", "DATE")):
            continue
        else:
            frame[name] = frame[name].map(lambda value: None if value is None else texts.plain(value))
    configured = {name: column(name, kind) for name, kind in shown.items()}
    made = frame if "placeholder" in compat.parameters("dataframe") else compat.written(frame, {})
    compat.table(made, configured, key="data_table", height=resource_table.height(min(len(frame), run_table.VISIBLE)))


def newest_rows(view, columns, limit):
    """The columns that are shown, with their types, and the newest rows."""
    order = f"ORDER BY {data.quoted(newest_by(columns))} DESC NULLS LAST " if newest_by(columns) else ""
    where = 'WHERE "DELETED_AT" IS NULL ' if "DELETED_AT" in columns else ""
    shown = {name: kind for name, kind in columns.items() if name != "DELETED_AT"}
    listed = ", ".join(cut(name, kind) for name, kind in shown.items())
    return shown, data.select(f"SELECT {listed} FROM {view} {where}{order}LIMIT {int(limit)}")


def column(name, kind):
    """How a column of data is shown."""
    if kind.startswith("ARRAY"):
        return compat.column("ListColumn", name)
    if kind.startswith("TIMESTAMP"):
        return compat.column("DatetimeColumn", name, format="YYYY-MM-DD HH:mm")
    # An identifier or a number of an issue reads badly with separators.
    return compat.column("NumberColumn", name, format="%d") if kind == "WHOLE" else None


def of_array(value):
    """The items of an array as texts; None if it is empty or was cut."""
    found = data.parsed(value)
    return [texts.plain(one) for one in found] if isinstance(found, list) and found else None


def rows_that_fit(sizes):
    """How many of the first rows fit into a preview, given their sizes: at least one."""
    total = 0
    for count, one in enumerate(sizes):
        total += one
        if total > MAX_BYTES:
            return max(count, 1)
    return len(sizes)


def omitted(shown, found):
    """Says how many rows are left out."""
    if shown < found:
        st.markdown(f"This preview is too large. {formats.count(shown, 'row is', 'rows are')} shown. Use the SQL for more.")


def documents(status, stream):
    """The newest documents as the source sent them."""
    left, right = compat.split([5, 2])
    with right:
        limit = how_many("data_documents")
    # An empty text stands for that of the VARIANT.
    text = """CASE WHEN "DOCUMENT" = '' THEN COALESCE(TO_JSON("RAW"), '') ELSE "DOCUMENT" END"""
    found = data.select(
        f'SELECT "KEY", LENGTH("TEXT") AS "LENGTH", '
        f'CASE WHEN LENGTH("TEXT") <= {MAX_DOCUMENT} THEN "TEXT" END AS "DOCUMENT" '
        f'FROM (SELECT "KEY", {text} AS "TEXT" FROM {stream["RAW_NAME"]} '
        f'WHERE "DOCUMENT" IS NOT NULL ORDER BY "CHANGED_AT" DESC LIMIT {int(limit)}) t'
    )
    fits = rows_that_fit([len(row["DOCUMENT"] or "") for row in found])
    with left:
        st.caption(texts.escaped(f"{fits:,} of {formats.count(stream['ROWS_TOTAL'], 'document')}, those changed last."))
    omitted(fits, len(found))
    for index, row in enumerate(found[:fits]):
        with st.expander(texts.escaped(row["KEY"]), expanded=index == 0):
            if not isinstance(row["DOCUMENT"], str):
                st.markdown(f"This document is too large to show: {int(row['LENGTH']):,} characters. Select it in a worksheet.")
            else:
                st.json(row["DOCUMENT"])


def readers(status):
    """How to let a colleague read the data."""
    with compat.fold("Grant a colleague the right to read", icon="group_add"):
        application = grants.application(status)
        st.code(f"GRANT APPLICATION ROLE {application}.APP_DATA_READER TO ROLE ANALYST;", language="sql")
        st.caption(
            "It reads every view and every raw table of the destination, also those of later runs. APP_VIEWER sees this page without data."
        )
