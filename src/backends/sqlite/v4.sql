ALTER TABLE snowfeed_stream ADD COLUMN is_child INTEGER NOT NULL DEFAULT 0;

CREATE TABLE snowfeed_sequence (
    resource_id INTEGER NOT NULL REFERENCES snowfeed_resource (id),
    stream_id INTEGER NOT NULL REFERENCES snowfeed_stream (id),
    seq INTEGER NOT NULL,
    PRIMARY KEY (resource_id, stream_id)
) WITHOUT ROWID;
