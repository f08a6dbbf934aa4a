//! The end of a full pass: what the source no longer has is marked deleted.

use super::Event;
use super::run::Run;
use crate::{Error, Record, Result, Rows, Sweep, UnseenQuery, VerifyRequest};

/// How many records are looked at in one step.
const STEP: usize = 500;

impl Run<'_> {
    /// Asks the source about every record that the pass has not come across, commits what it says, and ends the pass.
    /// Says whether it came to its end; a sweep that was interrupted goes on with the next run.
    pub(super) async fn sweep(&mut self) -> Result<bool> {
        let Some(pass) = self.reconcile.clone() else { return Ok(true) };
        let connector = self.connector;
        for table in &connector.spec.tables {
            let mut after = None;
            loop {
                if self.cancel().is_cancelled() {
                    return Ok(false);
                }
                let query = UnseenQuery {
                    resource: self.resource.clone(),
                    table: table.name.clone(),
                    sweep: pass.id,
                    after: after.take(),
                    limit: STEP,
                };
                let unseen = connector.sink.unseen(query).await?;
                let Some(last) = unseen.last() else { break };
                after = Some(last.key.clone());
                let (resource, records) = (self.resource.clone(), unseen.len() as u64);
                connector.emit(Event::Verifying { resource, records });
                let records = tokio::select! {
                    biased;
                    verified = self.verify(&table.name, unseen) => verified?,
                    () = self.cancel().cancelled() => return Ok(false),
                };
                let rows = Rows { table: table.name.clone(), records, rejects: Vec::new() };
                self.commit(vec![rows], Some(Sweep::Mark(pass.id)), self.checkpoint.clone(), self.reconcile.clone())
                    .await?;
            }
        }
        let checkpoint = pass.checkpoint.or_else(|| self.checkpoint.clone());
        self.commit(Vec::new(), Some(Sweep::Finish(pass.id)), checkpoint, None).await?;
        Ok(true)
    }

    async fn verify(&self, table: &str, unseen: Vec<crate::StoredRecord>) -> Result<Vec<Record>> {
        let asked: std::collections::HashSet<String> = unseen.iter().map(|record| record.key.clone()).collect();
        let request = VerifyRequest {
            resource: self.resource.clone(),
            config: self.config.clone(),
            checkpoint: self
                .reconcile
                .as_ref()
                .and_then(|pass| pass.checkpoint.clone())
                .or_else(|| self.checkpoint.clone()),
            table: table.to_owned(),
            records: unseen,
            monitor: self.monitor.clone(),
        };
        let verified = self.connector.source.verify(request).await?;
        match verified.iter().find(|record| !asked.contains(&record.key)) {
            None => Ok(verified),
            Some(record) => Err(Error::internal("the source verified a record that it was not asked about")
                .with_context("key", &record.key)),
        }
    }
}
