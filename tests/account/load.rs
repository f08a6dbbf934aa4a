//! Both ways to load rows into the account, with odd documents, which come back byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use snowfeed::backends::Snowflake;
use snowfeed::internals::snowflake::backend_with;
use snowfeed::{Record, Resource, RunId, Sink, UnseenQuery, Version};

use crate::scene::{Scene, ask, cell};
use crate::source::{TABLE, commit, resource, table};
use crate::step::{Ended, ensure};

/// A document that Snowflake may or may not read as JSON.
const LONE_SURROGATE: &str = "lone surrogate";

/// Documents that may be changed on the way, and whether a VARIANT can hold each.
fn odd_documents() -> Vec<(&'static str, String, bool)> {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        ("plain", r#"{"id":1,"title":"plain"}"#.into(), true),
        ("spaces", "{ \"id\" : 1 ,\n\t\"title\" : \"spaces\" }".into(), true),
        ("escapes", r#"{"id":2,"title":"\u0001\b\f\n\r\t\"\\\/"}"#.into(), true),
        ("delete character", "{\"title\":\"a\u{7f}b\u{80}c\u{85}d\u{2028}e\u{2029}f\u{feff}g\"}".into(), true),
        ("beyond the basic plane", "{\"title\":\"𝄞 👩‍👩‍👧 \u{10fffd}\"}".into(), true),
        ("escaped surrogates", r#"{"title":"\ud834\udd1e"}"#.into(), true),
        ("duplicate keys", r#"{"title":"first","title":"second"}"#.into(), true),
        ("keys that differ by case", r#"{"title":"lower","TITLE":"upper","Title":"both"}"#.into(), true),
        ("big numbers", r#"{"id":99999999999999999999999999999999999999,"x":1.10,"y":1e300,"z":-0.0}"#.into(), true),
        ("nested", format!("{{\"title\":{}}}", nested(100)), true),
        ("sql", r#"{"title":"'; DROP TABLE x; -- $$ ${x} &x ? :1 %s \\' \u0027"}"#.into(), true),
        ("empty", "{}".into(), true),
        ("no object", "[null,true,\"text\",-1.5e-7]".into(), true),
        (LONE_SURROGATE, r#"{"title":"\ud800"}"#.into(), false),
        ("no JSON", "{oops".into(), false),
    ]
}

/// Records of the documents. Two keys differ only by case.
fn records(documents: &[(&str, String, bool)]) -> Vec<Record> {
    let odd = documents.iter().map(|(key, text, _)| Record::upsert(*key, Version(1), text.clone()));
    let keys = ["A", "a", "Straße", "STRASSE", "é", "e\u{301}", " x", "x ", "x"];
    odd.chain(keys.map(|key| Record::upsert(key, Version(1), format!("{{\"title\":{key:?}}}")))).collect()
}

/// All rows of a resource, by key.
pub(crate) async fn rows(snowflake: &Snowflake, of: &Resource) -> snowfeed::Result<BTreeMap<String, String>> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let mut query = UnseenQuery::new(of.clone(), TABLE, RunId::new(), 1_000);
        query.after = after.take();
        let page = snowflake.unseen(query).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.key.clone());
        found.extend(page.into_iter().map(|row| (row.key, row.json.to_string())));
    }
}

/// Compares the stored rows with the ones sent.
fn compare(sent: &[Record], stored: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    for record in sent {
        let sent = record.json().map(|json| json.to_string()).unwrap_or_default();
        match stored.get(&record.key) {
            None => wrong.push(format!("{:?} is missing", record.key)),
            Some(text) if *text != sent => wrong.push(format!("{:?} came back otherwise", record.key)),
            Some(_) => {}
        }
    }
    let extra = stored.keys().filter(|key| !sent.iter().any(|record| record.key == **key));
    wrong.extend(extra.map(|key| format!("{key:?} was never sent")));
    wrong
}

async fn load(
    scene: &Scene<'_>,
    suffix: &str,
    max_bind_bytes: Option<usize>,
    more: Vec<Record>,
) -> Result<(String, Resource), crate::step::Stop> {
    let database = scene.database(suffix).await?;
    let snowflake = match max_bind_bytes {
        Some(bytes) => backend_with(Arc::new(scene.client_in(&database)?), &database, "PUBLIC", bytes),
        None => scene.backend(&database)?,
    };
    let (odd, mut documents) = (resource("odd documents"), odd_documents());
    if scene.run.endpoints.is_imitation() {
        // The imitation fails at it, even in a TRY_ function.
        documents.retain(|(key, ..)| *key != LONE_SURROGATE);
    }
    snowflake.ensure_streams(&odd, &[table()]).await?;
    let mut sent = records(&documents);
    sent.extend(more);
    let report = snowflake.commit(commit(&odd, sent.clone())).await?;
    ensure!(
        report.counts().inserted == sent.len() as u64,
        "of {} rows {} were inserted",
        sent.len(),
        report.counts().inserted
    );
    // Read from another process, without cached state.
    let wrong = compare(&sent, &rows(&scene.backend(&database)?, &odd).await?);
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    // Sending the same rows again changes nothing.
    let again = snowflake.commit(commit(&odd, sent.clone())).await?;
    ensure!(again.counts().unchanged == sent.len() as u64, "sending the same rows again counted {:?}", again.counts());
    let mut session = scene.session().await?;
    let select = format!("SELECT \"KEY\" FROM {database}.\"PUBLIC_RAW\".\"odd documents\" WHERE \"RAW\" IS NULL");
    let empty = ask(&mut *session, select).await?;
    for row in &empty.rows {
        let key = row.text(0)?;
        let is_json = documents.iter().any(|(name, _, is_json)| *name == &**key && *is_json);
        ensure!(!is_json, "RAW of {key:?} is null");
    }
    session.close().await?;
    snowflake.close().await?;
    Ok((database, odd))
}

/// As bound values.
pub(crate) async fn bound(scene: &Scene<'_>) -> Ended {
    load(scene, "BOUND", None, Vec::new()).await?;
    let files = scene.run.ledger.of(scene.step).files;
    ensure!(files == 0, "{files} files were staged: the rows did not travel as a bound value");
    Ok(Vec::new())
}

/// Through the stage, with a large document as well.
pub(crate) async fn stage(scene: &Scene<'_>) -> Ended {
    let size = scene.run.options.large;
    let large = format!("{{\"title\":\"large\",\"body\":\"{}\"}}", "0123456789 abcdef".repeat(size / 17));
    let (database, _) = load(scene, "STAGED", Some(0), vec![Record::upsert("large", Version(1), large)]).await?;
    let files = scene.run.ledger.of(scene.step).files;
    ensure!(files > 0, "no file was staged");
    let mut session = scene.session().await?;
    let title = format!("SELECT \"TITLE\" FROM {database}.\"PUBLIC\".\"ISSUES\" WHERE \"TITLE\" = 'large'");
    let found = cell(&ask(&mut *session, title).await?)?;
    ensure!(found == "large", "the view does not show the large document");
    session.close().await?;
    Ok(vec![format!("{files} files; the largest document has {size} bytes")])
}

/// Databases whose names need quotes.
pub(crate) async fn odd_names(scene: &Scene<'_>) -> Ended {
    for suffix in ["WITH A BLANK", "lower", "WITH \"QUOTES\""] {
        load(scene, suffix, Some(0), Vec::new()).await?;
    }
    Ok(Vec::new())
}
