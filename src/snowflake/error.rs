//! Maps Snowflake's errors to this crate's.

use super::connection::ConnectionConfig;
use super::wire::{QueryData, Response};
use crate::error::{bounded, redact};
use crate::{Error, ErrorKind, Retry};

/// The maximum length of a message of Snowflake, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// Snowflake has aborted the transaction: it was idle for five minutes while it blocked another one, it was older than four
/// hours, or an administrator has called `SYSTEM$ABORT_TRANSACTION`. The session continues in autocommit.
const TRANSACTION_ABORTED: &str = "000615";

const RUN_TRANSACTION_AGAIN: &str = "run the whole transaction again; if it is aborted again, let less time pass between \
                                     its statements, and find out who aborts it";

/// The meaning of an error code for the caller.
struct Classification {
    kind: ErrorKind,
    retry: Retry,
    help: Option<&'static str>,
}

fn permanent(kind: ErrorKind, help: &'static str) -> Classification {
    Classification { kind, retry: Retry::Never, help: Some(help) }
}

fn transient(help: &'static str) -> Classification {
    Classification { kind: ErrorKind::Unavailable, retry: Retry::Backoff, help: Some(help) }
}

/// Classifies the error code of a statement. Unverified: see docs/unverified.md#error-codes. They are from
/// Snowflake's documentation and from what users of its drivers report.
fn classify_statement(code: &str, state: &str, message: &str) -> Classification {
    use ErrorKind::{Authentication, Configuration, Internal, InvalidData, NotFound, RateLimited, Unavailable};
    let says = |words: &str| message.contains(words);
    match code {
        "000606" => permanent(
            Configuration,
            "give a warehouse (`--warehouse`, or `warehouse` in the connection), or let an administrator run \
             `ALTER USER … SET DEFAULT_WAREHOUSE = …`; the role needs USAGE on it, and on that of `--load-warehouse`",
        ),
        "090073" => permanent(RateLimited, "raise the quota of the resource monitor, or wait for its next interval"),
        "090105" | "090106" => permanent(Configuration, "give a database and a schema in the connection"),
        "002003" | "002043" => permanent(
            NotFound,
            "check the name and the role: it needs `GRANT USAGE ON DATABASE … TO ROLE …`, `GRANT USAGE ON SCHEMA … TO \
             ROLE …`, and a privilege on the object itself",
        ),
        "003001" => {
            permanent(Configuration, "use another role, or let an administrator GRANT the privilege to this one")
        }
        "000604" => permanent(Unavailable, "a user stopped the statement in Snowflake: find out who, and run it again"),
        "000630" => permanent(
            Unavailable,
            "raise STATEMENT_TIMEOUT_IN_SECONDS of the warehouse or the user, or use a larger warehouse",
        ),
        TRANSACTION_ABORTED => transient(RUN_TRANSACTION_AGAIN),
        "000625" => transient("another transaction holds the table: see `SHOW LOCKS`, and try again"),
        // Internal errors of Snowflake and of the test server. The latter also reports conflicting transactions this way.
        "000603" | "261000" => transient("see https://status.snowflake.com, and try again later"),
        "390104" | "390111" | "390112" | "390114" => {
            permanent(Authentication, "run it again; if that fails, check whether the user or its tokens were disabled")
        }
        "001003" => permanent(Internal, "report this: it is most likely a bug of snowfeed"),
        _ if says("is suspended") => permanent(
            Configuration,
            "resume the warehouse, or let it resume automatically: `ALTER WAREHOUSE … SET AUTO_RESUME = TRUE`",
        ),
        _ if says("resource monitor") => {
            permanent(RateLimited, "raise the quota of the resource monitor, or wait for its next interval")
        }
        _ if ["deadlock", "Lock timeout", "lock timeout", "write-write conflict", "Conflict on"]
            .into_iter()
            .any(says) =>
        {
            transient("another transaction changes the same rows: try again")
        }
        _ if state.starts_with("22") => Classification { kind: InvalidData, retry: Retry::Never, help: None },
        _ if state.starts_with("XX") => transient("see https://status.snowflake.com, and try again later"),
        _ => Classification { kind: Unavailable, retry: Retry::Never, help: None },
    }
}

/// Whether the error means that the transaction no longer exists. Other errors leave it open, even a deadlock.
pub(super) fn aborts_transaction(reply: &Response<QueryData>) -> bool {
    reply.code.as_deref() == Some(TRANSACTION_ABORTED)
}

/// The error of a COMMIT that found no open transaction.
pub(super) fn lost_transaction() -> Error {
    Error::unavailable("Snowflake had ended the transaction before its COMMIT, and nothing of it was committed")
        .with_help(RUN_TRANSACTION_AGAIN)
}

