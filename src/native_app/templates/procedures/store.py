"""Tables of keys and JSON values: `APP_CONFIGURATION` and `RESOURCE_CONFIGURATION`, of the app and of the destination."""

import json
import logging

import place
from names import qualified
from spec import SPEC

log = logging.getLogger("connector")


class Store:
    """One such table. The engine keeps the exact text in DOCUMENT, beside VALUE, which is for everybody else."""

    def __init__(self, session, table):
        self.session = session
        self.table = table

    def get(self, key):
        """The value of a key, or None where there is no such row."""
        text = f'SELECT TO_JSON("VALUE") AS "VALUE" FROM {self.table} WHERE "KEY" = ?'
        rows = self.session.sql(text, params=[key]).collect()
        return self.read(key, rows[0]["VALUE"]) if rows else None

    def put(self, key, value):
        """Stores a value in place of the one before."""
        text = (
            f'MERGE INTO {self.table} t USING (SELECT b."KEY", PARSE_JSON(b."DOCUMENT") AS "VALUE", b."DOCUMENT" FROM '
            '(SELECT CAST(? AS VARCHAR) AS "KEY", CAST(? AS VARCHAR) AS "DOCUMENT") b) s ON t."KEY" = s."KEY" '
            'WHEN MATCHED THEN UPDATE SET "VALUE" = s."VALUE", "DOCUMENT" = s."DOCUMENT" '
            'WHEN NOT MATCHED THEN INSERT ("KEY", "VALUE", "DOCUMENT") VALUES (s."KEY", s."VALUE", s."DOCUMENT")'
        )
        self.session.sql(text, params=[key, json.dumps(value)]).collect()

    def remove(self, key):
        """Removes a key, if it is there."""
        self.session.sql(f'DELETE FROM {self.table} WHERE "KEY" = ?', params=[key]).collect()

    def all(self):
        """Every key and value, by key."""
        rows = self.session.sql(f'SELECT "KEY", TO_JSON("VALUE") AS "VALUE" FROM {self.table} ORDER BY "KEY"').collect()
        return {row["KEY"]: self.read(row["KEY"], row["VALUE"]) for row in rows}

    def read(self, key, text):
        """A value, which is an object. A row that was edited by hand may hold something else: it is empty."""
        try:
            value = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
        log.warning("the row %r of %s holds no JSON object", key, self.table)
        return {}

    def restore(self, key, value):
        """Makes a row what it was: `value`, or missing where that is None."""
        if value is None:
            self.remove(key)
        else:
            self.put(key, value)


def of_app(session):
    """What the app remembers: its configuration and status."""
    return Store(session, place.inside(session, "STATE", "APP_CONFIGURATION"))


def jobs(session):
    """The containers that were started, with how they have ended."""
    return Store(session, place.inside(session, "STATE", "INGESTION_JOB"))


def widen(session):
    """Lets the app's own tables hold a document of any length, also those that an earlier version made."""
    for store in (of_app(session), jobs(session)):
        session.sql(f'ALTER TABLE {store.table} ALTER COLUMN "DOCUMENT" SET DATA TYPE VARCHAR({SPEC["longest_text"]})').collect()


def resources(session, database):
    """The resources, in the destination: the engine reads them, too."""
    return Store(session, qualified(database, "STATE", "RESOURCE_CONFIGURATION"))


def of_source(session, database):
    """The settings of the source, in the destination."""
    return Store(session, qualified(database, "STATE", "APP_CONFIGURATION"))
