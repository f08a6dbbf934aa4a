use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use snowfeed::http::Client;
use snowfeed::{Error, ErrorKind, Monitor, Retry, RetryConfig};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::support::{bytes, client, connections, read_head, skipping_waits};

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n[1]";

/// `[{"id":1,"title":"one"}]`.
const GZIP: &str = "1f8b08000000000002ff8bae56ca4c51b232d4512ac92cc94955b252cacf4b55aa8d0500581c02b418000000";

/// 65,536 spaces in 97 bytes.
const BOMB: &str = "1f8b08000000000002ffedc18100000000802095fd2917a90a00000000000000000000000000000000000000000000000000000000\
                    00000000000000000000000000000000000000000000000000000000000000006a94192cb400000100";

fn gzip(hex: &str, keep: usize) -> Vec<u8> {
    let body: Vec<u8> =
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    let body = &body[..keep.min(body.len())];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn bodies_cut_short_are_retried() {
    for (name, broken) in [
        ("shorter than its length", b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n[1]".to_vec()),
        ("chunks without an end", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1]\r\n".to_vec()),
        ("gzip without an end", gzip(GZIP, 30)),
        ("no answer at all", Vec::new()),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-".to_vec()),
    ] {
        let base = bytes(vec![broken.clone(), GOOD.to_vec()]).await;
        let asked = client(&base).build().unwrap();
        let (response, seen) = skipping_waits(|monitor| async move { asked.get("x").send(&monitor).await }).await;
        assert_eq!(response.unwrap().body(), "[1]", "{name}");
        assert_eq!(seen.requests(), 2, "{name}");

        let base = bytes(vec![broken]).await;
        let asked = client(&base).build().unwrap();
        let (response, seen) = skipping_waits(|monitor| async move { asked.get("x").send(&monitor).await }).await;
        assert_eq!(response.unwrap_err().retry(), Retry::Never, "{name}");
        assert_eq!(seen.requests(), 3, "{name}");
    }
}

#[tokio::test]
async fn a_truncated_body_is_invalid_data_and_a_post_is_not_retried() {
    let base = bytes(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n[1]".to_vec()]).await;
    let client = client(&base).build().unwrap();
    let monitor = Monitor::detached();
    let error = client.post("x").send(&monitor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    assert_eq!(monitor.traffic().requests, 1);
}

#[tokio::test]
async fn an_idempotent_post_is_retried() {
    for broken in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n[1]"[..],
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        b"",
    ] {
        let base = bytes(vec![broken.to_vec(), GOOD.to_vec()]).await;
        let asked = client(&base).build().unwrap();
        let (response, seen) =
            skipping_waits(|monitor| async move { asked.post("x").idempotent().send(&monitor).await }).await;
        assert_eq!(response.unwrap().body(), "[1]");
        assert_eq!(seen.requests(), 2);
    }
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    let base = bytes(vec![gzip(GZIP, usize::MAX)]).await;
    let response = client(&base).build().unwrap().get("x").send(&Monitor::detached()).await.unwrap();
    assert_eq!(response.body(), r#"[{"id":1,"title":"one"}]"#);
}

#[tokio::test]
async fn a_body_may_have_the_maximum_length_and_not_more() {
    for (max, allowed) in [(3, true), (2, false)] {
        let base = bytes(vec![GOOD.to_vec()]).await;
        let monitor = Monitor::detached();
        let outcome = client(&base).max_body(max).build().unwrap().get("x").send(&monitor).await;
        assert_eq!(outcome.is_ok(), allowed);
        assert_eq!(monitor.traffic().requests, 1);
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_stopped_during_decompression() {
    let base = bytes(vec![gzip(BOMB, usize::MAX)]).await;
    let monitor = Monitor::detached();
    let error = client(&base).max_body(1000).build().unwrap().get("x").send(&monitor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().contains("longer than allowed"), "{error}");
    assert!(monitor.traffic().bytes < 65_536, "{:?}", monitor.traffic());
    assert_eq!(monitor.traffic().requests, 1);
}

#[tokio::test]
async fn only_one_of_many_endless_responses_exceeds_the_shared_memory() {
    let base = connections(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
    })
    .await;
    let (most, monitor) = (16 << 20, Monitor::detached());
    let client = client(&base).max_body(most).build().unwrap();
    let requests = (0..8).map(|_| Box::pin(client.get("x").send(&monitor)));
    let (first, ..) = futures::future::select_all(requests).await;
    assert_eq!(first.unwrap_err().kind(), ErrorKind::InvalidData);
    // One of the longest, seven of 4 MiB, and the part that arrives at once.
    let received = monitor.traffic().bytes;
    assert!(received < (16 + 7 * 4 + 8) << 20, "{} MiB at the same time", received >> 20);
}

/// Each attempt takes a third of the allowed time; the last one waits for longer than that.
#[tokio::test]
async fn waiting_for_memory_does_not_count_as_server_delay() {
    let base = connections(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 26214400\r\n\r\n").await;
        let _ = stream.write_all(&vec![b' '; 24 << 20]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = stream.write_all(&vec![b' '; 1 << 20]).await;
    })
    .await;
    let client = Client::builder(&base).timeout(Duration::from_secs(3)).retry(RetryConfig::none()).build().unwrap();
    let monitor = Monitor::detached();
    // More than the connection buffers: the server is slow only once the response is being read.
    let requests = (0..5).map(|_| client.get("x").send(&monitor));
    for answer in futures::future::join_all(requests).await {
        assert_eq!(answer.unwrap().body().len(), 25 << 20);
    }
}

#[tokio::test]
async fn a_stalled_server_times_out() {
    let stalls = || {
        connections(|mut stream| async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n[1").await;
            std::future::pending::<()>().await;
        })
    };
    let impatient = Client::builder(&stalls().await).timeout(Duration::from_millis(50)).retry(RetryConfig::none());
    let error = impatient.build().unwrap().get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("in time"), "{error}");
}

async fn failing(base: &str) -> (Error, u64) {
    let asked = client(base).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { asked.get("x?y=z").send(&monitor).await }).await;
    (response.unwrap_err(), seen.requests())
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_one_clear_line_with_help() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (error, requests) = failing(&closed).await;
    assert_eq!((error.kind(), requests), (ErrorKind::Unavailable, 3));
    assert_eq!(error.message(), format!("{closed} cannot be reached"));
    assert!(error.help().is_some());

    let (error, _) = failing("http://no-such-host.invalid").await;
    assert_eq!(error.message(), "the host of http://no-such-host.invalid cannot be found");
    assert!(error.help().unwrap().contains("base URL"));
}

#[tokio::test]
async fn a_post_that_never_arrived_is_retried() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let asked = client(&closed).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { asked.post("x").send(&monitor).await }).await;
    response.unwrap_err();
    assert_eq!(seen.requests(), 3);
}

#[tokio::test]
async fn a_proxy_gets_every_request() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let proxy = connections(move |mut stream| {
        let count = count.clone();
        async move {
            let head = read_head(&mut stream).await;
            assert!(head.starts_with("GET http://api.invalid/x "), "{head}");
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(GOOD).await;
        }
    })
    .await;
    let client = client("http://api.invalid").proxy(&proxy).build().unwrap();
    client.get("x").send(&Monitor::detached()).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// For `https` it answers a CONNECT; only the error's text shows that.
#[tokio::test]
async fn a_proxy_that_requires_credentials_is_distinguished_from_a_server_that_is_down() {
    for (base, variable) in [("https://api.invalid", "HTTPS_PROXY"), ("http://api.invalid", "HTTP_PROXY")] {
        let refusal =
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
        let proxy = bytes(vec![refusal.to_vec()]).await;
        let asked = client(base).proxy(&proxy).build().unwrap();
        let (response, seen) = skipping_waits(|monitor| async move { asked.get("x").send(&monitor).await }).await;
        let error = response.unwrap_err();
        assert_eq!((error.kind(), seen.requests()), (ErrorKind::Authentication, 1), "{base}: {error}");
        let help = error.help().unwrap_or_default();
        assert!(help.contains(&format!("{variable}=http://USER:PASSWORD@HOST")), "{base}: {help}");
    }
}

#[tokio::test]
async fn dropping_a_request_cancels_it_and_releases_its_permit() {
    let (connection_count, first_accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let accepted = first_accepted.clone();
    let base = connections(move |mut stream| {
        let (first, accepted) = (connection_count.fetch_add(1, Ordering::SeqCst) == 0, accepted.clone());
        async move {
            read_head(&mut stream).await;
            if first {
                accepted.notify_one();
                std::future::pending::<()>().await;
            }
            let _ = stream.write_all(GOOD).await;
        }
    })
    .await;
    let client = client(&base).concurrency(1).build().unwrap();
    let monitor = Monitor::detached();
    tokio::select! {
        answer = client.get("x").send(&monitor) => panic!("{answer:?}"),
        () = first_accepted.notified() => {}
    }
    assert_eq!(client.get("x").send(&monitor).await.unwrap().body(), "[1]");
}
