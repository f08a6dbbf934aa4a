"""Simulates a consumer in Snowflake's dialogs, which the page opens."""

from snowflake import permissions


class Consumer:
    """Grants and binds immediately whatever the page requests, unless `accepts` is false."""

    def __init__(self, app, accepts=True):
        self.app, self.accepts = app, accepts
        self.requests = []
        self.held = set()

    def missing(self, names):
        return [name for name in names if name not in self.held]

    def grant(self, names):
        self.requests.append(tuple(names))
        if self.accepts:
            self.held.update(names)
            self.app.ok("grant_callback", list(names))

    def bind(self, name):
        self.requests.append(name)
        if self.accepts:
            self.app.bind(name)

    def install(self, patch):
        """Replaces Snowflake's dialogs. `patch(object, name, value)` replaces an attribute."""
        patch(permissions, "get_missing_account_privileges", self.missing)
        patch(permissions, "request_account_privileges", self.grant)
        patch(permissions, "request_reference", self.bind)
