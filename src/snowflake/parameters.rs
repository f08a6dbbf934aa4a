//! Session parameters: those that every session sets, whatever the account, the user and the connection say, and defaults that a
//! connection can override.
//!
//! All documented session parameters were reviewed. The others change what readers see, or what other clients do, and a
//! connection may set them. An administrator's limits for statements are left alone
//! (`STATEMENT_TIMEOUT_IN_SECONDS`, `STATEMENT_QUEUED_TIMEOUT_IN_SECONDS`), and `SEARCH_PATH` cannot be set at a login.
//! `READ_CONSISTENCY_MODE` is the account's alone, and `DEFAULT_DDL_COLLATION` an object's: statements must allow for them.

use serde_json::{Map, Value};

use super::connection::ConnectionConfig;
use crate::{Error, Result};

/// A required parameter.
struct Parameter {
    name: &'static str,
    value: Setting,
    /// Why a connection cannot override it.
    reason: &'static str,
}

#[derive(Clone, Copy)]
enum Setting {
    Truth(bool),
    Number(u32),
    Text(&'static str),
}

use Setting::{Number, Text, Truth};

impl From<Setting> for Value {
    fn from(setting: Setting) -> Self {
        match setting {
            Truth(truth) => truth.into(),
            Number(number) => number.into(),
            Text(text) => text.into(),
        }
    }
}

const fn set(name: &'static str, value: Setting, reason: &'static str) -> Parameter {
    Parameter { name, value, reason }
}

/// The only parameter whose rejection fails the login.
const AUTOCOMMIT: &str = "AUTOCOMMIT";

/// RFC 3339 with nine decimals.
const TIMESTAMP: &str = r#"YYYY-MM-DD"T"HH24:MI:SS.FF9TZH:TZM"#;
const TIMESTAMP_WITHOUT_ZONE: &str = r#"YYYY-MM-DD"T"HH24:MI:SS.FF9"#;

/// The values that the backend depends on.
const REQUIRED: &[Parameter] = &[
    set(AUTOCOMMIT, Truth(true), "what runs outside of a transaction would be rolled back with the session"),
    set("QUOTED_IDENTIFIERS_IGNORE_CASE", Truth(false), "names that differ only by case would become one"),
    set("ROWS_PER_RESULTSET", Number(0), "results would be truncated"),
    set("MULTI_STATEMENT_COUNT", Number(1), "a text must never run as several statements"),
    set("ERROR_ON_NONDETERMINISTIC_MERGE", Truth(true), "a MERGE with two rows for one key would keep any of them"),
    set("ERROR_ON_NONDETERMINISTIC_UPDATE", Truth(true), "an UPDATE with two rows for one key would keep any of them"),
    set("TRANSACTION_ABORT_ON_ERROR", Truth(false), "a statement that fails must leave its transaction to us"),
    set(
        "TRANSACTION_DEFAULT_ISOLATION_LEVEL",
        Text("READ COMMITTED"),
        "the fence is read after its lock was waited for",
    ),
    set("OPT_OUT_ERROR_LOGGING", Truth(true), "rows that cannot be stored would be left out without an error"),
    set("USE_CACHED_RESULT", Truth(true), "a run that finds nothing new would need a warehouse"),
    set("JSON_INDENT", Number(0), "a VARIANT is read as compact text"),
    set("DEFAULT_NULL_ORDERING", Text("LAST"), "pages are read in order"),
    set("TIMEZONE", Text("UTC"), "times are written and read in UTC"),
    set("TIMESTAMP_TYPE_MAPPING", Text("TIMESTAMP_NTZ"), "times are stored without a zone"),
    // An account's own format may read none of the times that we write.
    set("TIMESTAMP_INPUT_FORMAT", Text("AUTO"), "times that we write would not be read"),
    set("TIMESTAMP_OUTPUT_FORMAT", Text(TIMESTAMP), "times that we read have one form"),
    set("TIMESTAMP_TZ_OUTPUT_FORMAT", Text(TIMESTAMP), "times that we read have one form"),
    set("TIMESTAMP_LTZ_OUTPUT_FORMAT", Text(TIMESTAMP), "times that we read have one form"),
    set("TIMESTAMP_NTZ_OUTPUT_FORMAT", Text(TIMESTAMP_WITHOUT_ZONE), "times that we read have one form"),
    set("DATE_INPUT_FORMAT", Text("AUTO"), "dates that we write would not be read"),
    set("DATE_OUTPUT_FORMAT", Text("YYYY-MM-DD"), "dates that we read have one form"),
    set("TIME_INPUT_FORMAT", Text("AUTO"), "times of day that we write would not be read"),
    set("TIME_OUTPUT_FORMAT", Text("HH24:MI:SS.FF9"), "times of day that we read have one form"),
    set("BINARY_INPUT_FORMAT", Text("HEX"), "hashes are written as hexadecimal text"),
    set("BINARY_OUTPUT_FORMAT", Text("HEX"), "hashes are read as hexadecimal text"),
    // Snowflake then ends a detached statement after five minutes. The driver polls its statements, so that none is detached while
    // the process lives.
    set(
        "ABORT_DETACHED_QUERY",
        Truth(true),
        "a statement whose process has died would hold its locks, and a warehouse",
    ),
    set("CLIENT_SESSION_KEEP_ALIVE", Truth(true), "a session could not be renewed for as long as it is used"),
];

/// Defaults that a connection can override.
const DEFAULTS: &[(&str, Setting)] = &[
    // Snowflake's default of twelve hours would hide a stuck lock for too long.
    ("LOCK_TIMEOUT", Number(3600)),
    // Snowflake's default is 160 MB; smaller parts bound the memory of concurrent downloads.
    ("CLIENT_RESULT_CHUNK_SIZE", Number(48)),
];

/// Returns the parameters to set at login.
pub(super) fn of(connection: &ConnectionConfig) -> Map<String, Value> {
    let mut parameters: Map<String, Value> =
        REQUIRED.iter().map(|parameter| (parameter.name.to_owned(), parameter.value.into())).collect();
    let theirs = connection.session_parameters.iter().filter(|(name, _)| required(name).is_none());
    parameters.extend(theirs.map(|(name, value)| (name.clone(), value.clone())));
    let tag = connection.query_tag.as_deref().map(|tag| ("QUERY_TAG", tag.into()));
    let defaults = DEFAULTS.iter().map(|(name, value)| (*name, (*value).into())).chain(tag);
    for (name, value) in defaults {
        if !connection.session_parameters.keys().any(|theirs| same_name(theirs, name)) {
            parameters.insert(name.to_owned(), value);
        }
    }
    parameters
}

/// Returns the tag that sessions of the connection have from login on.
pub(crate) fn query_tag(connection: &ConnectionConfig) -> Option<String> {
    match of(connection).into_iter().find(|(name, _)| same_name(name, "QUERY_TAG")) {
        Some((_, Value::String(tag))) => Some(tag),
        _ => None,
    }
}

/// Warns about parameters of the connection that have no effect.
pub(super) fn warn_about_ignored(connection: &ConnectionConfig) {
    for name in connection.session_parameters.keys() {
        if let Some(parameter) = required(name) {
            tracing::warn!("{name} of the connection's `session_parameters` is ignored: {}", parameter.reason);
        }
    }
}

/// Removes the parameter that Snowflake's message rejects. Returns whether this crate had set it, so that the login is worth
/// another attempt: an account without a parameter behaves as if it had the default.
///
/// # Errors
/// `Configuration` when the connection has set it, and for AUTOCOMMIT.
pub(super) fn remove_rejected(
    parameters: &mut Map<String, Value>,
    connection: &ConnectionConfig,
    message: &str,
) -> Result<bool> {
    let message = message.to_ascii_uppercase();
    if !message.contains("PARAMETER") {
        return Ok(false);
    }
    let Some(name) = parameters.keys().find(|name| has_word(&message, &name.to_ascii_uppercase())).cloned() else {
        return Ok(false);
    };
    if required(&name).is_none() && connection.session_parameters.contains_key(&name) {
        return Err(Error::configuration(format!("Snowflake refuses the session parameter {name} of the connection"))
            .with_help("correct it in `session_parameters` of the connection, or leave it out"));
    }
    if same_name(&name, AUTOCOMMIT) {
        return Err(autocommit_off());
    }
    tracing::warn!("Snowflake refuses the session parameter {name}, which is left out: the account's own value counts");
    parameters.remove(&name);
    Ok(true)
}

/// Rejects a session without AUTOCOMMIT. `parameters` are those in the login response.
pub(super) fn check(parameters: Option<&Value>) -> Result<()> {
    let is_autocommit = |parameter: &&Value| parameter["name"].as_str().is_some_and(|name| same_name(name, AUTOCOMMIT));
    let autocommit = parameters.and_then(Value::as_array).and_then(|all| all.iter().find(is_autocommit));
    let is_off = |value: &Value| {
        value.as_bool() == Some(false) || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("false"))
    };
    match autocommit {
        Some(parameter) if is_off(&parameter["value"]) => Err(autocommit_off()),
        _ => Ok(()),
    }
}

fn autocommit_off() -> Error {
    Error::configuration("Snowflake opens no session with AUTOCOMMIT, and nothing would be stored without it")
        .with_help("let an administrator run `ALTER USER … SET AUTOCOMMIT = TRUE`")
}

fn required(name: &str) -> Option<&'static Parameter> {
    REQUIRED.iter().find(|parameter| same_name(name, parameter.name))
}

/// Parameter names are case-insensitive.
fn same_name(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other)
}

/// Whether a text contains a name as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_found_in_a_longer_one() {
        let message = "INVALID VALUE [X] FOR PARAMETER 'TIMESTAMP_NTZ_OUTPUT_FORMAT'";
        assert!(has_word(message, "TIMESTAMP_NTZ_OUTPUT_FORMAT"));
        assert!(!has_word(message, "OUTPUT_FORMAT") && !has_word(message, "TIMESTAMP"));
    }

    #[test]
    fn no_parameter_is_named_twice() {
        let names: std::collections::BTreeSet<_> =
            REQUIRED.iter().map(|parameter| parameter.name).chain(DEFAULTS.iter().map(|(name, _)| *name)).collect();
        assert_eq!(names.len(), REQUIRED.len() + DEFAULTS.len());
    }
}
