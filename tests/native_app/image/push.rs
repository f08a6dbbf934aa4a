//! Pushing to Debian's registry and to misbehaving ones.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use snowfeed::native_app::image::{Credentials, Image, Push, PushEvent, PushReport};
use snowfeed::{Error, ErrorKind, Retry};
use wiremock::matchers::{method, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::registry::{PASSWORD, Registry, USER};
use super::{ImageFolder, tree};
use crate::peers;

async fn push(image: &Image, repository: &str, tag: &str) -> snowfeed::Result<PushReport> {
    Push::new(image, repository, tag).unwrap().run().await
}

#[tokio::test]
async fn an_image_is_pushed_unchanged() {
    let Some(registry) = Registry::open() else { return };
    let images = ImageFolder::new();
    let image = images.image();
    let pushed = push(&image, &registry.repository("widgets"), "1.2.3").await.unwrap();
    assert_eq!(pushed.reference, format!("{}/db/schema/images/widgets:1.2.3", registry.host()));
    assert_eq!((pushed.digest.as_str(), pushed.sent, pushed.changed), (image.digest(), image.size(), true));

    let seen = registry.inspect(&pushed.reference, false);
    assert_eq!(seen["Digest"], image.digest());
    assert_eq!((&seen["Os"], &seen["Architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(seen["Labels"]["org.opencontainers.image.version"], "1.2.3");
    let config = registry.inspect(&pushed.reference, true);
    assert_eq!(config["config"]["Entrypoint"], json!(["/usr/local/bin/connector"]));

    let pulled = images.path("pulled");
    registry.pull(&pushed.reference, &pulled);
    assert_eq!(tree(&pulled.join("blobs")), tree(&image.folder().join("blobs")));
}

#[tokio::test]
async fn a_second_push_uploads_nothing() {
    let Some(registry) = Registry::open() else { return };
    let images = ImageFolder::new();
    let image = images.image();
    push(&image, &registry.repository("widgets"), "1.2.3").await.unwrap();
    let again = push(&image, &registry.repository("widgets"), "1.2.3").await.unwrap();
    assert_eq!((again.digest.as_str(), again.sent, again.changed), (image.digest(), 0, false));
}

#[tokio::test]
async fn only_missing_blobs_are_uploaded() {
    let Some(registry) = Registry::open() else { return };
    let images = ImageFolder::new();
    let repository = registry.repository("widgets");
    push(&images.image(), &repository, "1.2.3").await.unwrap();
    let next = images.builder().version("1.2.4").write(images.path("next")).unwrap();
    let steps = Mutex::new(Vec::new());
    let observe = |step: PushEvent<'_>| {
        steps.lock().unwrap().push(match step {
            PushEvent::Present { size, .. } => ("present", size),
            PushEvent::Sending { size, .. } => ("sending", size),
            PushEvent::Sent { size, .. } => ("sent", size),
            _ => unreachable!(),
        });
    };
    let pushed = Push::new(&next, &repository, "1.2.4").unwrap().progress(observe).run().await.unwrap();
    let config = pushed.sent;
    let layer = next.size() - config;
    assert_eq!(*steps.lock().unwrap(), [("present", layer), ("sending", config), ("sent", config)]);
}

#[tokio::test]
async fn a_large_layer_is_uploaded_completely() {
    let Some(registry) = Registry::open() else { return };
    let images = ImageFolder::new();
    // Incompressible bytes: several of the pieces in which a layer is uploaded.
    let mut noise = super::Elf::good().bytes();
    let mut state = 1_u64;
    while noise.len() < 9 * 1024 * 1024 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    let image = Image::builder(images.program("connector", &noise)).write(images.path("image")).unwrap();
    assert!(image.size() > 8 * 1024 * 1024);
    let pushed = push(&image, &registry.repository("widgets"), "1").await.unwrap();
    registry.pull(&pushed.reference, &images.path("pulled"));
    assert_eq!(tree(&images.path("pulled/blobs")), tree(&image.folder().join("blobs")));
}

#[tokio::test]
async fn a_tag_is_not_moved_without_overwrite() {
    let Some(registry) = Registry::open() else { return };
    let images = ImageFolder::new();
    let repository = registry.repository("widgets");
    let first = push(&images.image(), &repository, "1.2.3").await.unwrap();
    let other = images.builder().title("Gadgets").write(images.path("other")).unwrap();

    let error = push(&other, &repository, "1.2.3").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let printed = error.to_string();
    assert!(printed.contains(&first.digest) && printed.contains(other.digest()), "{printed}");
    assert_eq!(registry.inspect(&first.reference, false)["Digest"], first.digest);

    let forced = Push::new(&other, &repository, "1.2.3").unwrap().overwrite(true).run().await.unwrap();
    assert!(forced.changed);
    assert_eq!(registry.inspect(&first.reference, false)["Digest"], other.digest());
}

#[tokio::test]
async fn a_registry_checks_credentials() {
    let Some(registry) = Registry::guarded() else { return };
    let images = ImageFolder::new();
    let image = images.image();
    let with = |credentials| {
        Push::new(&image, &registry.repository("widgets"), "1.2.3").unwrap().credentials(credentials).run()
    };
    for credentials in [
        Credentials::new(USER, "wrong-hunter2".into()),
        Credentials::session(&"wrong-hunter2".into(), Duration::from_secs(60)),
    ] {
        let error = with(credentials).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.message().contains(&registry.host()), "{error}");
        assert!(!format!("{error:?} {:?}", error.report()).contains("hunter2"), "{error:?}");
    }
    let anonymous = push(&image, &registry.repository("widgets"), "1.2.3").await.unwrap_err();
    assert_eq!(anonymous.kind(), ErrorKind::Authentication);
    assert!(with(Credentials::new(USER, PASSWORD.into())).await.unwrap().changed);
}

#[tokio::test]
async fn an_unreachable_registry_is_reported() {
    let images = ImageFolder::new();
    let host = format!("127.0.0.1:{}", peers::free_port());
    let error = push(&images.image(), &format!("http://{host}/a/b"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
    assert_eq!(error.message(), format!("the registry {host} cannot be reached"));
    assert_eq!(error.help().unwrap(), "check the host and this machine's network access to it");
    assert!(error.report().causes.iter().any(|cause| cause.contains("refused")), "{:?}", error.report());
}

#[tokio::test]
async fn a_registry_that_breaks_every_connection_is_tried_three_times() {
    let (url, connections) = peers::hang_up();
    let images = ImageFolder::new();
    let error = push(&images.image(), &format!("{url}/a/b"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
    let host = url.trim_start_matches("http://");
    assert_eq!(error.message(), format!("the connection to the registry {host} broke"));
    assert_eq!(error.help().unwrap(), "check the host and this machine's network access to it");
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_damaged_image_is_not_pushed() {
    let Some(registry) = Registry::open() else { return };
    let images = ImageFolder::new();
    let image = images.image();
    for entry in fs::read_dir(images.path("image/blobs/sha256")).unwrap() {
        fs::write(entry.unwrap().path(), b"").unwrap();
    }
    let error = push(&image, &registry.repository("widgets"), "1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

/// A registry with these responses per method and path; everything else is 404.
async fn answering(answers: &[(&str, &str, ResponseTemplate)]) -> MockServer {
    let server = MockServer::start().await;
    for (verb, path, answer) in answers {
        Mock::given(method(*verb)).and(path_regex(*path)).respond_with(answer.clone()).mount(&server).await;
    }
    server
}

async fn pushed_to(server: &MockServer) -> Error {
    let images = ImageFolder::new();
    push(&images.image(), &format!("{}/db/schema/images/widgets", server.uri()), "1").await.unwrap_err()
}

fn refusal(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"errors": [{"code": code, "message": "says the registry"}]}))
}

#[tokio::test]
async fn a_missing_repository_is_reported() {
    for answer in [refusal(404, "NAME_UNKNOWN"), ResponseTemplate::new(404)] {
        let server = answering(&[("GET", "/v2/$", ResponseTemplate::new(200)), ("POST", "/uploads/", answer)]).await;
        let error = pushed_to(&server).await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("db/schema/images/widgets"), "{error}");
        assert!(error.help().unwrap().contains("CREATE IMAGE REPOSITORY"), "{error:?}");
    }
}

#[tokio::test]
async fn a_missing_privilege_is_reported() {
    for answer in [refusal(403, "DENIED"), ResponseTemplate::new(403)] {
        let server = answering(&[("GET", "/v2/$", ResponseTemplate::new(200)), ("POST", "/uploads/", answer)]).await;
        let error = pushed_to(&server).await;
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.help().unwrap().contains("GRANT WRITE ON IMAGE REPOSITORY"), "{error:?}");
    }
}

#[tokio::test]
async fn a_failing_registry_is_tried_three_times() {
    let server =
        answering(&[("GET", "/v2/$", ResponseTemplate::new(200)), ("POST", "/uploads/", ResponseTemplate::new(503))])
            .await;
    let error = pushed_to(&server).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let asked = server.received_requests().await.unwrap();
    assert_eq!(asked.iter().filter(|request| request.method.as_str() == "POST").count(), 3);
}
