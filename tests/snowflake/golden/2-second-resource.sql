-- The first run of a second resource, in the same process.
-- 20 statements:
--     2 begin or end a transaction
--     4 make or drop something
--     6 read
--     8 write

SELECT 'connector' AS "WHAT", "KEY", CASE WHEN TO_JSON(TRY_PARSE_JSON("DOCUMENT", 'd')) = TO_JSON("VALUE") THEN "DOCUMENT" ELSE COALESCE(TO_JSON("VALUE"),
        "DOCUMENT") END AS "TEXT"
    FROM "DB"."STATE"."APP_CONFIGURATION"
    UNION ALL SELECT 'resource' AS "WHAT", "KEY", CASE WHEN TO_JSON(TRY_PARSE_JSON("DOCUMENT", 'd')) = TO_JSON("VALUE") THEN "DOCUMENT" ELSE COALESCE(TO_JSON("VALUE"),
        "DOCUMENT") END AS "TEXT"
    FROM "DB"."STATE"."RESOURCE_CONFIGURATION"
    ORDER BY 1, 2;

MERGE INTO "DB"."STATE"."RESOURCE_CONFIGURATION" t
    USING (SELECT b."KEY", PARSE_JSON(b."DOCUMENT") AS "VALUE", b."DOCUMENT"
        FROM (SELECT CAST(? AS VARCHAR) AS "KEY", CAST(? AS VARCHAR) AS "DOCUMENT") b) s
    ON t."KEY" = s."KEY"
    WHEN MATCHED THEN UPDATE SET "VALUE" = s."VALUE", "DOCUMENT" = s."DOCUMENT"
    WHEN NOT MATCHED THEN INSERT ("KEY", "VALUE", "DOCUMENT")
    VALUES (s."KEY", s."VALUE", s."DOCUMENT");
-- bound: 'acme/gadgets', {…}

SELECT 'entry' AS "WHAT", e."KEY", CAST(e."VERSION" AS VARCHAR) AS "V", e."AT", e."DOCUMENT", e."STREAM",
    CAST(e."SEQUENCE" AS VARCHAR) AS "SEQ", e."PARENT_STREAM", CAST(e."PARENT_SEQUENCE" AS VARCHAR) AS "PARENT_SEQ"
    FROM "DB"."STATE"."APP_STATE" e
    QUALIFY ROW_NUMBER() OVER (PARTITION BY e."KEY", e."STREAM"
        ORDER BY e."VERSION" DESC) = 1
    UNION ALL SELECT 'run' AS "WHAT", r."RESOURCE" AS "KEY", NULL AS "V", NULL AS "AT", r."DOCUMENT", r."STREAM",
    NULL AS "SEQ", NULL AS "PARENT_STREAM", NULL AS "PARENT_SEQ"
    FROM "DB"."STATE"."INGESTION_RUN" r
    QUALIFY ROW_NUMBER() OVER (PARTITION BY r."RESOURCE", r."STREAM"
        ORDER BY r."STARTED_AT" DESC, r."ID" DESC) = 1;

SELECT CAST(e."VERSION" AS VARCHAR) AS "V", e."AT", e."DOCUMENT", e."STREAM"
    FROM "DB"."STATE"."APP_STATE" e
    WHERE e."KEY" = ? AND (e."STREAM" = ? OR e."STREAM" IS NULL)
    ORDER BY e."VERSION" DESC LIMIT 1;
-- bound: 'acme/gadgets', 'issues'

CREATE TABLE IF NOT EXISTS "DB"."PUBLIC_RAW"."acme/gadgets" ("KEY" VARCHAR NOT NULL, "VERSION" NUMBER(38, 0) NOT NULL,
        "HASH" VARCHAR, "RAW" VARIANT, "DOCUMENT" VARCHAR(134217728), "FIRST_SEEN" TIMESTAMP_NTZ NOT NULL,
        "CHANGED_AT" TIMESTAMP_NTZ NOT NULL, "DELETED_AT" TIMESTAMP_NTZ, "SEQ" NUMBER(38, 0), "PARENT" VARCHAR) DEFAULT_DDL_COLLATION = '';

CREATE TRANSIENT TABLE IF NOT EXISTS "DB"."STATE"."SNOWFEED_FENCE/acme/gadgets" ("TXN" VARCHAR, "RUN" VARCHAR) DATA_RETENTION_TIME_IN_DAYS = 0 DEFAULT_DDL_COLLATION = '';

