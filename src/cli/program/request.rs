//! How a request is sent: how it signs in, its headers, and its body.

use std::path::Path;

use serde_json::{Map, Value};

use super::files;
use crate::error::is_credential;
use crate::secret::holds_token;
use crate::{Error, Result, SecretRef};

/// The options of a request.
// Texts: clap would repeat a secret that was given by value.
#[derive(Debug, Default, clap::Args)]
pub(super) struct RequestOptions {
    /// A bearer token, by reference: `env:NAME` or `file:PATH`
    #[arg(long, value_name = "SECRET", conflicts_with = "basic")]
    bearer: Option<String>,
    /// A user name, and a password by reference: `me@example.com env:NAME`; where the API takes a key as the user name, `env:NAME X`
    #[arg(long, num_args = 2, value_names = ["USER", "SECRET"], action = clap::ArgAction::Set)]
    basic: Option<Vec<String>>,
    /// A header; a secret is given by reference: `X-Api-Key: env:NAME`; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// A JSON object to send in a POST: itself, or `@FILE`
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
}

/// A value that an argument gives.
#[derive(Debug)]
pub(super) enum ArgValue<'a> {
    Text(&'a str),
    Secret(SecretRef),
}

impl<'a> ArgValue<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let is_reference = text.starts_with("env:") || text.starts_with("file:");
        if is_reference || holds_token(text) { text.parse().map(Self::Secret) } else { Ok(Self::Text(text)) }
    }
}

impl RequestOptions {
    /// The bearer token.
    pub(super) fn bearer(&self) -> Result<Option<SecretRef>> {
        self.bearer.as_deref().map(str::parse).transpose()
    }

    /// The user name and the password; at least one of them is a secret.
    pub(super) fn basic(&self) -> Result<Option<[ArgValue<'_>; 2]>> {
        let Some([user, password]) = self.basic.as_deref() else { return Ok(None) };
        let user = ArgValue::parse(user)?;
        // APIs that take a key as the user name ignore the password, or want it empty.
        let is_ignored = matches!(user, ArgValue::Secret(_)) && password.len() <= 1;
        let password = if is_ignored { ArgValue::Text(password) } else { ArgValue::Secret(password.parse()?) };
        if let ArgValue::Text(user) = user
            && user.contains(':')
        {
            return Err(Error::configuration("a user name cannot have a colon")
                .with_help("write `--basic USER env:NAME`: the user name, a space, and where the password is"));
        }
        Ok(Some([user, password]))
    }

    /// The names of the headers, and their values.
    pub(super) fn headers(&self) -> Result<Vec<(&str, ArgValue<'_>)>> {
        self.header.iter().map(|text| header(text)).collect()
    }

    /// The body, which makes the request a POST.
    pub(super) fn body(&self) -> Result<Option<Map<String, Value>>> {
        let Some(text) = &self.body else { return Ok(None) };
        let help = "write `--body '{\"limit\": 100}'`, or `--body @FILE` with the name of a file";
        let read = text.strip_prefix('@').map(|path| files::text(Path::new(path), "body")).transpose()?;
        let text = read.as_deref().unwrap_or(text);
        if holds_token(text) {
            return Err(Error::configuration("the body holds a secret").with_help(
                "sign in with `--bearer env:NAME`, `--basic USER env:NAME` or `--header 'NAME: env:VARIABLE'`: a description has no secrets",
            ));
        }
        let body: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            Error::configuration("the body is not a JSON object").with_source(error).with_help(help)
        })?;
        if body.values().any(has_null) {
            return Err(Error::configuration("the body has a null, which a description cannot have")
                .with_help("leave out what is null"));
        }
        Ok(Some(body))
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().any(has_null),
        Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

fn header(text: &str) -> Result<(&str, ArgValue<'_>)> {
    let (name, value) = match text.split_once(':').map(|(name, value)| (name.trim(), value.trim())) {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => (name, value),
        _ => {
            return Err(Error::configuration("a header has no name or no value")
                .with_help("write `--header 'NAME: VALUE'`, or `--header 'NAME: env:VARIABLE'` for a secret"));
        }
    };
    match ArgValue::parse(value)? {
        ArgValue::Text(_) if is_credential(name) => {
            Err(Error::configuration(format!("the header `{name}` signs in, so that its value is a secret")).with_help(
                "give a token with `--bearer env:NAME`, a user name and a password with `--basic USER env:NAME`, and any other value as a \
                 whole: `--header 'NAME: env:VARIABLE'`",
            ))
        }
        value => Ok((name, value)),
    }
}
