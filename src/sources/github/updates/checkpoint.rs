//! Where reading a list of a repository resumes.

#![cfg_attr(
    not(any(feature = "testkit", fuzzing)),
    allow(unreachable_pub, reason = "the simulations in the tests use what is public here, through `internals`")
)]

use serde::{Deserialize, Serialize};

use super::super::origin::{check_version, wrong_server};
use super::super::page::UnreadRow;
use super::step::{EntityTag, Range, UnixSecond};
use crate::http::Url;
use crate::{Checkpoint, Error, ErrorKind, Result};

/// The version of the format.
const VERSION: u32 = 1;

/// How far a repository has been read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The URL of the API that the rest belongs to: elsewhere, the id is another repository's. `None`: an older version did not store it.
    pub(in crate::sources::github) server: Option<String>,
    /// GitHub's id of the repository, which survives renames. `None`: the server knows it by its name only.
    pub(in crate::sources::github) repository: Option<u64>,
    /// Pull requests were left out.
    pub(super) without_pull_requests: bool,
    /// The ranges still to be read; when there are none, the next read is a poll.
    pub(super) ranges: Vec<Range>,
    /// The latest `updated_at` that was delivered: apart from late ones, every row up to it was.
    pub(super) hwm: Option<UnixSecond>,
    /// The `since` of the next poll; `None`: everything.
    pub(super) anchor: Option<UnixSecond>,
    /// The entity tag of the last poll with this `since`, or of the newest page when the poll had more than one page.
    pub etag: Option<EntityTag>,
    /// The number of rows of the longest page that this server ever sent: a gateway has not cut a shorter one.
    pub(super) longest_page: usize,
    /// Rows at which the server failed; every read requests them again.
    pub(super) unread: Vec<UnreadRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    v: u32,
    server: Option<String>,
    repository_id: Option<u64>,
    #[serde(default)]
    without_pull_requests: bool,
    ranges: Vec<Range>,
    hwm: Option<UnixSecond>,
    anchor: Option<UnixSecond>,
    etag: Option<EntityTag>,
    #[serde(default)]
    longest_page: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unread: Vec<UnreadRow>,
}

impl Position {
    /// Writes the position as a checkpoint.
    pub fn write(self) -> Result<Checkpoint> {
        let Self {
            server,
            repository: repository_id,
            without_pull_requests,
            ranges,
            hwm,
            anchor,
            etag,
            longest_page,
            unread,
        } = self;
        Checkpoint::new(&Written {
            v: VERSION,
            server,
            repository_id,
            without_pull_requests,
            ranges,
            hwm,
            anchor,
            etag,
            longest_page,
            unread,
        })
    }

    /// The position from which reading a repository of this server begins.
    pub(super) fn beginning(server: &Url) -> Self {
        Self { server: Some(server.to_string()), ..Self::default() }
    }

    /// Whether nothing has been read.
    pub(super) fn is_beginning(&self) -> bool {
        let Self { server, without_pull_requests, .. } = self;
        *self == Self { server: server.clone(), without_pull_requests: *without_pull_requests, ..Self::default() }
    }

    /// Reads a position of this server. One without a server is assumed to be of this one, and loses its entity tag: the next
    /// poll then has rows, with which the server is stored.
    ///
    /// # Errors
    /// `Checkpoint`, as for [`read`](Self::read), and when it belongs to another server.
    pub(in crate::sources::github) fn for_server(server: &Url, checkpoint: &Checkpoint) -> Result<Self> {
        let position = Self::read(checkpoint)?;
        match &position.server {
            None => Ok(Self { server: Some(server.to_string()), etag: None, ..position }),
            Some(known) if known == server.as_str() => Ok(position),
            Some(known) => Err(wrong_server(known, server)),
        }
    }

