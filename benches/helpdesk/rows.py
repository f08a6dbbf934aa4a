# Prints the rows of `helpdesk.duckdb` as a JSON document, as `Stored` in `ways.rs` reads it.

import json
import sys

import duckdb

with duckdb.connect("helpdesk.duckdb", read_only=True) as connection:
    stored = {}
    for table in ("tickets", "comments"):
        try:
            cursor = connection.execute(f"SELECT * FROM helpdesk_dataset.{table}")
        except duckdb.CatalogException:
            # A run that failed has created no table.
            stored[table] = []
            continue
        names = [column[0] for column in cursor.description]
        stored[table] = [dict(zip(names, row)) for row in cursor.fetchall()]
json.dump(stored, sys.stdout, default=str)
