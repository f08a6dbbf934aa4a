//! Commits: rows, marks, rejects and state in one transaction.

use std::collections::{HashMap, HashSet};

use super::load::{LoadTarget, MergeInput};
use super::plan::{ExistingRow, MergePlan, plan, unhex};
use super::pool::{UnknownOutcome, is_missing};
use super::rejects::{SizeChecked, unreadable_row};
use super::transaction::Fence;
use super::{Snowflake, state, time};
use crate::sink::merge::StoredVersion;
use crate::sink::not_ensured;
use crate::sink::{Commit, CommitReport, StalePolicy, StreamCommit, StreamReport, Sweep};
use crate::snowflake::{Bind, Session, Sql, Statement, sql};
use crate::{Counts, Error, ErrorKind, Record, Result, RowPath, RunId, StateChange, Version};

/// The writes of one part of a commit.
struct PartWrite<'a> {
    part: &'a StreamCommit,
    target: LoadTarget,
    checked: &'a SizeChecked<'a>,
    input: MergeInput<'a>,
    /// The keys that a marking part leaves unmarked.
    unmarked: HashSet<&'a str>,
    counts: Counts,
    change: Option<StateChange>,
}

impl Snowflake {
    /// Runs a commit once.
    pub(super) async fn try_commit(
        &self,
        commit: &Commit,
        unknown: &UnknownOutcome<CommitReport>,
    ) -> Result<CommitReport> {
        check_supported(commit)?;
        let mut session = self.session().await?;
        self.check_ensured(&mut *session, commit).await?;
        let checked: Vec<_> = commit.parts.iter().map(|part| SizeChecked::of(&part.records)).collect();
        let mut writes = Vec::with_capacity(commit.parts.len());
        for (index, (part, checked)) in commit.parts.iter().zip(&checked).enumerate() {
            writes.push(self.prepare(&mut *session, commit, part, checked, index).await?);
        }
        // Tables of a resource are always locked in the order of its streams, which prevents deadlocks.
        writes.sort_by(|a, b| a.part.stream.cmp(&b.part.stream));
        let fence = state::fence(&self.0.names, writes.iter().filter_map(|write| write.change.as_ref()));
        match &fence {
            Some(fence) => fence.begin(&mut session).await?,
            None => session.begin().await?,
        }
        let written = self.write_all(&mut *session, commit, &writes, fence.as_ref()).await;
        let ended = session.finish(written, unknown).await;
        let mut changes = Vec::with_capacity(writes.len());
        for PartWrite { input, change, .. } in writes {
            input.discard(&mut *session).await;
            changes.extend(change);
        }
        match ended {
            Err(error) if error.kind() == ErrorKind::Conflict && !changes.is_empty() => {
                state::resolve_unknown_commit(&mut *session, &self.0.names, &changes, error, unknown.take()).await
            }
            ended => ended,
        }
    }

