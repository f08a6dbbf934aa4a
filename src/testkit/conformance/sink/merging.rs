//! Merging single records: clauses 3 to 6, and 8.

use std::collections::BTreeMap;

use super::super::Fresh;
use super::super::fixture::{ODD_TEXTS, TABLE, at, commit, delete, document, must, reported, resource, tables, upsert};
use super::{SinkProbe, Subject};
use crate::{Commit, Counts, Operation, Record, Version};

/// An older state that arrives later changes nothing.
pub(super) async fn clause_3_an_older_version_never_replaces_a_newer_one(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 5, "new"), upsert("b", 5, "new")]).await;
    let before = subject.rows().await;
    subject.put(1, [upsert("a", 4, "old"), delete("b", 4)]).await;
    assert_eq!(subject.rows().await, before);
    // Versions are compared as signed numbers.
    subject.put(2, [upsert("c", i64::MAX, "new"), upsert("d", 10, "new"), upsert("e", 0, "new")]).await;
    subject.put(3, [upsert("c", i64::MIN, "old"), upsert("d", 9, "old"), upsert("e", -1, "old")]).await;
    let titles: Vec<_> = subject.live().await.into_iter().filter_map(|(_, _, json)| json).collect();
    assert!(titles.iter().all(|json| json.contains("new")), "{titles:?}");
}

/// Records in any order, split into commits in any way, result in the same table: each key has its highest version.
pub(super) async fn clause_3_any_order_of_arrival_gives_the_same_table(fresh: Fresh<dyn SinkProbe>) {
    for seed in 0..24 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut records = Vec::new();
        let mut expected: BTreeMap<String, Record> = BTreeMap::new();
        for version in 1..40 {
            let key = format!("k{}", random.u8(0..8));
            let is_deleted = random.u8(0..4) == 0;
            let record =
                if is_deleted { delete(&key, version) } else { upsert(&key, version, &format!("{key} {version}")) };
            expected.insert(key, record.clone());
            records.push(record);
        }
        random.shuffle(&mut records);
        let subject = Subject::new(&fresh).await;
        let mut rest = records.as_slice();
        let mut seconds = 0;
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(random.usize(1..=rest.len()));
            subject.put(seconds, head.to_vec()).await;
            // A record that is read twice changes nothing.
            subject.put(seconds + 1, head[..random.usize(0..=head.len())].to_vec()).await;
            (rest, seconds) = (tail, seconds + 2);
        }
        let rows = subject.rows().await;
        assert_eq!(rows.len(), expected.len(), "seed {seed}: {records:?}");
        for (row, record) in rows.iter().zip(expected.values()) {
            assert_eq!((&row.key, row.version), (&record.key, record.version), "seed {seed}: {records:?}");
            match &record.operation {
                Operation::Upsert(json) => {
                    assert_eq!((row.json.as_ref(), row.deleted_at), (Some(json), None), "seed {seed}: {records:?}");
                }
                Operation::Delete => {
                    assert!(row.deleted_at.is_some(), "seed {seed}: {row:?} is not deleted, after {records:?}")
                }
            }
        }
    }
}

/// A different text with the same version is a change.
pub(super) async fn clause_3_an_equal_version_replaces_when_the_text_differs(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 5, "one")]).await;
    let report = subject.put(1, [upsert("a", 5, "two")]).await;
    assert_eq!(report.counts.updated, 1, "{:?}", report.counts);
    let row = subject.row().await;
    assert_eq!(row.json.as_deref(), Some(document("two").as_str()));
    assert_eq!((row.first_seen, row.changed_at), (at(0), at(1)));
}

/// A deletion with the version of the live state deletes it; an upsert with the version of the deletion restores it.
pub(super) async fn clause_3_an_equal_version_replaces_when_the_operation_differs(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 5, "one")]).await;
    assert_eq!(subject.put(1, [delete("a", 5)]).await.counts.deleted, 1);
    assert_eq!(subject.row().await.deleted_at, Some(at(1)));
    assert_eq!(subject.put(2, [upsert("a", 5, "one")]).await.counts.updated, 1);
    let row = subject.row().await;
    assert_eq!((row.deleted_at, row.changed_at), (None, at(2)));
}

/// Of two states with the same version in one commit, the later one stays; both are counted.
pub(super) async fn clause_3_of_two_equal_versions_in_one_commit_the_later_wins(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let report = subject.put(0, [upsert("a", 5, "one"), upsert("b", 5, "x"), upsert("a", 5, "two")]).await;
    assert_eq!(report.counts.offered, 3);
    let titles: Vec<_> = subject.live().await.into_iter().filter_map(|(_, _, json)| json).collect();
    assert_eq!(titles, [document("two"), document("x")]);
    subject.put(1, [upsert("a", 6, "three"), delete("a", 6), upsert("b", 6, "x"), upsert("b", 5, "late")]).await;
    assert_eq!(subject.live().await, [("b".to_owned(), Version(6), Some(document("x").into()))]);
}

