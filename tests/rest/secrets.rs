//! Credentials: how they are sent, and that nothing shows them.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use snowfeed::rest::{Auth, RestSource, Setting, Stream};
use snowfeed::testkit::mock_api::{MockApi, MockResponse};
use snowfeed::{Settings, Source, rest::Api};
use tempfile::TempDir;

use crate::support::{api, keys, try_connect};

const SECRET: &str = "Tr0ub4dor-and-3-correct-horses";

/// Settings whose secrets are in files.
pub(crate) fn settings(folder: &TempDir, secrets: &[(&str, &str)]) -> Settings {
    let reference = |(name, secret): &(&str, &str)| {
        let path = folder.path().join(name);
        fs::write(&path, secret).unwrap();
        ((*name).to_owned(), format!("file:{}", path.display()).into())
    };
    secrets.iter().map(reference).collect()
}

async fn sent(auth: Auth) -> (MockApi, snowfeed::Error) {
    let (mock, folder) = (MockApi::start(), TempDir::new().unwrap());
    mock.route("/t", |request| {
        let shown = format!("{:?} {:?}", request.query("api_key"), request.query("page"));
        MockResponse::new(400)
            .with_header("Content-Type", "application/json")
            .with_body(json!({"message": shown}).to_string())
    });
    let described: Api = api(&mock).auth(auth).stream(Stream::new("t", "/t?page=1"));
    let source = try_connect(described, settings(&folder, &[("token", SECRET), ("user", "ada")])).await.unwrap();
    let error = source.error("t").await;
    (mock, error)
}

#[tokio::test]
async fn no_error_shows_a_credential() {
    for auth in [
        Auth::bearer("{token}"),
        Auth::basic("{user}/token", "{token}"),
        Auth::header("Authorization", "Token token={token}"),
        Auth::header("X-Api-Key", "{token}"),
        Auth::query("api_key", "{token}"),
    ] {
        let (mock, error) = sent(auth.clone()).await;
        let shown = format!("{error:?} {error} {:?} {:?}", error.help(), error.report());
        assert!(!shown.contains(SECRET), "{auth:?}: {shown}");
        assert!(shown.contains("/t?page=1"), "{shown}");
        assert_eq!(mock.requests().len(), 1);
    }
}

#[tokio::test]
async fn each_way_to_sign_in_sends_its_template() {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("ada/token:{SECRET}"));
    for (auth, header, expected) in [
        (Auth::bearer("{token}"), "authorization", format!("Bearer {SECRET}")),
        (Auth::basic("{user}/token", "{token}"), "authorization", format!("Basic {basic}")),
        (Auth::header("Authorization", "Token token={token}"), "authorization", format!("Token token={SECRET}")),
        (Auth::header("X-Api-Key", "{token}"), "x-api-key", SECRET.to_owned()),
    ] {
        let (mock, folder) = (MockApi::start(), TempDir::new().unwrap());
        let matches = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = matches.clone();
        mock.route("/t", move |request| {
            seen.store(request.header(header) == Some(expected.as_str()), std::sync::atomic::Ordering::SeqCst);
            MockResponse::json(&json!([]))
        });
        let described = api(&mock).auth(auth.clone()).stream(Stream::new("t", "/t"));
        let source = try_connect(described, settings(&folder, &[("token", SECRET), ("user", "ada")])).await.unwrap();
        source.read("t", None).await.unwrap();
        assert!(matches.load(std::sync::atomic::Ordering::SeqCst), "{auth:?}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_a_credential_is_sent_once_with_each_page() {
    let (mock, folder) = (MockApi::start(), TempDir::new().unwrap());
    let counts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, url) = (counts.clone(), mock.url().to_owned());
    mock.route("/t", move |request| {
        let text = request.to_string();
        seen.lock().unwrap().push((text.matches("api_key=").count(), request.query("api_key") == Some(SECRET)));
        let next = format!("{url}/t?page=2&api_key={SECRET}");
        let next = if request.query("page").is_none() { json!(next) } else { json!(null) };
        MockResponse::json(&json!({"data": [{"id": request.query("page").unwrap_or("1")}], "next": next}))
    });
    let stream = Stream::new("t", "/t").records("/data").paginate(snowfeed::rest::Paginate::next("/next"));
    let described = api(&mock).auth(Auth::query("api_key", "{token}")).stream(stream);
    let source = try_connect(described, settings(&folder, &[("token", SECRET)])).await.unwrap();
    let batches = source.read("t", None).await.unwrap();
    assert_eq!(batches.len(), 2);
    assert_eq!(*counts.lock().unwrap(), [(1, true), (1, true)]);
    assert!(!format!("{:?}", batches.iter().map(|batch| &batch.checkpoint).collect::<Vec<_>>()).contains(SECRET));
}

#[tokio::test]
async fn credentials_do_not_travel_in_the_clear() {
    let folder = TempDir::new().unwrap();
    for auth in [Auth::bearer("{token}"), Auth::header("X-Custom", "{token}"), Auth::query("k", "{token}")] {
        let described = Api::new("helpdesk", "http://api.example.com").auth(auth).stream(Stream::new("t", "/t"));
        let error = try_connect(described, settings(&folder, &[("token", SECRET)])).await.err().unwrap();
        assert!(error.message().contains("plain http is refused"), "{error}");
    }
}

#[tokio::test]
async fn a_setting_in_the_host_leads_to_no_other_host() {
    let described = || Api::new("helpdesk", "https://{site}.example.com").stream(Stream::new("t", "/t"));
    for site in ["evil.example/", "a@b", "a:1", "a#", "a?b", "a b", "..", "a\\b"] {
        let settings = [("site".to_owned(), json!(site))].into_iter().collect();
        let error = try_connect(described(), settings).await.err().unwrap();
        assert!(error.message().contains("cannot stand in the URL"), "{site}: {error}");
    }
}

#[tokio::test]
async fn a_user_name_that_is_no_secret_is_given_once_for_the_path_and_to_sign_in() {
    let (mock, folder) = (MockApi::start(), TempDir::new().unwrap());
    let expected = format!("Basic {}", STANDARD.encode(format!("AC1:{SECRET}")));
    mock.route("/Accounts/AC1/t", move |request| match request.header("authorization") == Some(&expected) {
        true => MockResponse::json(&json!([{"id": 1}])),
        false => MockResponse::new(401),
    });
    let described = Api::new("helpdesk", format!("{}/Accounts/{{account}}", mock.url()))
        .setting("account", Setting::new("the account").not_secret())
        .auth(Auth::basic("{account}", "{token}"))
        .stream(Stream::new("t", "/t"));
    let spec = RestSource::new(described.clone()).unwrap().spec();
    assert!(!spec.settings.is_secret("account") && spec.settings.is_secret("token"));
    let account = [("account".to_owned(), "AC1".into())];
    let settings = settings(&folder, &[("token", SECRET)]).values().clone().into_iter().chain(account).collect();
    let source = try_connect(described, settings).await.unwrap();
    assert_eq!(keys(&source.read("t", None).await.unwrap()), ["1"]);
}
