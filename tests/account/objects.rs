//! The objects that the run makes in an account, and how it removes all of them.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use snowfeed::Result;
use snowfeed::internals::snowflake::{Session, Sql, Statement};

use crate::endpoints::Part;

/// The prefix of every name.
pub(crate) const PREFIX: &str = "SNOWFEED_ACCEPTANCE_";

/// The prefix of every comment; `app deploy` and `app install` write the same.
const COMMENT: &str = "Made by snowfeed";

/// A run that began this long ago is over.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);

/// The id of a run: when it began, in UTC, and a part that no other run has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunId(String);

const TIME: &str = "%Y%m%dT%H%M%S";

impl RunId {
    pub(crate) fn new(began: Timestamp) -> Self {
        let random = uuid::Uuid::now_v7().simple().to_string().split_off(26);
        Self(format!("{}_{}", began.strftime(TIME), random.to_uppercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id in the name of an object that a run has made.
    fn of_object(name: &str) -> Option<Self> {
        let (time, rest) = name.strip_prefix(PREFIX)?.split_once('_')?;
        let random = rest.split(['_', ' ']).next()?;
        let is_id = random.len() == 6 && random.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
        let id = Self(format!("{time}_{random}"));
        (is_id && id.began().is_some()).then_some(id)
    }

    fn began(&self) -> Option<Timestamp> {
        let time = self.0.split_once('_')?.0;
        let time = jiff::civil::DateTime::strptime(TIME, time).ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    }

    /// The name of an object of this run.
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{PREFIX}{}_{suffix}", self.0)
    }

    pub(crate) fn comment(&self) -> String {
        format!("{COMMENT}, acceptance run {}", self.0)
    }

    fn lock_file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.lock", self.0))
    }

    /// Marks this run as active for other runs of this folder, until it is dropped.
    pub(crate) fn lock(&self, folder: &Path) -> Lock {
        std::fs::create_dir_all(folder).unwrap();
        let path = self.lock_file(folder);
        let file = File::create(&path).unwrap();
        file.lock().unwrap();
        Lock { path, _file: file }
    }

    /// Whether the run may be active. One started on another machine may be, until it exceeds the maximum age.
    fn may_be_alive(&self, folder: &Path) -> bool {
        match File::open(self.lock_file(folder)) {
            Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
            Err(_) => self.began().is_some_and(|began| Timestamp::now().duration_since(began) < LONGEST),
        }
    }
}

/// See [`RunId::lock`].
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A leftover file can be locked.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A kind of object that a run makes, or has made.
struct Kind {
    part: Part,
    /// Its name in SHOW.
    show: &'static str,
    /// Its name in DROP.
    drop: &'static str,
    cascade: &'static str,
    /// Whether an object without a comment can be a run's: it cannot have a comment, or the app has made it.
    bare: bool,
}

const fn kind(part: Part, show: &'static str, drop: &'static str, cascade: &'static str, bare: bool) -> Kind {
    Kind { part, show, drop, cascade, bare }
}

/// In the order in which they can be dropped.
const KINDS: &[Kind] = &[
    kind(Part::App, "APPLICATIONS", "APPLICATION", " CASCADE", false),
    kind(Part::App, "APPLICATION PACKAGES", "APPLICATION PACKAGE", "", false),
    kind(Part::App, "EXTERNAL ACCESS INTEGRATIONS", "INTEGRATION", "", false),
    kind(Part::App, "COMPUTE POOLS", "COMPUTE POOL", "", true),
    kind(Part::App, "DATABASES", "DATABASE", "", true),
    kind(Part::Sql, "DATABASES", "DATABASE", "", true),
    kind(Part::Sql, "WAREHOUSES", "WAREHOUSE", "", false),
    kind(Part::Sql, "RESOURCE MONITORS", "RESOURCE MONITOR", "", true),
];

/// An object found in the account.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) what: String,
    pub(crate) drop: String,
    run: RunId,
    is_ours: bool,
}

/// What a sweep did and what failed.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) dropped: Vec<String>,
    /// Statements to run by hand, and why.
    pub(crate) failed: Vec<(String, String)>,
    /// Objects left alone, and why.
    pub(crate) spared: Vec<(String, &'static str)>,
}