INSERT INTO "DB"."STATE"."SNOWFEED_FENCE/acme/gadgets" ("TXN", "RUN") SELECT CAST(NULL AS VARCHAR),
    CAST(NULL AS VARCHAR)
    WHERE NOT EXISTS (SELECT 1 AS "ONE"
        FROM "DB"."STATE"."SNOWFEED_FENCE/acme/gadgets");

SELECT GET_DDL('VIEW', '"DB"."PUBLIC"."acme/gadgets"') AS "DDL";

CREATE OR REPLACE VIEW "DB"."PUBLIC"."acme/gadgets" COPY GRANTS COPY TAGS AS SELECT AS_INTEGER(t."RAW":"id") AS "ID",
    AS_INTEGER(t."RAW":"number") AS "NUMBER", AS_VARCHAR(t."RAW":"title") AS "TITLE", AS_VARCHAR(t."RAW":"state") AS "STATE",
    COALESCE(TO_JSON(t."RAW":"pull_request"), 'null') <> 'null' AS "IS_PULL_REQUEST", AS_VARCHAR(t."RAW":"user"."login") AS "USER_LOGIN",
    CASE WHEN LEFT(TO_JSON(t."RAW":"labels"), 1) = '[' THEN TRANSFORM(CAST(t."RAW":"labels" AS ARRAY), e -> GET(e,
            'name')) END AS "LABELS", CASE WHEN LEFT(TO_JSON(t."RAW":"assignees"), 1) = '[' THEN TRANSFORM(CAST(t."RAW":"assignees" AS ARRAY),
        e -> GET(e, 'login')) END AS "ASSIGNEES", AS_VARCHAR(t."RAW":"milestone"."title") AS "MILESTONE",
    AS_INTEGER(t."RAW":"comments") AS "COMMENTS", AS_VARCHAR(t."RAW":"body") AS "BODY", CASE WHEN REGEXP_LIKE(AS_VARCHAR(t."RAW":"created_at"),
        '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$') THEN TRY_TO_TIMESTAMP_TZ(AS_VARCHAR(t."RAW":"created_at"),
        'AUTO') END AS "CREATED_AT", CASE WHEN REGEXP_LIKE(AS_VARCHAR(t."RAW":"updated_at"), '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$') THEN TRY_TO_TIMESTAMP_TZ(AS_VARCHAR(t."RAW":"updated_at"),
        'AUTO') END AS "UPDATED_AT", CASE WHEN REGEXP_LIKE(AS_VARCHAR(t."RAW":"closed_at"), '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$') THEN TRY_TO_TIMESTAMP_TZ(AS_VARCHAR(t."RAW":"closed_at"),
        'AUTO') END AS "CLOSED_AT", AS_VARCHAR(t."RAW":"html_url") AS "HTML_URL", AS_VARCHAR(t."RAW":"state_reason") AS "STATE_REASON",
    AS_BOOLEAN(t."RAW":"locked") AS "LOCKED", AS_VARCHAR(t."RAW":"active_lock_reason") AS "ACTIVE_LOCK_REASON",
    AS_VARCHAR(t."RAW":"author_association") AS "AUTHOR_ASSOCIATION", AS_BOOLEAN(t."RAW":"draft") AS "DRAFT",
    CASE WHEN REGEXP_LIKE(AS_VARCHAR(t."RAW":"pull_request"."merged_at"), '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$') THEN TRY_TO_TIMESTAMP_TZ(AS_VARCHAR(t."RAW":"pull_request"."merged_at"),
        'AUTO') END AS "MERGED_AT", AS_VARCHAR(t."RAW":"closed_by"."login") AS "CLOSED_BY_LOGIN", AS_VARCHAR(t."RAW":"type"."name") AS "ISSUE_TYPE",
    CASE WHEN LEFT(TO_JSON(t."RAW":"reactions"), 1) IN ('{', '[') THEN t."RAW":"reactions" END AS "REACTIONS",
    AS_VARCHAR(t."RAW":"node_id") AS "NODE_ID", AS_VARCHAR(t."RAW":"url") AS "URL", AS_VARCHAR(t."RAW":"repository_url") AS "REPOSITORY_URL",
    AS_VARCHAR(t."RAW":"labels_url") AS "LABELS_URL", AS_VARCHAR(t."RAW":"comments_url") AS "COMMENTS_URL",
    AS_VARCHAR(t."RAW":"events_url") AS "EVENTS_URL", CASE WHEN LEFT(TO_JSON(t."RAW":"user"), 1) IN ('{',
        '[') THEN t."RAW":"user" END AS "USER", t."DELETED_AT", t."RAW"
    FROM "DB"."PUBLIC_RAW"."acme/gadgets" t
    WHERE t."DOCUMENT" IS NOT NULL;

