//! The innermost services: one waits for memory, the other sends one request and reads the response.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::auth;
use super::body_memory::{BodyMemory, MemoryPermit};
use super::error;
use super::layer::{HttpRequest, HttpResponse, HttpService};
use crate::{Monitor, Result};

/// How much of an error's body is read: enough for its message.
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

/// Sends a request once there is memory for its response.
#[derive(Debug)]
pub(super) struct BodyMemoryLayer {
    pub(super) memory: Arc<BodyMemory>,
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for BodyMemoryLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        let arrived = Instant::now();
        request.memory = Some(self.memory.acquire().await?);
        request.queued += arrived.elapsed();
        let response = self.inner.call(request).await;
        request.memory = None;
        response
    }
}

/// Sends a request with `reqwest`.
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    /// The longest time from connecting to the last byte.
    pub(super) timeout: Duration,
    pub(super) max_body: usize,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

/// Why a response is incomplete.
enum Incomplete {
    Broken(reqwest::Error),
    TimedOut,
    TooLong,
}

/// When an attempt must be over. Waiting for memory does not count.
struct Deadline(Instant);

impl Deadline {
    async fn meet<T>(&self, work: impl Future<Output = reqwest::Result<T>>) -> Result<T, Incomplete> {
        let outcome = tokio::time::timeout_at(self.0, work).await.map_err(|_| Incomplete::TimedOut)?;
        outcome.map_err(Incomplete::Broken)
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        match self.send(request).await {
            Ok(response) => Ok(response),
            Err(Incomplete::Broken(error)) => {
                let (error, is_untouched) = error::transport(error, &request.url, self.timeout);
                request.is_untouched = is_untouched;
                Err(error)
            }
            Err(Incomplete::TimedOut) => Err(error::timed_out(&request.url, self.timeout)),
            Err(Incomplete::TooLong) => Err(error::too_long(self.max_body, &request.url)),
        }
    }
}

impl Transport {
    async fn send(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse, Incomplete> {
        let monitor = request.monitor;
        let url = auth::with_secrets(request.url.clone(), &request.secret_query);
        let mut builder = self.http.request(request.method.clone(), url).headers(request.headers.clone());
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        monitor.request();
        let mut deadline = Deadline(Instant::now() + self.timeout);
        let mut response = deadline.meet(builder.send()).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(on_headers) = &request.on_headers {
            on_headers(&headers, monitor);
        }
        let body = if status.is_success() {
            let memory = request.memory.take();
            read_body(&mut response, self.max_body, memory, &mut deadline, monitor).await?
        } else {
            // The status is what matters; part of a message is better than none.
            read_error_body(&mut response, &deadline, monitor).await
        };
        Ok(HttpResponse { status: status.as_u16(), headers, body })
    }
}

/// Reads the whole body, if it is not longer than `max`.
async fn read_body(
    response: &mut reqwest::Response,
    max: usize,
    mut memory: Option<MemoryPermit>,
    deadline: &mut Deadline,
    monitor: &Monitor,
) -> Result<Bytes, Incomplete> {
    // The server may claim any length: a large one does not get its memory in advance.
    let claim = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = BytesMut::with_capacity(claim.min(1 << 20));
    while let Some(chunk) = deadline.meet(response.chunk()).await? {
        monitor.received(chunk.len());
        if chunk.len() > max.saturating_sub(body.len()) {
            return Err(Incomplete::TooLong);
        }
        if let Some(memory) = &mut memory {
            let asked = Instant::now();
            memory.grow(body.len() + chunk.len()).await;
            deadline.0 += asked.elapsed();
        }
        body.extend_from_slice(&chunk);
    }
    if let Some(memory) = memory {
        memory.complete(body.len());
    }
    Ok(body.freeze())
}

/// Reads as much of an error's body as arrives.
async fn read_error_body(response: &mut reqwest::Response, deadline: &Deadline, monitor: &Monitor) -> Bytes {
    let mut body = BytesMut::new();
    while body.len() < MAX_ERROR_BODY
        && let Ok(Some(chunk)) = deadline.meet(response.chunk()).await
    {
        monitor.received(chunk.len());
        body.extend_from_slice(&chunk);
    }
    body.freeze()
}
