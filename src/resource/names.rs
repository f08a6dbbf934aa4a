//! Rules for the names of a source's resources.

use std::sync::Arc;

use regex_lite::Regex;

use super::Resource;
use crate::{Error, Result};

/// Rules for the names of a source's resources: which names are valid, and which spellings mean the same resource.
///
/// The rules are data, so that they also apply where the source's code does not run, as in the procedures of a native app.
/// Patterns are regular expressions in the common subset of `regex-lite` and Python: no look-around, groups written
/// `(?P<name>…)`.
///
/// ```
/// use snowfeed::ResourceNames;
///
/// let names = ResourceNames::new("^[A-Za-z]+/[A-Za-z]+$", "owner/name")
///     .ignores_case()
///     .address("^https?://(?P<host>[^/:]+)/(?P<name>[^/]+/[^/]+)")
///     .served_by("api_url", ["code.example"]);
/// let resource = names.resolve("repository", None, "https://code.example/Acme/Widgets")?;
/// assert_eq!(resource.name(), "acme/widgets");
/// assert!(names.resolve("repository", None, "nope").is_err());
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ResourceNames {
    pattern: Pattern,
    form: String,
    ignores_case: bool,
    suffixes: Vec<String>,
    addresses: Vec<Pattern>,
    url_setting: Option<String>,
    hosts: Vec<String>,
}

/// Compiles a regular expression; `None` if it is invalid.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    regex: Arc<std::result::Result<Regex, regex_lite::Error>>,
}

impl Pattern {
    fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { regex: Arc::new(Regex::new(&text)), text }
    }

    fn regex(&self) -> Option<&Regex> {
        self.regex.as_ref().as_ref().ok()
    }
}

impl ResourceNames {
    /// Creates rules in which names match `pattern`, which begins with `^` and ends with `$`, as they were written: before [their
    /// case](Self::ignores_case) is changed. Messages show `form` to users: `owner/name`.
    pub fn new(pattern: impl Into<String>, form: impl Into<String>) -> Self {
        Self {
            pattern: Pattern::new(pattern),
            form: form.into(),
            ignores_case: false,
            suffixes: Vec::new(),
            addresses: Vec::new(),
            url_setting: None,
            hosts: Vec::new(),
        }
    }

    /// Treats names that differ only in ASCII case as one resource, whose canonical name is in lower case.
    #[must_use]
    pub fn ignores_case(mut self) -> Self {
        self.ignores_case = true;
        self
    }

