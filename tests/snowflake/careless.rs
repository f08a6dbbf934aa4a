//! A client that sets no parameter, tracks no transaction and retries nothing: it shows the server's behaviour, and not the
//! driver's.

use arrow_array::Array;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_ipc::reader::StreamReader;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::peers::Server;

/// The user, and the session parameters of the login.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) account: String,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) parameters: Map<String, Value>,
}

/// The rows of an answer, each cell as text.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// A session.
pub(crate) struct Session {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Session {
    pub(crate) async fn open(server: &Server, login: &Login) -> Self {
        let (http, url) = (reqwest::Client::builder().no_proxy().build().unwrap(), server.url());
        let body = json!({ "data": {
            "ACCOUNT_NAME": login.account,
            "LOGIN_NAME": login.user,
            "PASSWORD": "password",
            "SESSION_PARAMETERS": login.parameters,
        }});
        let query = [("databaseName", login.database.as_str()), ("schemaName", "PUBLIC")];
        let asked = http.post(format!("{url}/session/v1/login-request")).query(&query).json(&body);
        let answer: Value = asked.send().await.unwrap().json().await.unwrap();
        let token = answer["data"]["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { http, url, token }
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The server's rejection, and `code: …`.
    pub(crate) async fn execute(&self, sql: &str) -> Result<Rows, String> {
        let id = uuid::Uuid::now_v7().to_string();
        let asked = self.http.post(format!("{}/queries/v1/query-request", self.url)).query(&[("requestId", id)]);
        let asked = asked.header("Authorization", format!("Snowflake Token=\"{}\"", self.token));
        let answer: Value = asked.json(&json!({ "sqlText": sql })).send().await.unwrap().json().await.unwrap();
        if answer["success"] != true {
            return Err(format!("{} (code: {})", answer["message"], answer["code"].as_str().unwrap_or("none")));
        }
        Ok(answer["data"]["rowsetBase64"].as_str().map(rows).unwrap_or_default())
    }
}

fn rows(stream: &str) -> Rows {
    let stream = BASE64_STANDARD.decode(stream).unwrap();
    if stream.is_empty() {
        return Rows::new();
    }
    let options = FormatOptions::new();
    let mut rows = Rows::new();
    for batch in StreamReader::try_new(stream.as_slice(), None).unwrap() {
        let batch = batch.unwrap();
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        let cell = |column: usize, row: usize| {
            let is_null = batch.column(column).logical_nulls().is_some_and(|nulls| nulls.is_null(row));
            (!is_null).then(|| columns[column].value(row).to_string())
        };
        rows.extend((0..batch.num_rows()).map(|row| (0..columns.len()).map(|column| cell(column, row)).collect()));
    }
    rows
}
