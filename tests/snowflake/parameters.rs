//! Session parameters: the ones that every session sets, and the ones that a connection may add.

use serde_json::{Map, Value, json};
use snowfeed::ErrorKind;
use snowfeed::internals::snowflake::{Client, HttpClient};

use crate::scripted::{LOGIN, ReceivedRequest, Reply, ScriptedServer, connection, fast_retries};
use crate::warnings::Warnings;

/// Each with a value that breaks us, in various spellings.
fn hostile() -> Map<String, Value> {
    let parameters = json!({
        "autocommit": false,
        "QUOTED_IDENTIFIERS_IGNORE_CASE": true,
        "Rows_Per_ResultSet": 5,
        "MULTI_STATEMENT_COUNT": 0,
        "ERROR_ON_NONDETERMINISTIC_MERGE": false,
        "ERROR_ON_NONDETERMINISTIC_UPDATE": false,
        "TRANSACTION_ABORT_ON_ERROR": true,
        "OPT_OUT_ERROR_LOGGING": false,
        "USE_CACHED_RESULT": false,
        "JSON_INDENT": 16,
        "timezone": "Asia/Kathmandu",
        "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_LTZ",
        "TIMESTAMP_INPUT_FORMAT": "DD/MM/YYYY",
        "TIMESTAMP_OUTPUT_FORMAT": "DD/MM/YYYY",
        "TIMESTAMP_NTZ_OUTPUT_FORMAT": "DD/MM/YYYY",
        "TIMESTAMP_LTZ_OUTPUT_FORMAT": "DD/MM/YYYY",
        "TIMESTAMP_TZ_OUTPUT_FORMAT": "DD/MM/YYYY",
        "DATE_INPUT_FORMAT": "DD/MM/YYYY",
        "DATE_OUTPUT_FORMAT": "DD/MM/YYYY",
        "TIME_INPUT_FORMAT": "SS",
        "TIME_OUTPUT_FORMAT": "SS",
        "BINARY_INPUT_FORMAT": "UTF8",
        "BINARY_OUTPUT_FORMAT": "BASE64",
        "DEFAULT_NULL_ORDERING": "FIRST",
        "ABORT_DETACHED_QUERY": false,
        "CLIENT_SESSION_KEEP_ALIVE": false,
    });
    parameters.as_object().unwrap().clone()
}

fn sent(asked: &ReceivedRequest) -> Map<String, Value> {
    asked.body["data"]["SESSION_PARAMETERS"].as_object().unwrap().clone()
}

fn client(server: &ScriptedServer, parameters: Map<String, Value>) -> HttpClient {
    let connection = connection(server.port).session_parameters(parameters);
    HttpClient::with_retry(connection, fast_retries()).unwrap()
}

#[tokio::test]
async fn a_connection_cannot_override_required_parameters() {
    let (ours, theirs) = (ScriptedServer::start().await, ScriptedServer::start().await);
    client(&ours, Map::new()).open().await.unwrap();
    client(&theirs, hostile()).open().await.unwrap();
    let (ours, theirs) = (sent(&ours.requests(LOGIN)[0]), sent(&theirs.requests(LOGIN)[0]));
    assert_eq!(ours, theirs, "none of them is sent, in any spelling");
    for (name, value) in hostile() {
        let set = ours.get(&name.to_uppercase());
        assert!(set.is_some_and(|set| *set != value), "{name}: {set:?}");
    }
}

#[tokio::test]
async fn a_connection_may_set_other_parameters() {
    let server = ScriptedServer::start().await;
    let parameters = json!({
        "lock_timeout": 60, "STATEMENT_TIMEOUT_IN_SECONDS": 900, "WEEK_START": 7, "TWO_DIGIT_CENTURY_START": 1900,
        "nop_regexes": ["^GRANT"], "QUERY_TAG": "theirs"
    });
    client(&server, parameters.as_object().unwrap().clone()).open().await.unwrap();
    let sent = sent(&server.requests(LOGIN)[0]);
    for (name, value) in parameters.as_object().unwrap() {
        assert_eq!(sent.get(name), Some(value), "{name}");
    }
    assert!(!sent.contains_key("LOCK_TIMEOUT"), "once, in the connection's spelling");
}

