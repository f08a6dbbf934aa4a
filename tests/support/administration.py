"""What an administrator prepares: warehouses, resource monitors, roles, users and grants, in the statements that the guides have.

What is created refers only to what exists. A user of this module logs in with the key that was set for it, with a role that was
granted to it, and may do what was granted to the role: use a warehouse, use a database, create a schema in it.
"""

import base64
import re

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from snowflake.connector.errors import ProgrammingError

WAREHOUSES = {"COMPUTE_WH": ("STARTED", "true"), "SLEEPING": ("SUSPENDED", "true"), "STOPPED": ("SUSPENDED", "false")}

# The rights of a role, beyond using what exists: SYSADMIN owns all databases. READER may create nothing, NOBODY has no warehouse,
# BLIND cannot read the history.
GRANTS = {
    "ACCOUNTADMIN": [("USAGE", "ROLE", "SYSADMIN")],
    "SYSADMIN": [("CREATE DATABASE", "ACCOUNT", "TEST")],
    "READER": [],
    "NOBODY": [],
    "BLIND": [("USAGE", "ROLE", "SYSADMIN")],
    "PUBLIC": [],
}

# What was created here.
created_roles = set()
monitors = set()
users = {}

NAME = r'([A-Za-z_]\w*)'
PATH = rf'({NAME[1:-1]}(?:\.{NAME[1:-1]})*)'
PROPERTIES = r"((?:\s+\w+\s*=\s*(?:'[^']*'|\w+))*)"
TRIGGERS = r"((?:\s+ON\s+\d+\s+PERCENT\s+DO\s+(?:NOTIFY|SUSPEND|SUSPEND_IMMEDIATE))+)"

# The properties that the statements may have.
OF_A_WAREHOUSE = {"WAREHOUSE_SIZE", "AUTO_SUSPEND", "AUTO_RESUME", "INITIALLY_SUSPENDED"}
OF_A_USER = {"TYPE", "DEFAULT_ROLE", "DEFAULT_WAREHOUSE", "RSA_PUBLIC_KEY"}
PRIVILEGES = {
    "WAREHOUSE": {"USAGE", "OPERATE", "MONITOR"},
    "DATABASE": {"USAGE", "MONITOR", "CREATE SCHEMA"},
    "SCHEMA": {"USAGE", "CREATE TABLE", "CREATE VIEW"},
    "VIEWS": {"SELECT"},
}


def missing(kind, name):
    return ProgrammingError(
        msg=f"SQL compilation error:\n{kind} '{name}' does not exist or not authorized.", errno=2003, sqlstate="02000"
    )


def wrong(message):
    return ProgrammingError(msg=f"SQL compilation error:\n{message}", errno=1003, sqlstate="42000")


def add(kind, name, existing):
    if name in existing:
        raise ProgrammingError(
            msg=f"SQL compilation error:\nObject '{name}' already exists.", errno=2002, sqlstate="42710"
        )
    return f"{kind} {name} successfully created."


def properties(text, known):
    given = {name.upper(): value.strip("'") for name, value in re.findall(r"(\w+)\s*=\s*('[^']*'|\w+)", text)}
    if unknown := set(given) - known:
        raise wrong(f"invalid property {sorted(unknown)}")
    return given


def need(kind, name, existing):
    if name not in existing:
        raise missing(kind, name)


def create_warehouse(session, names, name, given):
    message = add("Warehouse", name.upper(), WAREHOUSES)
    given = properties(given, OF_A_WAREHOUSE)
    WAREHOUSES[name.upper()] = ("SUSPENDED", given.get("AUTO_RESUME", "TRUE").lower())
    return message


def create_monitor(session, names, name, quota, triggers):
    message = add("Resource monitor", name.upper(), monitors)
    monitors.add(name.upper())
    return message


def set_monitor(session, names, warehouse, monitor):
    need("Warehouse", warehouse.upper(), WAREHOUSES)
    need("Resource monitor", monitor.upper(), monitors)
    return "Statement executed successfully."


def create_role(session, names, name):
    message = add("Role", name.upper(), GRANTS)
    GRANTS[name.upper()] = []
    created_roles.add(name.upper())
    return message


def create_user(session, names, name, given):
    message = add("User", name.upper(), users)
    given = properties(given, OF_A_USER)
    if given.get("TYPE") != "SERVICE":
        raise wrong("only services are known here")
    users[name.upper()] = {"key": given.get("RSA_PUBLIC_KEY"), "roles": set()}
    return message


def set_key(session, names, name, key):
    need("User", name.upper(), users)
    key_of(key)
    users[name.upper()]["key"] = key
    return "Statement executed successfully."


