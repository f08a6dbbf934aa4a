//! How requests sign in.

use crate::Result;
use crate::rest::api::Auth;
use crate::rest::template::{Template, named};

/// How to sign in.
#[derive(Clone)]
pub(in crate::rest) enum AuthPlan {
    Bearer(Template),
    Basic(Template, Template),
    Header(Vec<(String, Template)>),
    Query(Vec<(String, Template)>),
    Oauth2(Box<OAuth2Plan>),
}

/// How to get tokens.
#[derive(Clone)]
pub(in crate::rest) struct OAuth2Plan {
    pub(in crate::rest) token_url: Template,
    pub(in crate::rest) grant: Option<Template>,
    pub(in crate::rest) client_id: Template,
    pub(in crate::rest) client_secret: Option<Template>,
    pub(in crate::rest) refresh_token: Option<Template>,
    pub(in crate::rest) scope: Option<Template>,
}

impl std::fmt::Debug for AuthPlan {
    /// Without the values: a text without placeholders may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthPlan")
    }
}

impl AuthPlan {
    pub(super) fn parse(auth: &Auth) -> Result<Self> {
        Ok(match auth {
            Auth::Bearer(token) => Self::Bearer(Template::parse(token)?),
            Auth::Basic(user, password) => Self::Basic(Template::parse(user)?, Template::parse(password)?),
            Auth::Header(headers) => Self::Header(named(headers)?),
            Auth::Query(parameters) => Self::Query(named(parameters)?),
            Auth::Oauth2(oauth2) => {
                let optional = |text: &Option<String>| text.as_deref().map(Template::parse).transpose();
                Self::Oauth2(Box::new(OAuth2Plan {
                    token_url: Template::parse(&oauth2.token_url)?,
                    grant: optional(&oauth2.grant)?,
                    client_id: Template::parse(&oauth2.client_id)?,
                    client_secret: optional(&oauth2.client_secret)?,
                    refresh_token: optional(&oauth2.refresh_token)?,
                    scope: optional(&oauth2.scope)?,
                }))
            }
        })
    }

    /// The templates whose settings are secrets.
    pub(in crate::rest) fn secret_templates(&self) -> Vec<&Template> {
        match self {
            Self::Bearer(token) => vec![token],
            Self::Basic(user, password) => vec![user, password],
            Self::Header(pairs) | Self::Query(pairs) => pairs.iter().map(|(_, value)| value).collect(),
            Self::Oauth2(oauth2) => {
                let OAuth2Plan { client_id, client_secret, refresh_token, .. } = &**oauth2;
                [Some(client_id), client_secret.as_ref(), refresh_token.as_ref()].into_iter().flatten().collect()
            }
        }
    }

    /// The other templates.
    pub(in crate::rest) fn plain_templates(&self) -> Vec<&Template> {
        match self {
            Self::Oauth2(oauth2) => {
                let OAuth2Plan { token_url, grant, scope, .. } = &**oauth2;
                [Some(token_url), grant.as_ref(), scope.as_ref()].into_iter().flatten().collect()
            }
            _ => Vec::new(),
        }
    }
}