    /// Plans the writes of a part, before the transaction begins.
    async fn prepare<'a>(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &'a StreamCommit,
        checked: &'a SizeChecked<'a>,
        index: usize,
    ) -> Result<PartWrite<'a>> {
        let name = self.raw_name(session, &commit.resource, &part.stream).await?;
        let target = LoadTarget { name, run: part.run, index };
        let (policy, sweep_run) = match part.sweep {
            Some(Sweep::Mark(sweep_run, policy)) => (policy, Some(sweep_run).filter(|_| policy != StalePolicy::Skip)),
            _ => (StalePolicy::Skip, None),
        };
        let found = self.existing_rows(session, commit, part, &target, &checked.records, sweep_run).await?;
        let MergePlan { writes, mut counts, unmarked } = plan(found, &checked.records, policy);
        let rejected = part.rejects.len() as u64 + checked.rejected();
        counts.offered += rejected;
        counts.rejected += rejected;
        let input = self.merge_input(session, &target, writes).await?;
        let change = part.counted_change(&counts);
        Ok(PartWrite { part, target, checked, input, unmarked, counts, change })
    }

    /// Writes everything, in the caller's transaction. Statements that lock tables of all resources come last, to hold those locks
    /// briefly.
    async fn write_all(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        writes: &[PartWrite<'_>],
        fence: Option<&Fence>,
    ) -> Result<CommitReport> {
        let mut met = Vec::new();
        for write in writes {
            self.write(session, commit, write).await?;
            if self.insert_rejects(session, commit, write.part, write.checked).await? {
                met.push(write);
            }
        }
        let mut report = CommitReport::new();
        for write in writes {
            let version = match &write.change {
                Some(change) => Some(self.append_in(session, change, fence).await?),
                None => None,
            };
            report = report.stream(&write.part.stream, StreamReport::new(write.counts.clone(), version));
        }
        for write in writes {
            self.delete_corrected(session, commit, write.part).await?;
        }
        for write in met {
            self.update_last_seen(session, commit, write.part, write.checked).await?;
        }
        for write in writes {
            self.end_sweep(session, commit, write.part, fence).await?;
        }
        Ok(report)
    }

    /// Deletes the marks of a reconcile run that a part ends, and the rejects that it has not met again.
    async fn end_sweep(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        fence: Option<&Fence>,
    ) -> Result<()> {
        let Some(Sweep::Finish(sweep_run) | Sweep::Abandon(sweep_run)) = part.sweep else { return Ok(()) };
        let held = fence.map(|fence| sql!(" AND {held}", held = fence.is_held())).unwrap_or_default();
        let forget =
            sql!("DELETE FROM {seen} WHERE \"RUN\" = ?{held}", held, seen = self.0.names.state("SNOWFEED_SEEN"));
        session.execute(Statement::new(forget).bind(sweep_run.to_string())).await?;
        match part.sweep {
            Some(Sweep::Finish(_)) => self.delete_stale_rejects(session, commit, part, sweep_run, &held).await,
            _ => Ok(()),
        }
    }

    /// Rejects a resource or a table that [`ensure_streams`](crate::Sink::ensure_streams) has not created.
    async fn check_ensured(&self, session: &mut dyn Session, commit: &Commit) -> Result<()> {
        let mut catalog = self.catalog(session).await?;
        catalog.ensure_schema(session, &self.0.names).await?;
        if !catalog.has_resource(&commit.resource) {
            return Err(not_ensured(&commit.resource, ""));
        }
        match commit.parts.iter().find(|part| catalog.name(&commit.resource, &part.stream).is_none()) {
            Some(part) => Err(not_ensured(&commit.resource, &part.stream)),
            None => Ok(()),
        }
    }

    /// The existing rows for the keys of these records and, in a reconcile run, whether the run has marked them.
    async fn existing_rows(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        target: &LoadTarget,
        records: &[Record],
        sweep_run: Option<RunId>,
    ) -> Result<HashMap<String, ExistingRow>> {
        let keys: HashSet<&str> = records.iter().map(|record| record.key.as_str()).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let (column, marks) = match sweep_run {
            None => ("", Sql::default()),
            Some(_) => (
                ", CASE WHEN m.\"KEY\" IS NULL THEN '0' ELSE '1' END AS \"MARKED\"",
                sql!(
                    " LEFT JOIN (SELECT DISTINCT \"KEY\" FROM {seen} WHERE \"RUN\" = ? AND \"RESOURCE\" = ? AND \"STREAM\" = ?) m \
                     ON m.\"KEY\" = t.\"KEY\"",
                    seen = self.0.names.state("SNOWFEED_SEEN")
                ),
            ),
        };
        let select = sql!(
            "SELECT t.\"KEY\", CAST(t.\"VERSION\" AS VARCHAR) AS \"VERSION\", t.\"HASH\", \
             CASE WHEN t.\"DELETED_AT\" IS NULL THEN '0' ELSE '1' END AS \"DELETED\"{column} FROM {raw} t JOIN \
             (SELECT f.value::VARCHAR AS \"KEY\" FROM (SELECT PARSE_JSON(?) AS \"KEYS\") b, \
             LATERAL FLATTEN(input => b.\"KEYS\") f) s ON t.\"KEY\" = s.\"KEY\"{marks}",
            column,
            marks,
            raw = self.0.names.raw(&target.name)
        );
        let mut select = Statement::new(select).bind(Bind::json(&keys)?);
        if let Some(sweep_run) = sweep_run {
            select = select.bind(sweep_run.to_string()).bind(commit.resource.name()).bind(part.stream.as_str());
        }
        let answer = session.execute(select).await;
        let answer = answer.map_err(|error| self.missing_table(error, target))?;
        let found = answer.rows.iter().map(|row| {
            let key = row.text(0)?.to_string();
            let hash = row.get(2)?.and_then(|hash| unhex(hash));
            let version =
                row.integer(1).map_err(|error| unreadable_row(&self.0.names.raw(&target.name), &key, error))?;
            let present = StoredVersion::new(Version(version), hash, row.boolean(3)?);
            let is_marked = if sweep_run.is_some() { row.boolean(4)? } else { false };
            Ok((key, ExistingRow { present, is_marked }))
        });
        found.collect()
    }

    /// A dropped raw table is not recreated automatically: the state claims that its rows exist.
    fn missing_table(&self, error: Error, target: &LoadTarget) -> Error {
        if !is_missing(&error) {
            return error;
        }
        let (table, catalog) = (self.0.names.raw(&target.name), self.0.names.state("SNOWFEED_TABLE"));
        Error::new(ErrorKind::NotFound, format!("the table {table} is gone, or this role may not use it"))
            .with_help(format!(
                "bring it back (UNDROP TABLE {table}); or, to read the resource from the start, remove its row from \
                 {catalog} and `reset` it"
            ))
            .with_source(error)
    }

    /// Writes the rows of one table, in the caller's transaction.
    async fn write(&self, session: &mut dyn Session, commit: &Commit, write: &PartWrite<'_>) -> Result<()> {
        let PartWrite { part, target, input, unmarked, .. } = write;
        let table = self.0.names.raw(&target.name);
        if let Some(merge) = input.merge(session, &table, &time::ntz_text(commit.at)).await? {
            session.execute(merge).await?;
        }
        if let Some(Sweep::Mark(sweep_run, _)) = part.sweep {
            let keys = part.records.iter().map(|record| record.key.as_str());
            let keys: Vec<&str> = keys.filter(|key| !unmarked.contains(key)).collect();
            if !keys.is_empty() {
                let mark = sql!(
                    "INSERT INTO {seen} (\"RUN\", \"RESOURCE\", \"STREAM\", \"KEY\") SELECT b.\"RUN\", b.\"RESOURCE\", \
                     b.\"STREAM\", f.value::VARCHAR FROM (SELECT CAST(? AS VARCHAR) AS \"RUN\", CAST(? AS VARCHAR) AS \
                     \"RESOURCE\", CAST(? AS VARCHAR) AS \"STREAM\", PARSE_JSON(?) AS \"KEYS\") b, \
                     LATERAL FLATTEN(input => b.\"KEYS\") f",
                    seen = self.0.names.state("SNOWFEED_SEEN")
                );
                let mark = Statement::new(mark).bind(sweep_run.to_string()).bind(commit.resource.name());
                session.execute(mark.bind(part.stream.as_str()).bind(Bind::json(&keys)?)).await?;
            }
        }
        Ok(())
    }
}

/// Rejects what the raw tables cannot hold.
fn check_supported(commit: &Commit) -> Result<()> {
    let is_child = |record: &Record| *record.parent() != RowPath::ROOT;
    match commit.parts.iter().find(|part| !part.gone.is_empty() || part.records.iter().any(is_child)) {
        Some(part) => Err(Error::new(ErrorKind::Unsupported, "this destination does not hold child streams")
            .with_context("stream", &part.stream)
            .with_help("select other streams")),
        None => Ok(()),
    }
}
