"""A schedule, chosen from a few; cron is the last choice."""

import re

import streamlit as st

import compat

CHOICES = {"Every 15 min": "15m", "Every 30 min": "30m", "Hourly": "1h", "Every 6 h": "6h", "Daily": "24h"}
CRON = "Cron"
OTHER = "Other"

UNITS = {"h": 60, "m": 1}


def minutes(schedule):
    """The minutes of an interval such as `30m` or `1h 30m`; None for anything else."""
    parts = re.findall(r"(\d+)\s*([hm])", schedule or "")
    if not parts or re.sub(r"\d+\s*[hm]|\s", "", schedule):
        return None
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def chosen_for(schedule):
    """The choice that stands for a schedule: an interval that is none of them, and a cron expression, are typed."""
    wanted = minutes(schedule)
    found = next((label for label, value in CHOICES.items() if minutes(value) == wanted), None)
    return found or (CRON if len((schedule or "").split()) == 5 else OTHER)


def in_words(schedule):
    """A schedule in words: `every 30 min`, `hourly`, `cron 15 2 * * *`."""
    choice = chosen_for(schedule)
    if choice in CHOICES:
        return choice[:1].lower() + choice[1:]
    return f"{'cron' if choice == CRON else 'every'} {schedule}"


def choose(label, key, current, default=None, hidden=False):
    """Lets the user choose a schedule. With `default`, no schedule of its own is a choice, too. Returns it, or None for the default."""
    first = chosen_for(current) if current else None
    options = [*CHOICES, CRON]
    if first == OTHER or st.session_state.get(key) == OTHER:
        options.append(OTHER)
    if default is not None:
        options.insert(0, f"Default ({in_words(default)})")
    picked = compat.choice(label, options, key, default=first or options[0], hidden=hidden)
    if picked in CHOICES:
        return CHOICES[picked]
    if picked == CRON:
        given = current if first == CRON else "15 2 * * *"
        return st.text_input("Cron expression, five fields in UTC", value=given, key=f"{key}_cron").strip()
    if picked == OTHER:
        return st.text_input("Interval, such as 45m or 2h", value=current or "", key=f"{key}_other").strip()
    return None