#[tokio::test]
async fn time_limits_stay_as_an_administrator_has_set_them() {
    let server = ScriptedServer::start().await;
    client(&server, Map::new()).open().await.unwrap();
    let sent = sent(&server.requests(LOGIN)[0]);
    for name in ["STATEMENT_TIMEOUT_IN_SECONDS", "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"] {
        assert!(!sent.contains_key(name), "{name}");
    }
}

#[test]
fn each_ignored_parameter_has_a_one_line_warning() {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let mut parameters = hostile();
        parameters.insert("WEEK_START".to_owned(), 1.into());
        let connection = connection(443).session_parameters(parameters);
        HttpClient::new(connection).unwrap()
    });
    let warnings = warnings.lines();
    assert_eq!(warnings.len(), hostile().len(), "{warnings:?}");
    for name in hostile().keys() {
        let of_it = warnings.iter().filter(|line| line.contains(&format!("{name} ")) && line.contains("ignored"));
        assert_eq!(of_it.count(), 1, "{name}: {warnings:?}");
    }
}

/// Accepts every login that does not set this parameter.
fn refusing(server: &ScriptedServer, name: &'static str) {
    server.on_request(LOGIN, move |asked| {
        if sent(asked).keys().any(|sent| sent.eq_ignore_ascii_case(name)) {
            let message = format!("SQL compilation error: invalid value [x] for parameter '{name}'");
            return Reply::json(json!({ "data": null, "code": "001006", "message": message, "success": false }));
        }
        Reply::json(json!({ "data": { "token": "t", "parameters": [] }, "success": true }))
    });
}

#[tokio::test]
async fn a_required_parameter_that_snowflake_rejects_is_omitted() {
    for name in ["OPT_OUT_ERROR_LOGGING", "LOCK_TIMEOUT"] {
        let server = ScriptedServer::start().await;
        refusing(&server, name);
        client(&server, Map::new()).open().await.unwrap();
        let asked = server.requests(LOGIN);
        assert_eq!(asked.len(), 2, "{name}");
        let (mut first, second) = (sent(&asked[0]), sent(&asked[1]));
        first.remove(name);
        assert_eq!(first, second, "{name}: everything else is still set");
    }
}

#[tokio::test]
async fn autocommit_is_never_omitted() {
    let server = ScriptedServer::start().await;
    refusing(&server, "AUTOCOMMIT");
    let error = client(&server, Map::new()).open().await.unwrap_err();
    assert_eq!((error.kind(), server.requests(LOGIN).len()), (ErrorKind::Configuration, 1), "{error:?}");
    assert!(error.message().contains("AUTOCOMMIT"), "{error}");
}

#[tokio::test]
async fn a_connection_parameter_that_snowflake_rejects_is_named() {
    let server = ScriptedServer::start().await;
    refusing(&server, "WEEK_START");
    let error = client(&server, json!({ "week_start": 77 }).as_object().unwrap().clone()).open().await.unwrap_err();
    assert_eq!((error.kind(), server.requests(LOGIN).len()), (ErrorKind::Configuration, 1));
    assert!(error.to_string().contains("week_start"), "{error}");
    assert!(error.help().unwrap().contains("session_parameters"), "{error:?}");
}

#[tokio::test]
async fn a_session_without_autocommit_is_refused() {
    for value in [json!(false), json!("false"), json!("FALSE")] {
        let server = ScriptedServer::start().await;
        let parameters = json!([{ "name": "TIMEZONE", "value": "UTC" }, { "name": "AUTOCOMMIT", "value": value }]);
        let data = json!({ "token": "t", "parameters": parameters });
        server.on(LOGIN, [Reply::json(json!({ "data": data, "success": true }))]);
        let error = client(&server, Map::new()).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert!(error.message().contains("AUTOCOMMIT"), "{error}");
    }
}
