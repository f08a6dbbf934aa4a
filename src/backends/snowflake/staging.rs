//! Stages records as compressed files while a source is read, and removes what dead runs have left on the stage.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument;
use uuid::Uuid;

use super::names::digest;
use super::options::SnowflakeOptions;
use super::oversized::Oversized;
use super::plan::{hex, row_ids};
use super::pool::SessionPool;
use super::transaction;
use crate::backends::surrogates;
use crate::record::content_hash;
use crate::snowflake::stage::GzipLines;
use crate::snowflake::{Session, Sql, StagedFile, Statement, sql, stage_reference};
use crate::{Error, Evidence, Record, Resource, Result, RunId, Sequence, Stage, StagedRecords};

/// The folder of all staged files, in the stage.
const FOLDER: &str = "load";

/// The largest compressed size of a file, in bytes. Snowflake reads about eight files at once with its smallest warehouse.
pub(super) const MAX_FILE_BYTES: usize = 10 << 20;
const MIN_FILE_BYTES: usize = 1 << 20;

/// The memory for the files that all stages of a process are filling, in bytes, as long as none becomes smaller than [`MIN_FILE_BYTES`].
const FILLING_BYTES: usize = 32 << 20;

/// How many files a process uploads at once.
const UPLOADS: usize = 2;

/// What one commit loads at most, beside its size: records, of which each takes some bytes of memory, …
pub(super) const MAX_COMMIT_RECORDS: u64 = 400_000;
/// … files, of which COPY names at most 1,000, …
const MAX_COMMIT_FILES: usize = 900;
/// … and records of one key, of which each takes a MERGE.
const MAX_ROUNDS: usize = 8;

/// The age after which staged files count as leftovers, by the clock of the run that wrote them.
const LEFTOVER: Duration = Duration::from_secs(24 * 3600);

/// What the stages of a backend share.
#[derive(Debug)]
pub(super) struct Stages {
    pool: SessionPool,
    /// The whole name of the stage.
    location: Sql,
    /// The number of stages that are being filled.
    open: Arc<AtomicUsize>,
    uploads: Arc<Semaphore>,
    /// Folders of this process whose commit has failed.
    abandoned: Mutex<Vec<String>>,
    /// Folders of runs before this process that its first commit has found; `None` before.
    found: Mutex<Option<Vec<RunFolder>>>,
    /// Greater than the ids of runs before this process.
    began: String,
    /// The compressed size of a commit, in bytes.
    pub(super) commit_bytes: u64,
}

/// The folder of a run.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RunFolder {
    /// In the stage.
    path: String,
    run: String,
}

impl Stages {
    pub(super) fn new(pool: SessionPool, location: Sql, options: &SnowflakeOptions) -> Self {
        Self {
            pool,
            location,
            open: Arc::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            abandoned: Mutex::default(),
            found: Mutex::default(),
            began: Uuid::now_v7().to_string(),
            commit_bytes: u64::from(options.commit_mib) << 20,
        }
    }
}

/// A record as a line of a file, without its document. Its members are the columns of the load table.
#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct StagedRow<'a> {
    /// How many records of the key come before it in the commit.
    round: usize,
    key: &'a str,
    /// The text of the parent's path.
    #[serde(skip_serializing_if = "str::is_empty")]
    parent: &'a str,
    version: i64,
    /// `None` for a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// The document for the VARIANT, if it differs: without lone surrogates.
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    /// Set if the document is not JSON.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_invalid: bool,
    /// Whether it replaces a row of a higher version.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_verified: bool,
    /// The sequence that the row must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
}

/// The columns of a load table.
pub(super) const LOAD_COLUMNS: &str = "\"ROUND\" NUMBER(9, 0), \"KEY\" VARCHAR, \"PARENT\" VARCHAR, \"VERSION\" NUMBER(38, 0), \
                                       \"HASH\" VARCHAR, \"DOCUMENT\" VARCHAR(134217728), \"JSON\" VARCHAR(134217728), \
                                       \"IS_INVALID\" BOOLEAN, \"IS_VERIFIED\" BOOLEAN, \"SEEN\" NUMBER(38, 0)";

