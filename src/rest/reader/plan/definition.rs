//! What decides which records a read of a stream returns.

use std::collections::BTreeMap;

use crate::record::content_hash;
use crate::rest::api::Api;
use crate::rest::errors::Errors;
use crate::rest::stream::Stream;

/// A digest of those parts of a description that decide which records a read returns, and what becomes of them. If one of them is
/// corrected, the records that were missed lie behind the mark.
pub(super) fn definition(api: &Api, stream: &Stream) -> String {
    let mut stream = stream.clone();
    if let Some(cursor) = stream.cursor.take() {
        stream.query.insert(cursor, "{since}".to_owned());
    }
    if stream.paginate.is_none() {
        stream.paginate.clone_from(&api.paginate);
    }
    // How much one question asks for changes only the questions.
    if let Some(since) = &mut stream.since {
        since.window = None;
    }
    // Without `keys`, it verifies what the list lacks.
    let get = stream.get.take().filter(|get| get.keys.is_some());
    let deciding = Stream {
        name: String::new(),
        headers: BTreeMap::new(),
        columns: BTreeMap::new(),
        errors: Errors::default(),
        spread: None,
        cap: None,
        pace: None,
        default: true,
        get,
        ..stream
    };
    let text = serde_json::to_string(&deciding).unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(content_hash(&text)))
}
