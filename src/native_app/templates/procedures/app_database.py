"""The database of the app, and the names of the objects in it."""

import functools

from names import qualified


@functools.lru_cache(maxsize=4)
def app_name(session):
    """The name of the app, which is also the name of its database. Cached: CREATE DATABASE changes a session's current database."""
    return session.sql('SELECT CURRENT_DATABASE() AS "NAME"').collect()[0]["NAME"]


def app_object(session, *names):
    """The qualified name of an object of the app."""
    return qualified(app_name(session), *names)
