"""The procedures of the app."""


def _not_yet() -> dict:
    return {"response_code": "INTERNAL_ERROR", "message": "not written yet"}


def provision_connector(session, config):
    return _not_yet()


def enable_resource(session, name):
    return _not_yet()


def disable_resource(session, name):
    return _not_yet()


def update_resource(session, name, schedule):
    return _not_yet()


def delete_resource(session, name, drop_data=False):
    return _not_yet()


def reconcile_resource(session, name):
    return _not_yet()


def reset_resource(session, name):
    return _not_yet()


def ingest_data(session, name):
    return _not_yet()


def run_all(session):
    return _not_yet()


def pause_connector(session):
    return _not_yet()


def resume_connector(session):
    return _not_yet()


def get_connector_status(session):
    return _not_yet()


def test_connection(session):
    return _not_yet()


def update_settings(session, settings):
    return _not_yet()


def register_reference(session, ref_name, operation, ref_or_alias):
    return _not_yet()


def get_reference_config(session, ref_name):
    return _not_yet()


def grant_callback(session, privileges):
    return _not_yet()