/// Drops everything of one run; or, without one, everything of killed runs.
pub(crate) async fn sweep(part: Part, session: &mut dyn Session, of: Option<&RunId>, folder: &Path) -> Swept {
    let mut swept = Swept::default();
    // The second pass finds objects of statements that were still running during the first one.
    for _ in 0..2 {
        (swept.failed, swept.spared) = (Vec::new(), Vec::new());
        let mut found_any = false;
        for kind in KINDS.iter().filter(|kind| kind.part == part) {
            let found = match find(session, kind).await {
                Ok(found) => found,
                // An account without such objects does not know this SHOW.
                Err(_) if of.is_none() => continue,
                // The role did not create objects that it cannot see.
                Err(_) if !matches!(kind.drop, "DATABASE" | "WAREHOUSE") => {
                    swept
                        .spared
                        .push((format!("{} of this run", kind.show), "the role cannot list any, so it created none"));
                    continue;
                }
                Err(error) => {
                    swept.failed.push((format!("SHOW {} LIKE '{PREFIX}%'", kind.show), error.message().to_owned()));
                    continue;
                }
            };
            for object in found {
                let is_meant = of.is_none_or(|run| object.run == *run);
                if !is_meant {
                    continue;
                }
                if of.is_none() && object.run.may_be_alive(folder) {
                    swept.spared.push((object.what, "its run may still be active"));
                } else if !object.is_ours {
                    swept.spared.push((object.what, "its comment is not that of a run"));
                } else {
                    found_any = true;
                    drop_one(session, kind, object, &mut swept).await;
                }
            }
        }
        if !found_any {
            break;
        }
    }
    swept
}

async fn drop_one(session: &mut dyn Session, kind: &Kind, object: Found, swept: &mut Swept) {
    if kind.drop == "COMPUTE POOL" {
        // A pool with a job in it is not dropped. Without one, this fails or does nothing.
        let name = object.drop.rsplit(' ').next().unwrap_or_default();
        let _ = session.execute(Statement::new(Sql::assert_safe(format!("ALTER COMPUTE POOL {name} STOP ALL")))).await;
    }
    match session.execute(Statement::new(Sql::assert_safe(&object.drop))).await {
        Ok(_) => swept.dropped.push(object.what),
        Err(error) => swept.failed.push((object.drop, error.message().to_owned())),
    }
}

/// The objects of a kind that are named like a run's.
async fn find(session: &mut dyn Session, kind: &Kind) -> Result<Vec<Found>> {
    let answer =
        session.execute(Statement::new(Sql::assert_safe(format!("SHOW {} LIKE '{PREFIX}%'", kind.show)))).await?;
    let column = |name: &str| answer.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (name, comment, of) = (column("name"), column("comment"), column("kind"));
    let text = |row: &snowfeed::internals::snowflake::Row, column: Option<usize>| {
        column.and_then(|column| row.get(column).ok().flatten()).map(|text| text.to_string()).unwrap_or_default()
    };
    let mut found = Vec::new();
    for row in &answer.rows {
        let (name, comment, of) = (text(row, name), text(row, comment), text(row, of));
        let Some(run) = RunId::of_object(&name) else { continue };
        // SHOW DATABASES has applications and packages, too.
        if kind.drop == "DATABASE" && of.starts_with("APPLICATION") {
            continue;
        }
        let is_ours = comment.starts_with(COMMENT) || (kind.bare && comment.is_empty());
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let drop = format!("DROP {} IF EXISTS {quoted}{}", kind.drop, kind.cascade);
        found.push(Found { what: format!("{} {name}", kind.drop), drop, run, is_ours });
    }
    Ok(found)
}

#[test]
fn object_names_identify_their_run() {
    let id = RunId::new("2026-11-28T02:45:10Z".parse().unwrap());
    assert_eq!(RunId::of_object(&id.name("WAREHOUSE")), Some(id.clone()));
    assert_eq!(RunId::of_object(&id.name("WITH A BLANK")), Some(id.clone()));
    assert_eq!(id.began(), Some("2026-11-28T02:45:10Z".parse().unwrap()));
    for other in
        ["SNOWFEED_ACCEPTANCE_TESTS", "SNOWFEED_ACCEPTANCE_20261128T024510", "RAW", "SNOWFEED_ACCEPTANCE_X_ABCDEF"]
    {
        assert_eq!(RunId::of_object(other), None, "{other}");
    }
}

#[test]
fn a_run_is_over_when_its_lock_is_free_or_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let id = RunId::new(Timestamp::now());
    assert!(id.may_be_alive(folder.path()), "another machine may have started it");
    let lock = id.lock(folder.path());
    assert!(id.may_be_alive(folder.path()));
    let path = lock.path.clone();
    drop(lock);
    assert!(!path.exists());
    // A killed run leaves its file.
    File::create(&path).unwrap();
    assert!(!id.may_be_alive(folder.path()));
    let old = RunId::new(Timestamp::now() - LONGEST - SignedDuration::from_secs(60));
    assert!(!old.may_be_alive(folder.path()));
}
