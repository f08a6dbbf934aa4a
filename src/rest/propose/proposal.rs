//! A proposal, and the answer that suggests it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::check::reserved;
use super::super::stream::Stream;
use super::super::template::literal;
use super::quote;

/// One answer of an API.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sample {
    /// The URL that was asked, with its query.
    pub url: String,
    /// The URL in the header `Link` with `rel="next"`, if there is one.
    pub link: Option<String>,
    /// The body.
    pub body: Value,
    /// The body of the request, if it was a POST.
    pub posted: Option<Map<String, Value>>,
}

impl Sample {
    /// An answer without a link to a next page.
    pub fn new(url: impl Into<String>, body: Value) -> Self {
        Self { url: url.into(), link: None, body, posted: None }
    }

    /// Sets the URL of the next page, from the header `Link`.
    #[must_use]
    pub fn link(mut self, next: impl Into<String>) -> Self {
        self.link = Some(next.into());
        self
    }

    /// Sets the body of the request, which was a POST.
    #[must_use]
    pub fn posted(mut self, body: Map<String, Value>) -> Self {
        self.posted = Some(body);
        self
    }
}

/// Something that an answer seems to have.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The key of the description that it is about: `records`, `key`, `paginate` …
    pub key: &'static str,
    /// What was found, and where.
    pub found: String,
}

/// How a request signed in.
#[derive(Debug, Clone)]
pub(super) struct SignIn {
    /// The value of `auth`.
    pub(super) toml: String,
    /// The settings in it.
    pub(super) settings: Vec<String>,
}

impl SignIn {
    /// With a header or a parameter of this name; `way` is the key of `auth`.
    pub(super) fn by(way: &str, name: &str) -> Self {
        Self::with(way, &[(name, "token".to_owned())])
    }

    /// With these parameters.
    pub(super) fn by_parameters(names: &[String]) -> Self {
        match names {
            [name] => Self::by("query", name),
            names => {
                let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), setting_name(name))).collect();
                Self::with("query", &pairs)
            }
        }
    }

    /// With headers or parameters and their settings.
    fn with(way: &str, pairs: &[(&str, String)]) -> Self {
        let entries: Vec<String> =
            pairs.iter().map(|(name, setting)| format!("{} = \"{{{setting}}}\"", quote::key(name))).collect();
        let settings = pairs.iter().map(|(_, setting)| setting.clone()).collect();
        Self { toml: format!("{{ {way} = {{ {} }} }}", entries.join(", ")), settings }
    }
}

/// The setting of a parameter that signs in: a word that is reserved for something else has another name.
fn setting_name(parameter: &str) -> String {
    let name = parameter.to_lowercase();
    reserved(&name).map_or(name.clone(), |(_, other)| other.to_owned())
}

/// What one answer suggests. A person must check it: an answer shows what is, and not what may come.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Proposal {
    /// The root of the API.
    pub base_url: String,
    /// The stream.
    pub stream: Stream,
    /// What was found, in the order of the keys.
    pub findings: Vec<Finding>,
    /// What a person must find out in the API's documentation, by key.
    pub(super) doubts: Vec<(&'static str, String)>,
    /// Whether the body has a flag of success and may have the code of an error, as Slack's.
    pub(super) has_code: bool,
    /// How the request signed in.
    pub(super) auth: Option<SignIn>,
    /// The other headers of the request.
    pub(super) headers: BTreeMap<String, String>,
}

impl Proposal {
    /// The request was signed in with a bearer token.
    #[must_use]
    pub fn bearer(mut self) -> Self {
        self.auth = Some(SignIn { toml: "{ bearer = \"{token}\" }".to_owned(), settings: vec!["token".to_owned()] });
        self
    }

    /// The request was signed in with a user name and a password. A value that is not a secret is given.
    #[must_use]
    pub fn basic(mut self, user: Option<&str>, password: Option<&str>) -> Self {
        // With one secret, it is a key in the place of the user name.
        let names = if password.is_some() { ["token", "password"] } else { ["user", "password"] };
        let parts = [user, password].into_iter().zip(names);
        let settings = parts.clone().filter(|(text, _)| text.is_none()).map(|(_, name)| name.to_owned()).collect();
        let texts = parts.map(|(text, name)| match text {
            Some(text) => quote::quoted(&literal(text)),
            None => format!("\"{{{name}}}\""),
        });
        let texts: Vec<String> = texts.collect();
        self.auth = Some(SignIn { toml: format!("{{ basic = [{}] }}", texts.join(", ")), settings });
        self
    }

    /// The request was signed in with this header.
    #[must_use]
    pub fn secret_header(mut self, name: &str) -> Self {
        self.auth = Some(SignIn::by("header", name));
        self
    }

    /// The request had this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), literal(value));
        self
    }

    pub(super) fn found(&mut self, key: &'static str, found: impl Into<String>) {
        self.findings.push(Finding { key, found: found.into() });
    }

    pub(super) fn doubt(&mut self, key: &'static str, doubt: impl Into<String>) {
        self.doubts.push((key, doubt.into()));
    }
}
