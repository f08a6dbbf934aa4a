//! The fields of a record that are read. The rest is passed on as text.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::Version;

/// What the reader needs to know of a record.
pub(super) trait Fields<'a>: Deserialize<'a> {
    /// The permanent key.
    ///
    /// # Errors
    /// The reason why it has none.
    fn key(&self) -> Result<&str, &'static str>;

    /// The time by which its list is sorted.
    fn time(&self) -> Option<Timestamp>;

    fn version(&self) -> Version {
        self.time().map_or(Version::NONE, Version::from)
    }

    /// Whether it is a pull request, or belongs to one.
    fn is_pull_request(&self) -> bool {
        false
    }
}

/// A text that is read as such.
fn text(raw: Option<&RawValue>) -> Option<&str> {
    serde_json::from_str(raw?.get()).ok()
}

fn time(raw: Option<&RawValue>) -> Option<Timestamp> {
    text(raw)?.parse().ok()
}

fn whole_number(id: Option<&RawValue>) -> Result<&str, &'static str> {
    match id.map(RawValue::get) {
        None => Err("no id"),
        Some(id) if id.parse::<u64>().is_ok() => Ok(id),
        Some(_) => Err("the id is not a whole number"),
    }
}

/// Those of an issue or a pull request, as its list has it.
#[derive(Deserialize)]
pub(super) struct IssueFields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    updated_at: Option<&'a RawValue>,
    #[serde(default)]
    pull_request: Option<IgnoredAny>,
}

impl<'a> Fields<'a> for IssueFields<'a> {
    fn key(&self) -> Result<&str, &'static str> {
        whole_number(self.id)
    }

    fn time(&self) -> Option<Timestamp> {
        time(self.updated_at)
    }

    fn is_pull_request(&self) -> bool {
        self.pull_request.is_some()
    }
}

/// Those of a comment on an issue or a pull request.
#[derive(Deserialize)]
pub(super) struct CommentFields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    updated_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    html_url: Option<&'a RawValue>,
}

impl<'a> Fields<'a> for CommentFields<'a> {
    fn key(&self) -> Result<&str, &'static str> {
        whole_number(self.id)
    }

    fn time(&self) -> Option<Timestamp> {
        time(self.updated_at)
    }

    fn is_pull_request(&self) -> bool {
        text(self.html_url).is_some_and(is_of_pull_request)
    }
}

/// Whether the page of a comment is that of a pull request: `https://github.com/acme/widgets/pull/7#issuecomment-1`.
pub(super) fn is_of_pull_request(html_url: &str) -> bool {
    let page = html_url.split(['#', '?']).next().unwrap_or_default();
    page.rsplit('/').nth(1) == Some("pull")
}

/// Those of most records.
#[derive(Deserialize)]
pub(super) struct RecordFields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    updated_at: Option<&'a RawValue>,
}

impl<'a> Fields<'a> for RecordFields<'a> {
    fn key(&self) -> Result<&str, &'static str> {
        whole_number(self.id)
    }

    fn time(&self) -> Option<Timestamp> {
        time(self.updated_at)
    }
}

/// Those of a review. One that is pending has no time.
#[derive(Deserialize)]
pub(super) struct ReviewFields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    submitted_at: Option<&'a RawValue>,
}

impl<'a> Fields<'a> for ReviewFields<'a> {
    fn key(&self) -> Result<&str, &'static str> {
        whole_number(self.id)
    }

    fn time(&self) -> Option<Timestamp> {
        time(self.submitted_at)
    }
}

/// Those of an event of an issue.
#[derive(Deserialize)]
pub(super) struct EventFields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
}

impl<'a> Fields<'a> for EventFields<'a> {
    fn key(&self) -> Result<&str, &'static str> {
        whole_number(self.id)
    }

    fn time(&self) -> Option<Timestamp> {
        time(self.created_at)
    }

    /// The id, by which the list is sorted: imported events have new ids and old times.
    fn version(&self) -> Version {
        let id = self.key().ok().and_then(|id| id.parse().ok());
        id.map_or(Version::NONE, Version)
    }
}

/// Those of a commit. It is immutable, so that its version is a constant.
#[derive(Deserialize)]
pub(super) struct CommitFields<'a> {
    #[serde(borrow, default)]
    sha: Option<&'a RawValue>,
    #[serde(borrow, default)]
    commit: Option<GitCommit<'a>>,
}

#[derive(Deserialize)]
struct GitCommit<'a> {
    #[serde(borrow, default)]
    committer: Option<GitPerson<'a>>,
}

#[derive(Deserialize)]
struct GitPerson<'a> {
    #[serde(borrow, default)]
    date: Option<&'a RawValue>,
}

impl<'a> Fields<'a> for CommitFields<'a> {
    fn key(&self) -> Result<&str, &'static str> {
        match text(self.sha) {
            None => Err("no sha"),
            // 40 digits, or 64 in a repository with SHA-256.
            Some(sha) if is_sha(sha) => Ok(sha),
            Some(_) => Err("the sha is not that of a commit"),
        }
    }

    fn time(&self) -> Option<Timestamp> {
        time(self.commit.as_ref()?.committer.as_ref()?.date)
    }
}

/// Whether a text is the name of a commit.
pub(super) fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_belongs_to_a_pull_request_if_its_page_does() {
        for (url, is_one) in [
            ("https://github.com/acme/widgets/pull/7#issuecomment-1", true),
            ("https://ghe.example/acme/pull/pull/7?x=1#issuecomment-1", true),
            ("https://github.com/acme/widgets/issues/7#issuecomment-1", false),
            ("https://github.com/acme/pull/issues/7#issuecomment-1", false),
            ("", false),
        ] {
            assert_eq!(is_of_pull_request(url), is_one, "{url}");
        }
    }

    #[test]
    fn the_version_of_an_event_is_its_id_and_that_of_a_commit_its_date() {
        let event: EventFields<'_> = serde_json::from_str(r#"{"id":70,"created_at":"2024-01-02T03:04:05Z"}"#).unwrap();
        assert_eq!((event.key(), event.version()), (Ok("70"), Version(70)));
        let sha = "5".repeat(40);
        let text = format!(r#"{{"sha":"{sha}","commit":{{"committer":{{"date":"2024-01-02T03:04:05Z"}}}}}}"#);
        let commit: CommitFields<'_> = serde_json::from_str(&text).unwrap();
        let time: Timestamp = "2024-01-02T03:04:05Z".parse().unwrap();
        assert_eq!((commit.key(), commit.version()), (Ok(&*sha), Version::from(time)));
        for (text, reason) in [("{}", "no sha"), (r#"{"sha":"HEAD","commit":null}"#, "the sha is not that of a commit")]
        {
            let commit: CommitFields<'_> = serde_json::from_str(text).unwrap();
            assert_eq!((commit.key(), commit.version()), (Err(reason), Version::NONE));
        }
    }
}
