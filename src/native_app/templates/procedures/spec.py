"""The source's specification, from which the app was generated."""

SPEC = {
    "name": "<<name>>",
    "version": "<<version>>",
    "title": "<<title>>",
    "description": "<<description>>",
    # The word for one resource, in the singular.
    "resource_kind": "<<resource_kind>>",
    # The rule for resource names; None if any text is valid.
    "resource_names": "<<resource_names>>",
    # The hosts that the container connects to, besides those of settings that are URLs. Settings stand in braces.
    "hosts": "<<hosts>>",
    # The secret settings, each bound by the reference of the same name.
    "secrets": "<<secrets|map(attribute='name')|list>>",
    # The JSON Schema of the settings.
    "settings": "<<schema>>",
    # The source's streams. A resource reads the default ones unless the user selects others; a stream that another one requires is
    # read with it.
    "streams": "<<streams>>",
    # The stream that a resource's name alone stands for; None if each stream is named.
    "sole_stream": "<<sole_stream>>",
    "default_schedule": "<<schedule>>",
    # A regular expression for the tokens of well-known services.
    "token_pattern": "<<token_pattern>>",
    # How often a run that finds nothing new is recorded, in seconds.
    "heartbeat": "<<heartbeat>>",
    # The shortest interval of a schedule, in seconds.
    "shortest_schedule": "<<shortest_schedule>>",
    # Whether the app runs the connector itself, in a container.
    "container": "<<container>>",
    # What starts ingestion by default: a task of the app, or a process outside Snowflake.
    "default_scheduler": "<<'task' if container else 'outside'>>",
    "pool_family": "<<pool_family>>",
    # The statements that create the engine's own tables. Names in braces are placeholders for qualified names.
    "state_sql": "<<state_sql>>",
    # The cost of the engine's statements. `{database}` is the placeholder for the destination as a literal.
    "usage_sql": "<<usage_sql>>",
    # The JSON Schema of the options that a consumer may set for the containers.
    "options": "<<options>>",
    # The maximum length of a column that holds a document, in characters.
    "longest_text": "<<longest_text>>",
}
