//! Limits that one header tells whole: `RateLimit` of the IETF's drafts, with `RateLimit-Policy`.
//!
//! Newer drafts name each limit: `RateLimit: "default";r=50;t=30`, and `RateLimit-Policy: "default";q=100;w=60`. Older ones tell one limit:
//! `RateLimit: limit=100, remaining=50, reset=30`. Servers write both with more or less white space; what cannot be read is as if it were
//! absent.

use reqwest::header::HeaderMap;

/// What a server says about one limit. The reset is a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CombinedLimit {
    pub(super) remaining: u64,
    pub(super) limit: Option<u64>,
    pub(super) reset: Option<u64>,
}

/// The limits in the header `RateLimit`.
pub(super) fn combined(headers: &HeaderMap) -> Vec<CombinedLimit> {
    let mut limits = Vec::new();
    for header in texts(headers, "ratelimit") {
        let older: Vec<(&str, u64)> = split(header, &[',', ';']).filter_map(pair).collect();
        let number = |pairs: &[(&str, u64)], name: &str| {
            pairs.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
        };
        if let Some(remaining) = number(&older, "remaining") {
            limits.push(CombinedLimit { remaining, limit: number(&older, "limit"), reset: number(&older, "reset") });
        }
        for item in split(header, &[',']) {
            let mut parts = split(item, &[';']);
            let name = parts.next().unwrap_or_default();
            let pairs: Vec<(&str, u64)> = parts.filter_map(pair).collect();
            if let Some(remaining) = number(&pairs, "r") {
                limits.push(CombinedLimit { remaining, limit: quota(headers, name), reset: number(&pairs, "t") });
            }
        }
    }
    limits
}

/// The size of the limit of this name, which the header `RateLimit-Policy` tells.
fn quota(headers: &HeaderMap, name: &str) -> Option<u64> {
    let mut policies = texts(headers, "ratelimit-policy").flat_map(|header| split(header, &[',']));
    policies.find_map(|item| {
        let mut parts = split(item, &[';']);
        let is_named = parts.next() == Some(name);
        parts.filter(|_| is_named).filter_map(pair).find(|(name, _)| *name == "q").map(|(_, quota)| quota)
    })
}

/// The lines of a header.
fn texts<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// The trimmed parts of a text between separators that are not in quotes.
fn split<'a>(text: &'a str, separators: &[char]) -> impl Iterator<Item = &'a str> {
    let mut is_quoted = false;
    text.split(move |c| {
        is_quoted ^= c == '"';
        !is_quoted && separators.contains(&c)
    })
    .map(str::trim)
}

/// A name and its number.
fn pair(text: &str) -> Option<(&str, u64)> {
    let (name, number) = text.split_once('=')?;
    Some((name.trim_end(), number.trim_start().parse().ok()?))
}
