//! Commits the streams of a resource together, where each commit costs money.
//!
//! While one commit of a resource is under way, later ones wait, and then become one. The first never waits: it runs in the future of its
//! caller. The others run in a task, so that a run that is dropped leaves the others their answers. A group that fails is committed one by
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::{Commit, CommitReport, Error, Resource, Result, Sink};

/// The commits that wait, by resource. An entry exists while a commit of the resource is under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupCommits(Arc<Mutex<BTreeMap<Resource, Vec<Waiting>>>>);

/// A commit that waits. If its caller is gone, the answer is closed.
#[derive(Debug)]
struct Waiting {
    commit: Commit,
    answer: oneshot::Sender<Result<CommitReport>>,
    /// Where the commit was asked for. That of the first one has what a group does.
    span: Span,
}

impl GroupCommits {
    /// Commits, together with others of the resource if one is under way.
    ///
    /// # Cancellation
    /// A dropped future has committed entirely or not at all. One that waits commits nothing any more; one in a group with others does not
    /// stop it.
    ///
    /// # Errors
    /// Those of the sink about this commit alone.
    pub(super) async fn commit(&self, sink: &Arc<dyn Sink>, commit: Commit) -> Result<CommitReport> {
        let resource = commit.resource.clone();
        let waiting = {
            let mut commits = self.lock();
            match commits.get_mut(&resource) {
                Some(queue) => {
                    let (answer, answered) = oneshot::channel();
                    queue.push(Waiting { commit, answer, span: Span::current() });
                    Ok(answered)
                }
                None => {
                    commits.insert(resource.clone(), Vec::new());
                    Err(commit)
                }
            }
        };
        match waiting {
            Ok(answered) => {
                answered.await.unwrap_or_else(|_| Err(Error::internal("the task that commits for several runs ended")))
            }
            Err(commit) => {
                let _turn = Turn { groups: self.clone(), sink: sink.clone(), resource, runtime: Handle::current() };
                sink.commit(commit).await
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Resource, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next group: the first commit that waits, and all others of other streams. Ends the turn if none waits.
    ///
    /// A commit to several streams stays alone: a metered sink records the number of a part without a state in the state of another one, for
    /// one part only.
    fn next(&self, resource: &Resource) -> Vec<Waiting> {
        let mut commits = self.lock();
        let Some(queue) = commits.get_mut(resource) else { return Vec::new() };
        queue.retain(|waiting| !waiting.answer.is_closed());
        let mut streams = BTreeSet::new();
        let mut is_open = true;
        let group: Vec<Waiting> = queue
            .extract_if(.., |waiting| {
                let parts = &waiting.commit.parts;
                let is_first = streams.is_empty();
                let joins =
                    is_first || is_open && parts.len() == 1 && parts.iter().all(|part| !streams.contains(&part.stream));
                if joins {
                    streams.extend(parts.iter().map(|part| part.stream.clone()));
                    is_open &= parts.len() == 1;
                }
                joins
            })
            .collect();
        if group.is_empty() {
            commits.remove(resource);
        }
        group
    }
}

/// The commit that is under way in the future of its caller. When it ends, or is dropped, a task commits those that wait.
#[derive(Debug)]
struct Turn {
    groups: GroupCommits,
    sink: Arc<dyn Sink>,
    resource: Resource,
    runtime: Handle,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let group = self.groups.next(&self.resource);
        if !group.is_empty() {
            let queue = Queue { groups: self.groups.clone(), resource: self.resource.clone(), is_ended: false };
            drop(self.runtime.spawn(queue.commit_all(self.sink.clone(), group)));
        }
    }
}

/// The task that commits those that wait. If it ends early, by a panic or with its runtime, they get an error.
#[derive(Debug)]
struct Queue {
    groups: GroupCommits,
    resource: Resource,
    is_ended: bool,
}

impl Queue {
    async fn commit_all(mut self, sink: Arc<dyn Sink>, mut group: Vec<Waiting>) {
        while !group.is_empty() {
            commit_group(&*sink, group).await;
            group = self.groups.next(&self.resource);
        }
        // From here on, another commit may have begun.
        self.is_ended = true;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if !self.is_ended {
            let waiting = self.groups.lock().remove(&self.resource);
            drop(waiting);
        }
    }
}

/// Commits a group, and answers each of its callers. Stops when all of them are gone.
async fn commit_group(sink: &dyn Sink, mut group: Vec<Waiting>) {
    if let [first, others @ ..] = group.as_slice()
        && !others.is_empty()
    {
        let mut commit = first.commit.clone();
        for Waiting { commit: other, .. } in others {
            commit.at = commit.at.max(other.at);
            commit.parts.extend(other.parts.iter().cloned());
        }
        let committed = tokio::select! {
            biased;
            committed = sink.commit(commit).instrument(first.span.clone()) => committed,
            _ = join_all(group.iter_mut().map(|waiting| waiting.answer.closed())) => return,
        };
        match committed {
            Ok(mut report) => {
                for Waiting { commit, answer, .. } in group {
                    let own = commit.parts.iter().filter_map(|part| report.streams.remove_entry(&part.stream));
                    let own = own.fold(CommitReport::new(), |own, (stream, report)| own.stream(stream, report));
                    drop(answer.send(Ok(own)));
                }
                return;
            }
            // It may be due to one of them only.
            Err(error) => tracing::debug!(%error, "a commit of several streams failed; each is committed by itself"),
        }
    }
    for Waiting { commit, mut answer, span } in group {
        tokio::select! {
            biased;
            () = answer.closed() => {}
            committed = sink.commit(commit).instrument(span) => drop(answer.send(committed)),
        }
    }
}
