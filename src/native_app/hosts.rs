//! The hosts that an app may reach: of its source, of settings that are URLs, of a network rule.

use serde_json::Value;
use url::Url;

use crate::{Error, Result, SourceSpec};

pub(super) fn check_host(host: &str) -> Result<()> {
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let labels = name.strip_prefix("*.").unwrap_or(name);
    let sound = labels.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if sound {
        return Ok(());
    }
    Err(Error::configuration(format!("{host:?} is not a host"))
        .with_help("declare it as `api.example.com` or `api.example.com:8443`, without a scheme or a path"))
}

/// A network rule allows more than a container can use: see "Configure service egress" in the documentation of Snowpark Container
/// Services.
pub(super) fn check_container_host(host: &str) -> Result<()> {
    let port = host.split_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if !host.starts_with('*') && port.is_none_or(|port| matches!(port, 22 | 80 | 443 | 1024..)) {
        return Ok(());
    }
    Err(Error::configuration(format!("{host:?} cannot be reached from a container in Snowflake")).with_help(
        "declare each host in full, without `*`, and with port 22, 80, 443 or at least 1024; or build the app with \
         --without-container",
    ))
}

/// The host of a URL, as in a network rule: with its port, unless that is 443.
fn url_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(match url.port_or_known_default()? {
        443 => host.to_owned(),
        port => format!("{host}:{port}"),
    })
}

/// The host of a setting's value; `None` if the setting is not a URL or is empty.
pub(super) fn setting_host(spec: &SourceSpec, name: &str, value: &Value) -> Result<Option<String>> {
    let text = match value.as_str() {
        Some(text) if !text.is_empty() && spec.settings.is_url(name) => text,
        _ => return Ok(None),
    };
    // The message does not repeat the value: it may contain a password.
    let unread = || {
        Error::configuration(format!("the setting `{name}` is not a URL with a host"))
            .with_help("write it as https://HOST/PATH")
    };
    url_host(text).map(Some).ok_or_else(unread)
}

/// The wanted hosts that a network rule lacks.
pub(super) fn missing_hosts<'a>(wanted: &'a [String], present: &[String]) -> Vec<&'a str> {
    let whole = |host: &str| if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
    let present: Vec<String> = present.iter().map(|host| whole(host).to_ascii_lowercase()).collect();
    let is_missing = |host: &&str| !present.contains(&whole(host).to_ascii_lowercase());
    wanted.iter().map(String::as_str).filter(is_missing).collect()
}

/// Parses the hosts of a rule as DESCRIBE prints them: `a,b`, `[a, b]`, `['a','b']`; `None` if they are malformed.
pub(super) fn parse_hosts(list: &str) -> Option<Vec<String>> {
    let members = list.trim().trim_matches(['[', ']', '(', ')']).split(',');
    let members = members.map(|member| member.trim_matches([' ', '\'', '"'])).filter(|member| !member.is_empty());
    let is_host = |member: &str| member.chars().all(|c| c.is_ascii_alphanumeric() || "-.*:".contains(c));
    members.map(|member| is_host(member).then(|| member.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_has_its_port_unless_that_is_443() {
        for (url, host) in [
            ("https://ghe.example.com/api/v3", Some("ghe.example.com")),
            ("https://GHE.example.com:8443/api", Some("ghe.example.com:8443")),
            ("http://proxy.example.com", Some("proxy.example.com:80")),
            ("ghe.example.com", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(url_host(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn hosts_are_parsed_as_printed_and_compared_by_port() {
        for list in ["a.example,b.example:8443", "[a.example, b.example:8443]", "['a.example','b.example:8443']"] {
            assert_eq!(parse_hosts(list).unwrap(), ["a.example", "b.example:8443"], "{list}");
        }
        assert_eq!(parse_hosts("").unwrap(), [""; 0]);
        assert_eq!(parse_hosts("{\"hosts\": 1}"), None);
        let wanted = ["A.example".to_owned(), "b.example".to_owned()];
        assert_eq!(missing_hosts(&wanted, &["a.example:443".to_owned(), "b.example:80".to_owned()]), ["b.example"]);
    }
}
