//! Commits: rows, marks, rejects and state in one transaction.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;

use super::cost::Claim;
use super::documents::StoredDocuments;
use super::oversized::Oversized;
use super::plan::{ExistingRow, ExistingRows, MergePlan, RowId, RowWrite, plan, row_ids, unhex};
use super::pool::{UnknownOutcome, is_missing};
use super::rejects::unreadable_row;
use super::rows::{CommitNumbers, NewestSequence};
use super::staged_merge::StagedMerge;
use super::staging::{FileStage, StagedFiles};
use super::transaction::{self, Fence};
use super::{Snowflake, marks, planned_merge, state, time};
use crate::cost::Credits;
use crate::sink::merge::StoredVersion;
use crate::sink::not_ensured;
use crate::sink::{Commit, CommitReport, StreamCommit, StreamReport, Sweep};
use crate::snowflake::{Bind, Session, Sql, Statement, sql};
use crate::{
    Counts, Error, ErrorKind, Evidence, Record, Result, RunId, Sequence, Stage, StagedRecords, StateChange, Version,
};

/// What a part of a commit writes.
enum PartInput<'a> {
    /// Rows whose changes were planned from the existing ones.
    Planned {
        writes: Vec<RowWrite<'a>>,
        /// The rows that a marking part leaves unmarked.
        unmarked: HashSet<RowId<'a>>,
    },
    /// Records on the stage, which Snowflake merges.
    Staged(StagedMerge<'a>),
}

/// The writes of one part of a commit.
struct PartWrite<'a> {
    part: &'a StreamCommit,
    /// The name of the raw table.
    name: String,
    input: PartInput<'a>,
    oversized: &'a [Oversized],
    counts: Counts,
    /// The number that the stream must have after the rows are written; `None` if none was looked for.
    expected: Option<i64>,
    change: Option<StateChange>,
    /// What the change records as used.
    credits: Credits,
}

impl PartWrite<'_> {
    /// Whether it may change rows, or stores a state.
    fn needs_fence(&self) -> bool {
        let has_state = self.change.as_ref().is_some_and(|change| change.state.is_some());
        let is_staged = matches!(self.input, PartInput::Staged(_));
        has_state || is_staged || self.counts.changed() || !self.part.gone.is_empty()
    }
}

/// The records of a part of a commit.
pub(super) enum PartRecords<'a> {
    /// Few enough for a bound value.
    Bound {
        records: Cow<'a, [Record]>,
        /// Those that are too large for a row.
        oversized: Vec<Oversized>,
    },
    Staged(StagedRecords),
}

