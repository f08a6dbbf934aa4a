//! Migrates a file from the version that wrote it to this program's, step by step.
//!
//! | version | the step to it |
//! |---|---|
//! | 1 | creates the tables |
//! | 2 | adds `repaired` to the raw tables: documents that hold halves of surrogate pairs, as the views read them |
//! | 3 | gives each stream of a resource a state of its own: the state of a resource with one stream becomes that of the stream |
//! | 4 | adds `parent` and `seq` to the raw tables, and the numbers of the commits: what child streams need |
//!
//! Each step is one transaction, which raises the file's `user_version`: a program that dies on the way leaves a file of a version
//! between, and the next one continues from there. The last step recreates the views.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::SqliteResult;
use super::{sql, tables};
use crate::Error;
use crate::backends::surrogates;

/// The application id in the header of a file of this crate: `SNOF`.
pub(super) const APPLICATION_ID: i32 = 0x534E_4F46;

/// A step from a version to the next one.
type Step = fn(&Transaction<'_>) -> SqliteResult<()>;

/// The steps, from version 0 to 1, from 1 to 2, and so on. A released step never changes; a step that does not change the tables of
/// [`shape`] can be repeated.
const STEPS: &[Step] = &[create_tables, add_repaired, split_states, add_sequences];

/// The header of a file, and whether the file has tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) application: i32,
    pub(super) version: i32,
    pub(super) has_tables: bool,
}

impl Header {
    fn read(connection: &Connection) -> SqliteResult<Self> {
        // One statement: between two, another process may initialize the file.
        let header = connection.query_row(
            "SELECT application_id, user_version, EXISTS (SELECT 1 FROM sqlite_schema) \
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| Ok(Self { application: row.get(0)?, version: row.get(1)?, has_tables: row.get(2)? }),
        );
        Ok(header?)
    }

    /// Rejects a file of another program or of a newer version. A file without its header fields, such as one restored from an
    /// SQL dump, may be this crate's.
    pub(super) fn refuse(self) -> crate::Result<()> {
        let Self { application, version, .. } = self;
        if application != APPLICATION_ID && !(application == 0 && (!self.has_tables || version == 0)) {
            return Err(foreign_database());
        }
        if application == APPLICATION_ID && usize::try_from(version).is_ok_and(|version| version > STEPS.len()) {
            return Err(Error::configuration("the database was written by a newer version of this program")
                .with_context("its version", version)
                .with_context("newest known", STEPS.len())
                .with_help("upgrade this program, or name another file, such as a copy from before the upgrade"));
        }
        Ok(())
    }

    /// Whether only its tables identify the file.
    pub(super) fn is_lost(self) -> bool {
        self.has_tables && self.version <= 0
    }
}

/// Returns the version of a file of this crate; 0 when it is empty.
pub(super) fn version(connection: &Connection) -> SqliteResult<usize> {
    let header = Header::read(connection)?;
    header.refuse()?;
    if !header.is_lost() {
        return Ok(usize::try_from(header.version).unwrap_or(0));
    }
    match recognize(connection)? {
        Some(version) => Ok(version),
        None if header.application == APPLICATION_ID => {
            Err(Error::configuration("the database has lost its version, and its tables match no version")
                .with_context("user_version", header.version)
                .with_help("restore the file from a copy, or name another file, which will be created")
                .into())
        }
        None => Err(foreign_database().into()),
    }
}

/// Runs the missing steps, and logs the versions.
pub(super) fn upgrade(connection: &mut Connection) -> SqliteResult<()> {
    let before = version(connection)?;
    run(connection, STEPS)?;
    if before > 0 && before < STEPS.len() {
        tracing::info!(from = before, to = STEPS.len(), "the database was upgraded");
    }
    Ok(())
}

/// Whether a file needs no migration, and its header has this version.
pub(super) fn is_current(connection: &Connection) -> SqliteResult<bool> {
    Ok(version(connection)? == STEPS.len() && !Header::read(connection)?.is_lost())
}

fn run(connection: &mut Connection, steps: &[Step]) -> SqliteResult<()> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have run it meanwhile.
        let version = version(&transaction)?;
        let reached = match steps.get(version) {
            Some(step) => {
                step(&transaction)?;
                version + 1
            }
            None if Header::read(&transaction)?.is_lost() => version,
            None => return Ok(()),
        };
        if reached == STEPS.len() {
            tables::recreate_views(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", i64::try_from(reached).unwrap_or(i64::MAX))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.commit()?;
    }
}

/// The version whose tables a file has, if any.
pub(super) fn recognize(connection: &Connection) -> SqliteResult<Option<usize>> {
    let found = shape(connection)?;
    let mut model = Connection::open_in_memory()?;
    let (mut before, mut recognized) = (BTreeSet::new(), None);
    for (index, step) in STEPS.iter().enumerate() {
        let transaction = model.transaction()?;
        step(&transaction)?;
        transaction.commit()?;
        let shape = shape(&model)?;
        // A step that does not change these tables may have run already, and runs again.
        if shape != before && shape.is_subset(&found) {
            recognized = Some(index + 1);
        }
        before = shape;
    }
    Ok(recognized)
}

