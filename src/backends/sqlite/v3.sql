ALTER TABLE APP_STATE ADD COLUMN stream TEXT NOT NULL DEFAULT '';
ALTER TABLE INGESTION_RUN ADD COLUMN stream TEXT NOT NULL DEFAULT '';

-- The streams of each resource, and whether it has only this one.
CREATE TEMPORARY TABLE known AS
    SELECT r.name AS resource, s.name AS stream, count(*) OVER (PARTITION BY r.id) = 1 AS is_sole
    FROM (SELECT DISTINCT resource_id, stream_id FROM snowfeed_view) v
    JOIN snowfeed_resource r ON r.id = v.resource_id JOIN snowfeed_stream s ON s.id = v.stream_id;
CREATE INDEX temp.known_by_resource ON known (resource);

CREATE TEMPORARY TABLE newest AS SELECT key AS resource, max(version) AS version FROM APP_STATE GROUP BY key;

-- The states and runs of a resource with one stream become that stream's.
UPDATE APP_STATE SET stream = k.stream FROM known k WHERE k.resource = APP_STATE.key AND k.is_sole;
UPDATE INGESTION_RUN SET stream = k.stream,
    record = iif(json_valid(record), json_set(record, '$.stream', k.stream), record)
    FROM known k WHERE k.resource = INGESTION_RUN.resource AND k.is_sole;

DROP INDEX snowfeed_state_by_version;
CREATE UNIQUE INDEX snowfeed_state_by_version ON APP_STATE (key, stream, version);
CREATE INDEX snowfeed_run_by_stream ON INGESTION_RUN (resource, stream, started_at, id);

-- The checkpoint of several streams is that of none of them.
INSERT INTO APP_STATE (timestamp, key, stream, value, version)
    SELECT a.timestamp, a.key, k.stream,
        json_set(json_remove(a.value, '$.checkpoint', '$.reconcile', '$.claim'),
            '$.message', 'upgraded: the next run reads from the start'),
        a.version
    FROM newest n JOIN APP_STATE a ON a.key = n.resource AND a.stream = '' AND a.version = n.version
    JOIN known k ON k.resource = n.resource AND NOT k.is_sole
    WHERE json_valid(a.value);

-- Older versions did not note whether there are rejects.
UPDATE APP_STATE SET value = json_set(value, '$.has_rejects', json('true'))
    WHERE stream <> '' AND json_valid(value)
    AND version = (SELECT version FROM newest n WHERE n.resource = APP_STATE.key)
    AND EXISTS (SELECT 1 FROM REJECTED_RECORD r WHERE r.resource = APP_STATE.key AND r.stream = APP_STATE.stream);

-- A run of an older version that is under way builds on an entry that is no longer the newest, so that its commits are refused.
INSERT INTO APP_STATE (timestamp, key, stream, value, version)
    SELECT a.timestamp, a.key, '', a.value, a.version + 1
    FROM newest n JOIN APP_STATE a ON a.key = n.resource AND a.version = n.version
    GROUP BY n.resource;
UPDATE INGESTION_RUN SET status = 'interrupted',
    record = iif(json_valid(record), json_set(record, '$.status', 'interrupted'), record)
    WHERE status = 'running';

-- Only the reconciliation of a resource with one stream continues.
CREATE TEMPORARY TABLE dropped AS
    SELECT id FROM snowfeed_sweep WHERE run NOT IN (
        SELECT json_extract(a.value, '$.reconcile.id')
        FROM newest n JOIN APP_STATE a ON a.key = n.resource AND a.version = n.version AND a.stream <> ''
        WHERE iif(json_valid(a.value), json_extract(a.value, '$.reconcile.id'), NULL) IS NOT NULL);
DELETE FROM snowfeed_seen WHERE sweep_id IN (SELECT id FROM dropped);
DELETE FROM snowfeed_sweep WHERE id IN (SELECT id FROM dropped);

DROP TABLE dropped;
DROP TABLE newest;
DROP TABLE known;

-- A process of an older version that still has the file open knows neither the column nor the states of streams.
ALTER TABLE snowfeed_resource ADD COLUMN has_stream_states INTEGER NOT NULL DEFAULT 0;
UPDATE snowfeed_resource SET has_stream_states = 1;
CREATE TRIGGER snowfeed_refuse_old_resource BEFORE INSERT ON snowfeed_resource WHEN NEW.has_stream_states = 0
    BEGIN SELECT RAISE(ABORT, 'a newer version of this program has upgraded the database: stop this one'); END;
CREATE TRIGGER snowfeed_refuse_old_state BEFORE INSERT ON APP_STATE WHEN NEW.stream = ''
    BEGIN SELECT RAISE(ABORT, 'a newer version of this program has upgraded the database: stop this one'); END;
CREATE TRIGGER snowfeed_refuse_old_run BEFORE INSERT ON INGESTION_RUN WHEN NEW.stream = ''
    BEGIN SELECT RAISE(ABORT, 'a newer version of this program has upgraded the database: stop this one'); END;
