//! Others who create the current folder, or write the database, decide neither where a credential is sent nor which one it is.

use std::fs;
use std::path::Path;

use github_server::GithubServer;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::canary::{CANARY, assert_absent};
use crate::support::{Ended, Program};

/// A server that the caller has not named, with everything that it received.
struct HostileServer(MockServer);

impl HostileServer {
    async fn start() -> Self {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&server).await;
        Self(server)
    }

    fn url(&self) -> String {
        self.0.uri()
    }

    #[track_caller]
    fn assert_no_credentials(&self, received: &[wiremock::Request]) {
        assert_absent("the requests to the hostile server", format!("{received:?}"));
        assert!(received.iter().all(|request| !request.headers.contains_key("authorization")), "{received:?}");
    }
}

/// Every command that could send something.
const COMMANDS: [&[&str]; 5] = [
    &["check"],
    &["discover"],
    &["ingest", "acme/gears"],
    &["ingest", "acme/gears", "--reconcile"],
    &["--json", "ingest", "acme/gears"],
];

/// A database that someone else has configured, who does not have the credentials of this test.
async fn plant(folder: &Path, settings: &[&str]) {
    let other = Program::new("github_issues");
    other.run(&[&["configure"], settings].concat()).await.expect(0);
    fs::copy(other.folder().join("github.db"), folder.join("github.db")).unwrap();
}

