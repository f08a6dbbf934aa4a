//! Snowflake's limits: sizes, names, hosts.

use super::sql_tokens::{Token, Tokens};
use super::{SqlError, invalid};

/// The longest statement, in bytes.
const LONGEST_STATEMENT: usize = 1 << 20;
/// The longest name, in characters.
const LONGEST_NAME: usize = 255;
/// The longest identifier of a version, in characters.
const LONGEST_VERSION: usize = 30;

pub(super) fn statement(sql: &str) -> Result<(), SqlError> {
    if sql.len() > LONGEST_STATEMENT {
        return Err(("000603".into(), "42601", "SQL compilation error: the text of the query is too long".into()));
    }
    for word in Tokens::of(sql).all() {
        match word {
            Token::Name(name) if name.chars().count() > LONGEST_NAME => {
                let what = format!("SQL compilation error: identifier {name} exceeds {LONGEST_NAME} characters");
                return Err(("001003".into(), "42000", what));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn version(name: &str) -> Result<(), SqlError> {
    if name.chars().count() <= LONGEST_VERSION {
        return Ok(());
    }
    Err(("093035".into(), "42601", format!("the version identifier {name} exceeds {LONGEST_VERSION} characters")))
}

/// A value of a network rule of `TYPE = HOST_PORT`.
pub(super) fn host(value: &str) -> Result<(), SqlError> {
    let (name, port) = value.split_once(':').map_or((value, None), |(name, port)| (name, Some(port)));
    let number = |port: &str| port.parse::<u32>().is_ok_and(|port| port <= 65_535);
    let is_port = port.is_none_or(|port| port.split_once('-').map_or(number(port), |(a, b)| number(a) && number(b)));
    let allowed =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '*'));
    // One wildcard, in the first level only.
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let is_name = name.split('.').all(allowed) && first.matches('*').count() <= 1 && !rest.contains('*');
    let is_any = name == "0.0.0.0" && !matches!(port, None | Some("80" | "443"));
    if is_port && is_name && !is_any && name.contains('.') {
        return Ok(());
    }
    Err(invalid(format!("invalid value {value} for VALUE_LIST of a network rule of TYPE = HOST_PORT")))
}