    /// Adds a suffix, such as `.git`, that is not part of the name.
    #[must_use]
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.suffixes.push(suffix.into());
        self
    }

    /// Adds a form of address that people copy: a pattern with the groups `host` and `name`. The first match counts.
    #[must_use]
    pub fn address(mut self, pattern: impl Into<String>) -> Self {
        self.addresses.push(Pattern::new(pattern));
        self
    }

    /// Sets the servers of addresses: the host of the URL in this setting, the same host without `api.`, and these hosts.
    /// Addresses on other hosts are rejected.
    #[must_use]
    pub fn served_by<H: Into<String>>(
        mut self,
        url_setting: impl Into<String>,
        hosts: impl IntoIterator<Item = H>,
    ) -> Self {
        self.url_setting = Some(url_setting.into());
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Returns the pattern of a name.
    pub fn pattern(&self) -> &str {
        &self.pattern.text
    }

    /// Returns the form of a name, to show to users.
    pub fn form(&self) -> &str {
        &self.form
    }

    /// Whether names that differ only in case mean the same resource.
    pub fn is_case_ignored(&self) -> bool {
        self.ignores_case
    }

    /// Returns the suffixes that are not part of the name.
    pub fn suffixes(&self) -> &[String] {
        &self.suffixes
    }

    /// Returns the patterns of addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().map(|pattern| pattern.text.as_str())
    }

    /// Returns the setting whose URL determines the host of addresses.
    pub fn url_setting(&self) -> Option<&str> {
        self.url_setting.as_deref()
    }

    /// Returns the other hosts of addresses.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Returns the first pattern that is not a regular expression, or lacks a group.
    pub(crate) fn malformed(&self) -> Option<&str> {
        let lacks = |pattern: &Pattern, groups: &[&str]| {
            pattern.regex().is_none_or(|regex| {
                let names: Vec<_> = regex.capture_names().flatten().collect();
                !groups.iter().all(|group| names.contains(group))
            })
        };
        let addresses = self.addresses.iter().find(|pattern| lacks(pattern, &["host", "name"]));
        let found = if lacks(&self.pattern, &[]) { Some(&self.pattern) } else { addresses };
        found.map(|pattern| pattern.text.as_str())
    }

    /// Returns the resource that `given` means, in canonical form. `kind` is the noun for a resource; `url` is the value of the
    /// [setting](Self::served_by).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): no resource can have that name, or the address is on another server.
    pub fn resolve(&self, kind: &str, url: Option<&str>, given: &str) -> Result<Resource> {
        let given = Resource::new(given)?;
        let mut name = self.within_address(url, given.name())?;
        while let Some(rest) = self.suffixes.iter().find_map(|suffix| name.strip_suffix(suffix.as_str())) {
            name = rest;
        }
        if !self.pattern.regex().is_some_and(|regex| regex.is_match(name)) {
            return Err(Error::configuration(format!("{:?} is not a {kind}", given.name()))
                .with_help(format!("write `{}`, or the address of the {kind}", self.form)));
        }
        Resource::new(if self.ignores_case { name.to_ascii_lowercase() } else { name.to_owned() })
    }

    /// Returns the part of an address that names the resource, or the whole text.
    fn within_address<'n>(&self, url: Option<&str>, given: &'n str) -> Result<&'n str> {
        let captures = self.addresses.iter().find_map(|pattern| pattern.regex()?.captures(given));
        let (Some(host), Some(name)) = captures.map_or((None, None), |found| (found.name("host"), found.name("name")))
        else {
            return Ok(given.trim_end_matches('/'));
        };
        if self.is_served_by(&host.as_str().to_ascii_lowercase(), url) {
            return Ok(name.as_str());
        }
        let setting = self.url_setting.as_deref().unwrap_or_default();
        Err(Error::configuration(format!("{given:?} is on another server than `{setting}`"))
            .with_context("host", host.as_str())
            .with_help(format!("write `{}`, or set `{setting}` to the API of that server", self.form)))
    }

    fn is_served_by(&self, host: &str, url: Option<&str>) -> bool {
        let authority = url.and_then(|url| url.split_once("://")).map_or("", |(_, rest)| rest);
        let api = authority.split(['/', ':', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let site = host.strip_prefix("www.").unwrap_or(host);
        // A proxy or a gateway in front of the API can have any name.
        host == api || api.strip_prefix("api.").unwrap_or(&api) == site || self.hosts.iter().any(|known| known == site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_cannot_be_read_is_named() {
        let names = || ResourceNames::new("^[a-z]+$", "name");
        assert_eq!(names().address("^(?P<host>x)/(?P<name>.+)$").malformed(), None);
        assert_eq!(ResourceNames::new("^(?=a)$", "name").malformed(), Some("^(?=a)$"));
        assert_eq!(names().address("^x/(?P<name>.+)$").malformed(), Some("^x/(?P<name>.+)$"));
    }

    #[test]
    fn without_a_setting_only_the_hosts_that_are_declared_serve() {
        let names = ResourceNames::new("^[a-z]+$", "name").address("^https://(?P<host>[^/]+)/(?P<name>.+)$");
        assert!(names.resolve("thing", None, "https://a.example/x").is_err());
        let names = names.served_by("url", ["a.example"]);
        assert_eq!(names.resolve("thing", None, "https://www.A.example/x").unwrap().name(), "x");
        assert!(names.resolve("thing", None, "https:///x").is_err());
        assert!(names.resolve("thing", Some("https://b.example:8443/api"), "https://b.example/x").is_ok());
    }
}
