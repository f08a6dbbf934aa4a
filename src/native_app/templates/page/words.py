"""The words of health and of outcomes, each with its sign, icon and colour. Which word applies is decided by the app's views."""

from dataclasses import dataclass

import compat


@dataclass(frozen=True)
class Word:
    """How a word is shown. It never stands without its sign, nor a colour without both."""

    name: str
    sign: str
    icon: str
    badge: str
    chip: str

    @property
    def label(self):
        """The word, with a capital."""
        return self.name.capitalize()

    @property
    def signed(self):
        """The sign and the word, as in tables."""
        return f"{self.sign} {self.label}"

    def as_badge(self):
        """The word as a badge in Markdown."""
        if not compat.HAS_BADGES:
            return f"**{self.signed}**"
        return f":{self.badge}-badge[:material/{self.icon}: {self.label}]"


# The worst first.
HEALTH = {
    word.name: word
    for word in (
        Word("failing", "✕", "error", "red", "red"),
        Word("interrupted", "↯", "bolt", "violet", "violet"),
        Word("late", "◷", "schedule", "orange", "orange"),
        Word("not configured", "◇", "build", "gray", "gray"),
        Word("running", "↻", "sync", "blue", "blue"),
        Word("never run", "○", "radio_button_unchecked", "gray", "gray"),
        Word("healthy", "✓", "check_circle", "green", "green"),
        Word("paused", "‖", "pause_circle", "gray", "gray"),
    )
}

# A word that only another version of the app knows.
UNKNOWN = Word("unknown", "?", "help", "gray", "gray")


def health(name):
    """The word of a state of health."""
    return HEALTH.get(str(name or "").lower().replace("_", " "), UNKNOWN)


def to_confirm():
    """The badge of what a person has to confirm."""
    return ":orange-badge[:material/rule: Confirm]" if compat.HAS_BADGES else "**! Confirm**"


@dataclass(frozen=True)
class Outcome:
    """How an outcome of runs is drawn, as text and as a cell of the timeline."""

    name: str
    sign: str
    colour: str
    ink: str
    chip: str
    mark: str = ""

    @property
    def signed(self):
        """The sign and the word, as in tables."""
        return f"{self.sign} {self.name.capitalize()}"


# The worst first: a cell of the timeline shows the worst run within it. The same colours in both themes.
OUTCOMES = {
    one.name: one
    for one in (
        Outcome("failed", "✕", "#C8323F", "#FFFFFF", "red", "✕"),
        Outcome("did not start", "✕", "#E7A3A3", "#5A0F17", "red", "✕"),
        Outcome("partial", "!", "#DB9310", "#3A2500", "orange", "!"),
        Outcome("interrupted", "↯", "#9A5FB5", "#FFFFFF", "violet", "↯"),
        Outcome("running", "↻", "#2F80ED", "#FFFFFF", "blue", "↻"),
        Outcome("changed", "✓", "#4F8F8B", "#FFFFFF", "green"),
        Outcome("nothing new", "·", "rgba(139,149,163,.4)", "#FFFFFF", "gray"),
    )
}

# The outcomes whose text says what went wrong.
BAD = ("failed", "did not start", "partial", "interrupted")


def outcome(name):
    """An outcome; one that only another version knows is `nothing new`."""
    return OUTCOMES.get(str(name or "").lower().replace("_", " "), OUTCOMES["nothing new"])


# The colours of numbers in charts.
INSERTED, UPDATED, DELETED = "#4F8F8B", "#9DB8B6", "#D9A441"
WORKING, WAITING = "#6C8EAD", "#C9CED6"