MERGE INTO "DB"."STATE"."SNOWFEED_TABLE" t
    USING (SELECT b."E":resource::VARCHAR AS "RESOURCE", b."E":stream::VARCHAR AS "STREAM", b."E":name::VARCHAR AS "NAME",
        b."E":columns::VARCHAR AS "COLUMNS", b."E":made_from::VARCHAR AS "MADE_FROM"
        FROM (SELECT PARSE_JSON(?) AS "E") b) s
    ON t."RESOURCE" = s."RESOURCE" AND t."STREAM" = s."STREAM"
    WHEN MATCHED THEN UPDATE SET "NAME" = s."NAME", "COLUMNS" = s."COLUMNS", "MADE_FROM" = s."MADE_FROM"
    WHEN NOT MATCHED THEN INSERT ("RESOURCE", "STREAM", "NAME", "COLUMNS", "MADE_FROM")
    VALUES (s."RESOURCE", s."STREAM", s."NAME", s."COLUMNS", s."MADE_FROM");
-- bound: {…}

MERGE INTO "DB"."STATE"."SNOWFEED_TABLE" t
    USING (SELECT '' AS "RESOURCE", b."STREAM", b."NAME", '[]' AS "COLUMNS", 'claim ' || b."ID" AS "CLAIM", 'claim over another ' || b."ID" AS "CLAIM_OVER"
        FROM (SELECT CAST(? AS VARCHAR) AS "STREAM", CAST(? AS VARCHAR) AS "NAME", CAST(? AS VARCHAR) AS "ID") b) s
    ON t."RESOURCE" = s."RESOURCE" AND t."STREAM" = s."STREAM"
    WHEN MATCHED AND STARTSWITH(t."MADE_FROM", 'claim ') THEN UPDATE SET "MADE_FROM" = s."CLAIM_OVER"
    WHEN MATCHED THEN UPDATE SET "MADE_FROM" = s."CLAIM"
    WHEN NOT MATCHED THEN INSERT ("RESOURCE", "STREAM", "NAME", "COLUMNS", "MADE_FROM")
    VALUES (s."RESOURCE", s."STREAM", s."NAME", s."COLUMNS", s."CLAIM");
-- bound: 'issues', 'ISSUES', 'id'

SELECT CAST(NULL AS VARCHAR) AS "RESOURCE", CAST(NULL AS VARCHAR) AS "STREAM", "SCHEMA" AS "NAME", CAST(NULL AS VARCHAR) AS "COLUMNS",
    CAST("VERSION" AS VARCHAR) AS "MADE_FROM"
    FROM "DB"."STATE"."SNOWFEED_VERSION"
    UNION ALL SELECT "RESOURCE", "STREAM", "NAME", "COLUMNS", "MADE_FROM"
    FROM "DB"."STATE"."SNOWFEED_TABLE";

CREATE OR REPLACE VIEW "DB"."PUBLIC_RAW"."ISSUES^=all" COPY GRANTS COPY TAGS AS SELECT CAST('acme/gadgets' AS VARCHAR) AS "RESOURCE",
    "RAW", "DELETED_AT", "DOCUMENT"
    FROM "DB"."PUBLIC_RAW"."acme/gadgets"
    UNION ALL SELECT CAST('acme/widgets' AS VARCHAR) AS "RESOURCE", "RAW", "DELETED_AT", "DOCUMENT"
    FROM "DB"."PUBLIC_RAW"."acme/widgets";

UPDATE "DB"."STATE"."SNOWFEED_TABLE" SET "COLUMNS" = ?, "MADE_FROM" = ?
    WHERE "RESOURCE" = '' AND "STREAM" = ? AND "MADE_FROM" = ?;
-- bound: […], 'id', 'issues', 'claim id'

