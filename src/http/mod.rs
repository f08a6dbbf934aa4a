//! An HTTP client for sources: retries, rate limits, pagination and conditional requests.
//!
//! A [`Client`] talks to one server. Its clones share one connection pool and one view of the server's limits: when one
//! request is told to wait, every request waits.
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
//!     // The page is parsed inside `send_with`, so that an answer cut short is asked for again.
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
//! # What an answer means
//!
//! | answer | result |
//! |---|---|
//! | 2xx; 304 to a request with [`if_none_match`](Request::if_none_match) | a [`Response`] |
//! | 400, 413 or 431 to such a request | asked again without the entity tag |
//! | a status named in [`allow_status`](Request::allow_status) | a [`Response`], except where it is a rate limit |
//! | 301, 302, 303, 307, 308 on the same scheme, host and port | followed, at most five times; [`Response::redirected`] says so |
//! | a redirect to any other place | an error that names it; nothing is sent there |
//! | a link to any other place | its query, at the URL of the answer: [`Response::next`] |
//! | 403 or 429 with `x-ratelimit-remaining: 0` | primary limit: waits until `x-ratelimit-reset`, by the server's clock |
//! | 403 or 429 with `Retry-After`, or a body that speaks of a secondary limit; any other 429 | secondary limit: waits as told, or one minute and twice as long each time; requests then go one by one |
//! | 401 | `Authentication`, after one try with a fresh credential where [`Authorize`] has one |
//! | any other 403 | `Authentication` |
//! | 404, 410, 451 | `NotFound`, with a message each |
//! | 408, 425, 5xx | `Unavailable`, retried; `Retry-After` is honoured |
//! | 407, also to the CONNECT before `https` | `Authentication`: the proxy asks for credentials |
//! | any other 4xx, such as 409 and 422 | `InvalidData`, not retried |
//! | a body cut short, empty, not UTF-8, or an HTML page where data was asked for | `InvalidData`, retried |
//! | JSON of another shape than the reader expects | `InvalidData`, not retried; a message in it is repeated |
//! | a body longer than allowed | `InvalidData`, not retried |
//!
//! # Cancellation
//!
//! Nothing runs in the background: dropping the future of a request ends it, its waits included.

mod authorize;
mod bodies;
mod client;
pub(crate) mod fault;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
pub mod json;
mod limits;
pub(crate) mod links;
mod message;
mod request;
mod response;

pub use authorize::{Authorize, Bearer};
pub use client::{Builder, Client};
pub use request::Request;
pub use response::{More, Response};
pub use url::Url;
