//! The description of an API as a whole.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::errors::{Action, Errors};
use super::file::explained;
use super::pace::Pace;
use super::paginate::Paginate;
use super::stream::Stream;
use crate::Error;

/// A REST API: where it is, how to sign in, and what lists it has.
///
/// Texts named *template* may hold placeholders: `{setting}` (any other word), `{resource}`, and in streams `{parent.field}`, `{since}`,
/// `{until}`, `{key}` and `{keys}`. Texts named *pointer* are [JSON pointers](https://www.rfc-editor.org/rfc/rfc6901): `/data/items`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Api {
    /// The name of the source: lower-case letters, digits and `_`. It prefixes environment variables.
    pub name: String,
    /// A template: the root of every path. Settings may stand in the host.
    pub base_url: String,
    /// The defaults and descriptions of settings. Every word in braces that is not another placeholder is a setting, declared here or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Setting>,
    /// How to sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Headers of each request; the values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How many requests to send, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// What to do about errors.
    #[serde(default, skip_serializing_if = "Errors::is_empty")]
    pub errors: Errors,
    /// The stream that lists what a user may enable. Without it, the source is one resource, which has the name of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceList>,
    /// How lists continue, in streams that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paginate: Option<Paginate>,
    /// The streams, parents before their children.
    #[serde(default, rename = "stream")]
    pub streams: Vec<Stream>,
}

impl Api {
    /// An API without streams, at this base URL.
    pub fn new(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_url: base_url.into(),
            settings: BTreeMap::new(),
            auth: None,
            headers: BTreeMap::new(),
            pace: None,
            errors: Errors::default(),
            resource: None,
            paginate: None,
            streams: Vec::new(),
        }
    }

    /// Returns the JSON Schema of descriptions, for editors of the file.
    pub fn json_schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }

    /// Sets how to sign in.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Describes a setting.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, setting: Setting) -> Self {
        self.settings.insert(name.into(), setting);
        self
    }

    /// Adds a header to each request; the value is a template.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Sets how many requests to send, at most.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Sets what to do about a status, or about a [code](Self::error_code) in the body.
    #[must_use]
    pub fn on_error(mut self, status_or_code: impl ToString, action: Action) -> Self {
        self.errors.actions.insert(status_or_code.to_string(), action);
        self
    }

    /// Adds a pointer to the code of an error in the body. A body of a successful response that has such a code is an error, too.
    #[must_use]
    pub fn error_code(mut self, pointer: impl Into<String>) -> Self {
        self.errors.code.push(pointer.into());
        self
    }

    /// Names the stream that lists the resources, and the pointer to a resource's name in its records.
    #[must_use]
    pub fn resource(mut self, stream: impl Into<String>, id: impl Into<String>) -> Self {
        self.resource = Some(ResourceList { stream: stream.into(), id: id.into(), name: None });
        self
    }

    /// Adds the pointer to what people call a resource, where its name is an id. Without [`resource`](Self::resource) it does nothing.
    #[must_use]
    pub fn resource_title(mut self, name: impl Into<String>) -> Self {
        if let Some(list) = &mut self.resource {
            list.name = Some(name.into());
        }
        self
    }

    /// Sets how lists continue, in streams that do not say.
    #[must_use]
    pub fn paginate(mut self, paginate: impl Into<Paginate>) -> Self {
        self.paginate = Some(paginate.into());
        self
    }

    /// Adds a stream; a child comes after its parent.
    #[must_use]
    pub fn stream(mut self, stream: Stream) -> Self {
        self.streams.push(stream);
        self
    }
}

/// The default and the description of a setting.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { default = \"https://api.example.com\", help = \"the URL\" }"
)]
#[non_exhaustive]
pub struct Setting {
    /// Its value unless a user sets one. Without it, the setting is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it is, for the user who sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// `false` for a user name in `basic`, or a `client_id`, that is not secret: it is stored and shown, and may stand elsewhere. Every other
    /// setting in `auth` is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<bool>,
}

impl Setting {
    /// A required setting with this description.
    pub fn new(help: impl Into<String>) -> Self {
        Self { default: None, help: Some(help.into()), secret: None }
    }

    /// Says that it is not secret, though it is the user name in `basic`, or the `client_id`.
    #[must_use]
    pub fn not_secret(mut self) -> Self {
        self.secret = Some(false);
        self
    }

