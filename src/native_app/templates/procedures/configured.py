"""The resources that are configured. A row that cannot be used, because it was edited by hand or comes from another version, is
skipped and reported: it stops no other one."""

import resource_names
import schedules
import store
from answers import Refusal


class Configured:
    """Every row, and what is wrong with those that are skipped."""

    def __init__(self, session, configuration):
        self.configuration = configuration
        self.rows = store.resources(session, configuration.destination_database).all()
        found = {name: self.problem_of(name, row) for name, row in self.rows.items()}
        self.problems = {name: problem for name, problem in found.items() if problem}

    def problem_of(self, name, row):
        """Why a row is skipped; None where it is not."""
        if not isinstance(row.get("enabled"), bool):
            return "its row in RESOURCE_CONFIGURATION cannot be read: enable it again, or delete it"
        try:
            resource_names.canonical(name, self.configuration.settings)
            schedules.key(row.get("schedule") or self.configuration.schedule)
        except Refusal as refusal:
            return str(refusal)
        return None

    def enabled(self):
        """The names of those that are enabled and can be used."""
        return [name for name, row in self.rows.items() if row.get("enabled") and name not in self.problems]

    def schedule_of(self, name):
        """The schedule of one that is not skipped, as its task writes it."""
        return schedules.key(self.rows[name].get("schedule") or self.configuration.schedule)

    def skipped(self):
        """What answers say of those that are skipped."""
        return [{"resource": name, "message": problem} for name, problem in self.problems.items()]

    def notes(self):
        """The same as sentences."""
        return [f"{name!r} is skipped: {problem}" for name, problem in self.problems.items()]
