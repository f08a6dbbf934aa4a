-- A run that finds something new: one small commit.
-- 8 statements:
--     2 begin or end a transaction
--     3 read
--     3 write

SELECT 'connector' AS "WHAT", "KEY", CASE WHEN TO_JSON(TRY_PARSE_JSON("DOCUMENT", 'd')) = TO_JSON("VALUE") THEN "DOCUMENT" ELSE COALESCE(TO_JSON("VALUE"),
        "DOCUMENT") END AS "TEXT"
    FROM "DB"."STATE"."APP_CONFIGURATION"
    UNION ALL SELECT 'resource' AS "WHAT", "KEY", CASE WHEN TO_JSON(TRY_PARSE_JSON("DOCUMENT", 'd')) = TO_JSON("VALUE") THEN "DOCUMENT" ELSE COALESCE(TO_JSON("VALUE"),
        "DOCUMENT") END AS "TEXT"
    FROM "DB"."STATE"."RESOURCE_CONFIGURATION"
    ORDER BY 1, 2;

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

SELECT t."KEY", s."PARENT", CAST(t."VERSION" AS VARCHAR) AS "VERSION", t."HASH", CASE WHEN t."DELETED_AT" IS NULL THEN '0' ELSE '1' END AS "DELETED"
    FROM "DB"."PUBLIC_RAW"."acme/widgets" t
    JOIN (SELECT f.value:k::VARCHAR AS "KEY", COALESCE(f.value:q::VARCHAR, '') AS "PARENT"
        FROM (SELECT PARSE_JSON(?) AS "ROWS") b,
        LATERAL FLATTEN(input => b."ROWS") f) s
    ON t."KEY" = s."KEY" AND COALESCE(t."PARENT", '') = s."PARENT"
    UNION ALL SELECT NULL AS "KEY", NULL AS "PARENT", CAST((SELECT COALESCE(MAX(u."SEQ"), 0)
            FROM (SELECT MAX("SEQ") AS "SEQ"
                FROM "DB"."PUBLIC_RAW"."acme/widgets"
                UNION ALL SELECT MAX("SEQUENCE") AS "SEQ"
                FROM "DB"."STATE"."APP_STATE"
                WHERE "KEY" = ? AND "STREAM" = ?) u) AS VARCHAR) AS "VERSION", NULL AS "HASH", '0' AS "DELETED";
-- bound: […], 'acme/widgets', 'issues'

BEGIN TRANSACTION;

UPDATE "DB"."STATE"."SNOWFEED_FENCE/acme/widgets" SET "TXN" = CAST(CURRENT_TRANSACTION() AS VARCHAR),
    "RUN" = ?;
-- bound: 'id'

MERGE INTO "DB"."PUBLIC_RAW"."acme/widgets" t
    USING (SELECT f.value:k::VARCHAR AS "KEY", COALESCE(f.value:q::VARCHAR, '') AS "PARENT", f.value:v::NUMBER(38, 0) AS "VERSION",
        f.value:o::VARCHAR AS "ACT", f.value:h::VARCHAR AS "HASH", f.value:d::VARCHAR AS "DOCUMENT", TRY_PARSE_JSON(CASE WHEN f.value:j::BOOLEAN THEN COALESCE(f.value:p::VARCHAR,
                f.value:d::VARCHAR) END, 'd') AS "RAW", b."AT" AS "AT", b."SEQ" AS "SEQ", CASE WHEN f.value:x::BOOLEAN THEN b."AT" END AS "DELETED_AT"
        FROM (SELECT PARSE_JSON(?) AS "ROWS", CAST(? AS TIMESTAMP_NTZ) AS "AT", (SELECT COALESCE(MAX(u."SEQ"), 0)
                FROM (SELECT MAX("SEQ") AS "SEQ"
                    FROM "DB"."PUBLIC_RAW"."acme/widgets"
                    UNION ALL SELECT MAX("SEQUENCE") AS "SEQ"
                    FROM "DB"."STATE"."APP_STATE"
                    WHERE "KEY" = ? AND "STREAM" = ?) u) + 1 AS "SEQ") b,
        LATERAL FLATTEN(input => b."ROWS") f
        WHERE EXISTS (SELECT 1 AS "ONE"
            FROM "DB"."STATE"."SNOWFEED_FENCE/acme/widgets" f
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
-- bound: […], the time, 'acme/widgets', 'issues'

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
            FROM "DB"."PUBLIC_RAW"."acme/widgets") r
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
        FROM "DB"."STATE"."SNOWFEED_FENCE/acme/widgets" f
        WHERE f."TXN" = CAST(CURRENT_TRANSACTION() AS VARCHAR));
-- bound: 'acme/widgets', 'issues', 1, the time, {…}, null, 'acme/widgets', 'issues', 2, {…}, 0, the time, the time, the time, {…}, 'acme/widgets', 'issues', 'id'

COMMIT;
