"""The tabs that preview rows, as columns and as raw documents."""

import streamlit as st

import data
import texts


def choose(status, key):
    """Lets the user choose a table and a number of rows; None if there is no table yet."""
    tables = {}
    for resource in status["resources"]:
        for table in resource["tables"]:
            tables[texts.name(status, resource["name"], table["stream"])] = table
    if not tables:
        st.info("Nothing has been ingested yet.")
        return None, 0
    left, right = st.columns([3, 1])
    name = left.selectbox(status["resource_kind"].capitalize(), list(tables), key=f"{key}_of")
    limit = right.number_input("Rows", min_value=1, max_value=1000, value=20, key=f"{key}_limit")
    return tables[name], int(limit)


def show(status):
    """Shows rows with a column for each field."""
    table, limit = choose(status, "preview")
    if table:
        rows, found = data.preview(table["view"], limit)
        if len(rows):
            st.dataframe(rows, use_container_width=True)
        else:
            st.info("There are no rows.")
        omitted(len(rows), found)
        st.caption(f"SELECT \\* FROM {texts.escaped(table['view'])}")


def show_raw(status):
    """Shows documents as the source sent them."""
    table, limit = choose(status, "raw")
    if table:
        rows, found = data.raw(table["raw"], limit)
        if not rows:
            st.info("There are no rows.")
        omitted(len(rows), found)
        for index, (key, length, document) in enumerate(rows):
            with st.expander(texts.escaped(key), expanded=index == 0):
                if not isinstance(document, str):
                    st.info(f"This document is too large to show: {int(length)} characters. Select it in a worksheet.")
                else:
                    st.json(document)


def omitted(shown, found):
    """Reports rows that are left out."""
    if shown < found:
        st.info(f"Only the first {int(shown)} of {int(found)} rows are shown: the others are too large for the page.")