/// Staged records of one part of a commit. If they are dropped before they were removed, a later commit removes them.
pub(super) struct StagedFiles {
    stages: Arc<Stages>,
    /// The stage, and the folder in it.
    pub(super) folder: String,
    /// The folder of all runs of the stream, without the stage.
    stream_folder: String,
    /// The names in the folder.
    pub(super) names: Vec<String>,
    /// The number of records in each round. Those of one round have different keys.
    pub(super) rounds: Vec<u64>,
    pub(super) traits: RecordTraits,
    /// Records that are too large for a row, which are in no file.
    pub(super) oversized: Vec<Oversized>,
    is_removed: AtomicBool,
}

/// What the records of a commit include besides plain upserts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RecordTraits {
    pub(super) has_deletions: bool,
    pub(super) has_verified: bool,
    /// Whether a row must have a certain sequence.
    pub(super) has_conditions: bool,
}

impl StagedFiles {
    fn new(stages: &Arc<Stages>, resource: &str, stream: &str, run: RunId) -> Self {
        // Any text is a legal name.
        let named = format!("{}/{resource}/{stream}", resource.len());
        let stream_folder = format!("{FOLDER}/{}/", digest(&named));
        Self {
            stages: Arc::clone(stages),
            folder: format!("{}/{stream_folder}{run}/{}", stages.location, Uuid::now_v7().simple()),
            stream_folder,
            names: Vec::new(),
            rounds: Vec::new(),
            traits: RecordTraits::default(),
            oversized: Vec::new(),
            is_removed: AtomicBool::new(false),
        }
    }

    /// The number of records in the files.
    pub(super) fn rows(&self) -> u64 {
        self.rounds.iter().sum()
    }
}

impl fmt::Debug for StagedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedFiles").field("folder", &self.folder).field("names", &self.names).finish_non_exhaustive()
    }
}

impl Drop for StagedFiles {
    fn drop(&mut self) {
        if !self.names.is_empty() && !self.is_removed.load(Ordering::Relaxed) {
            lock(&self.stages.abandoned).push(mem::take(&mut self.folder));
        }
    }
}

/// Counts a stage for as long as it is being filled.
#[derive(Debug)]
struct OpenStage(Arc<AtomicUsize>);

impl OpenStage {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }

    /// The compressed size at which a file is full. The more stages there are, the smaller their files, so that memory stays bounded.
    fn file_bytes(&self) -> u64 {
        let bytes = FILLING_BYTES / self.0.load(Ordering::Relaxed).max(1);
        bytes.clamp(MIN_FILE_BYTES, MAX_FILE_BYTES) as u64
    }
}

impl Drop for OpenStage {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes the records of a commit into files, and uploads each while the next one fills.
pub(super) struct FileStage {
    stages: Arc<Stages>,
    resource: String,
    stream: String,
    run: RunId,
    staged: StagedFiles,
    file: GzipLines,
    /// The compressed size of the files before it.
    bytes: u64,
    uploads: JoinSet<Result<()>>,
    /// The number of records of each row, by the hash of its path. Two rows that share a hash only need more rounds.
    occurrences: HashMap<u64, usize>,
    open: OpenStage,
}

impl FileStage {
    pub(super) fn new(stages: &Arc<Stages>, resource: &Resource, stream: &str, run: RunId) -> Self {
        Self {
            open: OpenStage::new(&stages.open),
            stages: Arc::clone(stages),
            resource: resource.name().to_owned(),
            stream: stream.to_owned(),
            run,
            staged: StagedFiles::new(stages, resource.name(), stream, run),
            file: GzipLines::new(),
            bytes: 0,
            uploads: JoinSet::new(),
            occurrences: HashMap::new(),
        }
    }

    /// Adds records.
    pub(super) async fn add_all(&mut self, records: &[Record]) -> Result<()> {
        for (id, record) in row_ids(records).zip(records) {
            if let Some(oversized) = Oversized::of(record) {
                self.staged.oversized.push(oversized);
                continue;
            }
            let occurrences = self.occurrences.entry(hash(&id)).or_default();
            let round = *occurrences;
            *occurrences += 1;
            let document = record.json().map(|json| &**json);
            let seen = match record.evidence() {
                Evidence::VerifiedAt(Sequence(seen)) => Some(seen),
                Evidence::Listed | Evidence::Verified => None,
            };
            let row = StagedRow {
                round,
                key: &record.key,
                parent: id.parent(),
                version: record.version.0,
                hash: document.map(|document| hex(&content_hash(document))),
                json: document.and_then(surrogates::replaced),
                is_invalid: !record.is_json(),
                is_verified: record.evidence() != Evidence::Listed,
                seen,
            };
            self.staged.traits.has_deletions |= document.is_none();
            self.staged.traits.has_verified |= row.is_verified;
            self.staged.traits.has_conditions |= seen.is_some();
            self.file.add(&row, document.map(|document| ("DOCUMENT", document))).await?;
            if self.staged.rounds.len() == round {
                self.staged.rounds.push(0);
            }
            self.staged.rounds[round] += 1;
            if self.file.size() >= self.open.file_bytes() {
                self.upload().await?;
            }
        }
        Ok(())
    }