    /// Sets the value that it has unless a user sets one.
    #[must_use]
    pub fn default(mut self, value: impl Into<String>) -> Self {
        self.default = Some(value.into());
        self
    }
}

/// How to sign in. The values are templates; settings in them are secrets.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = describe_keys)]
#[non_exhaustive]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(String),
    /// `Authorization: Basic …`, with a user name and a password.
    Basic(String, String),
    /// Headers.
    Header(BTreeMap<String, String>),
    /// Parameters of the query. They are in no log and no error.
    Query(BTreeMap<String, String>),
    /// Tokens of an OAuth 2 server.
    Oauth2(OAuth2),
}

/// Gives the key of each variant the description of the variant: editors show that of a key.
fn describe_keys(schema: &mut schemars::Schema) {
    let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for variant in variants.into_iter().flatten() {
        let Some(description) = variant.get("description").cloned() else { continue };
        let keys = variant.get_mut("properties").and_then(Value::as_object_mut);
        for key in keys.into_iter().flat_map(|keys| keys.values_mut()).filter_map(Value::as_object_mut) {
            key.entry("description").or_insert_with(|| description.clone());
        }
    }
}

impl Auth {
    /// A bearer token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(token.into())
    }

    /// A user name and a password.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic(user.into(), password.into())
    }

    /// A header.
    pub fn header(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Header(BTreeMap::from([(name.into(), value.into())]))
    }

    /// A parameter of the query.
    pub fn query(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Query(BTreeMap::from([(name.into(), value.into())]))
    }
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AuthVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum AuthKey {
    Bearer,
    Basic,
    Header,
    Query,
    Oauth2,
}

struct AuthVisitor;

impl<'de> Visitor<'de> for AuthVisitor {
    type Value = Auth;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table such as { bearer = \"{token}\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Auth, A::Error> {
        const HELP: &str = "write one of `bearer`, `basic`, `header`, `query` and `oauth2`";
        let malformed = |what| de::Error::custom(explained(&Error::configuration(what).with_help(HELP)));
        let auth = match table.next_key()? {
            Some(AuthKey::Bearer) => Auth::Bearer(table.next_value()?),
            Some(AuthKey::Basic) => {
                let Credentials(user, password) = table.next_value()?;
                Auth::Basic(user, password)
            }
            Some(AuthKey::Header) => Auth::Header(table.next_value()?),
            Some(AuthKey::Query) => Auth::Query(table.next_value()?),
            Some(AuthKey::Oauth2) => Auth::Oauth2(table.next_value()?),
            None => return Err(malformed("`auth` does not say how to sign in")),
        };
        match table.next_entry::<AuthKey, IgnoredAny>()? {
            Some(_) => Err(malformed("`auth` says in several ways how to sign in")),
            None => Ok(auth),
        }
    }
}

/// A user name and a password.
struct Credentials(String, String);

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(2, CredentialsVisitor)
    }
}

struct CredentialsVisitor;

impl<'de> Visitor<'de> for CredentialsVisitor {
    type Value = Credentials;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of a user name and a password")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Credentials, A::Error> {
        match (list.next_element()?, list.next_element()?) {
            (Some(user), Some(password)) => Ok(Credentials(user, password)),
            (user, _) => Err(de::Error::invalid_length(usize::from(user.is_some()), &self)),
        }
    }
}

impl fmt::Debug for Auth {
    /// Without the values: a text without placeholders may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer",
            Self::Basic(..) => "Basic",
            Self::Header(_) => "Header",
            Self::Query(_) => "Query",
            Self::Oauth2(_) => "Oauth2",
        })
    }
}

/// How to get tokens of an OAuth 2 server. All values are templates.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OAuth2 {
    /// Where tokens are issued.
    pub token_url: String,
    /// `client_credentials`, the default without a refresh token, or `refresh_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// The refresh token. A server that issues a new one with each answer needs a source in Rust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2").field("token_url", &self.token_url).finish_non_exhaustive()
    }
}

/// The stream that lists the resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { stream = \"workspaces\", id = \"/id\" }")]
#[non_exhaustive]
pub struct ResourceList {
    /// The name of the stream.
    pub stream: String,
    /// A pointer: the name of the resource, which `{resource}` stands for.
    pub id: String,
    /// A pointer: what people call the resource, where its name is an id. `discover` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
