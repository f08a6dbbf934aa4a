# The helpdesk of `examples/helpdesk.toml` for dlt, with the keys that its documentation names for such an API.
# `URL` and `TOKEN` are in the environment.

import dlt
from dlt.sources.rest_api import rest_api_source

source = rest_api_source({
    "client": {
        "base_url": dlt.config["url"], "auth": {"token": dlt.secrets["token"]},
        "paginator": {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "cursor"},
    },
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge", "parallelized": True},
    "resources": [
        {"name": "workspaces", "endpoint": {"path": "workspaces", "data_selector": "workspaces"}},
        {"name": "tickets", "columns": {"updated_at": {"dedup_sort": "desc"}}, "endpoint": {
            "path": "tickets", "data_selector": "data",
            "params": {"workspace": "{resources.workspaces.id}", "updated_since": "{incremental.start_value}", "limit": 100},
            "incremental": {"cursor_path": "updated_at", "initial_value": "1970-01-01T00:00:00Z"},
        }},
        {"name": "comments", "include_from_parent": ["id"], "endpoint": {
            "path": "tickets/{resources.tickets.id}/comments", "data_selector": "comments",
        }},
    ],
})

dlt.pipeline("helpdesk", destination="duckdb").run(source)