    /// Ends the current file, and uploads it in the background. Waits while other uploads take all the memory for them.
    async fn upload(&mut self) -> Result<()> {
        let file = mem::replace(&mut self.file, GzipLines::new());
        let content: Vec<Bytes> = file.finish()?;
        self.bytes += content.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let slot = Arc::clone(&self.stages.uploads).acquire_owned().await;
        let slot = slot.map_err(|error| Error::internal("no memory is available for an upload").with_source(error))?;
        while let Some(uploaded) = self.uploads.try_join_next() {
            uploaded.map_err(panicked)??;
        }
        let name = format!("{:05}.json.gz", self.staged.names.len());
        self.staged.names.push(name.clone());
        let file = StagedFile { stage: self.staged.folder.clone(), name, content };
        let pool = self.stages.pool.clone();
        let tag = pool.tags().write(Some(&self.resource), Some(&self.stream), Some(self.run));
        let upload = async move {
            let _slot = slot;
            transaction::with_retry(|| async {
                let mut session = pool.session().await?;
                session.set_query_tag(Arc::clone(&tag));
                session.put(file.clone()).await
            })
            .await
        };
        self.uploads.spawn(upload.in_current_span());
        Ok(())
    }
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::internal("an upload panicked").with_source(error)
}

fn hash(id: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Debug for FileStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStage").field("staged", &self.staged).finish_non_exhaustive()
    }
}

#[async_trait]
impl Stage for FileStage {
    fn accepts(&self, records: &[Record]) -> bool {
        let mut occurrences: HashMap<u64, usize> = HashMap::new();
        row_ids(records).all(|id| {
            let hash = hash(&id);
            let more = occurrences.entry(hash).or_default();
            *more += 1;
            *more + self.occurrences.get(&hash).copied().unwrap_or_default() <= MAX_ROUNDS
        })
    }

    async fn add(&mut self, records: Vec<Record>) -> Result<()> {
        self.add_all(&records).await
    }

    fn is_full(&self) -> bool {
        self.bytes + self.file.size() >= self.stages.commit_bytes
            || self.staged.rows() >= MAX_COMMIT_RECORDS
            || self.staged.names.len() >= MAX_COMMIT_FILES
    }

    /// Uploads the last file, and waits until all are stored.
    async fn finish(mut self: Box<Self>) -> Result<StagedRecords> {
        if self.file.lines() > 0 {
            self.upload().await?;
        }
        while let Some(uploaded) = self.uploads.join_next().await {
            uploaded.map_err(panicked)??;
        }
        let records = self.staged.rows() + self.staged.oversized.len() as u64;
        Ok(StagedRecords::new(records, self.staged))
    }
}

impl Stages {
    /// Removes the files of a commit that has succeeded, and what earlier runs of its stream have left: a run that began before this
    /// commit can no longer commit. A later commit removes what cannot be removed now.
    pub(super) async fn remove(&self, session: &mut dyn Session, files: &StagedFiles, run: RunId) {
        let mut folders = mem::take(&mut *lock(&self.abandoned));
        if !files.names.is_empty() {
            folders.push(files.folder.clone());
            files.is_removed.store(true, Ordering::Relaxed);
        }
        match self.leftovers(session, &files.stream_folder, run).await {
            Ok(found) => folders.extend(found),
            Err(error) => tracing::warn!(%error, "leftovers of earlier runs could not be looked for"),
        }
        for folder in folders {
            let location = stage_reference(&format!("{folder}/"));
            if let Err(error) = session.execute(Statement::new(sql!("REMOVE {location}", location))).await {
                tracing::warn!(%error, "staged files could not be removed; a later commit removes them");
                lock(&self.abandoned).push(folder);
            }
        }
    }

