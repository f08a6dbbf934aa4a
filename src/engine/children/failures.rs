//! What becomes of the lists that fail, and of the deletions that a person must confirm.

use crate::{Error, Record, RowPath, SelectedRow};

/// What to do about a parent whose list failed.
pub(super) enum Failure {
    /// It is gone, and so are its children.
    Gone,
    /// It exists: its list is owed. The record is its state, if only this answer can repair the stored one.
    Owed(Error, Option<Record>),
    /// The source cannot tell.
    Unknown,
}

/// The failed lists of a run.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// The parents that owe their lists.
    paths: Vec<RowPath>,
    last: Option<Error>,
    /// The error for deletions that a person must confirm first.
    refused: Option<Error>,
}

impl Failures {
    /// Notes a parent that owes its list.
    pub(super) fn note(&mut self, parent: &SelectedRow) {
        self.paths.push(parent.position.path.clone());
    }

    /// Whether a parent was noted.
    pub(super) fn has(&self, path: &RowPath) -> bool {
        self.paths.contains(path)
    }

    /// Adds a list that has failed.
    pub(super) fn add(&mut self, error: Error, parent: &SelectedRow) {
        self.note(parent);
        match error.unconfirmed_deletions() {
            Some(_) => self.refuse_all(Some(error)),
            None => self.last = Some(error),
        }
    }

    /// Adds deletions that a person must confirm.
    pub(super) fn refuse_all(&mut self, errors: impl IntoIterator<Item = Error>) {
        for error in errors {
            let rows = |error: &Error| error.unconfirmed_deletions().unwrap_or_default();
            let all = self.refused.as_ref().map_or(0, rows) + rows(&error);
            self.refused = Some(error.with_unconfirmed_deletions(all));
        }
    }

    /// The error that asks for a confirmation, if any; otherwise that of the last list.
    pub(super) fn last(&mut self) -> Error {
        let last = self.refused.take().or_else(|| self.last.take());
        last.unwrap_or_else(|| Error::internal("no list has failed"))
    }

    /// The error of a run of `stream` that owes the lists of some records of `parent`.
    pub(super) fn error(&mut self, stream: &str, parent: &str, owed: usize) -> Error {
        if let Some(refused) = self.refused.take() {
            return refused;
        }
        let parents = if owed == 1 { "1 record".to_owned() } else { format!("{owed} records") };
        let error = Error::unavailable(format!("the list of `{stream}` could not be read for {parents} of `{parent}`"));
        let error = error.with_help("the next run reads it again");
        match self.last.take() {
            Some(last) => error.with_source(last),
            None => error,
        }
    }
}
