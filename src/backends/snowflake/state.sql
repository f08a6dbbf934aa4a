-- What the connector remembers. Each statement can be repeated; the row in SNOWFEED_VERSION comes last.
-- Snowflake does not enforce primary keys. No text may inherit a collation from the account: keys that differ only by case
-- are different keys.
-- DOCUMENT is the exact text of what VALUE holds as a VARIANT, which keeps neither spaces nor the order of members.
-- SCHEMA is where the views are.
CREATE TABLE IF NOT EXISTS {SNOWFEED_VERSION} ("VERSION" NUMBER(38, 0) NOT NULL, "SCHEMA" VARCHAR NOT NULL)
    DEFAULT_DDL_COLLATION = '';

CREATE TABLE IF NOT EXISTS {APP_CONFIGURATION} ("KEY" VARCHAR NOT NULL PRIMARY KEY, "VALUE" VARIANT, "DOCUMENT" VARCHAR(134217728))
    DEFAULT_DDL_COLLATION = '';

CREATE TABLE IF NOT EXISTS {RESOURCE_CONFIGURATION} ("KEY" VARCHAR NOT NULL PRIMARY KEY, "VALUE" VARIANT, "DOCUMENT" VARCHAR(134217728))
    DEFAULT_DDL_COLLATION = '';

-- Append-only. KEY is a resource; the highest version of a stream of a resource counts. An INSERT locks nothing, so whoever appends
-- holds the resource's fence: a table of its own, SNOWFEED_FENCE/key. STREAM is empty in what an older version wrote for several streams.
-- SEQUENCE is the number of the last commit that changed a row of the stream; PARENT_SEQUENCE is that of PARENT_STREAM, if a run of this
-- stream has found rows of it to be gone.
CREATE TABLE IF NOT EXISTS {APP_STATE} (
    "TIMESTAMP" TIMESTAMP_NTZ DEFAULT SYSDATE(),
    "KEY" VARCHAR NOT NULL,
    "VALUE" VARIANT,
    "VERSION" NUMBER(38, 0) NOT NULL,
    "AT" VARCHAR NOT NULL,
    "DOCUMENT" VARCHAR(134217728) NOT NULL,
    "STREAM" VARCHAR NOT NULL,
    "SEQUENCE" NUMBER(38, 0),
    "PARENT_STREAM" VARCHAR,
    "PARENT_SEQUENCE" NUMBER(38, 0)
) DEFAULT_DDL_COLLATION = '';

-- Append-only: a row for each time that the record of a run was written. INGESTION_RUN shows the last one of each run. STREAM is null
-- in what an older version wrote for several streams.
CREATE TABLE IF NOT EXISTS {SNOWFEED_RUN} (
    "ID" VARCHAR NOT NULL,
    "RECORDED_AT" TIMESTAMP_NTZ NOT NULL,
    "RESOURCE" VARCHAR NOT NULL,
    "MODE" VARCHAR,
    "STATUS" VARCHAR,
    "STARTED_AT" TIMESTAMP_NTZ,
    "ENDED_AT" TIMESTAMP_NTZ,
    "OFFERED" NUMBER(38, 0),
    "INSERTED" NUMBER(38, 0),
    "UPDATED" NUMBER(38, 0),
    "UNCHANGED" NUMBER(38, 0),
    "DELETED" NUMBER(38, 0),
    "SKIPPED" NUMBER(38, 0),
    "REJECTED" NUMBER(38, 0),
    "COMMITS" NUMBER(38, 0),
    "REQUESTS" NUMBER(38, 0),
    "BYTES" NUMBER(38, 0),
    "WAITED_MS" NUMBER(38, 0),
    "TOTAL_MS" NUMBER(38, 0),
    "ERROR" VARCHAR,
    "DOCUMENT" VARCHAR(134217728) NOT NULL,
    "STREAM" VARCHAR
) DEFAULT_DDL_COLLATION = '';

CREATE VIEW IF NOT EXISTS {INGESTION_RUN} AS
    SELECT "ID", "RESOURCE", "STREAM", "MODE", "STATUS", "STARTED_AT", "ENDED_AT", "OFFERED", "INSERTED", "UPDATED", "UNCHANGED",
        "DELETED", "SKIPPED", "REJECTED", "COMMITS", "REQUESTS", "BYTES", "WAITED_MS", "TOTAL_MS", "ERROR", "DOCUMENT"
    FROM {SNOWFEED_RUN}
    QUALIFY ROW_NUMBER() OVER (PARTITION BY "RESOURCE", "ID" ORDER BY "RECORDED_AT" DESC) = 1;

CREATE TABLE IF NOT EXISTS {REJECTED_RECORD} (
    "RESOURCE" VARCHAR NOT NULL,
    "STREAM" VARCHAR NOT NULL,
    "REASON" VARCHAR NOT NULL,
    "RAW" VARCHAR(134217728) NOT NULL,
    "HASH" VARCHAR NOT NULL,
    "FIRST_SEEN" TIMESTAMP_NTZ,
    "LAST_SEEN" TIMESTAMP_NTZ,
    "RUN" VARCHAR,
    PRIMARY KEY ("RESOURCE", "STREAM", "REASON", "HASH")
) DEFAULT_DDL_COLLATION = '';

-- A row for each table of each resource; the rows of the streams' own views have no resource.
-- MADE_FROM is a digest of what the view was made from; while a stream's view is being made, the claim of whoever makes it.
CREATE TABLE IF NOT EXISTS {SNOWFEED_TABLE} (
    "RESOURCE" VARCHAR NOT NULL,
    "STREAM" VARCHAR NOT NULL,
    "NAME" VARCHAR NOT NULL,
    "COLUMNS" VARCHAR NOT NULL,
    "MADE_FROM" VARCHAR NOT NULL,
    PRIMARY KEY ("RESOURCE", "STREAM")
) DEFAULT_DDL_COLLATION = '';

-- What reconcile runs have come across. PARENT is null for rows without a parent.
CREATE TABLE IF NOT EXISTS {SNOWFEED_SEEN} (
    "RUN" VARCHAR NOT NULL,
    "RESOURCE" VARCHAR NOT NULL,
    "STREAM" VARCHAR NOT NULL,
    "KEY" VARCHAR NOT NULL,
    "PARENT" VARCHAR
) DEFAULT_DDL_COLLATION = '';

-- Files on their way into tables. Encrypted by Snowflake, so that no client has to.
CREATE STAGE IF NOT EXISTS {SNOWFEED_STAGE} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE');