    /// Takes the folders of other runs of a stream, and those that are so old that their run must have ended.
    async fn leftovers(&self, session: &mut dyn Session, stream: &str, own: RunId) -> Result<Vec<String>> {
        let stage = &self.location;
        let is_searched = lock(&self.found).is_some();
        if !is_searched {
            let files = session.execute(Statement::new(sql!("LIST {stage}", stage = stage_reference(stage)))).await?;
            let names = files.rows.iter().map(|row| row.text(0));
            let found = names.filter_map(|name| name.map(|name| RunFolder::of_file(name)).transpose());
            let found = found.collect::<Result<BTreeSet<RunFolder>>>()?;
            let earlier = found.into_iter().filter(|folder| folder.run < self.began);
            *lock(&self.found) = Some(earlier.collect());
        }
        let mut found = lock(&self.found);
        let own = own.to_string();
        let is_leftover = |folder: &mut RunFolder| {
            folder.run != own && (folder.path.starts_with(stream) || folder.run.parse().is_ok_and(is_old))
        };
        let taken = found.iter_mut().flat_map(|found| found.extract_if(.., is_leftover));
        Ok(taken.map(|folder| format!("{stage}/{}", folder.path)).collect())
    }
}

impl RunFolder {
    /// The folder of a staged file, whose name begins with the stage's. Earlier editions had one for each run.
    fn of_file(name: &str) -> Option<Self> {
        let (_, path) = name.split_once('/')?;
        let mut parts = path.split('/');
        match parts.next()? {
            FOLDER => {
                let (stream, run) = (parts.next()?, parts.next()?);
                Some(Self { path: format!("{FOLDER}/{stream}/{run}"), run: run.to_owned() })
            }
            run => Some(Self { path: run.to_owned(), run: run.to_owned() }),
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the run with this id began long enough ago to be over.
fn is_old(run: Uuid) -> bool {
    let Some(began) = run.get_timestamp() else { return false };
    let (seconds, nanos) = began.to_unix();
    let began = UNIX_EPOCH + Duration::new(seconds, nanos);
    began.elapsed().is_ok_and(|age| age > LEFTOVER)
}

#[cfg(test)]
mod tests {
    use super::super::query_tag::QueryTags;
    use super::*;
    use crate::snowflake::{Client, Usage};

    #[test]
    fn the_folder_of_a_run_is_found_in_the_name_of_its_files() {
        let folder = |name: &str| RunFolder::of_file(name).map(|folder| (folder.path, folder.run));
        let found = folder("snowfeed_stage/load/ab/run/commit/00000.json.gz");
        assert_eq!(found, Some(("load/ab/run".to_owned(), "run".to_owned())));
        assert_eq!(folder("snowfeed_stage/run/commit/x.json.gz"), Some(("run".to_owned(), "run".to_owned())));
        assert_eq!(folder("snowfeed_stage"), None);
    }

    #[derive(Debug)]
    struct NoClient;

    #[async_trait]
    impl Client for NoClient {
        async fn open(&self) -> Result<Box<dyn Session>> {
            Err(Error::internal("no session is needed"))
        }

        fn usage(&self) -> Usage {
            Usage::default()
        }
    }

    #[tokio::test]
    async fn a_stage_is_full_at_the_size_of_the_options() {
        let pool = SessionPool::new(Arc::new(NoClient), QueryTags::new("DB", None));
        for (mib, is_full) in [(100, true), (101, false)] {
            let options = SnowflakeOptions::default().commit_mib(mib);
            let stages = Arc::new(Stages::new(pool.clone(), Sql::default(), &options));
            let mut stage = FileStage::new(&stages, &Resource::new("a").unwrap(), "issues", RunId::new());
            stage.bytes = 100 << 20;
            assert_eq!(stage.is_full(), is_full, "{mib}");
        }
    }

    #[test]
    fn the_more_stages_are_open_the_smaller_are_their_files() {
        let open = Arc::default();
        let one = OpenStage::new(&open);
        assert_eq!(one.file_bytes(), MAX_FILE_BYTES as u64);
        let others: Vec<_> = (0..39).map(|_| OpenStage::new(&open)).collect();
        assert_eq!(one.file_bytes(), MIN_FILE_BYTES as u64);
        drop(others);
        assert_eq!(one.file_bytes(), MAX_FILE_BYTES as u64);
    }
}
