//! A client for the parts of the registry API that a push needs.
//!
//! A registry's responses contain URLs: for exchanging the password for a token, and for uploads. `oci_client` sends credentials to all
//! of them; this client sends them only to the registry's own host and follows no redirects.

use std::time::Duration;

use oci_client::errors::{OciDistributionError as Failure, OciEnvelope};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::RwLock;
use url::Url;

use super::address::Address;
use super::auth::{Challenge, Credentials, Realm};
use super::error::RegistryError;
use crate::native_app::image::digest;
use crate::{Error, Result};

/// The connect timeout.
const CONNECT: Duration = Duration::from_secs(10);

/// The timeout of a response. It includes the upload of the largest chunk.
const ANSWER: Duration = Duration::from_secs(300);

/// The maximum size of an uploaded chunk.
const PIECE: usize = 4 * 1024 * 1024;

/// The maximum size of a response body, in bytes. Errors, tokens and manifests are smaller.
const BODY: usize = 4 * 1024 * 1024;

/// The authorization of a request.
enum Authorization {
    Anonymous,
    Password(Credentials),
    Token(SecretString),
}

/// A token under one of its two names, or both.
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    access_token: Option<String>,
}

/// A client for a registry.
pub(super) struct Registry<'a> {
    http: Client,
    address: &'a Address,
    credentials: Option<&'a Credentials>,
    /// Hosts that may receive the credentials, besides the registry's own.
    token_hosts: &'a [String],
    authorization: RwLock<Authorization>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(
        address: &'a Address,
        credentials: Option<&'a Credentials>,
        token_hosts: &'a [String],
    ) -> Result<Self> {
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(ANSWER)
            .redirect(Policy::none())
            .referer(false)
            .user_agent(concat!("snowfeed/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::internal("cannot create the client for the registry").with_source(error))?;
        Ok(Self { http, address, credentials, token_hosts, authorization: RwLock::new(Authorization::Anonymous) })
    }

    /// Signs in as the registry requires.
    pub(super) async fn sign_in(&self) -> Result<(), RegistryError> {
        let answer = self.http.get(self.url("")?).send().await.map_err(Failure::from)?;
        let mut authorization = self.credentials.cloned().map_or(Authorization::Anonymous, Authorization::Password);
        match answer.headers().get(WWW_AUTHENTICATE) {
            None if answer.status().is_redirection() || answer.status().is_server_error() => {
                return Err(response_error(answer).await.into());
            }
            None => authorization = Authorization::Anonymous,
            Some(header) => {
                if let Challenge::Token(realm) = Challenge::read(header) {
                    authorization = Authorization::Token(self.token(&realm).await?);
                }
            }
        }
        *self.authorization.write().await = authorization;
        Ok(())
    }

    /// Exchanges the credentials for a token.
    async fn token(&self, realm: &Realm) -> Result<SecretString, RegistryError> {
        let url = realm.url(self.address, self.token_hosts)?;
        let scope = format!("repository:{}:pull,push", self.address.path());
        let mut request = self.http.get(url).query(&[("scope", scope)]);
        if let Some(service) = &realm.service {
            request = request.query(&[("service", service)]);
        }
        if let Some(credentials) = self.credentials {
            request = credentials.apply(request);
        }
        let answer = request.send().await.map_err(Failure::from)?;
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            // The message is dropped: it may repeat the credentials.
            let url = self.address.host().to_owned();
            return Err(Failure::ServerError { code: status.as_u16(), url, message: String::new() }.into());
        }
        if status != StatusCode::OK {
            return Err(Failure::AuthenticationFailure(status.to_string()).into());
        }
        let undecodable = || Failure::RegistryTokenDecodeError("the response contains no token".to_owned());
        let issued: TokenResponse = serde_json::from_slice(&body(answer).await?).map_err(|_| undecodable())?;
        let token = issued.token.or(issued.access_token).map(SecretString::from).ok_or_else(undecodable)?;
        // A token must be a valid header value.
        HeaderValue::from_str(token.expose_secret()).map_err(|_| undecodable())?;
        crate::error::remember(token.expose_secret());
        Ok(token)
    }

    /// The digest of the tag's manifest.
    pub(super) async fn manifest_digest(&self) -> Result<String, RegistryError> {
        let url = self.url(&format!("{}/manifests/{}", self.address.path(), self.address.tag()))?;
        let kinds = [
            OCI_IMAGE_MEDIA_TYPE,
            OCI_IMAGE_INDEX_MEDIA_TYPE,
            IMAGE_MANIFEST_MEDIA_TYPE,
            IMAGE_MANIFEST_LIST_MEDIA_TYPE,
        ];
        let ask = |method: Method| {
            let (url, kinds) = (url.clone(), kinds.join(", "));
            self.send(move |http| http.request(method.clone(), url.clone()).header(ACCEPT, &kinds))
        };
        let answer = expect(ask(Method::HEAD).await?, StatusCode::OK).await?;
        if let Some(digest) = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok()) {
            return Ok(digest.to_owned());
        }
        let answer = expect(ask(Method::GET).await?, StatusCode::OK).await?;
        Ok(digest::sha256_digest(&body(answer).await?))
    }

    /// Whether the registry has a blob. A redirect means that it has it; the target is not requested.
    pub(super) async fn has(&self, digest: &str) -> Result<bool, RegistryError> {
        let url = self.url(&format!("{}/blobs/{digest}", self.address.path()))?;
        let answer = self.send(move |http| http.head(url.clone())).await?;
        if answer.status().is_redirection() {
            return Ok(true);
        }
        expect(answer, StatusCode::OK).await.map(|_| true)
    }

    /// Uploads a blob in chunks, or at once if the registry does not support chunks.
    pub(super) async fn upload(&self, bytes: &[u8], digest: &str) -> Result<(), RegistryError> {
        let mut location = self.begin().await?;
        let mut start = 0;
        for piece in bytes.chunks(PIECE) {
            let (url, range) = (location.clone(), format!("{start}-{}", start + piece.len() - 1));
            let send = |http: &Client| {
                let request = http.patch(url.clone()).header(CONTENT_TYPE, "application/octet-stream");
                request.header(CONTENT_RANGE, &range).body(piece.to_vec())
            };
            let answer = self.send(send).await?;
            if answer.status().is_success() && answer.status() != StatusCode::ACCEPTED {
                return self.finish(self.begin().await?, bytes, digest).await;
            }
            location = self.location(&expect(answer, StatusCode::ACCEPTED).await?)?;
            start += piece.len();
        }
        self.finish(location, &[], digest).await
    }

    async fn begin(&self) -> Result<Url, RegistryError> {
        let url = self.url(&format!("{}/blobs/uploads/", self.address.path()))?;
        let answer = self.send(move |http| http.post(url.clone()).header(CONTENT_LENGTH, 0)).await?;
        self.location(&expect(answer, StatusCode::ACCEPTED).await?)
    }

    /// Completes an upload with the last bytes.
    async fn finish(&self, mut url: Url, bytes: &[u8], digest: &str) -> Result<(), RegistryError> {
        url.query_pairs_mut().append_pair("digest", digest);
        let send = |http: &Client| {
            let request = http.put(url.clone()).header(CONTENT_TYPE, "application/octet-stream");
            request.header(CONTENT_LENGTH, bytes.len()).body(bytes.to_vec())
        };
        expect(self.send(send).await?, StatusCode::CREATED).await.map(drop)
    }

    /// Uploads the manifest under the tag.
    pub(super) async fn set_tag(&self, manifest: &[u8], media_type: &HeaderValue) -> Result<(), RegistryError> {
        let url = self.url(&format!("{}/manifests/{}", self.address.path(), self.address.tag()))?;
        let send = |http: &Client| http.put(url.clone()).header(CONTENT_TYPE, media_type).body(manifest.to_vec());
        expect(self.send(send).await?, StatusCode::CREATED).await.map(drop)
    }

    /// Sends an authorized request to the registry itself; signs in again once if the token has expired.
    async fn send(&self, request: impl Fn(&Client) -> RequestBuilder) -> Result<Response, RegistryError> {
        let answer = self.authorized(request(&self.http)).await?;
        let has_token = matches!(*self.authorization.read().await, Authorization::Token(_));
        if answer.status() != StatusCode::UNAUTHORIZED || !has_token {
            return Ok(answer);
        }
        self.sign_in().await?;
        self.authorized(request(&self.http)).await
    }

    async fn authorized(&self, request: RequestBuilder) -> Result<Response, RegistryError> {
        let request = match &*self.authorization.read().await {
            Authorization::Anonymous => request,
            Authorization::Password(credentials) => credentials.apply(request),
            Authorization::Token(token) => request.bearer_auth(token.expose_secret()),
        };
        Ok(request.send().await.map_err(Failure::from)?)
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let joined = self.address.base().and_then(|base| base.join(&format!("/v2/{path}")));
        joined.map_err(|error| Failure::UrlParseError(error.to_string()))
    }

    /// The URL where an upload continues. It must be on the registry's own host.
    fn location(&self, answer: &Response) -> Result<Url, RegistryError> {
        let location = answer.headers().get(LOCATION).ok_or(Failure::RegistryNoLocationError)?;
        let url = self.url("")?.join(location.to_str().map_err(Failure::from)?);
        let url = url.map_err(|error| Failure::UrlParseError(error.to_string()))?;
        let plain = url.username().is_empty() && url.password().is_none();
        if plain && url.origin() == self.url("")?.origin() {
            return Ok(url);
        }
        Err(RegistryError::foreign_host(&url, "the upload"))
    }
}

/// Returns the response if it has the expected status.
async fn expect(answer: Response, wanted: StatusCode) -> Result<Response, RegistryError> {
    if answer.status() == wanted {
        return Ok(answer);
    }
    Err(response_error(answer).await.into())
}

/// The error of a response with another status.
async fn response_error(answer: Response) -> Failure {
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    if status == StatusCode::UNAUTHORIZED {
        return Failure::UnauthorizedError { url };
    }
    if status.is_success() {
        return Failure::SpecViolationError(format!("unexpected status {status} for {url}"));
    }
    let body = match body(answer).await {
        Ok(body) => body,
        Err(failure) => return failure,
    };
    match serde_json::from_slice::<OciEnvelope>(&body) {
        Ok(envelope) if status.is_client_error() => Failure::RegistryError { envelope, url },
        _ => Failure::ServerError { code: status.as_u16(), url, message: String::from_utf8_lossy(&body).into_owned() },
    }
}

/// Reads a response body of limited size.
async fn body(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > BODY {
            return Err(Failure::SpecViolationError("the response is too large".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
