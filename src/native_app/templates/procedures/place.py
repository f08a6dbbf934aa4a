"""Where the app is."""

import functools

from names import qualified


@functools.lru_cache(maxsize=4)
def application(session):
    """The name of the app, which is that of its database. It is asked for once: making a database moves a session into that one."""
    return session.sql('SELECT CURRENT_DATABASE() AS "NAME"').collect()[0]["NAME"]


def inside(session, *names):
    """The whole name of an object of the app."""
    return qualified(application(session), *names)
