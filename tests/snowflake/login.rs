//! How a session begins.

use serde_json::{Value, json};
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, Session};
use snowfeed::{Error, ErrorKind, Result, Retry};

use crate::peers::free_port;
use crate::scripted::{LOGIN, PASSWORD, Reply, ScriptedServer, connection, fast_retries};

async fn open(connection: ConnectionConfig) -> Result<Box<dyn Session>> {
    HttpClient::with_retry(connection, fast_retries())?.open().await
}

async fn refused(act: Reply) -> (Error, usize) {
    let server = ScriptedServer::start().await;
    server.on(LOGIN, [act]);
    let error = open(connection(server.port)).await.map(drop).unwrap_err();
    (error, server.requests(LOGIN).len())
}

#[tokio::test]
async fn a_login_sends_user_and_context() {
    let server = ScriptedServer::start().await;
    let parameters = json!({ "TIMEZONE": "Europe/Berlin", "nop_regexes": ["^GRANT"] });
    let mut connection = connection(server.port)
        .role("R 1")
        .warehouse("W")
        .database("D")
        .schema("S&S")
        .query_tag("snowfeed")
        .session_parameters(parameters.as_object().unwrap().clone());
    connection.account = "XY12345".to_owned();
    open(connection).await.unwrap();
    let asked = server.requests(LOGIN).remove(0);
    let query = ["databaseName", "schemaName", "warehouse", "roleName"].map(|name| asked.query[name].as_str());
    assert_eq!(query, ["D", "S&S", "W", "R 1"]);
    assert!(!asked.headers.contains_key("authorization"));
    let data = &asked.body["data"];
    assert_eq!((&data["ACCOUNT_NAME"], &data["LOGIN_NAME"]), (&json!("XY12345"), &json!("TESTER")));
    assert_eq!((&data["PASSWORD"], data.get("AUTHENTICATOR"), data.get("TOKEN")), (&json!(PASSWORD), None, None));
    assert_eq!(data["CLIENT_APP_ID"], "snowfeed");
    let session = &data["SESSION_PARAMETERS"];
    let set = |name: &str| session.get(name).unwrap_or(&Value::Null).clone();
    assert_eq!(
        [set("QUERY_TAG"), set("AUTOCOMMIT"), set("TIMEZONE"), set("nop_regexes"), set("MULTI_STATEMENT_COUNT")],
        [json!("snowfeed"), json!(true), json!("UTC"), json!(["^GRANT"]), json!(1)],
        "required parameters come last"
    );
    assert_eq!(
        set("TIMESTAMP_INPUT_FORMAT"),
        json!("AUTO"),
        "an account's own format could not parse the times that snowfeed sends"
    );
}

#[tokio::test]
async fn a_login_with_a_token_names_its_kind() {
    for (credentials, kind) in
        [(Credentials::AccessToken("t".into()), "PROGRAMMATIC_ACCESS_TOKEN"), (Credentials::OAuth("t".into()), "OAUTH")]
    {
        let server = ScriptedServer::start().await;
        open(connection(server.port).credentials(credentials)).await.unwrap();
        let data = server.requests(LOGIN).remove(0).body["data"].clone();
        assert_eq!((&data["AUTHENTICATOR"], &data["TOKEN"], data.get("PASSWORD")), (&json!(kind), &json!("t"), None));
    }
}

#[tokio::test]
async fn a_rejected_login_reports_the_reason_and_has_help() {
    for (code, kind, help) in [
        ("390100", ErrorKind::Authentication, "password"),
        ("390144", ErrorKind::Authentication, "RSA_PUBLIC_KEY"),
        ("394304", ErrorKind::Authentication, "RSA_PUBLIC_KEY"),
        ("390303", ErrorKind::Authentication, "OAuth"),
        ("390318", ErrorKind::Authentication, "expired"),
        ("390422", ErrorKind::Authentication, "network policy"),
        ("394400", ErrorKind::Authentication, "programmatic access token"),
        ("390201", ErrorKind::Configuration, "GRANT USAGE"),
        ("399999", ErrorKind::Authentication, "account identifier"),
    ] {
        let body = json!({ "data": {}, "code": code, "message": "No way.", "success": false });
        let (error, asked) = refused(Reply::json(body)).await;
        assert_eq!((error.kind(), error.retry(), asked), (kind, Retry::Never, 1), "{code}");
        assert_eq!(
            error.to_string(),
            format!("Snowflake refuses the login: No way. (code: {code}, account: TESTORG-ACCOUNT, user: TESTER)")
        );
        assert!(error.help().unwrap().contains(help), "{code}: {:?}", error.help());
    }
}