/// Adds the code of a response; its absence is noted, too.
pub(super) fn with_code(error: Error, code: Option<&str>) -> Error {
    match code {
        Some(code) => error.with_code(code),
        None => error.with_context("code", "none"),
    }
}

/// The error of a statement.
pub(super) fn statement_error(reply: &Response<QueryData>) -> Error {
    let message = match reply.code.as_deref() {
        // The test server's message repeats the statement with all its values.
        Some("261000") => "the server failed while it ran the statement".to_owned(),
        _ => one_line(reply.message.as_deref()),
    };
    with_message(reply, message)
}

/// The error of a statement that contains a secret. Snowflake's message may repeat part of the statement.
pub(super) fn confidential_error(reply: &Response<QueryData>) -> Error {
    with_message(
        reply,
        "Snowflake rejected a statement that contains a secret; its reason is omitted, because it could show the secret".to_owned(),
    )
}

fn with_message(reply: &Response<QueryData>, message: String) -> Error {
    let code = reply.code.as_deref().unwrap_or("none");
    let data = reply.data.as_ref();
    let state = data.and_then(|data| data.sql_state.as_deref());
    let Classification { kind, retry, help } = classify_statement(code, state.unwrap_or_default(), &message);
    let mut error = with_code(Error::new(kind, message).with_retry(retry), reply.code.as_deref());
    if let Some(state) = state {
        error = error.with_context("sql_state", state);
    }
    if let Some(query_id) = data.and_then(|data| data.query_id.as_deref()).filter(|id| !id.is_empty()) {
        error = error.with_context("query_id", query_id);
    }
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// The error of a login.
pub(super) fn login_error<D>(reply: &Response<D>, connection: &ConnectionConfig) -> Error {
    use ErrorKind::{Authentication, Configuration};
    let code = reply.code.as_deref().unwrap_or("none");
    let Classification { kind, retry, help } = match code.parse::<u32>().unwrap_or_default() {
        390_100 => permanent(Authentication, "check the user and the password; a service should use a key pair"),
        390_144 | 394_300..=394_307 => permanent(
            Authentication,
            "check that the user has this public key (`ALTER USER … SET RSA_PUBLIC_KEY = '…'`), that the account identifier and \
             the user's LOGIN_NAME are right, and that this machine's clock is right to the minute",
        ),
        390_303 => permanent(Authentication, "check the OAuth token, and that the account trusts who issued it"),
        390_318 => permanent(Authentication, "get a new OAuth token: this one has expired"),
        390_112 | 390_114 => permanent(Authentication, "log in again: the session or its token has expired"),
        390_189 => permanent(
            Configuration,
            "check the role in the connection (`--role`), or let an administrator run: GRANT ROLE … TO USER …",
        ),
        390_101 | 390_102 => {
            permanent(Authentication, "let an administrator see `DESCRIBE USER …`: it may be disabled or locked")
        }
        390_420 | 390_422 => permanent(
            Authentication,
            "let an administrator allow this machine's address in the network policy of the account or user",
        ),
        394_400..=394_499 => permanent(
            Authentication,
            "check the programmatic access token: that it is not expired or revoked, that its role restriction allows the role, \
             and that a network policy applies to the user",
        ),
        390_201 => permanent(
            Configuration,
            "check the names of database, schema, warehouse and role in the connection, and that the role may use them \
             (`GRANT USAGE ON … TO ROLE …`)",
        ),
        _ => permanent(Authentication, "check the account identifier, the user and the credentials"),
    };
    let (message, code) = (reply.message.as_deref(), reply.code.as_deref());
    // Part of a credential is still secret, and a reason that repeats one explains nothing.
    let is_clean = |text: &&str| redact(text) == *text;
    let message = match message.filter(|message| !is_clean(message)) {
        Some(_) => "its reason repeats a credential, and is omitted".to_owned(),
        None => one_line(message),
    };
    let code = code.filter(is_clean);
    let error = Error::new(kind, format!("Snowflake refuses the login: {message}"));
    let mut error = with_code(error.with_retry(retry), code).with_context("account", &connection.account);
    if !connection.user.is_empty() {
        error = error.with_context("user", &connection.user);
    }
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// Snowflake's message as one line of limited length, without credentials.
fn one_line(message: Option<&str>) -> String {
    // Redact before truncating: half a credential would not be recognized.
    let message = bounded(message.unwrap_or_default());
    let words = message.split_whitespace();
    let mut line = words.collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "Snowflake gave no reason".to_owned();
    }
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}