SELECT t."KEY", s."PARENT", CAST(t."VERSION" AS VARCHAR) AS "VERSION", t."HASH", CASE WHEN t."DELETED_AT" IS NULL THEN '0' ELSE '1' END AS "DELETED"
    FROM "DB"."PUBLIC_RAW"."acme/gadgets" t
    JOIN (SELECT f.value:k::VARCHAR AS "KEY", COALESCE(f.value:q::VARCHAR, '') AS "PARENT"
        FROM (SELECT PARSE_JSON(?) AS "ROWS") b,
        LATERAL FLATTEN(input => b."ROWS") f) s
    ON t."KEY" = s."KEY" AND COALESCE(t."PARENT", '') = s."PARENT"
    UNION ALL SELECT NULL AS "KEY", NULL AS "PARENT", CAST((SELECT COALESCE(MAX(u."SEQ"), 0)
            FROM (SELECT MAX("SEQ") AS "SEQ"
                FROM "DB"."PUBLIC_RAW"."acme/gadgets"
                UNION ALL SELECT MAX("SEQUENCE") AS "SEQ"
                FROM "DB"."STATE"."APP_STATE"
                WHERE "KEY" = ? AND "STREAM" = ?) u) AS VARCHAR) AS "VERSION", NULL AS "HASH", '0' AS "DELETED";
-- bound: […], 'acme/gadgets', 'issues'

BEGIN TRANSACTION;

UPDATE "DB"."STATE"."SNOWFEED_FENCE/acme/gadgets" SET "TXN" = CAST(CURRENT_TRANSACTION() AS VARCHAR),
    "RUN" = ?;
-- bound: 'id'

MERGE INTO "DB"."PUBLIC_RAW"."acme/gadgets" t
    USING (SELECT f.value:k::VARCHAR AS "KEY", COALESCE(f.value:q::VARCHAR, '') AS "PARENT", f.value:v::NUMBER(38, 0) AS "VERSION",
        f.value:o::VARCHAR AS "ACT", f.value:h::VARCHAR AS "HASH", f.value:d::VARCHAR AS "DOCUMENT", TRY_PARSE_JSON(CASE WHEN f.value:j::BOOLEAN THEN COALESCE(f.value:p::VARCHAR,
                f.value:d::VARCHAR) END, 'd') AS "RAW", b."AT" AS "AT", b."SEQ" AS "SEQ", CASE WHEN f.value:x::BOOLEAN THEN b."AT" END AS "DELETED_AT"
        FROM (SELECT PARSE_JSON(?) AS "ROWS", CAST(? AS TIMESTAMP_NTZ) AS "AT", (SELECT COALESCE(MAX(u."SEQ"), 0)
                FROM (SELECT MAX("SEQ") AS "SEQ"
                    FROM "DB"."PUBLIC_RAW"."acme/gadgets"
                    UNION ALL SELECT MAX("SEQUENCE") AS "SEQ"
                    FROM "DB"."STATE"."APP_STATE"
                    WHERE "KEY" = ? AND "STREAM" = ?) u) + 1 AS "SEQ") b,
        LATERAL FLATTEN(input => b."ROWS") f
        WHERE EXISTS (SELECT 1 AS "ONE"
            FROM "DB"."STATE"."SNOWFEED_FENCE/acme/gadgets" f
            WHERE f."TXN" = CAST(CURRENT_TRANSACTION() AS VARCHAR))) s
    ON t."KEY" = s."KEY" AND COALESCE(t."PARENT", '') = s."PARENT"
    WHEN MATCHED AND s."VERSION" >= t."VERSION" AND s."ACT" = 'write' THEN UPDATE SET "VERSION" = s."VERSION",
    "HASH" = s."HASH", "RAW" = s."RAW", "DOCUMENT" = s."DOCUMENT", "CHANGED_AT" = s."AT", "DELETED_AT" = s."DELETED_AT",
    "SEQ" = s."SEQ"
    WHEN MATCHED AND s."VERSION" >= t."VERSION" AND s."ACT" = 'delete' THEN UPDATE SET "VERSION" = s."VERSION",
    "CHANGED_AT" = s."AT", "DELETED_AT" = s."AT", "SEQ" = s."SEQ"
    WHEN MATCHED AND s."VERSION" >= t."VERSION" AND s."ACT" = 'bump_version' THEN UPDATE SET "VERSION" = s."VERSION"
    WHEN NOT MATCHED THEN INSERT ("KEY", "VERSION", "HASH", "RAW", "DOCUMENT", "FIRST_SEEN", "CHANGED_AT",
        "DELETED_AT", "SEQ", "PARENT")
    VALUES (s."KEY", s."VERSION", s."HASH", s."RAW", s."DOCUMENT", s."AT", s."AT", s."DELETED_AT", s."SEQ",
        NULLIF(s."PARENT", ''));
