//! The paths of rows: clause 13.

use super::super::Fresh;
use super::super::fixture::{ODD_TEXTS, at, delete, document, must, resource, upsert, widgets};
use super::SinkProbe;
use super::sequences::{CHILDREN, Numbered, path, streams};
use crate::RowPath;
use crate::sink::{RowQuery, RowSelection};

/// The same key below two parents is two rows: each has its own version, document and deletion.
pub(super) async fn clause_13_the_same_key_below_two_parents_is_two_rows(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let [one, two] = [path(&["1"]), path(&["2"])];
    let records =
        [("1", upsert("k", 5, "one").of_parent(one.clone())), ("2", upsert("k", 3, "two").of_parent(two.clone()))];
    let report = subject.put(0, CHILDREN, records.map(|(_, record)| record)).await;
    assert_eq!(report.counts.inserted, 2, "{:?}", report.counts);
    assert_eq!(subject.children(&one).await, [("k".to_owned(), document("one"))]);
    assert_eq!(subject.children(&two).await, [("k".to_owned(), document("two"))]);
    assert_eq!(subject.probe.rows(&widgets(), CHILDREN).await.len(), 2);
    // An older version of the one is newer than that of the other.
    let report = subject.put(1, CHILDREN, [upsert("k", 4, "newer").of_parent(two.clone())]).await;
    assert_eq!(report.counts.updated, 1, "{:?}", report.counts);
    subject.put(2, CHILDREN, [delete("k", 5).of_parent(one.clone())]).await;
    assert_eq!(subject.children(&one).await, []);
    assert_eq!(subject.children(&two).await, [("k".to_owned(), document("newer"))]);
    // A record that moves is another row.
    let moved = [delete("k", 4).of_parent(two.clone()), upsert("k", 4, "newer").of_parent(path(&["3"]))];
    let report = subject.put(3, CHILDREN, moved).await;
    assert_eq!((report.counts.deleted, report.counts.inserted), (1, 1), "{:?}", report.counts);
    assert_eq!(subject.children(&path(&["3"])).await, [("k".to_owned(), document("newer"))]);
    assert_eq!(subject.probe.rows(&widgets(), CHILDREN).await.len(), 3);
}

/// Paths consist of any texts, and come back as they were written; no two are confused.
pub(super) async fn clause_13_any_texts_make_a_path(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let parents: Vec<RowPath> = ODD_TEXTS
        .iter()
        .map(|text| path(&[text]))
        .chain([path(&["1", "2/3"]), path(&["1/2", "3"]), path(&["[\"1\"]", "\""]), path(&["1", "\", \"2"])])
        .collect();
    let title = |parent: &RowPath, key: &str| format!("{parent:?} {key}");
    let records = parents.iter().flat_map(|parent| {
        ["k", "a/b", "\"", "é"].map(|key| upsert(key, 1, &title(parent, key)).of_parent(parent.clone()))
    });
    let report = subject.put(0, CHILDREN, records).await;
    assert_eq!(report.counts.inserted, 4 * parents.len() as u64, "{:?}", report.counts);
    for parent in &parents {
        let expected: Vec<_> =
            ["\"", "a/b", "k", "é"].map(|key| (key.to_owned(), document(&title(parent, key)))).into();
        assert_eq!(subject.children(parent).await, expected, "{parent:?}");
        let own = parent.child("é");
        let found = subject.select(CHILDREN, RowSelection::Paths(vec![own.clone()]), 9).await;
        assert_eq!(found.iter().map(|row| &row.position.path).collect::<Vec<_>>(), [&own]);
    }
    let stamps = subject.stamps(CHILDREN).await;
    assert_eq!(stamps.len(), 4 * parents.len());
    assert!(parents.iter().all(|parent| stamps.contains_key(&parent.child("k"))), "{stamps:?}");
}

