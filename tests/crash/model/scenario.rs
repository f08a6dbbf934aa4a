//! The upstream, and the references that follow it.

use std::sync::Mutex;

use github_server::GithubServer;

use super::reference::{Reference, Snapshot};
use super::steps::RepositoryIndex;
use crate::mutations::Mutation;

/// The upstream, and its known history.
pub(super) struct Scenario {
    pub(super) upstream: GithubServer,
    references: Mutex<[Reference; 2]>,
}

impl Scenario {
    pub(super) fn new(upstream: GithubServer, names: [&str; 2]) -> Self {
        let references = names.map(Reference::new).map(|mut reference| {
            reference.note(&upstream);
            reference
        });
        Self { upstream, references: Mutex::new(references) }
    }

    pub(super) fn apply(&self, which: RepositoryIndex, mutation: Mutation) {
        let upstream = &self.upstream;
        let mut references = self.references.lock().unwrap();
        let (repository, other) = (references[which].name.clone(), references[1 - which].name.clone());
        references[which].name = mutation.apply(upstream, &repository, &other);
        references.iter_mut().for_each(|reference| reference.note(upstream));
    }

    pub(super) fn snapshots(&self) -> [Snapshot; 2] {
        let references = self.references.lock().unwrap();
        [0, 1].map(|which| references[which].snapshot(&self.upstream))
    }

    pub(super) fn reference<T>(&self, which: RepositoryIndex, access: impl FnOnce(&mut Reference) -> T) -> T {
        access(&mut self.references.lock().unwrap()[which])
    }
}