#[tokio::test]
async fn a_host_that_repeats_the_credential_is_not_quoted() {
    let secret = "Hunter2/ünd+50%-more";
    let spaced: String = secret.chars().flat_map(|c| [c, ' ']).collect();
    let encoded = "Hunter2%2F%C3%BCnd%2B50%25-more";
    for repeated in [secret, &secret.to_uppercase(), &spaced, encoded, &format!("{{\"p\":\"{secret}\"}}")] {
        for credentials in [
            Credentials::Password(secret.into()),
            Credentials::OAuth(secret.into()),
            Credentials::AccessToken(secret.into()),
        ] {
            for (message, code) in
                [(format!("No way, {repeated}."), "390100".to_owned()), ("No way.".to_owned(), repeated.to_owned())]
            {
                let server = ScriptedServer::start().await;
                let body = json!({ "success": false, "code": code, "message": message, "data": null });
                server.on(LOGIN, [Reply::json(body)]);
                let connection = connection(server.port).credentials(credentials.clone());
                let error = open(connection).await.map(drop).unwrap_err();
                let said = format!("{error} {error:?} {:?}", error.report()).to_lowercase().replace(' ', "");
                assert!(!said.contains("hunter2"), "{said}");
                assert_eq!(error.kind(), ErrorKind::Authentication);
            }
        }
    }
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_named() {
    for status in [403, 404] {
        let (error, asked) = refused(Reply::status(status, "")).await;
        assert_eq!((error.kind(), asked), (ErrorKind::Configuration, 1));
        assert!(error.message().contains("127.0.0.1"), "{error}");
        assert!(error.help().unwrap().contains("account identifier"));
    }
}

#[tokio::test]
async fn a_login_without_a_response_is_retried() {
    let server = ScriptedServer::start().await;
    let tokens = json!({ "data": { "token": "t" }, "success": true });
    server.on(LOGIN, [Reply::Reset, Reply::status(502, ""), Reply::json(tokens)]);
    open(connection(server.port)).await.unwrap();
    assert_eq!(server.requests(LOGIN).len(), 3);
}

#[tokio::test]
async fn an_unreachable_address_is_unavailable() {
    let error = open(connection(free_port())).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never), "{error:?}");
    assert!(error.message().contains("127.0.0.1 cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named_at_once() {
    let connection = connection(443).protocol(Protocol::Https).host("nowhere.invalid");
    let error = open(connection).await.map(drop).unwrap_err();
    assert_eq!(error.message(), "the host nowhere.invalid cannot be found");
    assert_eq!((error.kind(), error.context().count()), (ErrorKind::Unavailable, 0), "{error:?}");
    assert!(error.help().unwrap().contains("account identifier"));
}

#[tokio::test]
async fn a_login_response_without_a_token_has_help() {
    let (error, _) =
        refused(Reply::json(json!({ "data": { "nextAction": "EXT_AUTHN_DUO_ALL" }, "success": true }))).await;
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.help().unwrap().contains("second factor"));
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect() {
    for status in [301, 302, 307, 308] {
        let elsewhere = ScriptedServer::start().await;
        let to = format!("http://localhost:{}/session/v1/login-request?token=hunter2", elsewhere.port);
        let (error, asked) = refused(Reply::Respond(status, vec![("location", to)], Vec::new())).await;
        assert_eq!((error.kind(), asked), (ErrorKind::Configuration, 1));
        assert!(error.to_string().contains("to: localhost"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(elsewhere.paths().is_empty());
    }
}

#[test]
fn an_invalid_host_is_rejected() {
    for host in ["", "a b", "user@host", "host/path", "host?x", "https://host", "a\\b", "host:1"] {
        let connection = connection(443).host(host);
        let error = HttpClient::new(connection).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{host}");
        assert!(host.is_empty() || !error.to_string().contains(host), "it may hold a secret: {error}");
    }
}

#[tokio::test]
async fn a_login_in_a_container_sends_the_container_token() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2-container\n").unwrap();
    let server = ScriptedServer::start().await;
    open(connection(server.port)).await.unwrap();
    open(connection(server.port).spcs_token_file(file.path())).await.unwrap();
    let asked = server.requests(LOGIN);
    assert_eq!(asked[0].body["data"].get("SPCS_TOKEN"), None);
    assert_eq!(asked[1].body["data"]["SPCS_TOKEN"], "hunter2-container");
}
