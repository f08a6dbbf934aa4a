//! AccountAddress identifiers: their names and their hosts.

use crate::{Error, Result};

/// A parsed account identifier.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AccountAddress {
    /// The name without region and domain, as in login requests and key-pair tokens.
    pub(super) name: String,
    /// The host.
    pub(super) host: String,
}

/// The domain between an account and the top-level domain.
const DOMAIN: &str = ".snowflakecomputing.";

/// Parses an identifier: `ORG-NAME`, `LOCATOR`, `LOCATOR.REGION`, `LOCATOR.REGION.CLOUD`, or the host or URL of an account. A
/// region beside the account, as in older settings, overrides one within it.
pub(super) fn read(identifier: &str, region: Option<&str>) -> AccountAddress {
    let identifier = bare(identifier);
    let lower = identifier.to_ascii_lowercase();
    let (qualified, host) = match lower.find(DOMAIN) {
        Some(end) => (&identifier[..end], format!("{}{}", with_hyphens(&lower[..end]), &lower[end..])),
        None => (identifier, host_of(&lower, region)),
    };
    AccountAddress { name: name(qualified, host.contains(".global.")).to_owned(), host }
}

/// Rejects an invalid account name.
pub(super) fn check(name: &str) -> Result<()> {
    let help = "write `account` as ORGANISATION-ACCOUNT, or set SNOWFLAKE_ACCOUNT";
    match name {
        "" => Err(Error::configuration("the Snowflake connection names no account").with_help(help)),
        name if is_identifier(name) => Ok(()),
        _ => Err(Error::configuration("the Snowflake account is not an account identifier").with_help(help)),
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The identifier without the rest of a URL.
fn bare(identifier: &str) -> &str {
    let identifier = identifier.trim();
    let rest = identifier.split_once("://").map_or(identifier, |(_, rest)| rest);
    rest.split(['/', ':', '?', '#']).next().unwrap_or_default().trim_end_matches('.')
}

/// The name. The first part of a `.global` account has a suffix of Snowflake after the last hyphen.
fn name(qualified: &str, is_global: bool) -> &str {
    let first = qualified.split_once('.').map_or(qualified, |(first, _)| first);
    match first.rsplit_once('-') {
        Some((name, _)) if is_global => name,
        _ => first,
    }
}

/// The same with hyphens in the account's name.
fn with_hyphens(host: &str) -> String {
    match host.split_once('.') {
        Some((name, rest)) => format!("{}.{rest}", name.replace('_', "-")),
        None => host.replace('_', "-"),
    }
}

/// The host of `NAME` or `NAME.REGION`, in lower case. An account whose name has underscores is also reachable with hyphens, which
/// all certificates and resolvers accept.
fn host_of(qualified: &str, region: Option<&str>) -> String {
    let (name, suffix) = match qualified.split_once('.') {
        Some((name, suffix)) => (name, Some(suffix)),
        None => (qualified, None),
    };
    let name = name.replace('_', "-");
    let given = region.map(str::to_ascii_lowercase).filter(|region| !region.is_empty());
    // Hosts of Snowflake's first region do not name it.
    match given.as_deref().or(suffix).filter(|region| *region != "us-west-2") {
        Some(region) if region.starts_with("cn-") => format!("{name}.{region}.snowflakecomputing.cn"),
        Some(region) => format!("{name}.{region}.snowflakecomputing.com"),
        None => format!("{name}.snowflakecomputing.com"),
    }
}