-- bound: […], the time, 'acme/gadgets', 'issues'

INSERT ALL
    WHEN "IS_FIRST" = 1 THEN INTO "DB"."STATE"."APP_STATE" ("TIMESTAMP", "KEY", "STREAM", "VALUE", "VERSION",
        "AT", "DOCUMENT", "SEQUENCE", "PARENT_STREAM", "PARENT_SEQUENCE")
    VALUES ("TIMESTAMP", "KEY", "STREAM", "VALUE", "VERSION", "AT", "DOCUMENT", "SEQUENCE", "PARENT_STREAM",
        "PARENT_SEQUENCE")
    WHEN "RUN_ID" IS NOT NULL THEN INTO "DB"."STATE"."SNOWFEED_RUN" ("ID", "RESOURCE", "STREAM", "MODE", "STATUS",
        "ERROR", "OFFERED", "INSERTED", "UPDATED", "UNCHANGED", "DELETED", "REJECTED", "COMMITS", "REQUESTS",
        "BYTES", "WAITED_MS", "TOTAL_MS", "SKIPPED", "RECORDED_AT", "STARTED_AT", "ENDED_AT", "DOCUMENT")
    VALUES ("RUN_ID", "RUN_RESOURCE", "RUN_STREAM", "RUN_MODE", "RUN_STATUS", "RUN_ERROR", "RUN_OFFERED",
        "RUN_INSERTED", "RUN_UPDATED", "RUN_UNCHANGED", "RUN_DELETED", "RUN_REJECTED", "RUN_COMMITS",
        "RUN_REQUESTS", "RUN_BYTES", "RUN_WAITED_MS", "RUN_TOTAL_MS", "RUN_SKIPPED", "RUN_RECORDED_AT",
        "RUN_STARTED_AT", "RUN_ENDED_AT", "RUN_DOCUMENT") SELECT CAST(REPLACE(REPLACE(e."AT", 'T', ' '),
            'Z', '') AS TIMESTAMP_NTZ) AS "TIMESTAMP", e."KEY", e."STREAM", PARSE_JSON(e."DOCUMENT") AS "VALUE",
    e."BASE" + 1 AS "VERSION", e."AT", e."DOCUMENT", e."SEQUENCE", e."PARENT_STREAM", e."PARENT_SEQUENCE",
    r.*
    FROM (SELECT b."KEY", b."STREAM", b."BASE", b."DOCUMENT", CASE WHEN n."AT" > b."AT" THEN n."AT" ELSE b."AT" END AS "AT",
        GREATEST(COALESCE(r."SEQ", 0), COALESCE(n."SEQUENCE", 0)) AS "SEQUENCE", COALESCE(b."PARENT_STREAM",
            n."PARENT_STREAM") AS "PARENT_STREAM", n."PARENT_SEQUENCE" AS "PARENT_SEQUENCE"
        FROM (SELECT CAST(? AS VARCHAR) AS "KEY", CAST(? AS VARCHAR) AS "STREAM", CAST(? AS NUMBER(38, 0)) AS "BASE",
            CAST(? AS VARCHAR) AS "AT", CAST(? AS VARCHAR) AS "DOCUMENT", CAST(? AS VARCHAR) AS "PARENT_STREAM") b
        CROSS JOIN (SELECT MAX("VERSION") AS "VERSION", MAX("SEQUENCE") AS "SEQUENCE", MAX("PARENT_STREAM") AS "PARENT_STREAM",
            MAX("PARENT_SEQUENCE") AS "PARENT_SEQUENCE", MAX(CASE WHEN REGEXP_LIKE("AT", '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{9}Z$') THEN "AT" END) AS "AT"
            FROM "DB"."STATE"."APP_STATE"
            WHERE "KEY" = ? AND ("STREAM" = ? OR "STREAM" IS NULL)) n
        CROSS JOIN (SELECT MAX("SEQ") AS "SEQ"
            FROM "DB"."PUBLIC_RAW"."acme/gadgets") r
        WHERE COALESCE(n."VERSION", 0) = b."BASE" AND GREATEST(COALESCE(r."SEQ", 0), COALESCE(n."SEQUENCE", 0)) = CAST(? AS NUMBER(38, 0))) e
    CROSS JOIN (SELECT 1 AS "IS_FIRST", b."RUN":id::VARCHAR AS "RUN_ID", b."RUN":resource::VARCHAR AS "RUN_RESOURCE",
        b."RUN":stream::VARCHAR AS "RUN_STREAM", b."RUN":mode::VARCHAR AS "RUN_MODE", b."RUN":status::VARCHAR AS "RUN_STATUS",
        b."RUN":error.message::VARCHAR AS "RUN_ERROR", b."RUN":counts.offered::NUMBER(38, 0) AS "RUN_OFFERED",
        b."RUN":counts.inserted::NUMBER(38, 0) AS "RUN_INSERTED", b."RUN":counts.updated::NUMBER(38, 0) AS "RUN_UPDATED",
        b."RUN":counts.unchanged::NUMBER(38, 0) AS "RUN_UNCHANGED", b."RUN":counts.deleted::NUMBER(38, 0) AS "RUN_DELETED",
        b."RUN":counts.rejected::NUMBER(38, 0) AS "RUN_REJECTED", b."RUN":commits::NUMBER(38, 0) AS "RUN_COMMITS",
        b."RUN":traffic.requests::NUMBER(38, 0) AS "RUN_REQUESTS", b."RUN":traffic.bytes::NUMBER(38, 0) AS "RUN_BYTES",
        b."RUN":traffic.waited_ms::NUMBER(38, 0) AS "RUN_WAITED_MS", b."RUN":timings.total_ms::NUMBER(38, 0) AS "RUN_TOTAL_MS",
        b."SKIPPED" AS "RUN_SKIPPED", b."RECORDED_AT" AS "RUN_RECORDED_AT", b."STARTED_AT" AS "RUN_STARTED_AT",
        b."ENDED_AT" AS "RUN_ENDED_AT", b."DOCUMENT" AS "RUN_DOCUMENT"
        FROM (SELECT PARSE_JSON(?) AS "RUN", CAST(? AS NUMBER(38, 0)) AS "SKIPPED", CAST(? AS TIMESTAMP_NTZ) AS "RECORDED_AT",
            CAST(? AS TIMESTAMP_NTZ) AS "STARTED_AT", CAST(? AS TIMESTAMP_NTZ) AS "ENDED_AT", CAST(? AS VARCHAR) AS "DOCUMENT") b
        UNION ALL SELECT 0 AS "IS_FIRST", r."ID", r."RESOURCE", r."STREAM", r."MODE", 'interrupted', r."ERROR",
        r."OFFERED", r."INSERTED", r."UPDATED", r."UNCHANGED", r."DELETED", r."REJECTED", r."COMMITS",
        r."REQUESTS", r."BYTES", r."WAITED_MS", r."TOTAL_MS", r."SKIPPED", DATEADD(MICROSECOND, 1, r."RECORDED_AT"),
        r."STARTED_AT", r."ENDED_AT", REPLACE(r."DOCUMENT", '"status":"running"', '"status":"interrupted"')
        FROM (SELECT *
            FROM "DB"."STATE"."SNOWFEED_RUN"
            WHERE "RESOURCE" = ? AND ("STREAM" = ? OR "STREAM" IS NULL)
            QUALIFY ROW_NUMBER() OVER (PARTITION BY "ID"
                ORDER BY "RECORDED_AT" DESC) = 1) r
        WHERE r."ID" <> ? AND r."STATUS" = 'running') r
    WHERE EXISTS (SELECT 1 AS "ONE"
        FROM "DB"."STATE"."SNOWFEED_FENCE/acme/gadgets" f
        WHERE f."TXN" = CAST(CURRENT_TRANSACTION() AS VARCHAR));
-- bound: 'acme/gadgets', 'issues', 0, the time, {…}, null, 'acme/gadgets', 'issues', 1, {…}, 0, the time, the time, the time, {…}, 'acme/gadgets', 'issues', 'id'

COMMIT;
