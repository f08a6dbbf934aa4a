//! What can be read, but not as its author may think.

use super::super::place::Place;
use super::super::stream::{Stream, StreamType};
use super::super::version::Order;
use super::drift::{Drift, drift};
use super::problem::Problems;
use super::stream::is_asked_since;

pub(super) fn check(problems: &mut Problems<'_>) {
    let api = problems.api;
    for (index, stream) in api.streams.iter().enumerate() {
        let at = Place::stream(index, &stream.name);
        pages(problems, stream, &at);
        parents(problems, stream, &at);
        deletions(problems, stream, &at);
    }
}

fn pages(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    if stream.paginate.is_none() && problems.api.paginate.is_none() {
        let help = "add `paginate`; write `paginate = \"none\"` if the answer always has all records";
        return problems.warn(at.clone(), "only the first page is read: the list has no `paginate`", help);
    }
    let drift = drift(problems.api, stream, None);
    let help = match (drift, stream.order) {
        (Drift::Updates, Some(Order::Version)) => {
            "add `cursor`, so that page one can be asked for again from the last version"
        }
        (Drift::Updates, _) => {
            "ask for an order and name it with `order`: \"version\" with a cursor misses nothing, \"key\" only hides records behind deletions"
        }
        (Drift::Deletions, _) => "run `ingest --reconcile` from time to time, or use a token if the API has one",
        (Drift::Links, _) => {
            "run `snowfeed try` with its URL, which compares two links; ask for an order, and name it with `order`"
        }
        _ => return,
    };
    problems.warn(at.clone().key("paginate"), drift.to_string(), help);
}

fn parents(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let Some(parent) = &stream.parent else { return };
    let Some(parent) = problems.stream(&parent.stream) else { return };
    if parent.version.is_none() {
        let message =
            format!("each run asks for the list of every record of {:?}, which has no `version`", parent.name);
        let help = format!("add a `version` to {:?} that moves when a record of this list changes", parent.name);
        problems.warn(at.clone().key("parent"), message, help);
    }
}

fn deletions(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let is_incremental = (is_asked_since(stream) || stream.order == Some(Order::VersionDescending))
        && stream.parent.is_none()
        && stream.deletes.is_none()
        && stream.kind != Some(StreamType::Append);
    let is_found = stream.deleted.is_some()
        || stream.get.as_ref().is_some_and(|get| get.keys.is_none())
        || problems.api.streams.iter().any(|other| other.deletes.as_deref() == Some(&stream.name));
    if is_incremental && !is_found {
        let help = "add `deleted`, a stream with `deletes`, or `get`, which lets `ingest --reconcile` verify what a list lacks";
        problems.warn(at.clone(), "records that are deleted stay: nothing finds deletions", help);
    }
}
