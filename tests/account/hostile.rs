//! Settings of sessions and databases that would change the meaning of statements.

use serde_json::json;
use snowfeed::backends::Snowflake;
use snowfeed::{Record, Sink, StateStore, StateVersion, Version};

use crate::endpoints::Part;
use crate::load::rows;
use crate::scene::{Scene, ask};
use crate::source::{TABLE, commit_with_state, key, resource, table};
use crate::step::{Ended, Stop, ensure};

/// Writes keys that differ only by case, twice, and reads them in another session.
async fn check(snowflake: &Snowflake, reader: &Snowflake) -> Result<(), Stop> {
    let one = resource("Mixed case");
    snowflake.ensure_streams(&one, &[table()]).await?;
    let mut base = StateVersion::NONE;
    for version in [1, 2] {
        let record = |key: &str| Record::upsert(key, Version(version), format!(r#"{{"title":"{key} {version}"}}"#));
        let report = snowflake.commit(commit_with_state(&one, vec![record("A"), record("a")], base)).await?;
        base = report.streams[TABLE].version.ok_or_else(|| Stop::NotHeld("the commit returned no version".into()))?;
    }
    let found = rows(reader, &one).await?;
    let expected = ["A", "a"].map(|key| (key.to_owned(), format!(r#"{{"title":"{key} 2"}}"#)));
    ensure!(found == expected.into(), "found rows {found:?}");
    let state = reader.latest(&key(&one)).await?.map(|entry| entry.version);
    ensure!(state == Some(base), "the state has version {state:?}, but was stored as {base:?}");
    Ok(())
}

/// A connection whose own session parameters contradict ours.
pub(crate) async fn session(scene: &Scene<'_>) -> Ended {
    let database = scene.database("HOSTILE_SESSION").await?;
    let parameters = json!({
        "AUTOCOMMIT": false, "QUOTED_IDENTIFIERS_IGNORE_CASE": true, "TIMEZONE": "Pacific/Chatham", "WEEK_START": 3,
        "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_LTZ", "TIMESTAMP_OUTPUT_FORMAT": "DD/MM/YY", "TIMESTAMP_NTZ_OUTPUT_FORMAT": "HH12",
        "TIMESTAMP_INPUT_FORMAT": "DD.MM.YYYY", "DATE_OUTPUT_FORMAT": "YY", "JSON_INDENT": 7, "ROWS_PER_RESULTSET": 1,
        "USE_CACHED_RESULT": false, "BINARY_OUTPUT_FORMAT": "BASE64", "TRANSACTION_ABORT_ON_ERROR": true,
    });
    let client = scene.client_with(Part::Sql, |mut connection| {
        connection.session_parameters.extend(parameters.as_object().unwrap().clone());
        connection.database(&database)
    })?;
    check(&scene.backend_over(client, &database), &scene.backend(&database)?).await?;
    Ok(Vec::new())
}

/// A database that compares texts without regard to case unless a column says otherwise.
pub(crate) async fn database(scene: &Scene<'_>) -> Ended {
    let database = scene.database("HOSTILE_DATABASE").await?;
    let mut session = scene.session().await?;
    let collation = format!("ALTER DATABASE {database} SET DEFAULT_DDL_COLLATION = 'en-ci'");
    ask(&mut *session, collation).await?;
    check(&scene.backend(&database)?, &scene.backend(&database)?).await?;
    Ok(Vec::new())
}
