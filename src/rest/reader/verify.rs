//! Asks for single records.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::super::fields::ElementPlan;
use super::ask::{Answer, Asker};
use super::list::StreamReader;
use super::page::Progress;
use super::request::Values;
use crate::{Error, Record, Result, SourceEvent, StoredRecord, VerifyRequest};

impl StreamReader {
    /// Asks for each record by its key, or for several at once. Only an answer about that very record tells that it is gone, and only if the
    /// list itself answers. A search by the key that finds nothing is such an answer.
    ///
    /// # Errors
    /// Those of the requests: an answer about the resource or the credentials proves nothing.
    pub(in crate::rest) async fn verify(
        self: Arc<Self>,
        values: Values,
        request: VerifyRequest,
    ) -> Result<Vec<Record>> {
        let VerifyRequest { records, monitor, .. } = request;
        let (Some(get), Some((envelope, elements))) = (&self.plan.get, &self.single) else { return Ok(Vec::new()) };
        let asker = Asker { client: self.client.clone(), stream: self.plan.clone(), monitor: monitor.clone() };
        let (mut answers, mut gone, mut found, mut skipped) = (Vec::new(), Vec::new(), false, 0_usize);
        let size = if get.keys.is_some() { get.batch } else { 1 };
        let mut open = in_parts(records, size);
        if get.keys.is_some() && self.has_other_keys.load(Ordering::Relaxed) {
            // Nothing to ask with.
            skipped = open.drain(..).map(|part| part.len()).sum();
        }
        while let Some(part) = open.pop() {
            let mut values = values.clone();
            match (&get.keys, part.as_slice()) {
                (None, [stored]) => values.key = Some(stored.key.clone()),
                _ => values.keys = keys(elements, &part)?,
            }
            let prepared = values.request(&get.request)?;
            let answer = asker.page(envelope, elements, &prepared, None, &mut Progress::default()).await;
            match answer {
                Ok(Answer::Page(page, _)) => {
                    let (is_empty, mut is_whole) = (page.rows.is_empty(), true);
                    let mut same: HashMap<String, Record> = HashMap::new();
                    for row in page.rows {
                        match row.content {
                            Ok(record) => drop(same.insert(record.key.clone(), record)),
                            Err(_) => is_whole = false,
                        }
                    }
                    for stored in part {
                        match same.remove(&stored.key) {
                            Some(record) => {
                                found = true;
                                answers.push(record);
                            }
                            // Another record, or one that is rejected, tells nothing about this one.
                            None if is_whole && (is_empty || get.keys.is_some()) => gone.push(stored),
                            None => {}
                        }
                    }
                }
                // An answer about several records is not about each.
                Ok(Answer::Gone(_)) if part.len() > 1 => open.extend(in_parts(part, 1)),
                Err(error) if is_missing(&error) && part.len() > 1 => open.extend(in_parts(part, 1)),
                Ok(Answer::Gone(_) | Answer::Empty) => gone.extend(part),
                Ok(Answer::Skip(_)) => skipped += part.len(),
                Ok(Answer::Restart(error) | Answer::Split(error)) => return Err(error),
                Err(error) if is_missing(&error) => gone.extend(part),
                Err(error) => return Err(error),
            }
        }
        if !found && !gone.is_empty() {
            // Credentials that have lost their access find nothing either.
            self.probe(values, &monitor).await?;
        }
        if skipped > 0 {
            let name = &self.plan.name;
            monitor.event(SourceEvent::Warning(format!(
                "{skipped} records of the stream {name} cannot be asked for: they are kept"
            )));
        }
        answers.extend(gone.into_iter().map(deletion));
        Ok(answers)
    }
}

/// The records in parts of this size, at least 1.
fn in_parts(records: Vec<StoredRecord>, size: usize) -> Vec<Vec<StoredRecord>> {
    let mut records = records.into_iter();
    std::iter::from_fn(|| Some(records.by_ref().take(size).collect::<Vec<_>>()).filter(|part| !part.is_empty()))
        .collect()
}

/// The keys of records, as their documents have them.
///
/// # Errors
/// `InvalidData` for a document without its key.
fn keys(elements: &ElementPlan, records: &[StoredRecord]) -> Result<Vec<Value>> {
    let key = |stored: &StoredRecord| {
        let key = elements.single(stored.json.clone())?.stub;
        key.ok_or_else(|| Error::invalid_data(format!("the stored record {:?} has no key", stored.key)))
    };
    records.iter().map(key).collect()
}

/// Whether the server says that there is no such record.
fn is_missing(error: &Error) -> bool {
    matches!(error.status(), Some(404 | 410)) && error.code().is_none()
}

fn deletion(StoredRecord { key, version, .. }: StoredRecord) -> Record {
    Record::delete(key, version)
}
