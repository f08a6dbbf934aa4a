ALTER TABLE APP_STATE ADD COLUMN stream TEXT NOT NULL DEFAULT '';
DROP INDEX snowfeed_state_by_version;
CREATE UNIQUE INDEX snowfeed_state_by_version ON APP_STATE (key, stream, version);

ALTER TABLE INGESTION_RUN ADD COLUMN stream TEXT NOT NULL DEFAULT '';
CREATE INDEX snowfeed_run_by_stream ON INGESTION_RUN (resource, stream, started_at, id);

-- Resources with one stream.
CREATE TEMPORARY TABLE sole AS
    SELECT r.name AS resource, min(s.name) AS stream
    FROM snowfeed_view v JOIN snowfeed_resource r ON r.id = v.resource_id JOIN snowfeed_stream s ON s.id = v.stream_id
    GROUP BY r.name HAVING count(DISTINCT s.name) = 1;

UPDATE INGESTION_RUN SET
    stream = (SELECT stream FROM sole WHERE sole.resource = INGESTION_RUN.resource),
    record = json_set(record, '$.stream', (SELECT stream FROM sole WHERE sole.resource = INGESTION_RUN.resource))
    WHERE resource IN (SELECT resource FROM sole);

CREATE TEMPORARY TABLE newest AS
    SELECT timestamp, key, value, version FROM APP_STATE a
    WHERE version = (SELECT max(version) FROM APP_STATE b WHERE b.key = a.key);

INSERT INTO APP_STATE (timestamp, key, stream, value, version)
    SELECT n.timestamp, n.key, sole.stream, n.value, 1 FROM newest n JOIN sole ON sole.resource = n.key;

INSERT INTO APP_STATE (timestamp, key, stream, value, version)
    SELECT timestamp, key, '', value, version + 1 FROM newest;

DROP TABLE newest;
DROP TABLE sole;
