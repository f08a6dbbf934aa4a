//! The hosts that an app may reach: of its source, of settings that are URLs, of a network rule.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
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

/// The settings in a host, which stand in braces: `{subdomain}.example.com`.
fn settings_in(host: &str) -> impl Iterator<Item = &str> {
    host.split('{').skip(1).filter_map(|after| after.split_once('}')).map(|(name, _)| name)
}

/// The settings that are URLs.
pub(super) fn url_settings(spec: &SourceSpec) -> impl Iterator<Item = &str> {
    spec.settings.names().filter(|name| spec.settings.is_url(name))
}

/// Whether the source connects to hosts.
pub(super) fn has_hosts(spec: &SourceSpec) -> bool {
    !spec.hosts.is_empty() || url_settings(spec).next().is_some()
}

/// Checks the hosts that a source declares.
pub(super) fn check_declared(spec: &SourceSpec, container: bool) -> Result<()> {
    for host in &spec.hosts {
        let is_setting = |name: &str| spec.settings.property(name).is_ok() && !spec.settings.is_secret(name);
        if let Some(name) = settings_in(host).find(|name| !is_setting(name)) {
            return Err(Error::configuration(format!("{host:?} names {name:?}, which is not a setting of the source"))
                .with_help("declare the setting, as a text that is not a secret"));
        }
        let mut example = host.clone();
        settings_in(host).for_each(|name| example = set(&example, name, "x"));
        check_host(&example)?;
        if container {
            check_container_host(&example)?;
        }
    }
    Ok(())
}

/// A host with the value of a setting.
fn set(host: &str, name: &str, value: &str) -> String {
    host.replace(&format!("{{{name}}}"), value)
}

/// The hosts of a source that is configured in some way.
pub(super) struct Configured {
    pub(super) hosts: Vec<String>,
    /// Why there may be more: a required setting is missing.
    pub(super) missing: Option<Error>,
}

/// The hosts of a source that is configured with these settings; defaults hold where nothing is set.
///
/// # Errors
/// `Configuration` for a value that is not, or leads to, a host that a container can reach.
pub(super) fn configured(spec: &SourceSpec, settings: &Map<String, Value>) -> Result<Configured> {
    let value = |name: &str| {
        let default = || spec.settings.property(name).ok()?.get("default");
        settings.get(name).or_else(default).and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    let required = spec.settings.schema().get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|required| required.iter().any(|one| one == name));
    let lacking = |name: &str| {
        Error::configuration(format!(
            "the app connects to a host that depends on the setting `{name}`, which is missing"
        ))
        .with_help(format!(
            "pass the value that the app will be configured with, `--set {name}=…`, or a host with --host"
        ))
    };
    let (mut hosts, mut missing) = (Vec::new(), None);
    for declared in &spec.hosts {
        let mut host = declared.clone();
        for name in settings_in(declared) {
            match value(name) {
                Some(value) => host = set(&host, name, value),
                None => missing = Some(lacking(name)),
            }
        }
        if settings_in(&host).next().is_none() {
            hosts.push(host);
        }
    }
    for name in url_settings(spec) {
        match value(name) {
            Some(url) => hosts.push(setting_host(name, url)?),
            None if is_required(name) => missing = Some(lacking(name)),
            None => {}
        }
    }
    for host in &hosts {
        check_host(host).and_then(|()| check_container_host(host))?;
    }
    let mut seen = BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    Ok(Configured { hosts, missing })
}

/// The host of a setting that is a URL.
fn setting_host(name: &str, url: &str) -> Result<String> {
    // The message does not repeat the value: it may contain a password.
    url_host(url).ok_or_else(|| {
        Error::configuration(format!("the setting `{name}` is not a URL with a host"))
            .with_help("write it as https://HOST/PATH")
    })
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
