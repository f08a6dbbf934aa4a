//! Mutations of an upstream repository.

use std::time::Duration;

use github_server::GithubServer;

/// A change of a repository. A number, modulo the number of issues, selects the issue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mutation {
    Create(u8),
    Edit(u16),
    Close(u16),
    /// This many edits within one second.
    Bulk(u8),
    Delete(u16),
    Hide(u16),
    /// To the other repository.
    Transfer(u16),
    /// Does not change `updated_at`.
    RenameLabel(u8),
    /// Does not change `updated_at`.
    RenameRepository,
    /// Advances the clock: without it, everything happens in one second.
    Later(u8),
}

impl Mutation {
    /// Applies the change to `repository`; transfers go to `other`. Returns the name of the repository afterwards.
    pub(crate) fn apply(self, upstream: &GithubServer, repository: &str, other: &str) -> String {
        // The upstream's own mutations delete as well, but not at the same time: all of it is one thread.
        let some = |pick: u16| {
            let issues = upstream.snapshot(repository);
            issues.get(usize::from(pick) % issues.len().max(1)).map(|issue| issue.number)
        };
        match self {
            Self::Create(count) => drop(upstream.create(repository, count.into())),
            Self::Edit(pick) => some(pick).into_iter().for_each(|number| upstream.edit(repository, number)),
            Self::Close(pick) => some(pick).into_iter().for_each(|number| upstream.close(repository, number)),
            Self::Bulk(count) => upstream.bulk_edit(repository, count.into()),
            Self::Delete(pick) => some(pick).into_iter().for_each(|number| upstream.delete(repository, number)),
            Self::Hide(pick) => some(pick).into_iter().for_each(|number| upstream.hide(repository, number)),
            Self::Transfer(pick) => some(pick).into_iter().for_each(|number| {
                upstream.transfer(repository, number, other);
            }),
            Self::RenameLabel(to) => upstream.rename_label(repository, "bug", &format!("bug {to}")),
            Self::RenameRepository => {
                let name = format!("{repository}-");
                upstream.rename_repository(repository, &name);
                return name;
            }
            Self::Later(seconds) => upstream.clock().advance(Duration::from_secs(seconds.into())),
        }
        repository.to_owned()
    }
}
