"""The Streamlit features that older versions lack, each with its fallback. Snowflake's runtimes begin at version 1.22."""

import functools
import inspect

import streamlit as st


@functools.lru_cache(maxsize=None)
def parameters(name):
    """The parameters of a Streamlit function; none if this version lacks the function."""
    function = getattr(st, name, None)
    return frozenset(inspect.signature(function).parameters) if function else frozenset()


def element(name, *arguments, **options):
    """Shows an element with those options that this version takes."""
    known = parameters(name)
    return getattr(st, name)(*arguments, **{key: value for key, value in options.items() if key in known})


HAS_ICONS = "icon" in parameters("button")
HAS_BADGES = hasattr(st, "badge")
HAS_ROWS = "horizontal" in parameters("container")
# Without a callback on its close button, a dialog would open again with the next click.
HAS_DIALOGS = "on_dismiss" in parameters("dialog")
FILLS = {} if HAS_ROWS else {"use_container_width": True}
HAS_CHIPS = hasattr(getattr(st, "column_config", None), "MultiselectColumn")
HAS_BARS = "color" in inspect.signature(getattr(getattr(st, "column_config", None), "BarChartColumn", len)).parameters
HAS_CELLS = tuple(map(int, st.__version__.split(".")[:2])) >= (1, 49)


def rerun():
    """Reruns the page."""
    if hasattr(st, "rerun"):
        st.rerun()
    else:  # Before version 1.27.
        st.experimental_rerun()


def icon(name):
    """An icon for a text; empty where icons would be shown as text."""
    return f":material/{name}:" if HAS_ICONS else ""


def button(label, key, icon=None, **options):
    """A button, with an icon if possible. `tertiary` buttons have no frame."""
    if not HAS_ICONS and options.get("type") == "tertiary":
        options["type"] = "secondary"
    return element("button", label, key=key, icon=icon and f":material/{icon}:", **options)


def heading(markdown, level):
    """A heading of level 2 to 4, without a link to itself."""
    if level == 4:
        st.markdown(f"#### {markdown}")
        return
    place = "header" if level == 2 else "subheader"
    element(place, markdown, **({"anchor": False} if HAS_ICONS else {}))


def card(stretches=False, key=None):
    """A framed container. One that `stretches` is as high as those beside it."""
    close = {"height": "stretch", "gap": None} if stretches and HAS_ROWS else {}
    return element("container", border=True, key=key, **close)


def split(weights, left="stretch"):
    """Two places beside each other, which wrap on narrow screens. The first takes what the second leaves and breaks its text first, unless it
    has a width or is as wide as its `content`."""
    if not HAS_ROWS:
        return st.columns(weights)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        left = st.container(width=left, gap=None)
        right = st.container(width="content", horizontal=True, vertical_alignment="center", horizontal_alignment="right")
    return left, right


def columns(left=876, right=356):
    """A wide and a narrow column, which wrap on narrow screens."""
    if not HAS_ROWS:
        return st.columns([left, right])
    with st.container(horizontal=True):
        return st.container(width=left), st.container(width=right)


def row(count=1, bottom=False):
    """Places for `count` elements beside each other, which wrap."""
    if not HAS_ROWS:
        return st.columns(count)
    return [st.container(horizontal=True, vertical_alignment="bottom" if bottom else "center")] * count


def cards(count):
    """Framed places of the same width and height beside each other."""
    made = st.columns(count)
    places = []
    for column in made:
        with column:
            places.append(card(stretches=True))
    return places


def kept(key, options, default):
    """Makes sure that the remembered choice of a widget is one of its options."""
    if st.session_state.get(key) is not None and st.session_state[key] not in options:
        del st.session_state[key]
    return default if default in options else options[0]


def choice(label, options, key, default=None, labels=None, hidden=False, **callback):
    """One of a few options, all visible. It cannot be emptied."""
    options, shown = list(options), (labels or {}).get
    last, remembered = kept(key, options, default), f"{key}_last"
    chosen = st.session_state.get(key, last)
    if chosen is None:
        # A second press on the chosen option would leave none.
        known = st.session_state.get(remembered)
        chosen = known if known in options else last
    # Also what is there already: where other options make another widget, it would begin empty.
    st.session_state[key] = st.session_state[remembered] = chosen
    visibility = "collapsed" if hidden else "visible"
    common = {"format_func": lambda one: shown(one, one), "key": key, "label_visibility": visibility, **callback}
    if "segmented_control" not in dir(st):
        return st.radio(label, options, horizontal=True, **common)
    found = st.segmented_control(label, options, **common)
    return found if found in options else chosen


