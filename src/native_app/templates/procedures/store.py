"""Key-value tables of JSON: `APP_CONFIGURATION` and `RESOURCE_CONFIGURATION` in the app and in the destination."""

import json
import logging

import app_database
from names import qualified
from spec import SPEC

log = logging.getLogger("connector")


class Store:
    """One key-value table. The engine reads the exact text in DOCUMENT; VALUE is for all other readers."""

    def __init__(self, session, table):
        self.session = session
        self.table = table

    def get(self, key):
        """The value of a key, or None if there is no such row."""
        text = f'SELECT TO_JSON("VALUE") AS "VALUE" FROM {self.table} WHERE "KEY" = ?'
        rows = self.session.sql(text, params=[key]).collect()
        return self.read(key, rows[0]["VALUE"]) if rows else None

    def put(self, key, value):
        """Inserts or replaces a value."""
        text = (
            f'MERGE INTO {self.table} t USING (SELECT b."KEY", PARSE_JSON(b."DOCUMENT") AS "VALUE", b."DOCUMENT" FROM '
            '(SELECT CAST(? AS VARCHAR) AS "KEY", CAST(? AS VARCHAR) AS "DOCUMENT") b) s ON t."KEY" = s."KEY" '
            'WHEN MATCHED THEN UPDATE SET "VALUE" = s."VALUE", "DOCUMENT" = s."DOCUMENT" '
            'WHEN NOT MATCHED THEN INSERT ("KEY", "VALUE", "DOCUMENT") VALUES (s."KEY", s."VALUE", s."DOCUMENT")'
        )
        self.session.sql(text, params=[key, json.dumps(value)]).collect()

    def remove(self, key):
        """Removes a key, if it exists."""
        self.session.sql(f'DELETE FROM {self.table} WHERE "KEY" = ?', params=[key]).collect()

    def all(self):
        """Every key and value, by key."""
        rows = self.session.sql(f'SELECT "KEY", TO_JSON("VALUE") AS "VALUE" FROM {self.table} ORDER BY "KEY"').collect()
        return {row["KEY"]: self.read(row["KEY"], row["VALUE"]) for row in rows}

    def read(self, key, text):
        """Parses a value, which is an object. A row that was edited by hand may hold something else and is read as empty."""
        try:
            value = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
        log.warning("the row %r of %s does not hold a JSON object", key, self.table)
        return {}

    def restore(self, key, value):
        """Restores a row's earlier value; None removes the row."""
        if value is None:
            self.remove(key)
        else:
            self.put(key, value)


def app_store(session):
    """The app's own configuration and status."""
    return Store(session, app_database.app_object(session, "STATE", "APP_CONFIGURATION"))


def job_store(session):
    """The containers that were started, with their outcomes."""
    return Store(session, app_database.app_object(session, "STATE", "INGESTION_JOB"))


def log_store(session):
    """The logs of containers that have failed."""
    return Store(session, app_database.app_object(session, "STATE", "JOB_LOG"))


def widen(session):
    """Widens the app's own tables, also those of an earlier version, to hold a document of any length."""
    for store in (app_store(session), job_store(session)):
        session.sql(f'ALTER TABLE {store.table} ALTER COLUMN "DOCUMENT" SET DATA TYPE VARCHAR({SPEC["longest_text"]})').collect()


def resource_store(session, database):
    """The resources, stored in the destination, where the engine reads them."""
    return Store(session, qualified(database, "STATE", "RESOURCE_CONFIGURATION"))


def source_store(session, database):
    """The settings of the source, stored in the destination."""
    return Store(session, qualified(database, "STATE", "APP_CONFIGURATION"))
