//! The registry's API, as far as a push needs it.
//!
//! Its answers name other addresses: where to trade the password for a token, and where to upload to. `oci_client` sends credentials
//! to any of them; here they go to the registry's own host, and no redirect is followed.

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
use super::error::Fault;
use crate::native_app::image::digest;
use crate::{Error, Result};

/// The longest that a registry may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest that a registry may take for one answer. It covers the sending of the largest piece.
const ANSWER: Duration = Duration::from_secs(300);

/// The largest piece of a blob that is sent at once.
const PIECE: usize = 4 * 1024 * 1024;

/// The most that is read of an answer, in bytes: errors, tokens and manifests are smaller.
const BODY: usize = 4 * 1024 * 1024;

/// What a request says of who we are.
enum Authorization {
    Nobody,
    Password(Credentials),
    Token(SecretString),
}

/// A token, by either of the names that it has, or both.
#[derive(Deserialize)]
struct Issued {
    token: Option<String>,
    access_token: Option<String>,
}

/// A registry that was signed in to.
pub(super) struct Registry<'a> {
    http: Client,
    address: &'a Address,
    credentials: Option<&'a Credentials>,
    /// Hosts that may get the credentials beside the registry's own.
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
            .map_err(|error| Error::internal("the client for the registry cannot be made").with_source(error))?;
        Ok(Self { http, address, credentials, token_hosts, authorization: RwLock::new(Authorization::Nobody) })
    }

    /// Asks the registry how it wants to be signed in to, and does so.
    pub(super) async fn sign_in(&self) -> Result<(), Fault> {
        let answer = self.http.get(self.url("")?).send().await.map_err(Failure::from)?;
        let mut authorization = self.credentials.cloned().map_or(Authorization::Nobody, Authorization::Password);
        match answer.headers().get(WWW_AUTHENTICATE) {
            None if answer.status().is_redirection() || answer.status().is_server_error() => {
                return Err(refusal(answer).await.into());
            }
            None => authorization = Authorization::Nobody,
            Some(header) => {
                if let Challenge::Token(realm) = Challenge::read(header) {
                    authorization = Authorization::Token(self.token(&realm).await?);
                }
            }
        }
        *self.authorization.write().await = authorization;
        Ok(())
    }

    /// Trades the credentials for a token.
    async fn token(&self, realm: &Realm) -> Result<SecretString, Fault> {
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
            // What it says is not kept: it may hold what was sent.
            let url = self.address.host().to_owned();
            return Err(Failure::ServerError { code: status.as_u16(), url, message: String::new() }.into());
        }
        if status != StatusCode::OK {
            return Err(Failure::AuthenticationFailure(status.to_string()).into());
        }
        let undecodable = || Failure::RegistryTokenDecodeError("its answer holds none".to_owned());
        let issued: Issued = serde_json::from_slice(&body(answer).await?).map_err(|_| undecodable())?;
        let token = issued.token.or(issued.access_token).map(SecretString::from).ok_or_else(undecodable)?;
        // A header takes it, or it is none.
        HeaderValue::from_str(token.expose_secret()).map_err(|_| undecodable())?;
        crate::error::remember(token.expose_secret());
        Ok(token)
    }

    /// The digest of what the tag stands for.
    pub(super) async fn manifest_digest(&self) -> Result<String, Fault> {
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
        Ok(digest::of(&body(answer).await?))
    }

    /// Whether the registry has a blob. One that it keeps elsewhere, it has: that place is not asked.
    pub(super) async fn has(&self, digest: &str) -> Result<bool, Fault> {
        let url = self.url(&format!("{}/blobs/{digest}", self.address.path()))?;
        let answer = self.send(move |http| http.head(url.clone())).await?;
        if answer.status().is_redirection() {
            return Ok(true);
        }
        expect(answer, StatusCode::OK).await.map(|_| true)
    }

    /// Uploads a blob in pieces, or at once where the registry does not take pieces.
    pub(super) async fn upload(&self, bytes: &[u8], digest: &str) -> Result<(), Fault> {
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

    async fn begin(&self) -> Result<Url, Fault> {
        let url = self.url(&format!("{}/blobs/uploads/", self.address.path()))?;
        let answer = self.send(move |http| http.post(url.clone()).header(CONTENT_LENGTH, 0)).await?;
        self.location(&expect(answer, StatusCode::ACCEPTED).await?)
    }

    /// Ends an upload with these last bytes.
    async fn finish(&self, mut url: Url, bytes: &[u8], digest: &str) -> Result<(), Fault> {
        url.query_pairs_mut().append_pair("digest", digest);
        let send = |http: &Client| {
            let request = http.put(url.clone()).header(CONTENT_TYPE, "application/octet-stream");
            request.header(CONTENT_LENGTH, bytes.len()).body(bytes.to_vec())
        };
        expect(self.send(send).await?, StatusCode::CREATED).await.map(drop)
    }

    /// Sets the tag to a manifest.
    pub(super) async fn set_tag(&self, manifest: &[u8], media_type: &HeaderValue) -> Result<(), Fault> {
        let url = self.url(&format!("{}/manifests/{}", self.address.path(), self.address.tag()))?;
        let send = |http: &Client| http.put(url.clone()).header(CONTENT_TYPE, media_type).body(manifest.to_vec());
        expect(self.send(send).await?, StatusCode::CREATED).await.map(drop)
    }

    /// Sends a request to the registry itself with what it knows us by; once more where a token is no longer valid.
    async fn send(&self, request: impl Fn(&Client) -> RequestBuilder) -> Result<Response, Fault> {
        let answer = self.authorized(request(&self.http)).await?;
        let has_token = matches!(*self.authorization.read().await, Authorization::Token(_));
        if answer.status() != StatusCode::UNAUTHORIZED || !has_token {
            return Ok(answer);
        }
        self.sign_in().await?;
        self.authorized(request(&self.http)).await
    }

    async fn authorized(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let request = match &*self.authorization.read().await {
            Authorization::Nobody => request,
            Authorization::Password(credentials) => credentials.apply(request),
            Authorization::Token(token) => request.bearer_auth(token.expose_secret()),
        };
        Ok(request.send().await.map_err(Failure::from)?)
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let joined = self.address.base().and_then(|base| base.join(&format!("/v2/{path}")));
        joined.map_err(|error| Failure::UrlParseError(error.to_string()))
    }

    /// Where an upload goes on: the registry's own host only, whatever it says.
    fn location(&self, answer: &Response) -> Result<Url, Fault> {
        let location = answer.headers().get(LOCATION).ok_or(Failure::RegistryNoLocationError)?;
        let url = self.url("")?.join(location.to_str().map_err(Failure::from)?);
        let url = url.map_err(|error| Failure::UrlParseError(error.to_string()))?;
        let plain = url.username().is_empty() && url.password().is_none();
        if plain && url.origin() == self.url("")?.origin() {
            return Ok(url);
        }
        Err(Fault::elsewhere(&url, "the upload"))
    }
}

/// The answer, if it has the expected status.
async fn expect(answer: Response, wanted: StatusCode) -> Result<Response, Fault> {
    if answer.status() == wanted {
        return Ok(answer);
    }
    Err(refusal(answer).await.into())
}

/// What a registry says with an answer that is not what was asked for.
async fn refusal(answer: Response) -> Failure {
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    if status == StatusCode::UNAUTHORIZED {
        return Failure::UnauthorizedError { url };
    }
    if status.is_success() {
        return Failure::SpecViolationError(format!("{status} is no answer to {url}"));
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

/// Reads an answer that is not large.
async fn body(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > BODY {
            return Err(Failure::SpecViolationError("an answer is too large".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