def several(label, options, key, default=(), labels=None, hidden=False):
    """Any of a few options, in their order."""
    options, shown = list(options), (labels or {}).get
    if key in st.session_state:
        st.session_state[key] = [one for one in st.session_state[key] or [] if one in options]
    start = {} if key in st.session_state else {"default": [one for one in default if one in options]}
    common = {"format_func": lambda one: shown(one, one), "key": key, "label_visibility": "collapsed" if hidden else "visible"}
    if hasattr(st, "pills") and len(options) <= 10:
        chosen = st.pills(label, options, selection_mode="multi", **start, **common)
    else:
        chosen = st.multiselect(label, options, **start, **common)
    return [one for one in options if one in chosen]


def switch(label, value, key, help=None):
    """A yes or no."""
    return element("toggle" if hasattr(st, "toggle") else "checkbox", label, value=value, key=key, help=help)


def popover(label, icon=None):
    """A place that opens with a press; always open where there is none, because old versions nest no sections."""
    if hasattr(st, "popover"):
        return element("popover", label, icon=icon and f":material/{icon}:")
    return st.container()


def fold(label, icon=None):
    """A closed section."""
    return element("expander", label, icon=icon and f":material/{icon}:")


def close_dialog():
    """Closes the dialog that is open."""
    st.session_state.pop("dialog", None)


def open_dialog(key):
    """Opens a dialog when the page runs next."""
    st.session_state["dialog"] = key


def dialog(key, title, content, label=None, icon=None, **options):
    """A button that opens a dialog with this content. Where there are none, a closed section has the content."""
    if not HAS_DIALOGS:
        with fold(label or title):
            content()
        return
    button(label or title, f"open_{key}", icon=icon, on_click=open_dialog, args=(key,), **options)
    if st.session_state.get("dialog") == key:
        st.dialog(title, on_dismiss=close_dialog)(content)()


def repeats(function, seconds):
    """A part of the page that runs again every few seconds, or only with the page where that is impossible."""
    return st.fragment(function, run_every=seconds) if hasattr(st, "fragment") else function


def parameter(name):
    """A parameter of the page's address; None where addresses cannot be read."""
    return st.query_params.get(name) if hasattr(st, "query_params") else None


def set_parameters(**values):
    """Writes parameters into the page's address; None removes one."""
    if not hasattr(st, "query_params"):
        return
    for name, value in values.items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


def browser_zone():
    """The name of the browser's time zone; None if it is unknown."""
    return getattr(getattr(st, "context", None), "timezone", None)


def column(kind, label, **options):
    """The configuration of a table's column; None where there is none of this kind."""
    kinds = getattr(st, "column_config", None)
    made = getattr(kinds, kind, None)
    if made is None:
        return None if kinds is None else kinds.Column(label)
    known = inspect.signature(made).parameters
    return made(label, **{name: value for name, value in options.items() if name in known})


def table(frame, columns=None, key=None, selects=False, **options):
    """A table without an index. Returns the position of the selected row, if rows can be selected."""
    configured = {name: one for name, one in (columns or {}).items() if one is not None}
    known = parameters("dataframe")
    if "hide_index" not in known and hasattr(frame, "set_index") and len(frame.columns):
        frame = frame.set_index(frame.columns[0])
    mode = "single-cell" if HAS_CELLS else "single-row"
    extra = {"on_select": "rerun", "selection_mode": mode} if selects and "on_select" in known else {}
    options = {"placeholder": "–", **options}
    found = element("dataframe", frame, hide_index=True, column_config=configured, key=key, **FILLS, **extra, **options)
    if not extra or not found:
        return None
    picked = [row for row, _ in found["selection"]["cells"]] if HAS_CELLS else found["selection"]["rows"]
    return picked[0] if picked else None


def written(frame, formats):
    """A table whose columns are written by these functions. Its values stay as they are, so that it is sorted by value; where empty cells
    have no placeholder, the texts replace them."""
    formats = {name: one for name, one in formats.items() if name in frame}
    if "placeholder" in parameters("dataframe"):
        return frame.style.format(formats, na_rep="–")
    return frame.assign(**{name: frame[name].map(one) for name, one in formats.items()}).fillna("–")


def chart(made, alt):
    """A chart. `alt` describes it."""
    element("altair_chart", made, theme="streamlit", alt=alt, **FILLS)
