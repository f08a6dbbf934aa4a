"""What the app was generated for: the source, as it describes itself."""

SPEC = {
    "name": "<<name>>",
    "version": "<<version>>",
    "title": "<<title>>",
    "description": "<<description>>",
    # What one resource is, in the singular.
    "resource_kind": "<<resource_kind>>",
    # How resources are named; None where any text is a name.
    "resource_names": "<<resource_names>>",
    "hosts": "<<hosts>>",
    # Settings that are secrets, each bound by a reference of its name.
    "secrets": "<<secrets|map(attribute='name')|list>>",
    # The JSON Schema of the settings.
    "settings": "<<schema>>",
    "tables": "<<tables>>",
    "default_schedule": "<<schedule>>",
    # What tokens of well-known services look like: a regular expression.
    "token_pattern": "<<token_pattern>>",
    # The shortest interval of a schedule, in seconds.
    "shortest_schedule": "<<shortest_schedule>>",
    # Whether the app runs the connector itself, in a container.
    "container": "<<container>>",
    # Who starts ingestion unless the consumer says otherwise: a task of the app, or a process outside of Snowflake.
    "default_scheduler": "<<'task' if container else 'outside'>>",
    "pool_family": "<<pool_family>>",
    # The statements that make the tables of the connector itself; names in braces are to be qualified.
    "state_sql": "<<state_sql>>",
    # The most characters of a column that holds a document.
    "longest_text": "<<longest_text>>",
}
