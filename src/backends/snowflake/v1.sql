-- What the connector remembers. Each statement can be repeated; the row in SNOWFEED_VERSION comes last.
-- Snowflake does not enforce a primary key; every MERGE does, because it locks its table.
-- DOCUMENT is the exact text of what VALUE holds as a VARIANT, which keeps neither spaces nor the order of members.
-- SCHEMA is where the views are.
CREATE TABLE IF NOT EXISTS {SNOWFEED_VERSION} ("VERSION" NUMBER(38, 0) NOT NULL, "SCHEMA" VARCHAR NOT NULL);

CREATE TABLE IF NOT EXISTS {APP_CONFIGURATION} ("KEY" VARCHAR NOT NULL PRIMARY KEY, "VALUE" VARIANT, "DOCUMENT" VARCHAR);

CREATE TABLE IF NOT EXISTS {RESOURCE_CONFIGURATION} ("KEY" VARCHAR NOT NULL PRIMARY KEY, "VALUE" VARIANT, "DOCUMENT" VARCHAR);

-- Append-only. The highest version of a key counts.
CREATE TABLE IF NOT EXISTS {APP_STATE} (
    "TIMESTAMP" TIMESTAMP_NTZ DEFAULT SYSDATE(),
    "KEY" VARCHAR NOT NULL,
    "VALUE" VARIANT,
    "VERSION" NUMBER(38, 0) NOT NULL,
    "AT" VARCHAR NOT NULL,
    "DOCUMENT" VARCHAR NOT NULL
);

-- The newest version of each key, to be locked by whoever appends. Where two rows of a key come into being, they rise together.
CREATE TABLE IF NOT EXISTS {SNOWFEED_FENCE} ("KEY" VARCHAR NOT NULL PRIMARY KEY, "VERSION" NUMBER(38, 0) NOT NULL);

CREATE TABLE IF NOT EXISTS {INGESTION_RUN} (
    "ID" VARCHAR NOT NULL PRIMARY KEY,
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
    "DOCUMENT" VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS {REJECTED_RECORD} (
    "RESOURCE" VARCHAR NOT NULL,
    "STREAM" VARCHAR NOT NULL,
    "REASON" VARCHAR NOT NULL,
    "RAW" VARCHAR NOT NULL,
    "HASH" VARCHAR NOT NULL,
    "FIRST_SEEN" TIMESTAMP_NTZ,
    "LAST_SEEN" TIMESTAMP_NTZ,
    "RUN" VARCHAR,
    PRIMARY KEY ("RESOURCE", "STREAM", "REASON", "HASH")
);

-- A row for each table of each resource; the rows of the streams' own views have no resource.
-- MADE_FROM is a digest of what the view was made from; while a stream's view is being made, the claim of whoever makes it.
CREATE TABLE IF NOT EXISTS {SNOWFEED_TABLE} (
    "RESOURCE" VARCHAR NOT NULL,
    "STREAM" VARCHAR NOT NULL,
    "NAME" VARCHAR NOT NULL,
    "COLUMNS" VARCHAR NOT NULL,
    "MADE_FROM" VARCHAR NOT NULL,
    PRIMARY KEY ("RESOURCE", "STREAM")
);

-- What full passes have come across.
CREATE TABLE IF NOT EXISTS {SNOWFEED_SEEN} (
    "RUN" VARCHAR NOT NULL,
    "RESOURCE" VARCHAR NOT NULL,
    "STREAM" VARCHAR NOT NULL,
    "KEY" VARCHAR NOT NULL
);

-- Files on their way into tables. Encrypted by Snowflake, so that no client has to.
CREATE STAGE IF NOT EXISTS {SNOWFEED_STAGE} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE');