/// `Children` returns the live rows directly below paths, in the order of the paths, then of the keys, and continues after a row.
pub(super) async fn clause_13_children_are_the_live_rows_of_their_parents(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let [one, two] = [path(&["1"]), path(&["2"])];
    let below = |parent: &[&str], key: &str| upsert(key, 1, key).of_parent(path(parent));
    let records = ["b", "a", "é", "gone", "Z", "c"].map(|key| below(&["1"], key));
    let others =
        [below(&["2"], "a"), below(&["2"], "y"), below(&["1", "a"], "x"), below(&["11"], "y"), below(&[], "z")];
    subject.put(0, CHILDREN, records.into_iter().chain(others)).await;
    let deleted = ["gone", "unknown"].map(|key| delete(key, 1).of_parent(one.clone()));
    subject.put(1, CHILDREN, deleted).await;
    let page = async |parents: &[&RowPath], after: Option<RowPath>, limit| {
        let parents = parents.iter().map(|parent| (*parent).clone()).collect();
        let rows = subject.select(CHILDREN, RowSelection::Children { parents, after }, limit).await;
        rows.iter().map(|row| row.position.path.keys().join("/")).collect::<Vec<_>>()
    };
    assert_eq!(page(&[&one], None, 9).await, ["1/Z", "1/a", "1/b", "1/c", "1/é"]);
    assert_eq!(page(&[&one], None, 2).await, ["1/Z", "1/a"]);
    assert_eq!(page(&[&one], Some(one.child("a")), 2).await, ["1/b", "1/c"]);
    assert_eq!(page(&[&one], Some(one.child("c")), 9).await, ["1/é"]);
    assert_eq!(page(&[&one], Some(one.child("é")), 9).await, Vec::<String>::new());
    assert_eq!(page(&[&one], None, 0).await, Vec::<String>::new());
    // A row that has disappeared meanwhile is still a place to continue after.
    assert_eq!(page(&[&one], Some(one.child("bb")), 9).await, ["1/c", "1/é"]);
    assert_eq!(page(&[], None, 9).await, Vec::<String>::new());
    // The order of the parents is the caller's.
    let (childless, both) = (path(&["childless"]), ["2/a", "2/y", "1/Z", "1/a", "1/b", "1/c", "1/é"]);
    let parents = [&childless, &two, &one];
    assert_eq!(page(&parents, None, 99).await, both);
    for limit in [1, 2, 3, 6] {
        let (mut paged, mut after) = (Vec::new(), None);
        while paged.len() < both.len() {
            let next = page(&parents, after, limit).await;
            let last = next.last().unwrap_or_else(|| panic!("paged by {limit}, the rows end after {paged:?}"));
            after = Some(last.split('/').map(str::to_owned).collect());
            paged.extend(next);
        }
        assert_eq!(paged, both, "paged by {limit}");
        assert_eq!(page(&parents, after, limit).await, Vec::<String>::new());
    }
    // Records without a parent are the children of the root.
    assert_eq!(page(&[&RowPath::ROOT], None, 9).await, ["z"]);
    // Those of another resource are not here.
    let gadgets = resource("acme/gadgets");
    must(subject.sink.ensure_streams(&gadgets, &streams()).await);
    let children = RowSelection::Children { parents: vec![one.clone()], after: None };
    assert_eq!(must(subject.sink.select_rows(RowQuery::new(gadgets, CHILDREN, children, 9)).await), []);
}

/// `Paths` returns the rows at paths, deleted ones too, and nothing for the others.
pub(super) async fn clause_13_rows_are_found_by_path(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let [one, two] = [path(&["1"]), path(&["2"])];
    let records = [upsert("a", 1, "1a"), upsert("b", 1, "1b")].map(|record| record.of_parent(one.clone()));
    subject.put(0, CHILDREN, records.into_iter().chain([upsert("a", 7, "2a").of_parent(two.clone())])).await;
    subject.put(1, CHILDREN, [delete("b", 2).of_parent(one.clone())]).await;
    let find = async |paths: Vec<RowPath>, limit| subject.select(CHILDREN, RowSelection::Paths(paths), limit).await;
    let mut found =
        find(vec![two.child("a"), one.child("b"), one.child("unknown"), one.clone(), RowPath::ROOT], 9).await;
    found.sort_by(|a, b| a.position.path.cmp(&b.position.path));
    let shown = found
        .iter()
        .map(|row| (row.position.path.clone(), row.position.sequence.0, row.version.0, row.changed_at, row.is_deleted));
    let expected = [(one.child("b"), 2, 2, at(1), true), (two.child("a"), 1, 7, at(0), false)];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!(found[0].json.as_deref(), Some(document("1b").as_str()), "a deleted row lost its document");
    assert_eq!(find(vec![one.child("a"), two.child("a")], 1).await.len(), 1);
    assert_eq!(find(Vec::new(), 9).await, []);
}
