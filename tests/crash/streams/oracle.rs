//! Compares the rows of a destination with the [`Upstream`].

use std::collections::BTreeMap;

use serde::Deserialize;
use snowfeed::prelude::*;
use snowfeed::{Backend, RowPath, RowQuery, RowSelection, Sequence};

use super::source::{CHILDREN, EVENTS, GRANDCHILDREN, LABELS, PARENTS};
use super::traits::{Paging, ParentKind};
use super::upstream::Upstream;

/// A stored row: its text, and whether it is marked deleted.
type Rows = BTreeMap<Vec<String>, (u64, bool)>;

/// The texts that the upstream has.
type Texts = BTreeMap<Vec<String>, u64>;

/// The text of a record.
pub(super) fn text(json: &str) -> u64 {
    #[derive(Deserialize)]
    struct Document {
        text: u64,
    }
    serde_json::from_str::<Document>(json).unwrap().text
}

async fn rows(backend: &dyn Backend, resource: &Resource, stream: &str) -> Rows {
    let everything = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX) };
    let query = RowQuery::new(resource.clone(), stream, everything, usize::MAX).documents();
    let rows = backend.select_rows(query).await.unwrap().into_iter().map(|row| {
        let text = row.json.map_or(0, |json| text(&json));
        (row.position.path.keys().to_vec(), (text, row.is_deleted))
    });
    rows.collect()
}

/// What may still differ, because only a reconcile run finds it.
struct Allowed<'a> {
    upstream: &'a Upstream,
    parents: &'a Rows,
    is_reconciled: bool,
}

impl Allowed<'_> {
    fn by_reconciling(&self) -> bool {
        !self.is_reconciled && self.upstream.traits.parents != ParentKind::Snapshot
    }

    /// Whether the version of a record or of an ancestor has fallen, which an ordinary list does not repair.
    fn has_fallen(&self, path: &[String]) -> bool {
        !self.is_reconciled && (1..=path.len()).any(|keys| self.upstream.fallen.contains(&path[..keys]))
    }

    /// Whether the list of a record's parent fails.
    fn is_broken(&self, path: &[String]) -> bool {
        self.upstream.broken.contains(&path[0])
    }

    /// Whether a row may be live though the record is gone: the engine has not learnt that its parent is.
    fn is_left_over(&self, stream: &str, path: &[String]) -> bool {
        self.by_reconciling() && (stream == PARENTS || !self.upstream.parents.contains_key(&path[0]))
    }

    /// Whether a record may be missing: its parent has appeared with a version of the past.
    fn is_unknown(&self, path: &[String]) -> bool {
        self.by_reconciling() && !self.parents.contains_key(&path[..1])
    }
}

/// What is wrong in a destination.
pub(super) async fn compare(
    upstream: &Upstream,
    backend: &dyn Backend,
    resource: &Resource,
    is_reconciled: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let parents = rows(backend, resource, PARENTS).await;
    let allowed = Allowed { upstream, parents: &parents, is_reconciled };
    for (stream, texts) in texts(upstream) {
        if stream == GRANDCHILDREN && upstream.traits.paging == Paging::Twice && !is_reconciled {
            // The source cannot verify a child whose list was not found: it is skipped until the next reconcile run.
            continue;
        }
        let has_parent = [CHILDREN, GRANDCHILDREN].contains(&stream);
        let of_parents = has_parent || stream == PARENTS;
        let stored = rows(backend, resource, stream).await;
        for (path, text) in &texts {
            let name = RowPath::from(path.clone());
            match stored.get(path) {
                _ if has_parent && allowed.is_broken(path) => {}
                _ if of_parents && allowed.has_fallen(path) => {}
                None if of_parents && allowed.is_unknown(path) => {}
                None => wrong.push(format!("{stream} {name} is lost")),
                Some((_, true)) => wrong.push(format!("{stream} {name} is marked deleted, but exists")),
                Some((stored, _)) if stored != text => {
                    wrong.push(format!("{stream} {name} is {stored} instead of {text}"))
                }
                Some(_) => {}
            }
        }
        for (path, _) in stored.iter().filter(|(path, (_, is_deleted))| !is_deleted && !texts.contains_key(*path)) {
            let excused = of_parents && (allowed.is_left_over(stream, path) || allowed.has_fallen(path))
                || has_parent && allowed.is_broken(path);
            if !excused {
                wrong.push(format!("{stream} {} is gone, but live", RowPath::from(path.clone())));
            }
        }
    }
    wrong
}

/// The texts of all records, by stream and path.
fn texts(upstream: &Upstream) -> [(&'static str, Texts); 5] {
    let mut texts = [PARENTS, CHILDREN, GRANDCHILDREN, LABELS, EVENTS].map(|stream| (stream, Texts::new()));
    let [(_, parents), (_, children), (_, grandchildren), (_, labels), (_, events)] = &mut texts;
    for (key, parent) in &upstream.parents {
        parents.insert(vec![key.clone()], parent.text);
        for (child_key, child) in &parent.children {
            children.insert(vec![key.clone(), child_key.clone()], child.text);
            let below =
                |(grandchild, text): (&String, &u64)| (vec![key.clone(), child_key.clone(), grandchild.clone()], *text);
            grandchildren.extend(child.grandchildren.iter().map(below));
        }
    }
    labels.extend(upstream.labels.iter().map(|(key, label)| (vec![key.clone()], label.text)));
    events
        .extend(upstream.visible_events().into_iter().map(|number| (vec![number.to_string()], number.unsigned_abs())));
    texts
}
