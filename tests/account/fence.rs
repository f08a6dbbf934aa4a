//! Concurrent writers.

use futures::future::join_all;
use snowfeed::{ErrorKind, Record, Sink, StateStore, StateVersion, Version};

use crate::load::rows;
use crate::scene::Scene;
use crate::source::{TABLE, commit_with_state, issue, key, resource, table};
use crate::step::{Ended, Stop, ensure};

/// How often two writers collide.
const ROUNDS: i64 = 5;

/// Two writers commit on one base: exactly one wins, and the other leaves no row.
pub(crate) async fn two_writers(scene: &Scene<'_>) -> Ended {
    let database = scene.database("FENCE").await?;
    let one = resource("contended");
    let writers = [scene.backend(&database)?, scene.backend(&database)?];
    writers[0].ensure_streams(&one, &[table()]).await?;
    writers[1].ensure_streams(&one, &[table()]).await?;
    let (mut base, mut expected) = (StateVersion::NONE, Vec::new());
    for round in 0..ROUNDS {
        let keys = ["first", "second"].map(|writer| format!("{writer} {round}"));
        let commits = [0, 1].map(|writer| {
            let record = Record::upsert(keys[writer].clone(), Version(1), "{}");
            writers[writer].commit(commit_with_state(&one, vec![record], base))
        });
        let ended = join_all(commits).await;
        let won: Vec<usize> = (0..2).filter(|writer| ended[*writer].is_ok()).collect();
        ensure!(won.len() == 1, "{} of two writers on one base won in round {round}: {ended:?}", won.len());
        let lost = ended[1 - won[0]].as_ref().err().map(snowfeed::Error::kind);
        ensure!(lost == Some(ErrorKind::Conflict), "the loser of round {round} got {lost:?}, not a conflict");
        expected.push(keys[won[0]].clone());
        let version = ended[won[0]].as_ref().ok().and_then(|report| report.streams[TABLE].version);
        base = version.ok_or_else(|| Stop::NotHeld("the winner got no version".into()))?;
    }
    let reader = scene.backend(&database)?;
    let mut found: Vec<String> = rows(&reader, &one).await?.into_keys().collect();
    found.sort();
    expected.sort();
    ensure!(found == expected, "found rows of {found:?}, but {expected:?} won");
    let latest = reader.latest(&key(&one)).await?.map(|entry| entry.version);
    ensure!(latest == Some(base), "the state has version {latest:?}, the last winner's {base:?}");
    join_all(writers.iter().map(snowfeed::backends::Snowflake::close)).await;
    Ok(vec![format!("{ROUNDS} rounds; the last winner's version is {}", base.0)])
}

/// Many writers, each with its own resource, commit at once.
pub(crate) async fn many_writers(scene: &Scene<'_>) -> Ended {
    let database = scene.database("WRITERS").await?;
    let count = scene.run.options.writers;
    let names: Vec<_> = (0..count).map(|number| resource(&format!("writer {number}"))).collect();
    let maker = scene.backend(&database)?;
    for name in &names {
        maker.ensure_streams(name, &[table()]).await?;
    }
    let commits = names.iter().map(|name| async {
        let writer = scene.backend(&database)?;
        let records = (0..10).map(issue).collect();
        writer.commit(commit_with_state(name, records, StateVersion::NONE)).await?;
        writer.close().await
    });
    let ended = join_all(commits).await;
    let failed: Vec<String> = ended.iter().filter_map(|ended| ended.as_ref().err()).map(ToString::to_string).collect();
    ensure!(failed.is_empty(), "{} of {count} writers failed, the first one: {}", failed.len(), failed[0]);
    let reader = scene.backend(&database)?;
    for name in &names {
        let found = rows(&reader, name).await?.len();
        ensure!(found == 10, "{} has {found} rows of 10", name.name());
    }
    Ok(vec![format!("{count} writers")])
}
