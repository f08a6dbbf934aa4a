//! Logging in, and renewing the tokens of a session.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};
use snowflake_api::connection::QueryType;
use uuid::Uuid;

use super::client_inner::ClientInner;
use super::connection::{ConnectionConfig, LoginFields};
use super::transport::Transport;
use super::wire::{LoginData, Renewal, RenewalData, Response};
use super::{IssuedToken, error, parameters};
use crate::{Error, ErrorKind, Result};

/// The assumed validity of a session token, if Snowflake does not send it.
const TOKEN_VALIDITY: Duration = Duration::from_secs(3600);

/// The tokens of a session.
pub(super) struct TokenPair {
    session: SecretString,
    /// Renews the session token.
    master: Option<SecretString>,
}

/// The current tokens of a session; a running statement may replace them.
pub(super) struct SessionTokens(Mutex<Arc<TokenPair>>);

impl SessionTokens {
    pub(super) fn new(tokens: TokenPair) -> Self {
        Self(Mutex::new(Arc::new(tokens)))
    }

    /// Returns the current session token.
    pub(super) fn token(&self) -> SecretString {
        self.current().session.clone()
    }

    pub(super) fn replace(&self, tokens: TokenPair) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    fn current(&self) -> Arc<TokenPair> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Serialize)]
struct Login<'a> {
    data: LoginData2<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct LoginData2<'a> {
    account_name: &'a str,
    login_name: &'a str,
    client_app_id: &'static str,
    client_app_version: &'static str,
    client_environment: Value,
    session_parameters: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spcs_token: Option<&'a str>,
}

/// Logs in.
pub(super) async fn login(client: &ClientInner) -> Result<TokenPair> {
    let ClientInner { transport, connection, meter } = client;
    let fields = read_login_fields(connection).await?;
    let mut session_parameters = parameters::of(connection);
    let reply = loop {
        let reply = request_login(transport, connection, &fields, &session_parameters).await?;
        let refuses_parameter = |message| parameters::remove_rejected(&mut session_parameters, connection, message);
        match reply.message.as_deref().filter(|_| !reply.success).map(refuses_parameter).transpose()? {
            Some(true) => {}
            _ => break reply,
        }
    };
    if !reply.success {
        return Err(error::login_error(&reply, connection));
    }
    match reply.data {
        Some(LoginData { token: Some(session), master_token: master, session_id, parameters }) => {
            meter.add_login(session_id);
            parameters::check(parameters.as_ref())?;
            Ok(TokenPair { session, master })
        }
        _ => Err(Error::invalid_data("Snowflake accepted the login without returning a token")
            .with_help("Snowflake may require a second factor or a new password: use a key pair, or a token")),
    }
}

async fn request_login(
    transport: &Transport,
    connection: &ConnectionConfig,
    fields: &LoginFields,
    session_parameters: &Map<String, Value>,
) -> Result<Response<LoginData>> {
    let body = Login {
        data: LoginData2 {
            account_name: &connection.account,
            login_name: &connection.user,
            client_app_id: "snowfeed",
            client_app_version: env!("CARGO_PKG_VERSION"),
            client_environment: json!({ "APPLICATION": "snowfeed", "OS": std::env::consts::OS, "OS_VERSION": "" }),
            session_parameters,
            authenticator: fields.authenticator,
            token: fields.token.as_ref().map(ExposeSecret::expose_secret),
            password: fields.password.as_ref().map(ExposeSecret::expose_secret),
            spcs_token: fields.spcs_token.as_ref().map(ExposeSecret::expose_secret),
        },
    };
    let request_id = Uuid::now_v7().to_string();
    let mut parameters = vec![("requestId", request_id.as_str())];
    for (name, value) in [
        ("databaseName", &connection.database),
        ("schemaName", &connection.schema),
        ("warehouse", &connection.warehouse),
        ("roleName", &connection.role),
    ] {
        parameters.extend(value.as_deref().map(|value| (name, value)));
    }
    transport.request(QueryType::LoginRequest, &parameters, None, body).await
}

/// Renews the token of a session, whose transaction stays open. Returns whether Snowflake issued one.
pub(super) async fn renew(transport: &Transport, tokens: &SessionTokens) -> Result<bool> {
    let current = tokens.current();
    let Some(master) = &current.master else { return Ok(false) };
    let body = Renewal { old_session_token: current.session.expose_secret(), request_type: "RENEW" };
    let request_id = Uuid::now_v7().to_string();
    let parameters = [("requestId", request_id.as_str())];
    let reply = transport.request::<RenewalData>(QueryType::TokenRequest, &parameters, Some(master), body).await?;
    let Some(RenewalData { session_token: Some(session), master_token, .. }) = reply.data.filter(|_| reply.success)
    else {
        return Ok(false);
    };
    tokens.replace(TokenPair { session, master: master_token.or_else(|| current.master.clone()) });
    Ok(true)
}

/// Issues a token of the same session for another client, such as the image registry. The session's own token stays valid.
pub(super) async fn issue_token(transport: &Transport, tokens: &SessionTokens) -> Result<IssuedToken> {
    let current = tokens.current();
    let refused = || {
        Error::new(ErrorKind::Authentication, "Snowflake issues no token for other clients to this session")
            .with_help("use a user and a programmatic access token")
    };
    let master = current.master.as_ref().ok_or_else(refused)?;
    let body = Renewal { old_session_token: current.session.expose_secret(), request_type: "ISSUE" };
    let request_id = Uuid::now_v7().to_string();
    let parameters = [("requestId", request_id.as_str())];
    let reply = transport.request::<RenewalData>(QueryType::TokenRequest, &parameters, Some(master), body).await?;
    match reply.data.filter(|_| reply.success) {
        Some(RenewalData { session_token: Some(token), validity, .. }) => {
            Ok(IssuedToken { token, validity: validity.map_or(TOKEN_VALIDITY, Duration::from_secs) })
        }
        _ => Err(error::with_code(refused(), reply.code.as_deref())),
    }
}

async fn read_login_fields(connection: &Arc<ConnectionConfig>) -> Result<LoginFields> {
    let connection = Arc::clone(connection);
    tokio::task::spawn_blocking(move || connection.login_fields())
        .await
        .map_err(|error| Error::internal("reading the credentials failed").with_source(error))?
}
