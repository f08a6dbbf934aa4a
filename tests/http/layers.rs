use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use snowfeed::http::{Bearer, HeaderMap, HeaderValue, HttpRequest, HttpResponse, HttpService, Layer};
use snowfeed::{ErrorKind, Result, Retry, RetryConfig};

use crate::support::{answering, client, count, json, skipping_waits, status};

/// Records the attempt, the path and the status of each request.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(u32, String, u16)>>>);

impl Recorder {
    fn seen(&self) -> Vec<(u32, String, u16)> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct Recording {
    recorder: Recorder,
    inner: Arc<dyn HttpService>,
}

impl Layer for Recorder {
    fn layer(&self, inner: Arc<dyn HttpService>) -> Arc<dyn HttpService> {
        Arc::new(Recording { recorder: self.clone(), inner })
    }
}

#[async_trait]
impl HttpService for Recording {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        request.headers_mut().insert("x-recorded", HeaderValue::from_static("yes"));
        let response = self.inner.call(request).await?;
        let path = request.url().path().to_owned();
        self.recorder.0.lock().unwrap().push((request.attempt(), path, response.status()));
        Ok(response)
    }
}

#[tokio::test]
async fn a_layer_sees_each_request_that_is_sent() {
    let server = answering([
        status(502),
        status(429).insert_header("retry-after", "5"),
        status(302).insert_header("location", "/y"),
        json("[]"),
    ])
    .await;
    let recorder = Recorder::default();
    let client = client(&server.uri()).layer(recorder.clone()).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
    response.unwrap();
    let expected = [(1, "/x", 502), (2, "/x", 429), (2, "/x", 302), (2, "/y", 200)];
    assert_eq!(recorder.seen(), expected.map(|(attempt, path, status)| (attempt, path.to_owned(), status)));
    assert_eq!(seen.requests(), 4);
    let requests = server.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| request.headers.contains_key("x-recorded")));
}

#[tokio::test]
async fn a_layer_sees_the_credential_and_no_secret_in_the_response() {
    #[derive(Debug, Clone)]
    struct Check;
    #[derive(Debug)]
    struct Checking(Arc<dyn HttpService>);
    impl Layer for Check {
        fn layer(&self, inner: Arc<dyn HttpService>) -> Arc<dyn HttpService> {
            Arc::new(Checking(inner))
        }
    }
    #[async_trait]
    impl HttpService for Checking {
        async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
            assert_eq!(request.headers()["authorization"], "Bearer hunter2hunter2");
            let response = self.0.call(request).await?;
            assert_eq!(response.headers()["x-echo"], "***");
            Ok(response)
        }
    }
    let server = answering([json("[]").insert_header("x-echo", "hunter2hunter2")]).await;
    let bearer = Arc::new(Bearer::new(&"hunter2hunter2".into()));
    let client = client(&server.uri()).authorization(bearer).layer(Check).build().unwrap();
    client.get("x").send(&snowfeed::Monitor::detached()).await.unwrap();
}

#[tokio::test]
async fn a_layer_may_respond_itself_and_layers_run_in_order() {
    /// Answers every request without sending it.
    #[derive(Debug, Clone)]
    struct Answer;
    #[async_trait]
    impl HttpService for Answer {
        async fn call(&self, _: &mut HttpRequest<'_>) -> Result<HttpResponse> {
            Ok(HttpResponse::new(200, HeaderMap::new(), "[7]"))
        }
    }
    impl Layer for Answer {
        fn layer(&self, _: Arc<dyn HttpService>) -> Arc<dyn HttpService> {
            Arc::new(Answer)
        }
    }
    let (outer, inner) = (Recorder::default(), Recorder::default());
    let builder = client("http://127.0.0.1:9").layer(outer.clone()).layer(Answer).layer(inner.clone());
    let client = builder.build().unwrap();
    let read = |response: snowfeed::http::Response| response.json::<Vec<u8>>();
    assert_eq!(client.get("x").send_with(&snowfeed::Monitor::detached(), read).await.unwrap(), [7]);
    assert_eq!((outer.seen().len(), inner.seen().len()), (1, 0));
}

#[tokio::test]
async fn without_retry_there_is_one_attempt() {
    let server = answering([status(503).insert_header("retry-after", "7"), json("[]")]).await;
    let client = client(&server.uri()).without_retry().build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
    let error = response.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::After(Duration::from_secs(7))));
    assert!(error.context().any(|(name, _)| name == "url"), "{error}");
    assert_eq!((seen.requests(), seen.waited(), count(&server).await), (1, 0, 1));
}

#[tokio::test]
async fn without_rate_limiting_there_is_no_wait() {
    let server = answering([
        json("[]").insert_header("x-ratelimit-remaining", "0").insert_header("x-ratelimit-reset", "99999999999"),
        json("[]"),
        status(429).insert_header("retry-after", "30"),
        json("[]"),
    ])
    .await;
    let builder = client(&server.uri()).per_minute(1).concurrency(1).budget(1).without_rate_limit();
    let client = builder.clone().without_retry().build().unwrap();
    let (error, seen) = skipping_waits(|monitor| async move {
        client.get("x").send(&monitor).await.unwrap();
        client.get("x").send(&monitor).await.unwrap();
        client.get("x").send(&monitor).await.unwrap_err()
    })
    .await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimited, Some(429)));
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(30)));
    assert_eq!((seen.requests(), seen.waited()), (3, 0));
    assert!(seen.events.is_empty(), "{:?}", seen.events);
}

#[tokio::test]
async fn without_rate_limiting_a_limit_is_retried_like_other_errors() {
    let server = answering([status(429).insert_header("retry-after", "30"), json("[]")]).await;
    let retry = RetryConfig { max_attempts: 2, ..RetryConfig::default() };
    let client = client(&server.uri()).retry(retry).without_rate_limit().build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.post("x").send(&monitor).await }).await;
    response.unwrap();
    assert_eq!((seen.requests(), seen.waited()), (2, 30));
}
