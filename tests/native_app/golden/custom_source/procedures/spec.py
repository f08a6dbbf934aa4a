"""The source's specification, from which the app was generated."""

SPEC = {
    "name": "jsonl",
    "version": "1.0.0",
    "title": "Jsonl connector",
    "description": "Keeps every file that you enable from jsonl in sync with tables of your own account.",
    # The word for one resource, in the singular.
    "resource_kind": "file",
    # The rule for resource names; None if any text is valid.
    "resource_names": None,
    # The hosts that the container connects to, besides those of settings that are URLs. Settings stand in braces.
    "hosts": [],
    # The secret settings, each bound by the reference of the same name.
    "secrets": [],
    # The JSON Schema of the settings.
    "settings": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "The settings: the comment of a field becomes its description.",
        "properties": {"path": {"description": "The folder that holds the files.", "type": "string"}},
        "required": ["path"],
        "title": "Folder",
        "type": "object",
    },
    # The source's streams. A resource reads the default ones unless the user selects others; a stream that another one requires is
    # read with it.
    "streams": [
        {
            "name": "lines",
            "is_default": True,
            "is_source_wide": False,
            "requires": None,
            "has_table": True,
            "columns": ["id", "name"],
            "is_inferred": False,
        },
        {
            "name": "revisions",
            "is_default": False,
            "is_source_wide": False,
            "requires": None,
            "has_table": True,
            "columns": ["id", "name"],
            "is_inferred": False,
        },
    ],
    # The stream that a resource's name alone stands for; None if each stream is named.
    "sole_stream": "lines",
    "default_schedule": "30m",
    # A regular expression for the tokens of well-known services.
    "token_pattern": "(^|[^A-Za-z0-9])(gh[oprsu]_[A-Za-z0-9]{8}|github_pat_[A-Za-z0-9_]{8}|glpat-[A-Za-z0-9_-]{8}|xox[abeprs]-[A-Za-z0-9-]{8}|sk-[A-Za-z0-9_-]{16}|[sr]k_(live|test)_[A-Za-z0-9]{8}|(AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30}|eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8}|npm_[A-Za-z0-9]{30}|pypi-[A-Za-z0-9_-]{16}|hf_[A-Za-z0-9]{16}|-----BEGIN [A-Z ]*PRIVATE KEY)",
    # How often a run that finds nothing new is recorded, in seconds.
    "heartbeat": 86400,
    # The shortest interval of a schedule, in seconds.
    "shortest_schedule": 60,
    # Whether the app runs the connector itself, in a container.
    "container": True,
    # What starts ingestion by default: a task of the app, or a process outside Snowflake.
    "default_scheduler": "task",
    "pool_family": "CPU_X64_XS",
    # The statements that create the engine's own tables. Names in braces are placeholders for qualified names.
    "state_sql": "-- What the connector remembers. Each statement can be repeated; the row in SNOWFEED_VERSION comes last.\n-- Snowflake does not enforce primary keys. No text may inherit a collation from the account: keys that differ only by case\n-- are different keys.\n-- DOCUMENT is the exact text of what VALUE holds as a VARIANT, which keeps neither spaces nor the order of members.\n-- SCHEMA is where the views are.\nCREATE TABLE IF NOT EXISTS {SNOWFEED_VERSION} (\"VERSION\" NUMBER(38, 0) NOT NULL, \"SCHEMA\" VARCHAR NOT NULL)\n    DEFAULT_DDL_COLLATION = '';\n\nCREATE TABLE IF NOT EXISTS {APP_CONFIGURATION} (\"KEY\" VARCHAR NOT NULL PRIMARY KEY, \"VALUE\" VARIANT, \"DOCUMENT\" VARCHAR(134217728))\n    DEFAULT_DDL_COLLATION = '';\n\nCREATE TABLE IF NOT EXISTS {RESOURCE_CONFIGURATION} (\"KEY\" VARCHAR NOT NULL PRIMARY KEY, \"VALUE\" VARIANT, \"DOCUMENT\" VARCHAR(134217728))\n    DEFAULT_DDL_COLLATION = '';\n\n-- Append-only. KEY is a resource; the highest version of a stream of a resource counts. An INSERT locks nothing, so whoever appends\n-- holds the resource's fence: a table of its own, SNOWFEED_FENCE/key. STREAM is empty in what an older version wrote for several streams.\n-- SEQUENCE is the number of the last commit that changed a row of the stream; PARENT_SEQUENCE is that of PARENT_STREAM, if a run of this\n-- stream has found rows of it to be gone.\nCREATE TABLE IF NOT EXISTS {APP_STATE} (\n    \"TIMESTAMP\" TIMESTAMP_NTZ DEFAULT SYSDATE(),\n    \"KEY\" VARCHAR NOT NULL,\n    \"VALUE\" VARIANT,\n    \"VERSION\" NUMBER(38, 0) NOT NULL,\n    \"AT\" VARCHAR NOT NULL,\n    \"DOCUMENT\" VARCHAR(134217728) NOT NULL,\n    \"STREAM\" VARCHAR NOT NULL,\n    \"SEQUENCE\" NUMBER(38, 0),\n    \"PARENT_STREAM\" VARCHAR,\n    \"PARENT_SEQUENCE\" NUMBER(38, 0)\n) DEFAULT_DDL_COLLATION = '';\n\n-- Append-only: a row for each time that the record of a run was written. INGESTION_RUN shows the last one of each run. STREAM is null\n-- in what an older version wrote for several streams.\nCREATE TABLE IF NOT EXISTS {SNOWFEED_RUN} (\n    \"ID\" VARCHAR NOT NULL,\n    \"RECORDED_AT\" TIMESTAMP_NTZ NOT NULL,\n    \"RESOURCE\" VARCHAR NOT NULL,\n    \"MODE\" VARCHAR,\n    \"STATUS\" VARCHAR,\n    \"STARTED_AT\" TIMESTAMP_NTZ,\n    \"ENDED_AT\" TIMESTAMP_NTZ,\n    \"OFFERED\" NUMBER(38, 0),\n    \"INSERTED\" NUMBER(38, 0),\n    \"UPDATED\" NUMBER(38, 0),\n    \"UNCHANGED\" NUMBER(38, 0),\n    \"DELETED\" NUMBER(38, 0),\n    \"SKIPPED\" NUMBER(38, 0),\n    \"REJECTED\" NUMBER(38, 0),\n    \"COMMITS\" NUMBER(38, 0),\n    \"REQUESTS\" NUMBER(38, 0),\n    \"BYTES\" NUMBER(38, 0),\n    \"WAITED_MS\" NUMBER(38, 0),\n    \"TOTAL_MS\" NUMBER(38, 0),\n    \"ERROR\" VARCHAR,\n    \"DOCUMENT\" VARCHAR(134217728) NOT NULL,\n    \"STREAM\" VARCHAR\n) DEFAULT_DDL_COLLATION = '';\n\nCREATE VIEW IF NOT EXISTS {INGESTION_RUN} AS\n    SELECT \"ID\", \"RESOURCE\", \"STREAM\", \"MODE\", \"STATUS\", \"STARTED_AT\", \"ENDED_AT\", \"OFFERED\", \"INSERTED\", \"UPDATED\", \"UNCHANGED\",\n        \"DELETED\", \"SKIPPED\", \"REJECTED\", \"COMMITS\", \"REQUESTS\", \"BYTES\", \"WAITED_MS\", \"TOTAL_MS\", \"ERROR\", \"DOCUMENT\"\n    FROM {SNOWFEED_RUN}\n    QUALIFY ROW_NUMBER() OVER (PARTITION BY \"RESOURCE\", \"ID\" ORDER BY \"RECORDED_AT\" DESC) = 1;\n\nCREATE TABLE IF NOT EXISTS {REJECTED_RECORD} (\n    \"RESOURCE\" VARCHAR NOT NULL,\n    \"STREAM\" VARCHAR NOT NULL,\n    \"REASON\" VARCHAR NOT NULL,\n    \"RAW\" VARCHAR(134217728) NOT NULL,\n    \"HASH\" VARCHAR NOT NULL,\n    \"FIRST_SEEN\" TIMESTAMP_NTZ,\n    \"LAST_SEEN\" TIMESTAMP_NTZ,\n    \"RUN\" VARCHAR,\n    PRIMARY KEY (\"RESOURCE\", \"STREAM\", \"REASON\", \"HASH\")\n) DEFAULT_DDL_COLLATION = '';\n\n-- A row for each table of each resource; the rows of the streams' own views have no resource.\n-- MADE_FROM is a digest of what the view was made from; while a stream's view is being made, the claim of whoever makes it.\nCREATE TABLE IF NOT EXISTS {SNOWFEED_TABLE} (\n    \"RESOURCE\" VARCHAR NOT NULL,\n    \"STREAM\" VARCHAR NOT NULL,\n    \"NAME\" VARCHAR NOT NULL,\n    \"COLUMNS\" VARCHAR NOT NULL,\n    \"MADE_FROM\" VARCHAR NOT NULL,\n    PRIMARY KEY (\"RESOURCE\", \"STREAM\")\n) DEFAULT_DDL_COLLATION = '';\n\n-- What reconcile runs have come across. PARENT is null for rows without a parent.\nCREATE TABLE IF NOT EXISTS {SNOWFEED_SEEN} (\n    \"RUN\" VARCHAR NOT NULL,\n    \"RESOURCE\" VARCHAR NOT NULL,\n    \"STREAM\" VARCHAR NOT NULL,\n    \"KEY\" VARCHAR NOT NULL,\n    \"PARENT\" VARCHAR\n) DEFAULT_DDL_COLLATION = '';\n\n-- Files on their way into tables. Encrypted by Snowflake, so that no client has to.\nCREATE STAGE IF NOT EXISTS {SNOWFEED_STAGE} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE');\n",
    # The cost of the engine's statements. `{database}` is the placeholder for the destination as a literal.
    "usage_sql": "SELECT CAST(CONVERT_TIMEZONE('UTC', h.\"START_TIME\") AS DATE) AS \"DAY\", CAST(GET(h.\"TAG\", 'resource') AS VARCHAR) AS \"RESOURCE\",\nCAST(GET(h.\"TAG\", 'stream') AS VARCHAR) AS \"STREAM\", 'warehouse' AS \"SERVICE\", COUNT(*) AS \"STATEMENTS\",\nSUM(h.\"CREDITS_ATTRIBUTED_COMPUTE\" + COALESCE(h.\"CREDITS_USED_QUERY_ACCELERATION\", 0)) AS \"CREDITS\"\nFROM (SELECT \"START_TIME\", \"CREDITS_ATTRIBUTED_COMPUTE\", \"CREDITS_USED_QUERY_ACCELERATION\", TRY_PARSE_JSON(\"QUERY_TAG\") AS \"TAG\"\nFROM \"SNOWFLAKE\".\"ACCOUNT_USAGE\".\"QUERY_ATTRIBUTION_HISTORY\" WHERE \"QUERY_TAG\" LIKE '{\"app\":\"snowfeed\"%') h\nWHERE CAST(GET(h.\"TAG\", 'database') AS VARCHAR) = {database} GROUP BY 1, 2, 3",
    # The JSON Schema of the options that a consumer may set for the containers.
    "options": {
        "properties": {
            "commit_mib": {"maximum": 250, "minimum": 64, "type": "integer"},
            "commit_seconds": {"maximum": 3600, "minimum": 10, "type": "integer"},
            "keep_documents": {"type": "boolean"},
            "retention_days": {"maximum": 90, "minimum": 0, "type": "integer"},
            "transient": {"type": "boolean"},
            "warehouse_size": {
                "enum": [
                    "XSMALL",
                    "SMALL",
                    "MEDIUM",
                    "LARGE",
                    "XLARGE",
                    "X2LARGE",
                    "X3LARGE",
                    "X4LARGE",
                    "X5LARGE",
                    "X6LARGE",
                ],
            },
        },
        "type": "object",
    },
    # The maximum length of a column that holds a document, in characters.
    "longest_text": 134217728,
}