#[track_caller]
fn assert_rejected(ended: &Ended, says: &str) {
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let text = format!("{}{}", ended.stderr, ended.stdout);
    assert!(text.contains(says) && text.contains("confirm it"), "{text}");
    assert_absent("what it wrote", &text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_file_in_the_current_folder_is_not_loaded_but_reported() {
    let hostile = HostileServer::start().await;
    let upstream = GithubServer::builder().token(CANARY).repository("acme/gears", 3).start().await.unwrap();
    let named = Program::github(upstream.url()).variable("GITHUB_TOKEN", CANARY);
    for text in [
        format!("proxy = '{}'\nca_file = 'x.pem'", hostile.url()),
        "token = 'env:AWS_SECRET_ACCESS_KEY'".to_owned(),
        "this is not even TOML".to_owned(),
    ] {
        fs::write(named.folder().join("github.toml"), text).unwrap();
        let ended = named.run(&["ingest", "acme/gears"]).await.expect(0);
        let says = "the file github.toml in the current folder is not loaded; `--config github.toml` loads it";
        assert_eq!(ended.stderr.matches(says).count(), 1, "{}", ended.stderr);
        assert!(!named.run(&["-q", "ingest", "acme/gears"]).await.expect(0).stderr.contains("github.toml"));
        let json = named.run(&["--json", "status"]).await.expect(0);
        assert!(json.stderr.contains(says) && json.json().is_object(), "{json:?}");
    }
    hostile.assert_no_credentials(&hostile.0.received_requests().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_database_sends_no_credential_to_its_host() {
    let hostile = HostileServer::start().await;
    let program = Program::new("github_issues")
        .variable("GITHUB_TOKEN", CANARY)
        .variable("AWS_SECRET_ACCESS_KEY", CANARY)
        .variable("GITHUB_RETRIES", "0");
    fs::write(program.folder().join("hush"), CANARY).unwrap();
    let (url, proxy) = (format!("api_url={}", hostile.url()), format!("proxy={}", hostile.url()));
    for (settings, named) in [
        (vec![url.as_str()], "`api_url`"),
        (vec![url.as_str(), "token=env:GITHUB_TOKEN"], "`api_url`"),
        (vec![url.as_str(), "token=env:AWS_SECRET_ACCESS_KEY"], "`api_url`"),
        (vec![url.as_str(), "token=file:hush"], "`api_url`"),
        (vec![proxy.as_str()], "`proxy`"),
        (vec!["ca_file=evil.pem"], "`ca_file`"),
    ] {
        plant(program.folder(), &settings).await;
        for args in COMMANDS {
            assert_rejected(&program.run(args).await, named);
        }
    }
    hostile.assert_no_credentials(&hostile.0.received_requests().await.unwrap());
    // Inspecting it is harmless, and reveals the settings.
    let shown = program.run(&["configure"]).await.expect(0);
    assert!(shown.stdout.contains("evil.pem"), "{}", shown.stdout);
    // `run` keeps going in case something changes, and sends nothing.
    plant(program.folder(), &[&url]).await;
    program.run(&["enable", "acme/gears"]).await;
    let ran = tokio::time::timeout(std::time::Duration::from_secs(2), program.run(&["run"])).await;
    drop(ran);
    hostile.assert_no_credentials(&hostile.0.received_requests().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_reference_is_not_sent_to_a_host_that_the_call_names_either() {
    let upstream = GithubServer::builder().token(CANARY).repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("AWS_SECRET_ACCESS_KEY", CANARY);
    fs::write(program.folder().join("hush"), CANARY).unwrap();
    for reference in ["env:AWS_SECRET_ACCESS_KEY", "file:hush"] {
        plant(program.folder(), &[&format!("token={reference}")]).await;
        for args in COMMANDS {
            assert_rejected(&program.run(args).await, reference);
        }
        // Named in the call, it is the caller's own decision.
        let set = format!("token={reference}");
        program.run(&["--set", &set, "ingest", "acme/gears"]).await.expect(0);
    }
    assert!(!upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_call_names_gets_the_credential() {
    let upstream = GithubServer::builder().token(CANARY).repository("acme/gears", 3).start().await.unwrap();
    let program = Program::new("github_issues").variable("GITHUB_TOKEN", CANARY);
    let set = format!("api_url={}", upstream.url());
    program.run(&["--set", &set, "ingest", "acme/gears"]).await.expect(0);
    fs::write(program.folder().join("mine.toml"), format!("api_url = '{}'", upstream.url())).unwrap();
    program.run(&["--config", "mine.toml", "ingest", "acme/gears"]).await.expect(0);
    Program::github(upstream.url()).variable("GITHUB_TOKEN", CANARY).run(&["ingest", "acme/gears"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_host_works_until_its_credential_changes() {
    let upstream = GithubServer::builder().token("right-token").repository("acme/gears", 3).start().await.unwrap();
    let url = format!("api_url={}", upstream.url());
    let program = Program::new("github_issues");
    fs::write(program.folder().join("hush"), "right-token").unwrap();
    for configured in [vec![url.as_str(), "token=file:hush"], vec!["token=file:hush", url.as_str()]] {
        let ended = program.run(&[&["configure"], &configured[..]].concat()).await.expect(0);
        assert!(!ended.stderr.contains("cannot be used yet"), "{}", ended.stderr);
        program.run(&["ingest", "acme/gears"]).await.expect(0);
        program.run(&["configure", "page_size=50"]).await.expect(0);
        program.run(&["check"]).await.expect(0);
    }
    // The database does not confirm a changed credential.
    fs::write(program.folder().join("hush"), "another-token").unwrap();
    assert_rejected(&program.run(&["ingest", "acme/gears"]).await, "file:hush");
    fs::write(program.folder().join("hush"), "right-token").unwrap();
    program.run(&["ingest", "acme/gears"]).await.expect(0);

    // Configuring the host together with a token from the environment confirms the token.
    let ambient = Program::new("github_issues").variable("GITHUB_TOKEN", "right-token");
    ambient.run(&["configure", &url]).await.expect(0);
    ambient.run(&["ingest", "acme/gears"]).await.expect(0);
    let other = ambient.command(&["ingest", "acme/gears"]).env("GITHUB_TOKEN", CANARY).output().await.unwrap();
    assert_rejected(&other.into(), "env:GITHUB_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_setting_does_not_confirm_what_was_planted() {
    let hostile = HostileServer::start().await;
    let program = Program::new("github_issues").variable("GITHUB_TOKEN", CANARY);
    plant(program.folder(), &[&format!("api_url={}", hostile.url())]).await;
    let ended = program.run(&["configure", "page_size=50", "token=env:GITHUB_TOKEN"]).await.expect(0);
    assert!(ended.stderr.contains("cannot be used yet") && ended.stderr.contains(&hostile.url()), "{}", ended.stderr);
    assert_rejected(&program.run(&["check"]).await, "`api_url`");
    program.run(&["configure", "api_url="]).await.expect(0);
    hostile.assert_no_credentials(&hostile.0.received_requests().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_any_configured_host_is_read() {
    let upstream = GithubServer::builder().repository("acme/gears", 3).start().await.unwrap();
    let program = Program::new("github_issues");
    program.run(&["configure", &format!("api_url={}", upstream.url())]).await.expect(0);
    program.run(&["ingest", "acme/gears"]).await.expect(0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_settings_file_writable_by_others_is_rejected() {
    use std::os::unix::fs::{PermissionsExt, chown};

    let program = Program::new("github_issues");
    let file = program.folder().join("mine.toml");
    fs::write(&file, "page_size = 5").unwrap();
    for (mode, allowed) in [(0o600, true), (0o644, true), (0o444, true), (0o664, false), (0o646, false), (0o602, false)]
    {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let ended = program.run(&["--config", "mine.toml", "status"]).await.expect(if allowed { 0 } else { 4 });
        assert_eq!(ended.stderr.contains("chmod go-w mine.toml"), !allowed, "{mode:o}: {}", ended.stderr);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // Only root can change a file's owner.
    if chown(&file, Some(12_345), None).is_ok() {
        let ended = program.run(&["--config", "mine.toml", "status"]).await.expect(4);
        assert!(ended.stderr.contains("belongs to another user"), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_travel_over_plain_http_to_another_machine() {
    for url in ["http://192.0.2.1", "http://ghe.example/api/v3", "http://localhost.example"] {
        let program = Program::github(url).variable("GITHUB_TOKEN", CANARY);
        for args in COMMANDS {
            let ended = program.run(args).await;
            let text = format!("{}{}", ended.stderr, ended.stdout);
            assert!(ended.code == Some(4) && text.contains("plain http is refused"), "{url}: {ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_credentials_is_rejected_wherever_it_is_given() {
    const CORE: &str = "C4n4ryBird";
    let program = Program::new("github_issues");
    program.run(&["configure", "api_url=https://ghe.example"]).await.expect(0);
    for url in [
        format!("http:/user:{CORE}@host"),
        format!("http:user:{CORE}@host"),
        format!("http:///user:{CORE}@host"),
        format!("http:\\\\user:{CORE}@host"),
        format!("HTTP://user:{CORE}@host"),
        format!(" https://user:{CORE}@host"),
        format!("https://{CORE}@host"),
        format!("https://host\\@{CORE}"),
        format!("https://user%3A{CORE}%40host"),
        format!("https://host/?token={CORE}"),
        format!("https://host#{CORE}"),
        format!("user:{CORE}@host"),
        format!("https://us\ter:{CORE}@host"),
    ] {
        for name in ["api_url", "proxy"] {
            let setting = format!("{name}={url}");
            let variable = format!("GITHUB_{}", name.to_uppercase());
            let toml = format!("{name} = {}", serde_json::Value::from(url.as_str()));
            fs::write(program.folder().join("mine.toml"), toml).unwrap();
            let mut all = vec![
                program.run(&["configure", &setting]).await,
                program.run(&["--set", &setting, "check"]).await,
                program.run(&["--config", "mine.toml", "check"]).await,
            ];
            all.push(program.command(&["check"]).env(variable, &url).output().await.unwrap().into());
            let database = rusqlite::Connection::open(program.folder().join("github.db")).unwrap();
            let stored = serde_json::json!({ name: url }).to_string();
            database.execute("UPDATE APP_CONFIGURATION SET value = ?1 WHERE key = 'config'", [stored]).unwrap();
            for args in [&["check"][..], &["configure"], &["ingest", "acme/gears"], &["-vvv", "discover"]] {
                all.push(program.run(args).await);
            }
            database.execute("UPDATE APP_CONFIGURATION SET value = '{}' WHERE key = 'config'", []).unwrap();
            for ended in all {
                let ended = ended.expect(4);
                assert_absent(&setting.replace(CORE, "…"), format!("{}{}", ended.stdout, ended.stderr));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_given_by_mistake_is_neither_stored_nor_printed() {
    let literal = "ghp_C4n4ryBird0123456789abcdefghijklmnop";
    for (index, setting) in [
        format!("token=env:{literal}"),
        format!("token=file:{literal}"),
        format!("token={literal}"),
        format!("private_key=env:{literal}"),
        format!("app_id={literal}"),
        format!("installation_id={literal}"),
        format!("page_size={literal}"),
        format!("pull_requests={literal}"),
        format!("repositories={literal}"),
        format!("repositories=acme/x,{literal}"),
        format!("api_url=https://{literal}"),
        format!("api_url=https://host/{literal}"),
        format!("ca_file={literal}"),
        format!("{literal}=1"),
        literal.to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let program = Program::new("github_issues");
        for args in
            [&["configure", &setting][..], &["--json", "configure", &setting], &["-vvv", "--set", &setting, "check"]]
        {
            let ended = program.run(args).await.expect(4);
            assert_absent(&format!("slip {index}"), format!("{}{}", ended.stdout, ended.stderr));
        }
        crate::canary::assert_absent_below(program.folder(), &[]);
    }
    let program = Program::new("github_issues");
    for (name, value) in [("GITHUB_PAGE_SIZE", literal), ("GITHUB_PULL_REQUESTS", literal), ("GITHUB_APP_ID", literal)]
    {
        let ended: Ended = program.command(&["check"]).env(name, value).output().await.unwrap().into();
        assert_absent(name, format!("{ended:?}"));
    }
    for toml in
        [format!("token = 5\napp_id = ['{literal}']"), format!("page_size = '{literal}'"), format!("{literal} = 1")]
    {
        fs::write(program.folder().join("mine.toml"), toml).unwrap();
        let ended = program.run(&["--config", "mine.toml", "check"]).await.expect(4);
        assert_absent("a file of a wrong type", format!("{ended:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_do_not_share_a_file() {
    let github = Program::new("github_issues");
    let planets = Program::new("custom_source");
    let file = github.folder().join("both.db");
    let path = file.to_str().unwrap();
    github.run(&["--db", path, "configure", "page_size=50"]).await.expect(0);
    for args in [
        &["check"][..],
        &["configure"],
        &["configure", "path=."],
        &["enable", "sun"],
        &["ingest", "sun"],
        &["disable", "sun"],
    ] {
        let ended = planets.run(&[&["--db", path], args].concat()).await.expect(4);
        assert!(ended.stderr.contains("belongs to the source \"github\""), "{args:?}: {}", ended.stderr);
    }
    github.run(&["--db", path, "configure"]).await.expect(0);
    // A file of an older version does not name its owner, and still works.
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute("DELETE FROM APP_CONFIGURATION WHERE key = 'source'", []).unwrap();
    github.run(&["--db", path, "configure"]).await.expect(0);
    github.run(&["--db", path, "configure", "page_size=60"]).await.expect(0);
    let ended = planets.run(&["--db", path, "check"]).await.expect(4);
    assert!(ended.stderr.contains("belongs to the source"), "{}", ended.stderr);
}