/// Writing the same state again leaves the row and its metadata unchanged, and is counted as unchanged.
pub(super) async fn clause_4_an_upsert_that_changes_nothing_rewrites_nothing(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 5, "one"), upsert("b", 0, "two")]).await;
    let before = subject.rows().await;
    let report = subject.put(9, [upsert("a", 5, "one"), upsert("b", 0, "two")]).await;
    assert_eq!(subject.rows().await, before);
    assert_eq!((report.counts.offered, report.counts.unchanged), (2, 2), "{:?}", report.counts);
}

/// A deleted row stays, with its last document and the time of its deletion.
pub(super) async fn clause_5_a_deletion_keeps_the_row_and_its_last_document(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 5, "last words")]).await;
    subject.put(3, [delete("a", 6)]).await;
    let row = subject.row().await;
    assert_eq!(row.json.as_deref(), Some(document("last words").as_str()));
    assert_eq!((row.version, row.first_seen, row.changed_at), (Version(6), at(0), at(3)));
    assert_eq!(row.deleted_at, Some(at(3)));
}

/// An upsert from before a deletion that arrives after it does not restore the key.
pub(super) async fn clause_5_a_deletion_of_an_unknown_key_is_remembered(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [delete("a", 6)]).await;
    let row = subject.row().await;
    assert_eq!((row.version, row.json, row.deleted_at), (Version(6), None, Some(at(0))));
    subject.put(1, [upsert("a", 5, "from before")]).await;
    assert_eq!(subject.live().await, []);
}

/// A second, later deletion raises the version, although nothing visible changes.
pub(super) async fn clause_5_a_later_deletion_of_a_deleted_key_raises_its_version(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 1, "x"), delete("a", 2)]).await;
    subject.put(1, [delete("a", 9)]).await;
    assert_eq!(subject.row().await.deleted_at, Some(at(0)), "the time of the first deletion changed");
    subject.put(2, [upsert("a", 5, "between the two")]).await;
    assert_eq!(subject.live().await, []);
}

/// An upsert newer than the deletion restores the key, whether or not the key existed before.
pub(super) async fn clause_5_a_newer_upsert_restores_a_deleted_row(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 1, "x"), delete("a", 2), delete("b", 2)]).await;
    let report = subject.put(1, [upsert("a", 3, "back"), upsert("b", 3, "here")]).await;
    assert_eq!(report.counts.updated + report.counts.inserted, 2, "{:?}", report.counts);
    let live = subject.live().await;
    assert_eq!(live[0], ("a".to_owned(), Version(3), Some(document("back").into())));
    assert_eq!(live[1], ("b".to_owned(), Version(3), Some(document("here").into())));
}

/// Every record and reject is counted once, in the right category.
pub(super) async fn clause_6_the_report_adds_up(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let first = subject.put(0, [upsert("a", 5, "x"), upsert("b", 5, "x"), upsert("c", 5, "x"), delete("d", 5)]).await;
    let expected = Counts { offered: 4, inserted: 3, deleted: 1, ..Counts::default() };
    assert_eq!(first.counts, expected);
    assert_eq!(first.version, None, "the commit had no change of state");
    let records =
        [upsert("a", 5, "x"), upsert("b", 6, "y"), delete("c", 6), upsert("c", 5, "old"), upsert("d", 6, "back")];
    let mut mixed = commit(1, records);
    mixed.parts[0].rejects.push(crate::Reject { reason: "no id".into(), raw: "{}".into() });
    let report = reported(must(subject.sink.commit(mixed).await));
    let mut expected = Counts { offered: 6, unchanged: 1, updated: 2, deleted: 1, rejected: 1, ..Counts::default() };
    expected.skip(Counts::OLDER, 1);
    assert_eq!(report.counts, expected);
    assert!(report.counts.add_up());
}

/// An outdated state is skipped, and counted with its reason.
pub(super) async fn clause_6_an_older_state_is_skipped_with_its_reason(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 5, "x")]).await;
    let report = subject.put(1, [upsert("a", 4, "x"), delete("a", 3)]).await;
    let mut expected = Counts { offered: 2, ..Counts::default() };
    expected.skip(Counts::OLDER, 2);
    assert_eq!(report.counts, expected);
}

