"""The configured resources. A row that cannot be used, because it was edited by hand or comes from another version, is skipped and
reported; the others are not affected."""

import resource_names
import schedules
import store
import streams
from responses import ProcedureError


class ConfiguredResources:
    """Every row, and the problems of the skipped ones."""

    def __init__(self, session, configuration):
        self.configuration = configuration
        self.rows = store.resource_store(session, configuration.destination_database).all()
        found = {name: self.find_problem(name, row) for name, row in self.rows.items()}
        self.problems = {name: problem for name, problem in found.items() if problem}

    def find_problem(self, name, row):
        """Why a row is skipped; None if it is not."""
        if not isinstance(row.get("enabled"), bool):
            return "its row in RESOURCE_CONFIGURATION cannot be read: enable it again, or delete it"
        try:
            resource_names.canonical(name, self.configuration.settings)
            schedules.normalized(row.get("schedule") or self.configuration.schedule)
        except ProcedureError as error:
            return str(error)
        return streams.violation(row)

    def enabled(self):
        """The names of the enabled resources that are not skipped."""
        return [name for name, row in self.rows.items() if row.get("enabled") and name not in self.problems]

    def schedule_for(self, name):
        """The normalized schedule of a resource that is not skipped."""
        return schedules.normalized(self.rows[name].get("schedule") or self.configuration.schedule)

    def streams_of(self, name):
        """The streams that a resource reads; the default ones if it is no longer configured."""
        return streams.selected(self.rows.get(name, {}))

    def skipped(self):
        """The skipped resources, for a response."""
        return [{"resource": name, "message": problem} for name, problem in self.problems.items()]

    def notes(self):
        """The skipped resources, as notes."""
        return [f"{name!r} is skipped: {problem}" for name, problem in self.problems.items()]