/// The statements that created the tables and views of a file.
fn shape(connection: &Connection) -> SqliteResult<BTreeSet<String>> {
    let mut find = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    Ok(find.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn foreign_database() -> Error {
    Error::configuration("the database belongs to another program")
        .with_help("name another file, or one that does not exist yet, which will be created")
}

/// To version 1.
fn create_tables(transaction: &Transaction<'_>) -> SqliteResult<()> {
    Ok(transaction.execute_batch(include_str!("v1.sql"))?)
}

/// To version 2.
fn add_repaired(transaction: &Transaction<'_>) -> SqliteResult<()> {
    for stream in tables::streams(transaction)? {
        let raw = sql::raw_table(&stream);
        let has = transaction.prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = 'repaired'")?;
        if !{ has }.exists([format!("snowfeed_raw_{stream}")])? {
            transaction.execute_batch(&format!("ALTER TABLE {raw} ADD COLUMN repaired TEXT"))?;
        }
        let mut find = transaction
            .prepare(&format!("SELECT id, raw FROM {raw} WHERE instr(raw, '\\ud') > 0 OR instr(raw, '\\uD') > 0"))?;
        let mut repair = transaction.prepare(&format!("UPDATE {raw} SET repaired = ?2 WHERE id = ?1"))?;
        let mut rows = find.query([])?;
        // Only `repaired` changes, which the query does not look at: no row comes twice.
        while let Some(row) = rows.next()? {
            let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
            if let Some(repaired) = surrogates::replaced(&text) {
                repair.execute(rusqlite::params![id, repaired])?;
            }
        }
    }
    Ok(())
}

/// To version 3. Of a resource with several streams, whose checkpoint covered all of them, each stream is read from its start.
fn split_states(transaction: &Transaction<'_>) -> SqliteResult<()> {
    Ok(transaction.execute_batch(include_str!("v3.sql"))?)
}

/// To version 4. The rows of before have the sequence 0.
fn add_sequences(transaction: &Transaction<'_>) -> SqliteResult<()> {
    transaction.execute_batch(include_str!("v4.sql"))?;
    for stream in tables::streams(transaction)? {
        let (raw, index) = (sql::raw_table(&stream), sql::key_index(&stream));
        transaction.execute_batch(&format!(
            "ALTER TABLE {raw} ADD COLUMN parent TEXT NOT NULL DEFAULT '';
             ALTER TABLE {raw} ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
             DROP INDEX IF EXISTS {index};
             CREATE UNIQUE INDEX {index} ON {raw} (resource_id, parent, key);"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_of(connection: &Connection) -> i32 {
        Header::read(connection).unwrap().version
    }

    #[test]
    fn a_failed_step_leaves_the_previous_version_and_can_be_repeated() {
        fn half(transaction: &Transaction<'_>) -> SqliteResult<()> {
            transaction.execute_batch("CREATE TABLE half (x); INSERT INTO nowhere VALUES (1)")?;
            Ok(())
        }
        fn whole(transaction: &Transaction<'_>) -> SqliteResult<()> {
            Ok(transaction.execute_batch("CREATE TABLE half (x)")?)
        }
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(run(&mut connection, &[create_tables, half, whole]).is_err());
        assert_eq!(version_of(&connection), 1);
        assert!(!shape(&connection).unwrap().contains("CREATE TABLE half (x)"));
        run(&mut connection, &[create_tables, whole]).unwrap();
        assert_eq!(version_of(&connection), 2);
        run(&mut connection, &[create_tables, whole]).unwrap();
    }

    #[test]
    fn a_step_that_fails_halfway_leaves_no_trace() {
        const STEP: &str = include_str!("v3.sql");
        let mut connection = Connection::open_in_memory().unwrap();
        let before = [create_tables, add_repaired];
        run(&mut connection, &before).unwrap();
        let old = shape(&connection).unwrap();
        for (end, _) in STEP.match_indices("\n\n") {
            let transaction = connection.transaction().unwrap();
            transaction.execute_batch(&STEP[..end]).unwrap();
            // Nothing commits it.
            drop(transaction);
            let temporary = "SELECT count(*) FROM sqlite_temp_schema";
            assert_eq!(connection.query_row(temporary, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
            assert_eq!((version_of(&connection), shape(&connection).unwrap()), (2, old.clone()));
        }
        run(&mut connection, STEPS).unwrap();
        assert_eq!(version_of(&connection), i32::try_from(STEPS.len()).unwrap());
    }

    #[test]
    fn a_file_is_recognized_by_its_tables() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(recognize(&connection).unwrap(), None);
        run(&mut connection, &STEPS[..1]).unwrap();
        assert_eq!(recognize(&connection).unwrap(), Some(1));
        connection.execute_batch("CREATE TABLE more (x)").unwrap();
        assert_eq!(recognize(&connection).unwrap(), Some(1));
        connection.execute_batch("ALTER TABLE APP_STATE ADD COLUMN x").unwrap();
        assert_eq!(recognize(&connection).unwrap(), None);
    }
}