/// Deleting a deleted key changes nothing, and is counted as unchanged.
pub(super) async fn clause_6_a_deletion_of_a_deleted_key_is_unchanged(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 5, "x"), delete("a", 6)]).await;
    let before = subject.rows().await;
    let report = subject.put(1, [delete("a", 6)]).await;
    assert_eq!(report.counts, Counts { offered: 1, unchanged: 1, ..Counts::default() });
    assert_eq!(subject.rows().await, before);
    let report = subject.put(2, [delete("a", 7)]).await;
    assert_eq!(report.counts, Counts { offered: 1, unchanged: 1, ..Counts::default() });
}

/// Every document comes back exactly as it was sent or, where a sink does not keep texts, as the same JSON.
pub(super) async fn clause_8_documents_come_back_byte_for_byte(fresh: Fresh<dyn SinkProbe>) {
    let long = format!(r#"{{"body":"{}"}}"#, "x".repeat(65_536));
    let documents = [
        "{ }",
        "{\"b\":1,\"a\":2,\"b\":3}",
        " {\r\n\t\"title\" : \"spaced\" } ",
        r#"{"n":1.0,"m":1e5,"o":123456789012345678901234567890,"p":-0.0}"#,
        r#"{"title":"\u0000\u001f\ud83e\udd80\/"}"#,
        "{\"title\":\"日本語 🦀 é e\u{301} \u{7f} \u{2028}\"}",
        r#"{"title":"it's \"quoted\" \\ %s $1 ?1 ;--"}"#,
        "null",
        "\"text\"",
        "",
        "{no JSON",
        long.as_str(),
    ];
    let subject = Subject::new(&fresh).await;
    let key = |n: usize| format!("k{n:02}");
    let records = documents.iter().enumerate();
    subject.put(0, records.map(|(n, json)| Record::upsert(key(n), Version(1), (*json).to_owned()))).await;
    let rows = subject.rows().await;
    assert_eq!(rows.len(), documents.len());
    let keeps_text = subject.probe.keeps_text();
    let is_same = |found: &str, document: &str| found == document || !keeps_text && same_json(found, document);
    for (row, document) in rows.iter().zip(documents) {
        let found = row.json.as_deref().unwrap_or_else(|| panic!("a row without its document {document:?}"));
        assert!(is_same(found, document), "{found:?} instead of {document:?}");
    }
    let unseen = crate::UnseenQuery {
        resource: super::super::fixture::widgets(),
        table: TABLE.into(),
        sweep: crate::RunId::new(),
        after: None,
        limit: 100,
    };
    let mut records = must(subject.sink.unseen(unseen).await);
    records.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(records.len(), documents.len());
    for (record, document) in records.iter().zip(documents) {
        assert!(is_same(&record.json, document), "`unseen` returned {:?} instead of {document:?}", record.json);
    }
}

/// Whether two texts are the same JSON, with numbers as precise as a float.
fn same_json(a: &str, b: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).map(floats).ok();
    read(a).is_some_and(|a| Some(a) == read(b))
}

/// Makes all numbers floats.
fn floats(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.into_iter().map(floats).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, floats(value))).collect(),
        other => other,
    }
}

/// Similar keys stay distinct.
pub(super) async fn clause_8_any_text_is_a_legal_key(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let longest = "k".repeat(255);
    let mut keys: Vec<&str> = ODD_TEXTS.iter().copied().chain([" ", " a", "a ", "a", longest.as_str()]).collect();
    subject.put(0, keys.iter().map(|key| upsert(key, 1, key))).await;
    let report = subject.put(1, keys.iter().map(|key| upsert(key, 1, key))).await;
    assert_eq!(report.counts.unchanged, keys.len() as u64, "{:?}", report.counts);
    keys.sort_unstable();
    let rows = subject.rows().await;
    assert!(rows.iter().map(|row| row.key.as_str()).eq(keys.iter().copied()), "{rows:?}");
    for (row, key) in rows.iter().zip(keys) {
        assert_eq!(row.json.as_deref(), Some(document(key).as_str()));
    }
}

/// Resources with similar names keep their rows separate, even under the same key.
pub(super) async fn clause_8_any_text_is_a_legal_resource_name_and_resources_do_not_share_rows(
    fresh: Fresh<dyn SinkProbe>,
) {
    let subject = Subject::new(&fresh).await;
    for name in ODD_TEXTS {
        let resource = resource(name);
        must(subject.sink.ensure_streams(&resource, &tables()).await);
        must(subject.sink.commit(Commit { resource, ..commit(0, [upsert("a", 1, name)]) }).await);
    }
    for name in ODD_TEXTS {
        let rows = subject.probe.rows(&resource(name), TABLE).await;
        let titles: Vec<_> = rows.iter().filter_map(|row| row.json.as_deref()).collect();
        assert_eq!(titles, [document(name)], "the rows of {name:?}");
    }
    assert_eq!(subject.rows().await, [], "another resource's rows are visible");
}
