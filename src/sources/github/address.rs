//! How one record is requested, as its document tells.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::fields::is_of_pull_request;
use super::streams::Stream;

/// What a record is. GitHub may hide one kind of a stream's records and show the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Ordinary,
    /// A pull request among issues, or a comment on one.
    PullRequest,
    /// A release that is not published. Only those who may write see it.
    Draft,
}

impl Kind {
    /// What messages call several of this kind.
    pub(super) fn records(self, stream: Stream) -> &'static str {
        match (self, stream) {
            (Self::PullRequest, Stream::Issues) => "pull requests",
            (Self::PullRequest, _) => "comments on pull requests",
            (Self::Draft, _) => "drafts",
            (Self::Ordinary, Stream::IssueComments) => "comments on issues",
            (Self::Ordinary, _) => stream.records(),
        }
    }
}

/// The key of a record, and the path of the record alone below its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) kind: Kind,
}

impl Address {
    /// Reads it from a document; `None` where the document does not tell.
    pub(super) fn of(stream: Stream, document: &str) -> Option<Self> {
        let (key, path, kind) = match stream {
            Stream::Issues => {
                #[derive(Deserialize)]
                struct Issue {
                    id: u64,
                    number: u64,
                    #[serde(default)]
                    pull_request: Option<IgnoredAny>,
                }
                let Issue { id, number, pull_request } = serde_json::from_str(document).ok()?;
                let kind = if pull_request.is_some() { Kind::PullRequest } else { Kind::Ordinary };
                (id, format!("issues/{number}"), kind)
            }
            Stream::IssueComments => {
                #[derive(Deserialize)]
                struct Comment {
                    id: u64,
                    #[serde(default)]
                    html_url: Option<String>,
                }
                let Comment { id, html_url } = serde_json::from_str(document).ok()?;
                let is_of_pull_request = html_url.as_deref().is_some_and(is_of_pull_request);
                let kind = if is_of_pull_request { Kind::PullRequest } else { Kind::Ordinary };
                (id, format!("issues/comments/{id}"), kind)
            }
            Stream::Releases => {
                #[derive(Deserialize)]
                struct Release {
                    id: u64,
                    #[serde(default)]
                    draft: Option<bool>,
                }
                let Release { id, draft } = serde_json::from_str(document).ok()?;
                let kind = if draft == Some(true) { Kind::Draft } else { Kind::Ordinary };
                (id, format!("releases/{id}"), kind)
            }
            Stream::Labels => {
                #[derive(Deserialize)]
                struct Label {
                    id: u64,
                    name: String,
                }
                let Label { id, name } = serde_json::from_str(document).ok()?;
                (id, format!("labels/{}", utf8_percent_encode(&name, NON_ALPHANUMERIC)), Kind::Ordinary)
            }
            Stream::Milestones | Stream::Pulls => {
                #[derive(Deserialize)]
                struct Numbered {
                    id: u64,
                    number: u64,
                }
                let Numbered { id, number } = serde_json::from_str(document).ok()?;
                (id, format!("{}/{number}", stream.path()), Kind::Ordinary)
            }
            Stream::Reviews => {
                #[derive(Deserialize)]
                struct Review {
                    id: u64,
                    pull_request_url: String,
                }
                let Review { id, pull_request_url } = serde_json::from_str(document).ok()?;
                let number: u64 = pull_request_url.rsplit('/').next()?.parse().ok()?;
                (id, format!("pulls/{number}/reviews/{id}"), Kind::Ordinary)
            }
            Stream::ReviewComments | Stream::IssueEvents => {
                #[derive(Deserialize)]
                struct Other {
                    id: u64,
                }
                let Other { id } = serde_json::from_str(document).ok()?;
                (id, format!("{}/{id}", stream.path()), Kind::Ordinary)
            }
            // A commit that is no longer part of the branch can still be requested.
            Stream::Commits => return None,
        };
        Some(Self { key: key.to_string(), path, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_tells_where_its_record_is() {
        for (stream, document, path, kind) in [
            (Stream::Issues, r#"{"id":1,"number":7,"pull_request":null}"#, "issues/7", Kind::Ordinary),
            (Stream::Issues, r#"{"id":1,"number":7,"pull_request":{}}"#, "issues/7", Kind::PullRequest),
            (
                Stream::IssueComments,
                r#"{"id":1,"html_url":"https://x/a/b/pull/7#c"}"#,
                "issues/comments/1",
                Kind::PullRequest,
            ),
            (Stream::IssueComments, r#"{"id":1}"#, "issues/comments/1", Kind::Ordinary),
            (Stream::ReviewComments, r#"{"id":1}"#, "pulls/comments/1", Kind::Ordinary),
            (Stream::Labels, r#"{"id":1,"name":"a/b c?ß"}"#, "labels/a%2Fb%20c%3F%C3%9F", Kind::Ordinary),
            (Stream::Milestones, r#"{"id":1,"number":7}"#, "milestones/7", Kind::Ordinary),
            (Stream::Releases, r#"{"id":1,"draft":true}"#, "releases/1", Kind::Draft),
            (Stream::Pulls, r#"{"id":1,"number":7}"#, "pulls/7", Kind::Ordinary),
            (
                Stream::Reviews,
                r#"{"id":1,"pull_request_url":"https://x/pulls/7"}"#,
                "pulls/7/reviews/1",
                Kind::Ordinary,
            ),
        ] {
            let address = Address { key: "1".into(), path: path.into(), kind };
            assert_eq!(Address::of(stream, document), Some(address), "{document}");
        }
        for (stream, document) in [
            (Stream::Issues, r#"{"id":1}"#),
            (Stream::Labels, r#"{"id":1,"name":null}"#),
            (Stream::Reviews, r#"{"id":1,"pull_request_url":"https://x/pulls/seven"}"#),
            (Stream::Pulls, "[]"),
        ] {
            assert_eq!(Address::of(stream, document), None, "{document}");
        }
    }
}
