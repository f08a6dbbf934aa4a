//! The streams, and how GitHub's API serves each.

mod columns;

use crate::{Error, Result, StreamSpec};
use columns::Columns;

/// The reason for leaving out pull requests.
pub(super) const EXCLUDED: &str = "pull_request";

/// How far below the newest known event to look again for events that became visible late, in ids.
///
/// All events of a server share one sequence of ids. GitHub's own uses up a few hundred ids a second, so that these are the last seconds;
/// on a small server they are the last 20 pages at most.
const EVENT_OVERLAP: i64 = 2_000;

/// The columns of a stream's typed view.
fn columns_of(stream: Stream) -> Columns {
    match stream {
        Stream::Issues => columns::ISSUES,
        Stream::IssueComments => columns::ISSUE_COMMENTS,
        Stream::ReviewComments => columns::REVIEW_COMMENTS,
        Stream::Labels => columns::LABELS,
        Stream::Milestones => columns::MILESTONES,
        Stream::Releases => columns::RELEASES,
        Stream::IssueEvents => columns::ISSUE_EVENTS,
        Stream::Pulls => columns::PULLS,
        Stream::Reviews => columns::REVIEWS,
        Stream::Commits => columns::COMMITS,
    }
}

/// A stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Issues,
    IssueComments,
    ReviewComments,
    Labels,
    Milestones,
    Releases,
    IssueEvents,
    Pulls,
    Reviews,
    Commits,
}

/// What messages call a stream's records, and what the token needs.
struct Words {
    /// The plural.
    records: &'static str,
    /// The singular.
    record: &'static str,
    /// The permission of a fine-grained token or of a GitHub App.
    permission: &'static str,
}

impl Stream {
    /// All streams, parents before their children.
    pub(super) const ALL: [Self; 10] = [
        Self::Issues,
        Self::IssueComments,
        Self::ReviewComments,
        Self::Labels,
        Self::Milestones,
        Self::Releases,
        Self::IssueEvents,
        Self::Pulls,
        Self::Reviews,
        Self::Commits,
    ];

    /// # Errors
    /// `Internal`, when the source has no such stream.
    pub(super) fn from_name(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|stream| stream.name() == name);
        found.ok_or_else(|| Error::internal(format!("the source has no stream {name:?}")))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Issues => "issues",
            Self::IssueComments => "issue_comments",
            Self::ReviewComments => "review_comments",
            Self::Labels => "labels",
            Self::Milestones => "milestones",
            Self::Releases => "releases",
            Self::IssueEvents => "issue_events",
            Self::Pulls => "pulls",
            Self::Reviews => "reviews",
            Self::Commits => "commits",
        }
    }

    /// Its declaration.
    pub(super) fn spec(self) -> StreamSpec {
        let name = self.name();
        let spec = match self {
            Self::Issues => StreamSpec::new(name).exact().verifiable(),
            Self::IssueComments | Self::ReviewComments | Self::Commits => {
                StreamSpec::new(name).exact().verifiable().optional()
            }
            Self::Labels | Self::Milestones | Self::Releases => StreamSpec::snapshot(name).verifiable().optional(),
            Self::IssueEvents => StreamSpec::append(name, EVENT_OVERLAP).optional(),
            Self::Pulls => {
                let child = StreamSpec::child(name, Self::Issues.name());
                let fields = ["number", "pull_request", "created_at"];
                fields.into_iter().fold(child, StreamSpec::parent_field).verifiable().optional()
            }
            Self::Reviews => {
                let child = StreamSpec::child(name, Self::Pulls.name());
                let fields = ["number", "base.repo.id"];
                fields.into_iter().fold(child, StreamSpec::parent_field).verifiable().optional()
            }
        };
        columns_of(self).iter().fold(spec, |spec, (name, path, kind)| spec.column(*name, path, *kind))
    }

    /// The path of its list below the repository. That of reviews is below their pull request.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Issues => "issues",
            Self::IssueComments => "issues/comments",
            Self::ReviewComments => "pulls/comments",
            Self::Labels => "labels",
            Self::Milestones => "milestones",
            Self::Releases => "releases",
            Self::IssueEvents => "issues/events",
            Self::Pulls => "pulls",
            Self::Reviews => "reviews",
            Self::Commits => "commits",
        }
    }

    /// What the query of its list has besides the order and the page: without it, GitHub lists open ones only.
    pub(super) fn filter(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Issues | Self::Milestones | Self::Pulls => &[("state", "all")],
            _ => &[],
        }
    }

    /// Whether it has the issues of the repository, or what belongs to them: where they are disabled, they are hidden.
    pub(super) fn needs_issues(self) -> bool {
        matches!(self, Self::Issues | Self::IssueComments)
    }

    /// Whether all its records are about pull requests, which a setting leaves out.
    pub(super) fn needs_pull_requests(self) -> bool {
        matches!(self, Self::ReviewComments | Self::Pulls | Self::Reviews)
    }

    fn words(self) -> Words {
        let (records, record, permission) = match self {
            Self::Issues => ("issues", "issue", "issues"),
            Self::IssueComments => ("comments", "comment", "issues and pull requests"),
            Self::ReviewComments => ("review comments", "review comment", "pull requests"),
            Self::Labels => ("labels", "label", "issues"),
            Self::Milestones => ("milestones", "milestone", "issues"),
            Self::Releases => ("releases", "release", "contents"),
            Self::IssueEvents => ("events", "event", "issues"),
            Self::Pulls => ("pull requests", "pull request", "pull requests"),
            Self::Reviews => ("reviews", "review", "pull requests"),
            Self::Commits => ("commits", "commit", "contents"),
        };
        Words { records, record, permission }
    }

    /// What messages call its records.
    pub(super) fn records(self) -> &'static str {
        self.words().records
    }

    /// What messages call one of its records.
    pub(super) fn record(self) -> &'static str {
        self.words().record
    }

    /// The permission that a fine-grained token or a GitHub App needs to read it.
    pub(super) fn permission(self) -> &'static str {
        self.words().permission
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_is_declared_and_only_issues_are_read_unasked() {
        let defaults: Vec<&str> =
            Stream::ALL.into_iter().filter(|stream| stream.spec().is_default).map(Stream::name).collect();
        assert_eq!(defaults, ["issues"]);
        for stream in Stream::ALL {
            assert_eq!(Stream::from_name(stream.name()).unwrap(), stream);
            let spec = stream.spec();
            assert_eq!(spec.name, stream.name());
            assert!(spec.columns.iter().any(|column| column.name == "node_id"), "{spec:?}");
        }
        assert!(Stream::from_name("gists").is_err());
    }
}
