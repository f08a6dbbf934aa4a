//! Asks for single records.

use std::sync::Arc;

use super::super::fields::Row;
use super::ask::{Answer, Asker};
use super::list::StreamReader;
use super::page::Progress;
use super::request::Values;
use crate::{Error, Record, Result, SourceEvent, StoredRecord, VerifyRequest};

impl StreamReader {
    /// Asks for each record by its key. Only an answer about that very record tells that it is gone, and only if the list itself answers.
    /// A search by the key that finds nothing is such an answer.
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
        for stored in records {
            let values = Values { key: Some(stored.key.clone()), ..values.clone() };
            let prepared = values.request(&get.request)?;
            let answer = asker.page(envelope, elements, &prepared, None, &mut Progress::default()).await;
            match answer {
                Ok(Answer::Page(page, _)) if page.rows.is_empty() => gone.push(stored),
                Ok(Answer::Page(page, _)) => {
                    let mut same = page.rows.into_iter().filter_map(|Row { content, .. }| content.ok());
                    let same = same.rfind(|record| record.key == stored.key);
                    found |= same.is_some();
                    answers.extend(same);
                }
                Ok(Answer::Gone(_) | Answer::Empty) => gone.push(stored),
                Ok(Answer::Skip(_)) => skipped += 1,
                Ok(Answer::Restart(error) | Answer::Split(error)) => return Err(error),
                Err(error) if is_missing(&error) => gone.push(stored),
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

/// Whether the server says that there is no such record.
fn is_missing(error: &Error) -> bool {
    matches!(error.status(), Some(404 | 410)) && error.code().is_none()
}

fn deletion(StoredRecord { key, version, .. }: StoredRecord) -> Record {
    Record::delete(key, version)
}
