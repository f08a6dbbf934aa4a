//! A source with a child stream, a snapshot and an append stream, and one fault in one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::prelude::*;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::conformance::suite::{Fresh, source};

use crate::failing;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    ChildrenOfAllParents,
    ChildrenOfUnknownParents,
    ListOfChildrenHasCheckpoints,
    ValidatorsInEveryBatch,
    SnapshotIsAlwaysUnchanged,
    UnchangedWithRecords,
    OldestFirst,
}

/// Tickets with the numbers up to `count`; each has two comments. Two labels, and one more for each change. An event for each ticket.
#[derive(Debug, Clone)]
struct Helpdesk {
    fault: Fault,
    count: Arc<AtomicU64>,
}

impl Helpdesk {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn comments(&self, ticket: &str) -> Result<Vec<Batch>> {
        let count = self.count.load(Ordering::SeqCst);
        let number = ticket.parse().unwrap_or(u64::MAX);
        if number > count && !self.is(Fault::ChildrenOfUnknownParents) {
            return Err(Error::new(ErrorKind::NotFound, "no such ticket"));
        }
        let tickets = if self.is(Fault::ChildrenOfAllParents) { 1..=count } else { number..=number };
        let comment = |ticket, n| Record::upsert(format!("{ticket}-{n}"), 0, format!("{{\"on\":{ticket},\"n\":{n}}}"));
        let batch = |ticket| Batch::new().records([comment(ticket, 1), comment(ticket, 2)]);
        let mut batches: Vec<Batch> = tickets.map(batch).collect();
        if self.is(Fault::ListOfChildrenHasCheckpoints) {
            batches[0].checkpoint = Some(Checkpoint::new(&1)?);
        }
        Ok(batches)
    }

    fn labels(&self, validators: Option<u64>) -> Result<Vec<Batch>> {
        let count = self.count.load(Ordering::SeqCst);
        let is_same = validators == Some(count) || (validators.is_some() && self.is(Fault::SnapshotIsAlwaysUnchanged));
        if is_same && !self.is(Fault::UnchangedWithRecords) {
            return Ok(vec![Batch::unchanged()]);
        }
        let page = |number| Batch::new().record(Record::upsert(format!("label {number}"), 0, "{\"label\":true}"));
        let mut pages: Vec<Batch> = (1..=count).map(page).collect();
        for (number, page) in (1..).zip(&mut pages) {
            if number == count || self.is(Fault::ValidatorsInEveryBatch) {
                page.checkpoint = Some(Checkpoint::new(&count)?);
            }
        }
        if is_same {
            pages.push(Batch::unchanged());
        }
        Ok(pages)
    }

    /// One event in a batch, below a number.
    fn events(&self, below: Option<u64>) -> Result<Vec<Batch>> {
        let count = self.count.load(Ordering::SeqCst);
        let mut numbers: Vec<u64> = (1..=count).filter(|number| below.is_none_or(|below| *number < below)).collect();
        if !self.is(Fault::OldestFirst) {
            numbers.reverse();
        }
        let event = |number: u64| {
            let record = Record::upsert(number.to_string(), number.cast_signed(), format!("{{\"event\":{number}}}"));
            let position = if self.is(Fault::OldestFirst) { 9_999 } else { number };
            Ok(Batch::new().record(record).checkpoint(Checkpoint::new(&position)?))
        };
        numbers.into_iter().map(event).collect()
    }
}

#[async_trait]
impl Source for Helpdesk {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("helpdesk", "1.0.0")
            .stream(StreamSpec::new("tickets"))
            .stream(StreamSpec::child("comments", "tickets").exact())
            .stream(StreamSpec::snapshot("labels"))
            .stream(StreamSpec::append("events", 0))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Helpdesk {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("all")]).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let helpdesk = self.clone();
        let batches = stream::once(async move {
            let checkpoint = request.checkpoint.as_ref().map(Checkpoint::parse::<u64>).transpose()?;
            let batches = match (request.stream.as_str(), &request.parent) {
                ("comments", Some(ticket)) => helpdesk.comments(ticket.key())?,
                ("labels", None) => helpdesk.labels(checkpoint)?,
                ("events", None) => helpdesk.events(checkpoint)?,
                _ => {
                    let (from, to) = (checkpoint.unwrap_or(1), helpdesk.count.load(Ordering::SeqCst));
                    let ticket = |n: u64| Record::upsert(n.to_string(), 1, format!("{{\"ticket\":{n}}}"));
                    vec![Batch::new().records((from..=to).map(ticket)).checkpoint(Checkpoint::new(&to)?)]
                }
            };
            Ok::<_, Error>(stream::iter(batches.into_iter().map(Ok)))
        });
        futures::TryStreamExt::try_flatten(batches).boxed()
    }
}

fn case(fault: Fault) -> SourceCase {
    let count = Arc::new(AtomicU64::new(3));
    let source = Helpdesk { fault, count: Arc::clone(&count) };
    SourceCase::new(source, Settings::default(), Resource::new("all").unwrap()).changing(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async {}
    })
}

mod correct {
    use super::{Fault, case};

    snowfeed::source_conformance!(case(Fault::None));
}

mod correct_with_the_engine {
    use super::{Fault, case};

    snowfeed::delivery_conformance!(case(Fault::None));
}

#[test]
fn a_source_with_one_fault_fails_the_checks_of_that_fault() {
    let children: &[&str] = &["clause_10_a_list_of_children_belongs_to_its_parent"];
    let snapshot: &[&str] = &["clause_11_a_snapshot_is_unchanged_only_if_it_is_the_same"];
    let expected: [(Fault, &[&str]); 8] = [
        (Fault::None, &[]),
        (Fault::ChildrenOfAllParents, &["clause_10_a_read_returns_the_children_of_its_parent"]),
        (Fault::ChildrenOfUnknownParents, children),
        (Fault::ListOfChildrenHasCheckpoints, children),
        (
            Fault::ValidatorsInEveryBatch,
            &[
                "clause_4_resuming_at_any_checkpoint_leaves_no_gap",
                "clause_11_a_snapshot_is_unchanged_only_if_it_is_the_same",
            ],
        ),
        (
            Fault::SnapshotIsAlwaysUnchanged,
            &[
                "clause_4_changes_after_the_last_checkpoint_arrive",
                "clause_11_a_snapshot_is_unchanged_only_if_it_is_the_same",
            ],
        ),
        (Fault::UnchangedWithRecords, snapshot),
        (Fault::OldestFirst, &["clause_12_an_append_stream_lists_the_newest_first"]),
    ];
    for (fault, checks) in expected {
        let fresh = Fresh::new(move || async move { Arc::new(case(fault)) });
        assert_eq!(failing(source(), &fresh), checks, "{fault:?}");
    }
}