def grant(session, names, privileges, kind, path, role):
    kind, path, role = kind.upper(), path.upper(), role.upper()
    need("Role", role, GRANTS)
    privileges = {privilege.strip().upper() for privilege in privileges.split(",")}
    of = "VIEWS" if "VIEWS" in kind else kind
    if unknown := privileges - PRIVILEGES[of]:
        raise wrong(f"invalid privilege {sorted(unknown)} on {kind}")
    need(kind, path.split(".")[0], WAREHOUSES if kind == "WAREHOUSE" else names)
    GRANTS[role] += [(privilege, "SCHEMA" if of == "VIEWS" else kind, path) for privilege in sorted(privileges)]
    return "Statement executed successfully."


def grant_role(session, names, role, kind, to):
    need("Role", role.upper(), GRANTS)
    if kind.upper() == "USER":
        need("User", to.upper(), users)
        users[to.upper()]["roles"].add(role.upper())
    else:
        need("Role", to.upper(), GRANTS)
        GRANTS[to.upper()].append(("USAGE", "ROLE", role.upper()))
    return "Statement executed successfully."


def drop(session, names, kind, name):
    existing = {"WAREHOUSE": WAREHOUSES, "RESOURCE MONITOR": monitors, "ROLE": GRANTS, "USER": users}[" ".join(kind.upper().split())]
    need(kind, name.upper(), existing)
    existing.pop(name.upper()) if isinstance(existing, dict) else existing.remove(name.upper())
    created_roles.discard(name.upper())
    return f"{name.upper()} successfully dropped."


STATEMENTS = [
    (rf"CREATE\s+WAREHOUSE\s+{NAME}{PROPERTIES}", create_warehouse),
    (rf"CREATE\s+RESOURCE\s+MONITOR\s+{NAME}\s+WITH\s+CREDIT_QUOTA\s*=\s*(\d+)\s+TRIGGERS{TRIGGERS}", create_monitor),
    (rf"ALTER\s+WAREHOUSE\s+{NAME}\s+SET\s+RESOURCE_MONITOR\s*=\s*{NAME}", set_monitor),
    (rf"CREATE\s+ROLE\s+{NAME}", create_role),
    (rf"CREATE\s+USER\s+{NAME}{PROPERTIES}", create_user),
    (rf"ALTER\s+USER\s+{NAME}\s+SET\s+RSA_PUBLIC_KEY\s*=\s*'([^']*)'", set_key),
    (rf"GRANT\s+([\w, ]+?)\s+ON\s+(WAREHOUSE|DATABASE|SCHEMA|(?:FUTURE|ALL)\s+VIEWS\s+IN\s+SCHEMA)\s+{PATH}\s+TO\s+ROLE\s+{NAME}", grant),
    (rf"GRANT\s+ROLE\s+{NAME}\s+TO\s+(USER|ROLE)\s+{NAME}", grant_role),
    (rf"DROP\s+(WAREHOUSE|RESOURCE\s+MONITOR|ROLE|USER)\s+{NAME}", drop),
]


def execute(session, sql, names):
    """Executes a statement about the account, and returns its message; `None` for other statements. `names` are the databases."""
    for pattern, run in STATEMENTS:
        if found := re.fullmatch(pattern + r"\s*;?\s*", sql, re.IGNORECASE):
            return run(session, names(), *found.groups())
    return None


def key_of(text):
    try:
        return serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise wrong("New public key rejected by current policy. Reason: 'Invalid public key'") from error


def may_log_in(user, role, token):
    """Whether a user of this module presents a token that its key has signed; `None` for other users."""
    user = users.get(user.upper())
    if user is None:
        return None
    if not token or not user["key"] or role not in user["roles"]:
        return False
    key = key_of(user["key"])
    try:
        claims = jwt.decode(token, key, algorithms=["RS256"])
    except jwt.InvalidTokenError:
        return False
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return claims["iss"].endswith("SHA256:" + base64.b64encode(digest.finalize()).decode())


def may_use_warehouse(role, warehouse):
    return role not in created_roles or ("USAGE", "WAREHOUSE", warehouse) in GRANTS[role]


def check(role, sql):
    """Refuses what a role of this module may not do in a database."""
    if role not in created_roles:
        return
    found = re.match(r'CREATE\s+SCHEMA\s+(?:IF\s+NOT\s+EXISTS\s+)?"?(\w+)"?\."?\w+"?', sql, re.IGNORECASE)
    if found and ("CREATE SCHEMA", "DATABASE", found[1]) not in GRANTS[role] or re.match(r"CREATE\s+DATABASE", sql, re.IGNORECASE):
        raise ProgrammingError(
            msg="SQL access control error:\nInsufficient privileges to operate on database", errno=3001, sqlstate="42501"
        )
