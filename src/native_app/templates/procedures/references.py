"""References, to which the consumer binds objects, and Snowflake's callbacks for them."""

import json

import hosts
import settings
from responses import ProcedureError, ok
from spec import SPEC

WAREHOUSE = "warehouse_reference"
EXTERNAL_ACCESS = f"{SPEC['name']}_external_access"


def known():
    """Every reference of the app: whether ingestion requires it, and the response code if it is not bound."""
    if not SPEC["container"]:
        return {WAREHOUSE: (True, "INACCESSIBLE_WAREHOUSE")}
    required = SPEC["settings"].get("required", [])
    references = {name: (name in required, "SECRET_UNAVAILABLE") for name in SPEC["secrets"]}
    if hosts.has_any():
        references[EXTERNAL_ACCESS] = (True, "EAI_UNAVAILABLE")
    references[WAREHOUSE] = (True, "INACCESSIBLE_WAREHOUSE")
    return references


def objects(session):
    """The names of the bound objects, by reference, by one statement that needs no warehouse."""
    columns = ", ".join(f'SYSTEM$GET_ALL_REFERENCES(?, TRUE) AS "R{index}"' for index in range(len(known())))
    row = session.sql(f"SELECT {columns}", params=list(known())).collect()[0]
    listed = {name: json.loads(row[f"R{index}"] or "[]") for index, name in enumerate(known())}
    return {name: str(found[0].get("name") or found[0].get("alias") or "") for name, found in listed.items() if found}


def describe(present, configuration):
    """Every reference, for the page, given the bound ones: that of external access with the hosts, and the settings that others depend on
    and that are missing."""
    described = {name: {"bound": name in present, "required": needed} for name, (needed, _) in known().items()}
    if EXTERNAL_ACCESS in described:
        found, missing = hosts.configured(configuration)
        described[EXTERNAL_ACCESS].update(hosts=found, missing_settings=missing)
    return described


def required(session):
    """The names of the bound objects, by reference. Raises EAI_UNAVAILABLE, SECRET_UNAVAILABLE or INACCESSIBLE_WAREHOUSE."""
    present = objects(session)
    missing = [name for name, (needed, _) in known().items() if needed and name not in present]
    if missing:
        code = known()[missing[0]][1]
        raise ProcedureError(
            code, f"not bound: {', '.join(missing)}; bind it on the app's page, under Configuration", missing=missing
        )
    return present


def register(session, name, operation, alias):
    """Binds a reference, or removes its binding."""
    name, operation = str(name).lower(), str(operation).upper()
    if name not in known():
        raise ProcedureError("INVALID_REFERENCE", f"the app has no reference {name!r}")
    if operation == "ADD":
        if not alias:
            raise ProcedureError("INVALID_INPUT", "the object to bind is missing")
        session.sql("SELECT SYSTEM$SET_REFERENCE(?, ?)", params=[name, alias]).collect()
    elif operation in ("REMOVE", "CLEAR"):
        session.sql("SELECT SYSTEM$REMOVE_REFERENCE(?)", params=[name]).collect()
    else:
        raise ProcedureError("INVALID_INPUT", f"{operation!r} is not an operation: use ADD, REMOVE or CLEAR")
    return ok(f"{operation.lower()}: {name}", reference=name)


def dialog_configuration(session, name):
    """The configuration with which Snowflake's dialog creates the object of a reference, as JSON text."""
    name = str(name).lower()
    message = f"the app has no settings for the reference {name!r}"
    if name == EXTERNAL_ACCESS and hosts.has_any():
        try:
            configuration = settings.load(session)
        except ProcedureError:
            configuration = None
        found, missing = hosts.configured(configuration)
        if not missing:
            # The container mounts secrets by their own references; an integration has to allow only those of type OAUTH2.
            return json.dumps({"type": "CONFIGURATION", "payload": {"host_ports": found, "allowed_secrets": "NONE"}})
        message = f"first configure the connector: its host depends on {', '.join(missing)}"
    if name in SPEC["secrets"]:
        return json.dumps({"type": "CONFIGURATION", "payload": {"type": "GENERIC_STRING"}})
    return json.dumps({"type": "ERROR", "payload": {"message": message}})
