CREATE TABLE APP_CONFIGURATION (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE RESOURCE_CONFIGURATION (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE APP_STATE (timestamp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL);
CREATE UNIQUE INDEX snowfeed_state_by_version ON APP_STATE (key, version);

CREATE TABLE INGESTION_RUN (
    id TEXT NOT NULL PRIMARY KEY,
    resource TEXT NOT NULL,
    mode TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    offered INTEGER NOT NULL,
    inserted INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    commits INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    waited_ms INTEGER NOT NULL,
    total_ms INTEGER NOT NULL,
    error TEXT,
    record TEXT NOT NULL
);
CREATE INDEX snowfeed_run_by_resource ON INGESTION_RUN (resource, started_at, id);
CREATE INDEX snowfeed_run_by_start ON INGESTION_RUN (started_at, id);

CREATE TABLE REJECTED_RECORD (
    resource TEXT NOT NULL,
    stream TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw TEXT NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    run TEXT NOT NULL,
    hash BLOB NOT NULL
);
CREATE UNIQUE INDEX snowfeed_rejected_once ON REJECTED_RECORD (resource, stream, hash, reason);

CREATE TABLE snowfeed_resource (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE snowfeed_stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, columns TEXT NOT NULL);
CREATE TABLE snowfeed_view (
    name TEXT NOT NULL PRIMARY KEY,
    resource_id INTEGER NOT NULL REFERENCES snowfeed_resource (id),
    stream_id INTEGER NOT NULL REFERENCES snowfeed_stream (id)
);
CREATE INDEX snowfeed_view_by_resource ON snowfeed_view (resource_id, stream_id);

CREATE TABLE snowfeed_sweep (id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
CREATE TABLE snowfeed_seen (
    sweep_id INTEGER NOT NULL,
    stream_id INTEGER NOT NULL,
    row_id INTEGER NOT NULL,
    PRIMARY KEY (sweep_id, stream_id, row_id)
) WITHOUT ROWID;
