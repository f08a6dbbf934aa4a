//! Signs in as a description says.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::address;
use super::oauth2::{OAuth2Tokens, TokenRequest};
use super::reader::plan::{AuthPlan, OAuth2Plan};
use super::template::{Part, Placeholder, Template};
use crate::config::missing_setting;
use crate::http::{Authorize, Bearer, Builder, basic};
use crate::{Error, Monitor, Result, SecretRef};

/// The values of the settings that sign in.
#[derive(Debug)]
pub(super) struct Secrets<'a> {
    /// The settings that are secret.
    secret: BTreeMap<String, SecretString>,
    /// The others.
    plain: &'a BTreeMap<String, String>,
}

impl<'a> Secrets<'a> {
    /// Reads the secrets that these references stand for.
    ///
    /// # Errors
    /// `Configuration` for one that cannot be read.
    pub(super) fn resolve(references: &BTreeMap<String, Value>, plain: &'a BTreeMap<String, String>) -> Result<Self> {
        let mut secret = BTreeMap::new();
        for (name, reference) in references {
            let reference: SecretRef = reference.as_str().unwrap_or_default().parse().map_err(|error: Error| {
                let help = error.help().unwrap_or_default().to_owned();
                Error::configuration(format!("the setting `{name}` is malformed: {error}")).with_help(help)
            })?;
            secret.insert(name.clone(), reference.resolve()?);
        }
        Ok(Self { secret, plain })
    }

    fn fill(&self, template: &Template) -> Result<SecretString> {
        let mut filled = String::new();
        for part in template.parts() {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(Placeholder::Setting(name)) => {
                    let secret = self.secret.get(name).map(ExposeSecret::expose_secret);
                    let value = secret.or_else(|| self.plain.get(name).map(String::as_str));
                    filled.push_str(value.ok_or_else(|| missing_setting(name, None))?);
                }
                Part::Value(other) => {
                    return Err(Error::configuration(format!("nothing fills {other} in `auth`"))
                        .with_help("name a setting there, as in `{token}`"));
                }
            }
        }
        Ok(filled.into())
    }

    /// Adds the credentials to a client.
    ///
    /// # Errors
    /// `Configuration` for what cannot be sent.
    pub(super) fn sign_in(&self, mut builder: Builder, auth: &Authorization) -> Result<Builder> {
        match auth {
            Authorization::Shared(authorize) => builder = builder.authorization(authorize.clone()),
            Authorization::Plan(plan) => match plan {
                AuthPlan::Bearer(token) => {
                    builder = builder.authorization(Arc::new(Bearer::new(&self.fill(token)?)));
                }
                AuthPlan::Basic(user, password) => {
                    let pair = basic(&self.fill(user)?, &self.fill(password)?);
                    builder = builder.credential_header("authorization", pair);
                }
                AuthPlan::Header(headers) => {
                    for (name, value) in headers {
                        builder = builder.credential_header(name, self.fill(value)?);
                    }
                }
                AuthPlan::Query(parameters) => {
                    for (name, value) in parameters {
                        builder = builder.credential_query(name, self.fill(value)?);
                    }
                }
                AuthPlan::Oauth2(_) => {}
            },
        }
        Ok(builder)
    }

    /// What all clients of a source sign in with.
    ///
    /// # Errors
    /// `Configuration` for a grant that is not known or lacks something.
    pub(super) fn authorization(
        &self,
        plan: &AuthPlan,
        retry: crate::RetryConfig,
        monitor: &Monitor,
    ) -> Result<Authorization> {
        let AuthPlan::Oauth2(oauth2) = plan else { return Ok(Authorization::Plan(plan.clone())) };
        let OAuth2Plan { token_url, grant, client_id, client_secret, refresh_token, scope } = &**oauth2;
        let optional = |template: &Option<Template>| template.as_ref().map(|template| self.fill(template)).transpose();
        let request = TokenRequest {
            token_url: address::fill(token_url, self.plain)?,
            grant: optional(grant)?.map(|grant| grant.expose_secret().to_owned()),
            client_id: self.fill(client_id)?,
            client_secret: optional(client_secret)?,
            refresh_token: optional(refresh_token)?,
            scope: optional(scope)?.map(|scope| scope.expose_secret().to_owned()),
        };
        let tokens: Arc<dyn Authorize> = Arc::new(OAuth2Tokens::new(request, retry, monitor.clone())?);
        Ok(Authorization::Shared(tokens))
    }
}

/// How the clients of a source sign in.
#[derive(Debug, Clone)]
pub(super) enum Authorization {
    /// With credentials that are the same in each request.
    Plan(AuthPlan),
    /// With tokens that are renewed once for all clients.
    Shared(Arc<dyn Authorize>),
}
