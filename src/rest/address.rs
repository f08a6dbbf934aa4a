//! The URLs that a source connects to: texts in which settings may stand.

use std::collections::BTreeMap;

use super::reader::plan::{ApiPlan, AuthPlan};
use super::template::{Part, Placeholder, Template};
use crate::config::missing_setting;
use crate::http::Url;
use crate::{Error, Result};

/// The templates of these URLs.
pub(super) fn templates(plan: &ApiPlan) -> Vec<&Template> {
    let token_url = plan.auth.iter().filter_map(|auth| match auth {
        AuthPlan::Oauth2(oauth2) => Some(&oauth2.token_url),
        _ => None,
    });
    std::iter::once(&plan.base_url).chain(token_url).collect()
}

/// The setting that holds the scheme and the host of a URL.
pub(super) fn url_setting(template: &Template) -> Option<&str> {
    match template.parts() {
        [Part::Value(Placeholder::Setting(name))] => Some(name),
        [Part::Value(Placeholder::Setting(name)), Part::Text(path), ..] if path.starts_with('/') => Some(name),
        _ => None,
    }
}

/// The settings that stand in the host of a URL.
pub(super) fn host_settings(template: &Template) -> Vec<&str> {
    let Some(authority) = authority(template) else { return Vec::new() };
    let names = template.placeholders().filter_map(|placeholder| match placeholder {
        Placeholder::Setting(name) if authority.contains(&placeholder.to_string()) => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

/// The host of a URL, with its port unless that is 443; settings stand in it in braces. `None` if a setting holds the host.
///
/// # Errors
/// `Configuration` for what is not the URL of an API.
pub(super) fn host(template: &Template) -> Result<Option<String>> {
    if url_setting(template).is_some() {
        return Ok(None);
    }
    let malformed = || {
        Error::configuration(format!("{:?} is not the URL of an API", template.to_string()))
            .with_help("write `https://HOST/PATH`; a setting may stand in it: `https://{name}.example.com`")
    };
    if let [Part::Text(url)] = template.parts() {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
        let (host, port) = url.ok_or_else(malformed)?;
        return Ok(Some(if port == 443 { host.to_owned() } else { format!("{host}:{port}") }));
    }
    let host = authority(template).filter(|host| !host.is_empty() && !host.contains('@')).ok_or_else(malformed)?;
    let has_port = host.contains(':');
    let is_plain_http = template.to_string().starts_with("http://");
    Ok(Some(if is_plain_http && !has_port { format!("{host}:80") } else { host }))
}

/// The host and the port as the template has them; `None` if it does not begin with a scheme.
fn authority(template: &Template) -> Option<String> {
    let text = template.to_string();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    rest.split(['/', '?', '#']).next().map(str::to_owned)
}

/// The URL with its settings. What stands behind the scheme has no character that could lead to another host.
///
/// # Errors
/// `Configuration` for a setting that is missing, or that cannot stand there.
pub(super) fn fill(template: &Template, settings: &BTreeMap<String, String>) -> Result<String> {
    let mut url = String::new();
    for part in template.parts() {
        match part {
            Part::Text(text) => url.push_str(text),
            Part::Value(Placeholder::Setting(name)) => {
                let value = settings.get(name).ok_or_else(|| missing_setting(name, None))?;
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                if !url.is_empty() && (value.is_empty() || value.contains("..") || !value.chars().all(is_plain)) {
                    return Err(Error::configuration(format!(
                        "the setting `{name}`, {value:?}, cannot stand in the URL `{template}`"
                    ))
                    .with_help("give only its part of the URL: letters, digits and `- _ .`"));
                }
                url.push_str(value.trim_end_matches('/'));
            }
            Part::Value(other) => {
                return Err(Error::configuration(format!("nothing fills {other} in the URL `{template}`"))
                    .with_help("name a setting there, or let the path of each stream have it"));
            }
        }
    }
    Ok(url)
}