    /// Reads a position from a checkpoint.
    ///
    /// # Errors
    /// `Checkpoint`, when another version of the source wrote it, or it is inconsistent.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self> {
        check_version(checkpoint, VERSION)?;
        let written: Written = checkpoint.parse()?;
        let ranges = written.ranges;
        // Without an open range and a high-water mark, rows after the ranges would never be read.
        let ends = ranges.is_empty() || written.hwm.is_some() || ranges.iter().any(|range| range.to.is_none());
        if !ends || ranges.iter().any(|range| range.to.is_some() && range.from >= range.to) {
            return Err(Error::new(ErrorKind::Checkpoint, "the saved checkpoint contradicts itself").with_help(
                "upgrade the program, or `reset` the resource to read it again from the start (nothing is deleted)",
            ));
        }
        Ok(Self {
            server: written.server,
            repository: written.repository_id,
            without_pull_requests: written.without_pull_requests,
            ranges,
            hwm: written.hwm,
            anchor: written.anchor,
            etag: written.etag,
            longest_page: written.longest_page,
            unread: written.unread,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Position {
        let range = |from, to| Range { from: Some(UnixSecond(from)), to, at: Some(UnixSecond(from + 1)) };
        Position {
            server: Some("https://ghe.example/api/v3/".into()),
            repository: Some(7),
            without_pull_requests: true,
            ranges: vec![range(0, Some(UnixSecond(10))), range(10, None)],
            hwm: Some(UnixSecond(1_700_000_000)),
            anchor: None,
            etag: Some(EntityTag { value: "W/\"x\"".into(), credentials: "token".into(), newest: false }),
            longest_page: 100,
            unread: vec![UnreadRow { since: Some(UnixSecond(5)), place: 2, after: Some(41), before: None }],
        }
    }

    #[test]
    fn a_position_survives_being_written_and_read() {
        for position in [full(), Position::default()] {
            let written = position.clone().write().unwrap();
            assert_eq!(Position::read(&written).unwrap(), position, "{written:?}");
        }
        let beginning = r#"{"v":1,"server":"https://ghe.example/api/v3/","repository_id":7,"#;
        let written = full().write().unwrap();
        assert!(written.as_str().starts_with(beginning), "{written:?}");
        assert!(written.as_str().contains(r#""without_pull_requests":true,"ranges":[{"from":"1970-"#), "{written:?}");
    }

    #[test]
    fn a_position_without_a_server_belongs_to_this_one() {
        let written = Position { server: None, ..full() }.write().unwrap();
        let old = Checkpoint::new(&{
            let mut old: serde_json::Value = written.parse().unwrap();
            old.as_object_mut().unwrap().remove("server");
            old
        });
        let here: Url = "https://ghe.example/api/v3/".parse().unwrap();
        for checkpoint in [written, old.unwrap()] {
            assert_eq!(Position::for_server(&here, &checkpoint).unwrap(), Position { etag: None, ..full() });
        }
    }

    #[test]
    fn a_position_of_another_server_is_rejected_with_help() {
        let written = full().write().unwrap();
        assert_eq!(Position::for_server(&"https://ghe.example/api/v3/".parse().unwrap(), &written).unwrap(), full());
        for elsewhere in ["http://ghe.example/api/v3/", "https://ghe.example:8443/api/v3/", "https://ghe.example/"] {
            let error = Position::for_server(&elsewhere.parse().unwrap(), &written).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Checkpoint, "{elsewhere}");
            assert!(error.help().unwrap().contains("reset"), "{elsewhere}");
        }
    }

    #[test]
    fn a_checkpoint_from_before_the_newest_page_had_a_tag_can_be_read() {
        let old = r#"{"v":1,"server":"https://ghe.example/api/v3/","repository_id":7,"without_pull_requests":true,
            "ranges":[{"from":"1970-01-01T00:00:00Z","to":"1970-01-01T00:00:10Z","at":"1970-01-01T00:00:01Z"},
            {"from":"1970-01-01T00:00:10Z","to":null,"at":"1970-01-01T00:00:11Z"}],
            "hwm":"2023-11-14T22:13:20Z","anchor":null,"etag":{"value":"W/\"x\"","credentials":"token"}}"#;
        let old = Checkpoint::new(&serde_json::from_str::<serde_json::Value>(old).unwrap()).unwrap();
        let meant = Position { longest_page: 0, unread: Vec::new(), ..full() };
        assert_eq!(Position::read(&old).unwrap(), meant);
        // And one that has a poll's tag is written as it was then.
        assert!(!full().write().unwrap().as_str().contains("newest"));
        let newest = full().etag.map(|tag| EntityTag { newest: true, ..tag });
        let position = Position { etag: newest, ..full() };
        assert_eq!(Position::read(&position.clone().write().unwrap()).unwrap(), position);
    }

    #[test]
    fn check_versions_and_contradictions_are_refused_with_help() {
        let headless = Position { hwm: None, ranges: vec![full().ranges.remove(0)], ..full() };
        for checkpoint in [
            Checkpoint::new(&serde_json::json!({ "v": 2, "new": true })).unwrap(),
            Checkpoint::new(&serde_json::json!({ "page": 7 })).unwrap(),
            headless.write().unwrap(),
        ] {
            let error = Position::read(&checkpoint).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Checkpoint, "{checkpoint:?}");
            assert!(error.help().unwrap().contains("reset"), "{checkpoint:?}");
        }
    }
}