impl Snowflake {
    /// Stages the records of a part that are too many for a bound value. A retry of the commit uses the same files.
    pub(super) async fn part_records<'a>(&self, commit: &Commit, part: &'a StreamCommit) -> Result<PartRecords<'a>> {
        if let Some(staged) = &part.staged {
            return Ok(PartRecords::Staged(staged.clone()));
        }
        if bound_size(&part.records) <= self.0.max_bind_bytes {
            let (records, oversized) = Oversized::split(&part.records);
            return Ok(PartRecords::Bound { records, oversized });
        }
        let mut stage = FileStage::new(&self.0.stages, &commit.resource, &part.stream, part.run);
        stage.add_all(&part.records).await?;
        Ok(PartRecords::Staged(Box::new(stage).finish().await?))
    }

    /// Runs a commit once.
    pub(super) async fn try_commit<'a>(
        &'a self,
        commit: &Commit,
        records: &[PartRecords<'_>],
        unknown: &UnknownOutcome<CommitReport>,
        claim: &OnceLock<Claim<'a>>,
    ) -> Result<CommitReport> {
        let mut session = self.load_session().await?;
        self.check_ensured(&mut *session, commit).await?;
        let mut writes = Vec::with_capacity(commit.parts.len());
        for (index, (part, records)) in commit.parts.iter().zip(records).enumerate() {
            writes.push(self.prepare(&mut *session, commit, part, index, records).await?);
        }
        // Tables of a resource are always locked in the order of its streams, which prevents deadlocks.
        writes.sort_by(|a, b| a.part.stream.cmp(&b.part.stream));
        // One fence covers all streams of the resource. It comes first, because the rows need the numbers that it guards.
        let fence = writes.iter().find(|write| write.needs_fence());
        let fence = fence.map(|write| Fence::new(&self.0.names, commit.resource.name(), write.part.run));
        match &fence {
            Some(fence) => fence.begin(&mut session).await?,
            None => session.begin().await?,
        }
        let written = self.write_all(&mut *session, commit, &mut writes, fence.as_ref(), claim).await;
        let ended = session.finish(written, unknown).await;
        let changes: Vec<StateChange> = writes.into_iter().filter_map(|write| write.change).collect();
        let ended = match ended {
            Err(error) if error.kind() == ErrorKind::Conflict && !changes.is_empty() => {
                state::resolve_unknown_commit(&mut *session, &self.0.names, &changes, error, unknown.take()).await
            }
            ended => ended,
        };
        if ended.is_ok() {
            for (part, records) in commit.parts.iter().zip(records) {
                if let PartRecords::Staged(staged) = records {
                    self.0.stages.remove(&mut *session, staged_files(staged)?, part.run).await;
                }
            }
        }
        ended
    }

    /// Plans the writes of a part, before the transaction begins.
    async fn prepare<'a>(
        &'a self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &'a StreamCommit,
        index: usize,
        records: &'a PartRecords<'a>,
    ) -> Result<PartWrite<'a>> {
        self.tag(session, commit.resource.name(), Some(&part.stream), Some(part.run));
        let name = self.numbered_name(session, &commit.resource, &part.stream).await?;
        let is_new = self.catalog(session).await?.take_new(&name);
        let (input, mut counts, sequence) = match records {
            PartRecords::Staged(staged) => {
                let merge = StagedMerge::new(&self.0.names, self.documents(), &name, index, staged_files(staged)?);
                let merge = merge.inserting_first(is_new);
                merge.create_table(session).await?;
                (PartInput::Staged(merge), Counts::default(), None)
            }
            PartRecords::Bound { records, .. } => {
                let (policy, sweep_run) = marks::policy_of(part);
                let found = self.existing_rows(session, commit, part, &name, records, sweep_run).await?;
                let sequence = found.sequence;
                let MergePlan { writes, counts, unmarked } = plan(found, records, policy);
                (PartInput::Planned { writes, unmarked }, counts, sequence)
            }
        };
        let oversized = match records {
            PartRecords::Bound { oversized, .. } => oversized,
            PartRecords::Staged(staged) => &staged_files(staged)?.oversized,
        };
        let rejected = (part.rejects.len() + oversized.len()) as u64;
        counts.offered += rejected;
        counts.rejected += rejected;
        let change = part.counted_change(&counts);
        let expected = sequence.map(|sequence| sequence + i64::from(counts.changed()));
        let credits = Credits::ZERO;
        Ok(PartWrite { part, name, input, oversized, counts, expected, change, credits })
    }

    /// Writes everything, in the caller's transaction. Statements that lock tables of all resources come last, to hold those locks
    /// briefly.
    async fn write_all<'a>(
        &'a self,
        session: &mut dyn Session,
        commit: &Commit,
        writes: &mut [PartWrite<'_>],
        fence: Option<&Fence>,
        claim: &OnceLock<Claim<'a>>,
    ) -> Result<CommitReport> {
        for write in &mut *writes {
            self.write(session, commit, write, fence).await?;
        }
        self.claim_credits(writes, claim);
        let (writes, mut met) = (&*writes, Vec::new());
        for write in writes {
            if self.insert_rejects(session, commit, write.part, write.oversized).await? {
                met.push(write);
            }
        }
        // The state of another stream records the number of a part that has none.
        let changes_rows = |write: &&PartWrite<'_>| !write.part.gone.is_empty() || write.counts.changed();
        let has_state = |change: &StateChange| change.state.is_some();
        let is_unstated = |write: &&PartWrite<'_>| !write.change.as_ref().is_some_and(has_state);
        let mut unstated = writes.iter().filter(is_unstated).find(changes_rows);
        let mut report = CommitReport::new();
        for write in writes {
            let raw = |write: &PartWrite<'_>| self.0.names.raw(&write.name);
            let version = match &write.change {
                Some(change) => {
                    let unstated =
                        unstated.take_if(|_| has_state(change)).map(|other| (other.part.stream.as_str(), raw(other)));
                    let numbers = CommitNumbers { raw: Some(raw(write)), expected: write.expected, unstated };
                    Some(self.append_in(session, change, fence, &numbers).await?)
                }
                None => None,
            };
            let credits = write.credits;
            report =
                report.stream(&write.part.stream, StreamReport::new(write.counts.clone(), version).credits(credits));
        }
        for write in writes {
            self.delete_corrected(session, commit, write.part).await?;
        }
        for write in met {
            self.update_last_seen(session, commit, write.part, write.oversized).await?;
        }
        for write in writes {
            self.end_sweep(session, commit, write.part, fence).await?;
        }
        Ok(report)
    }

    /// Adds what the process has used since the last commit to the first part that stores a state. Every attempt adds the same: the state tells
    /// whether an earlier one was committed.
    fn claim_credits<'a>(&'a self, writes: &mut [PartWrite<'_>], claim: &OnceLock<Claim<'a>>) {
        let mut stated =
            writes.iter_mut().filter(|write| write.change.as_ref().is_some_and(|change| change.state.is_some()));
        if let Some(write) = stated.next() {
            write.credits = claim.get_or_init(|| self.0.credits.claim(self.usage().awake_ms)).credits();
            write.change.iter_mut().for_each(|change| change.spend(write.credits));
        }
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
        let forget = sql!(
            "DELETE FROM {seen} WHERE \"RUN\" = ? AND \"RESOURCE\" = ? AND \"STREAM\" = ?{held}",
            held,
            seen = self.0.names.state("SNOWFEED_SEEN")
        );
        session.execute(marks::bind(Statement::new(forget), sweep_run, &commit.resource, &part.stream)).await?;
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

    /// The existing rows that these records concern and, in a reconcile run, whether the run has marked them; and, in the same snapshot,
    /// the number of the newest commit.
    async fn existing_rows(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        name: &str,
        records: &[Record],
        sweep_run: Option<RunId>,
    ) -> Result<ExistingRows> {
        let ids: HashSet<RowId<'_>> = row_ids(records).collect();
        if ids.is_empty() {
            return Ok(ExistingRows::default());
        }
        // Read only for records that depend on it.
        let has_condition = |record: &Record| matches!(record.evidence(), Evidence::VerifiedAt(_));
        let (stamp, no_stamp) = match records.iter().any(has_condition) {
            false => ("", ""),
            true => (", CAST(COALESCE(t.\"SEQ\", 0) AS VARCHAR) AS \"SEQ\"", ", NULL AS \"SEQ\""),
        };
        let (column, no_mark, marked) = match sweep_run {
            None => ("", "", Sql::default()),
            Some(_) => (
                ", CASE WHEN m.\"KEY\" IS NULL THEN '0' ELSE '1' END AS \"MARKED\"",
                ", '0' AS \"MARKED\"",
                sql!(
                    " LEFT JOIN {keys} m ON m.\"KEY\" = t.\"KEY\" AND m.\"PARENT\" = s.\"PARENT\"",
                    keys = marks::marked_keys(&self.0.names)
                ),
            ),
        };
        let raw = self.0.names.raw(name);
        let newest = NewestSequence::new(&self.0.names, &raw, &commit.resource, &part.stream);
        let select = sql!(
            "SELECT t.\"KEY\", s.\"PARENT\", CAST(t.\"VERSION\" AS VARCHAR) AS \"VERSION\", t.\"HASH\", \
             CASE WHEN t.\"DELETED_AT\" IS NULL THEN '0' ELSE '1' END AS \"DELETED\"{column}{stamp} FROM {raw} t JOIN \
             (SELECT f.value:k::VARCHAR AS \"KEY\", COALESCE(f.value:q::VARCHAR, '') AS \"PARENT\" FROM (SELECT PARSE_JSON(?) AS \
             \"ROWS\") b, LATERAL FLATTEN(input => b.\"ROWS\") f) s ON t.\"KEY\" = s.\"KEY\" AND COALESCE(t.\"PARENT\", '') = \
             s.\"PARENT\"{marked} UNION ALL SELECT NULL AS \"KEY\", NULL AS \"PARENT\", CAST({newest} AS VARCHAR) AS \"VERSION\", NULL AS \
             \"HASH\", '0' AS \"DELETED\"{no_mark}{no_stamp}",
            column,
            stamp,
            no_mark,
            no_stamp,
            marked,
            raw = &raw,
            newest = &newest.sql
        );
        let mut select = Statement::new(select).bind(Bind::json(&ids)?);
        if let Some(sweep_run) = sweep_run {
            select = marks::bind(select, sweep_run, &commit.resource, &part.stream);
        }
        let answer = session.execute(newest.bind(select)).await;
        let answer = answer.map_err(|error| self.missing_table(error, name))?;
        let mut found = ExistingRows::default();
        for row in &answer.rows {
            let Some(key) = row.get(0)? else {
                found.sequence = Some(row.integer(2)?);
                continue;
            };
            let hash = row.get(3)?.and_then(|hash| unhex(hash));
            let version = row.integer(2).map_err(|error| unreadable_row(&raw, key, error))?;
            let mut present = StoredVersion::new(Version(version), hash, row.boolean(4)?);
            let is_marked = if sweep_run.is_some() { row.boolean(5)? } else { false };
            if !stamp.is_empty() {
                let stamp = row.integer(5 + usize::from(sweep_run.is_some()))?;
                present = present.sequence(Sequence(stamp.unsigned_abs()));
            }
            let of_parent = found.rows.entry(row.text(1)?.to_string()).or_default();
            of_parent.insert(key.to_string(), ExistingRow { present, is_marked });
        }
        Ok(found)
    }

    /// A dropped raw table is not recreated automatically: the state claims that its rows exist.
    fn missing_table(&self, error: Error, name: &str) -> Error {
        if !is_missing(&error) {
            return error;
        }
        let (table, catalog) = (self.0.names.raw(name), self.0.names.state("SNOWFEED_TABLE"));
        Error::new(ErrorKind::NotFound, format!("the table {table} is gone, or this role may not use it"))
            .with_help(format!(
                "bring it back (UNDROP TABLE {table}); or, to read the resource from the start, remove its row from \
                 {catalog} and `reset` it"
            ))
            .with_source(error)
    }

    /// Writes the rows of one table, in the caller's transaction.
    async fn write(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        write: &mut PartWrite<'_>,
        fence: Option<&Fence>,
    ) -> Result<()> {
        let part = write.part;
        self.tag(session, commit.resource.name(), Some(&part.stream), Some(part.run));
        let table = self.0.names.raw(&write.name);
        match (&write.input, fence) {
            (PartInput::Planned { writes, unmarked }, fence) => {
                self.write_planned(session, commit, part, &table, writes, fence).await?;
                let marked = row_ids(&part.records).filter(|id| !unmarked.contains(id));
                self.mark(session, commit, part, marked).await?;
            }
            (PartInput::Staged(merge), Some(fence)) => {
                let counts = merge.write(session, commit, part, fence).await;
                write.counts += &counts.map_err(|error| self.missing_table(error, &write.name))?;
                write.change = part.counted_change(&write.counts);
                // They are in no file, but the source has listed them.
                self.mark(session, commit, part, write.oversized.iter().map(Oversized::row_id)).await?;
            }
            (PartInput::Staged(_), None) => return Err(Error::internal("staged records are merged without the fence")),
        }
        let was_numbered = write.counts.changed();
        let deleted = self.delete_gone(session, commit, part, &table, was_numbered).await?;
        if deleted > 0 {
            write.expected = write.expected.map(|expected| expected + i64::from(!was_numbered));
            write.counts.offered += deleted;
            write.counts.deleted += deleted;
            write.change = write.part.counted_change(&write.counts);
        }
        Ok(())
    }

    fn documents(&self) -> StoredDocuments {
        StoredDocuments { keeps: self.0.options.keep_documents }
    }

    async fn write_planned(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        table: &Sql,
        writes: &[RowWrite<'_>],
        fence: Option<&Fence>,
    ) -> Result<()> {
        let newest = NewestSequence::new(&self.0.names, table, &commit.resource, &part.stream);
        let Some(merge) =
            planned_merge::merge(writes, table, &time::ntz_text(commit.at), &newest, fence, self.documents())?
        else {
            return Ok(());
        };
        let merged = session.execute(merge).await?;
        if fence.is_some() && planned_merge::lacks_rows(writes, merged.rows_affected()?) {
            return Err(transaction::lost());
        }
        Ok(())
    }

    /// Marks keys, if the part marks.
    async fn mark(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        keys: impl Iterator<Item = RowId<'_>>,
    ) -> Result<()> {
        let Some(Sweep::Mark(sweep_run, _)) = part.sweep else { return Ok(()) };
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mark = sql!(
            "INSERT INTO {seen} (\"RUN\", \"RESOURCE\", \"STREAM\", \"KEY\", \"PARENT\") SELECT b.\"RUN\", b.\"RESOURCE\", \
             b.\"STREAM\", f.value:k::VARCHAR, f.value:q::VARCHAR FROM (SELECT CAST(? AS VARCHAR) AS \"RUN\", CAST(? AS \
             VARCHAR) AS \"RESOURCE\", CAST(? AS VARCHAR) AS \"STREAM\", PARSE_JSON(?) AS \"ROWS\") b, \
             LATERAL FLATTEN(input => b.\"ROWS\") f",
            seen = self.0.names.state("SNOWFEED_SEEN")
        );
        let mark = marks::bind(Statement::new(mark), sweep_run, &commit.resource, &part.stream);
        session.execute(mark.bind(Bind::json(&keys)?)).await.map(drop)
    }
}

/// The files of staged records.
fn staged_files(staged: &StagedRecords) -> Result<&StagedFiles> {
    staged.content().ok_or_else(|| Error::internal("a commit names records that another sink has staged"))
}

/// The approximate size of records in a bound value, in bytes.
fn bound_size(records: &[Record]) -> usize {
    let size = |(id, record): (RowId<'_>, &Record)| {
        record.key.len() + id.parent().len() + record.json().map_or(0, |json| json.len() + json.len() / 8) + 96
    };
    row_ids(records).zip(records).map(size).sum()
}
