//! Asks for single records.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::super::fields::{ElementPlan, Row};
use super::ask::{Answer, Asker};
use super::list::StreamReader;
use super::plan::ErrorPlan;
use super::progress::Progress;
use super::request::Values;
use crate::{Error, Monitor, Record, Result, SourceEvent, StoredRecord, VerifyRequest};

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
        let by_keys = get.keys.is_some();
        let mut findings = Findings::default();
        let mut open = in_parts(records, if by_keys { get.batch } else { 1 });
        if by_keys && self.has_other_keys.load(Ordering::Relaxed) {
            // Nothing to ask with.
            findings.skipped = open.drain(..).map(|part| part.len()).sum();
        }
        while let Some(part) = open.pop() {
            let mut values = values.clone();
            match (by_keys, part.as_slice()) {
                (false, [stored]) => values.key = Some(stored.key.clone()),
                _ => values.keys = keys(elements, &part)?,
            }
            let prepared = values.request(&get.request)?;
            let answer = asker.page(envelope, elements, &prepared, None, &mut Progress::default()).await;
            open.extend(findings.judge(part, answer, by_keys, &self.plan.errors)?);
        }
        let Findings { mut answers, gone, found, skipped } = findings;
        if !found && !gone.is_empty() {
            // Credentials that have lost their access find nothing either.
            self.first_page(values, &monitor).await?;
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

impl StreamReader {
    /// Asks for the first of these records by its key, and returns what is wrong with the answer.
    pub(in crate::rest) async fn check_get(
        &self,
        mut values: Values,
        records: &[Record],
        monitor: &Monitor,
    ) -> Option<String> {
        let (Some(get), Some((envelope, elements))) = (&self.plan.get, &self.single) else { return None };
        let (record, json) = records.iter().find_map(|record| Some((record, record.json()?.clone())))?;
        let key = record.key.clone();
        let stored = StoredRecord::new(key.clone(), record.version, json);
        let asker = Asker { client: self.client.clone(), stream: self.plan.clone(), monitor: monitor.clone() };
        let asked = async {
            match get.keys {
                None => values.key = Some(key.clone()),
                Some(_) => values.keys = keys(elements, &[stored])?,
            }
            let prepared = values.request(&get.request)?;
            asker.page(envelope, elements, &prepared, None, &mut Progress::default()).await
        };
        let unreadable = |error: &Error| {
            let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
            Some(format!("the record {key} of the list cannot be read: {}{help}", error.message()))
        };
        let missing = || {
            Some(format!(
                "it does not find the record {key}, which the list has: a reconcile run would take records for deleted that are not; \
                 correct `get`"
            ))
        };
        match asked.await {
            Ok(Answer::Page(page, _)) => {
                let is_same = |row: &Row| row.content.as_ref().is_ok_and(|record| record.key == key);
                let reject = page.rows.iter().find_map(|row| row.content.as_ref().err());
                match reject {
                    _ if page.rows.iter().any(is_same) => None,
                    _ if page.rows.is_empty() => missing(),
                    Some(reject) => Some(format!("the record {key} of the list cannot be read: {}", reject.reason)),
                    None => Some(format!(
                        "it answers with another record than {key}, the one that it is asked for; correct `get`"
                    )),
                }
            }
            Ok(Answer::Gone(_) | Answer::Empty) => missing(),
            Err(error) if is_missing(&error, &self.plan.errors) => missing(),
            Ok(Answer::Skip(error) | Answer::Restart(error) | Answer::Split(error)) => unreadable(&error),
            Err(error) => unreadable(&error),
        }
    }
}

/// What the answers so far tell about stored records.
#[derive(Debug, Default)]
struct Findings {
    answers: Vec<Record>,
    gone: Vec<StoredRecord>,
    /// Whether any record was found.
    found: bool,
    /// The number of records that cannot be asked for.
    skipped: usize,
}

impl Findings {
    /// Judges the answer about these records, and returns the parts of them to ask about again.
    ///
    /// # Errors
    /// Those that prove nothing about the records.
    fn judge(
        &mut self,
        part: Vec<StoredRecord>,
        answer: Result<Answer>,
        by_keys: bool,
        errors: &ErrorPlan,
    ) -> Result<Vec<Vec<StoredRecord>>> {
        match answer {
            Ok(Answer::Page(page, _)) => self.compare(part, page.rows, by_keys),
            // An answer about several records is not about each.
            Ok(Answer::Gone(_)) if part.len() > 1 => return Ok(in_parts(part, 1)),
            Err(error) if is_missing(&error, errors) && part.len() > 1 => return Ok(in_parts(part, 1)),
            Ok(Answer::Gone(_) | Answer::Empty) => self.gone.extend(part),
            Ok(Answer::Skip(_)) => self.skipped += part.len(),
            Ok(Answer::Restart(error) | Answer::Split(error)) => return Err(error),
            Err(error) if is_missing(&error, errors) => self.gone.extend(part),
            Err(error) => return Err(error),
        }
        Ok(Vec::new())
    }

    /// Compares the stored records with those of the answer.
    fn compare(&mut self, part: Vec<StoredRecord>, rows: Vec<Row>, by_keys: bool) {
        let (is_empty, mut is_whole) = (rows.is_empty(), true);
        let mut same: HashMap<String, Record> = HashMap::new();
        for row in rows {
            match row.content {
                Ok(record) => drop(same.insert(record.key.clone(), record)),
                Err(_) => is_whole = false,
            }
        }
        for stored in part {
            match same.remove(&stored.key) {
                Some(record) => {
                    self.found = true;
                    self.answers.push(record);
                }
                // Another record, or one that is rejected, tells nothing about this one.
                None if is_whole && (is_empty || by_keys) => self.gone.push(stored),
                None => {}
            }
        }
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

/// Whether the server says that there is no such record, by a status of which the description says nothing else. A code that no entry names
/// changes nothing.
fn is_missing(error: &Error, errors: &ErrorPlan) -> bool {
    let says_so = |status: u16| matches!(status, 404 | 410) && errors.action(status, error.code()).is_none();
    error.status().is_some_and(says_so)
}

fn deletion(StoredRecord { key, version, .. }: StoredRecord) -> Record {
    Record::delete(key, version)
}
