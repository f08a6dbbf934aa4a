//! The image goes to the account's repository.

use serde_json::json;
use snowfeed::ErrorKind;
use snowfeed::native_app::image::{Credentials, Image};

use super::account::{Account, ISSUED};
use super::deploy;
use crate::image::ImageFolder;
use crate::image::registry::{PASSWORD, Registry, USER};
use crate::support::github;

fn image(images: &ImageFolder) -> Image {
    images.builder().version("0.1.0").write(images.path("image")).unwrap()
}

async fn account(registry: &Registry) -> Account {
    let account = Account::start().await;
    let url = format!("http://{}/snowfeed/public/images", registry.host());
    account.state().contents.repositories.insert("SNOWFEED.PUBLIC.IMAGES".into(), url);
    account
}

#[tokio::test]
async fn the_image_is_pushed_once_and_before_the_version_is_created() {
    let Some(registry) = Registry::guarded() else { return };
    let (account, images) = (account(&registry).await, ImageFolder::new());
    let image = image(&images);
    let credentials = || Some(Credentials::new(USER, PASSWORD.to_owned().into()));
    let report = deploy(&account, &github(), |deploy| deploy.image(Some(image.clone())).credentials(credentials()))
        .await
        .unwrap();
    let at = |what: &str| report.steps.iter().position(|step| step.description.starts_with(what)).unwrap();
    assert!(at("push the image") < at("add the version"), "{report:#?}");
    assert!(report.steps[at("push the image")].changed);
    let again = deploy(&account, &github(), |deploy| deploy.image(Some(image.clone())).credentials(credentials()))
        .await
        .unwrap();
    assert_eq!(
        again.steps.iter().map(|step| (step.description.as_str(), step.changed)).collect::<Vec<_>>(),
        [("push the image /snowfeed/public/images/github_issues:0.1.0", false)]
    );
    assert!(again.notes.is_empty(), "{again:?}");
}

#[tokio::test]
async fn another_image_under_the_same_tag_is_rejected_and_creates_no_version() {
    let Some(registry) = Registry::open() else { return };
    let (account, images) = (account(&registry).await, ImageFolder::new());
    let first = image(&images);
    deploy(&account, &github(), |deploy| deploy.image(Some(first.clone()))).await.unwrap();
    let other = images.builder().version("0.1.0").env("A", "B").write(images.path("other")).unwrap();
    let error = deploy(&account, &github(), |deploy| deploy.image(Some(other.clone()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(account.contents().packages["GITHUB_CONNECTOR_PKG"].versions.len(), 1);
}

#[tokio::test]
async fn the_session_token_is_the_default_password() {
    let server = wiremock::MockServer::start().await;
    let asks = wiremock::ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=\"registry\"");
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(asks).mount(&server).await;
    let (account, images) = (Account::start().await, ImageFolder::new());
    account.state().contents.repositories.insert("SNOWFEED.PUBLIC.IMAGES".into(), format!("{}/images", server.uri()));
    let image = image(&images);
    let error = deploy(&account, &github(), |deploy| deploy.image(Some(image.clone()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
    let asked = account.server.requests(crate::scripted::RENEW);
    assert_eq!(asked[0].body["requestType"], json!("ISSUE"));
    assert!(!format!("{error:?}{error}").contains(ISSUED));
    let requests = server.received_requests().await.unwrap();
    let sent = requests
        .iter()
        .filter_map(|request| request.headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic "));
    let sent: Vec<String> = sent
        .map(|text| base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).unwrap())
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .collect();
    let expected = format!("0sessiontoken:{}", json!({ "token": ISSUED, "expires_in": 3600 }));
    assert!(sent.contains(&expected), "{sent:?}");
}
