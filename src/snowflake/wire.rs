//! The JSON of requests and responses.

use std::collections::HashMap;

use secrecy::SecretString;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::stage::PutResponse;
use super::statement::Bind;
use crate::{Error, Result};

/// The codes of a statement that is still running: after 45 seconds, or in the background.
const RUNNING: [&str; 2] = ["333333", "333334"];

/// The codes of an expired session or token.
const EXPIRED: [&str; 4] = ["390104", "390111", TOKEN_EXPIRED, "390114"];

/// The code of an expired session token, which the master token can renew.
pub(super) const TOKEN_EXPIRED: &str = "390112";

/// The response to every request.
#[derive(Deserialize)]
pub(super) struct Response<D> {
    #[serde(default)]
    pub(super) success: bool,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) data: Option<D>,
}

impl<D> Response<D> {
    /// Whether the statement is still running.
    pub(super) fn is_running(&self) -> bool {
        self.code.as_deref().is_some_and(|code| RUNNING.contains(&code))
    }

    /// The code, if it means that the session has expired.
    pub(super) fn expiry(&self) -> Option<&str> {
        self.code.as_deref().filter(|code| !self.success && EXPIRED.contains(code))
    }
}

/// The data of a login response.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginData {
    pub(super) session_id: Option<u64>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) master_token: Option<SecretString>,
    /// Session parameters, each with name and value.
    pub(super) parameters: Option<Value>,
}

/// The data of a token response.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RenewalData {
    #[serde(default, deserialize_with = "secret")]
    pub(super) session_token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) master_token: Option<SecretString>,
    /// The validity of the session token, in seconds.
    #[serde(rename = "validityInSecondsST")]
    pub(super) validity: Option<u64>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Into::into))
}

/// The data of a statement's response: its result or its address, or the details of an error.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueryData {
    pub(super) query_id: Option<String>,
    pub(super) sql_state: Option<String>,
    pub(super) get_result_url: Option<String>,
    pub(super) rowtype: Option<Vec<Column>>,
    pub(super) rowset: Option<Vec<Vec<Option<String>>>>,
    pub(super) rowset_base64: Option<String>,
    pub(super) query_result_format: Option<String>,
    pub(super) total: Option<u64>,
    pub(super) chunks: Option<Vec<Chunk>>,
    pub(super) chunk_headers: Option<HashMap<String, String>>,
    pub(super) qrmk: Option<String>,
    /// Of a PUT: where the file goes, with credentials.
    pub(super) stage_info: Option<Box<RawValue>>,
    /// Of a PUT: the key to encrypt the file with, or a list of keys.
    pub(super) encryption_material: Option<Box<RawValue>>,
}

/// A column of a result.
#[derive(Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
}

/// A part of a result in a cloud storage.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk {
    /// It contains a signature and is never shown.
    pub(super) url: String,
    pub(super) row_count: usize,
    #[serde(default)]
    pub(super) uncompressed_size: Option<u64>,
}

/// A request to run a statement.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query<'a> {
    pub(super) sql_text: &'a str,
    pub(super) async_exec: bool,
    pub(super) sequence_id: u64,
    pub(super) query_submission_time: i64,
    pub(super) is_internal: bool,
    #[serde(skip_serializing_if = "Bindings::is_empty")]
    pub(super) bindings: Bindings<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<StatementParameters<'a>>,
}

/// Session parameters that apply to one statement.
#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) struct StatementParameters<'a> {
    pub(super) query_tag: &'a str,
}

/// Bound values, numbered from 1, serialized in place.
pub(super) struct Bindings<'a>(pub(super) &'a [Bind]);

impl Bindings<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Bindings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (index, bind) in self.0.iter().enumerate() {
            map.serialize_entry(&(index + 1), &Binding(bind))?;
        }
        map.end()
    }
}

struct Binding<'a>(&'a Bind);

impl Serialize for Binding<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self.0 {
            Bind::Text(text) => {
                map.serialize_entry("type", "TEXT")?;
                map.serialize_entry("value", &text.as_deref())?;
            }
            Bind::Integer(number) => {
                map.serialize_entry("type", "FIXED")?;
                map.serialize_entry("value", &number.to_string())?;
            }
        }
        map.end()
    }
}

/// A request to cancel a statement.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Abort<'a> {
    pub(super) sql_text: &'a str,
    pub(super) request_id: &'a str,
}

/// A request for a new session token, or for another one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renewal<'a> {
    pub(super) old_session_token: &'a str,
    pub(super) request_type: &'static str,
}

/// A request without content.
#[derive(Serialize)]
pub(super) struct Empty {}

/// Reads the file's destination from the response to a PUT.
pub(super) fn put_response(data: &QueryData) -> Result<PutResponse> {
    let stage =
        data.stage_info.as_deref().ok_or_else(|| Error::invalid_data("Snowflake did not say where a file goes"))?;
    let encryption = data.encryption_material.as_deref().map_or("null", |material| material.get());
    let answer = format!(r#"{{"stageInfo":{},"encryptionMaterial":{encryption}}}"#, stage.get());
    // The cause is left out: it may repeat a credential.
    serde_json::from_str(&answer)
        .map_err(|_| Error::invalid_data("Snowflake described the destination of a file in an unknown format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_values_are_numbered_and_typed() {
        let binds = [Bind::from("a\0\"b"), Bind::Text(None), Bind::from(-5)];
        let json = serde_json::to_string(&Bindings(&binds)).unwrap();
        assert_eq!(
            json,
            r#"{"1":{"type":"TEXT","value":"a\u0000\"b"},"2":{"type":"TEXT","value":null},"3":{"type":"FIXED","value":"-5"}}"#
        );
    }

    #[test]
    fn a_response_with_nulls_for_missing_fields_is_parsed() {
        let reply: Response<QueryData> = serde_json::from_str(
            r#"{"data":{"rowtype":null,"rowset":null,"chunks":null,"qrmk":null,"extra":[1]},"code":null,"message":null,"success":true}"#,
        )
        .unwrap();
        assert!(reply.success && reply.expiry().is_none() && !reply.is_running());
    }
}
