//! An HTTP client for sources: retries, rate limits, pagination and conditional requests.
//!
//! A [`Client`] talks to one server. Its clones share one connection pool and one view of the server's limits: when one
//! request has to wait, every request waits. Each of these features is a [layer](Builder#layers) that you can remove, and you
//! can add your own.
//!
//! ```
//! # async fn read() -> snowfeed::Result<()> {
//! use snowfeed::Monitor;
//! use snowfeed::http::Client;
//!
//! #[derive(serde::Deserialize)]
//! struct Widget {
//!     id: u64,
//! }
//!
//! let client = Client::builder("https://api.example.com/v1").header("X-Api-Version", "2022-11-28").budget(50).build()?;
//! let monitor = Monitor::detached();
//! let mut next = Some(client.get("widgets").query(&[("per_page", "100")]));
//! while let Some(request) = next.take() {
//!     // `send_with` parses the page, so that a response cut short is retried.
//!     let (widgets, link) = request
//!         .send_with(&monitor, |response| Ok((response.json::<Vec<Widget>>()?, response.next()?)))
//!         .await?;
//!     println!("{:?}", widgets.iter().map(|widget| widget.id).collect::<Vec<_>>());
//!     next = link.map(|url| client.get(url.as_str()));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a response means
//!
//! | response | result |
//! |---|---|
//! | 2xx; 304 to a request with [`if_none_match`](Request::if_none_match) | a [`Response`] |
//! | 400, 413 or 431 to such a request | sent again without the entity tag |
//! | a status named in [`allow_status`](Request::allow_status) | a [`Response`], except where it is a rate limit |
//! | 301, 302, 303, 307, 308 on the same scheme, host and port | followed, at most five times; [`Response::redirected`] is true |
//! | a redirect to another server | an error that names it; nothing is sent there |
//! | a link to another server | its query, at the URL of the response: [`Response::next`] |
//! | 403 or 429 with `x-ratelimit-remaining: 0` | primary limit: waits until `x-ratelimit-reset`, by the server's clock |
//! | 403 or 429 with `Retry-After`, or a body that mentions a secondary limit; any other 429 | secondary limit: waits that long, or one minute and twice as long each time; requests are then sent one by one |
//! | 401 | `Authentication`, after one more request with a new credential where [`Authorize`] has one |
//! | any other 403 | `Authentication` |
//! | 404, 410, 451 | `NotFound`, with a message each |
//! | 408, 425, 5xx | `Unavailable`, retried after `Retry-After` where there is one |
//! | 407, also to the CONNECT before `https` | `Authentication`: the proxy asks for credentials |
//! | any other 4xx, such as 409 and 422 | `InvalidData`, not retried |
//! | a body cut short, empty, not UTF-8, or an HTML page in place of data | `InvalidData`, retried |
//! | JSON of another shape than the reader expects | `InvalidData`, not retried; the error repeats a message in it |
//! | a body longer than allowed | `InvalidData`, not retried |
//!
//! # Cancellation
//!
//! Nothing runs in the background: dropping the future of a request ends it and its waits.

mod auth;
mod body_memory;
mod classify;
mod client;
pub(crate) mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod json;
mod layer;
pub(crate) mod links;
mod log;
mod rate_limit;
mod redact;
mod request;
mod response;
mod retry;
mod server_message;
mod transport;

#[cfg(feature = "rest")]
pub(crate) use auth::basic;
pub use auth::{Authorize, Bearer};
pub use client::{Builder, Client};
pub use layer::{HttpRequest, HttpResponse, HttpService, Layer};
pub use request::Request;
pub use reqwest::Method;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use response::{More, Response};
pub use url::Url;
