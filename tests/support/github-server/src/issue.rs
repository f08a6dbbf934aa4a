//! One issue: a few dozen bytes for a generated one, the text itself for a loaded one.

use std::io;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::clock::second_of;
use crate::generate::mix;
use crate::timeline::Times;

/// The origin of an issue's JSON.
#[derive(Debug, Clone)]
pub(crate) enum IssueText {
    /// Everything is derived from this number and the revision.
    Seed(u64),
    /// The JSON as given.
    Raw(Box<str>),
}

#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) content: IssueText,
    pub(crate) number: u32,
    pub(crate) created: u32,
    pub(crate) updated: u32,
    /// Zero while it is open.
    pub(crate) closed: u32,
    pub(crate) revision: u32,
    pub(crate) comments: u32,
    pub(crate) open: bool,
    pub(crate) pull: bool,
}

/// Draws whether a generated issue is a pull request: the first draw of its seed.
pub(crate) fn draw_pull(rng: &mut fastrand::Rng) -> bool {
    rng.u8(..10) < 3
}

/// The part of a raw issue that the upstream needs.
#[derive(Deserialize)]
struct IssueHeader {
    id: u64,
    number: u32,
    #[serde(default)]
    state: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default)]
    closed_at: Option<Timestamp>,
    #[serde(default)]
    comments: u32,
    #[serde(default)]
    pull_request: Option<IgnoredAny>,
}

impl Issue {
    /// A new issue from a seed.
    pub(crate) fn generated(id: u64, number: u32, seed: u64, now: u32) -> Self {
        let pull = draw_pull(&mut fastrand::Rng::with_seed(seed));
        let content = IssueText::Seed(seed);
        let (created, updated, closed, revision, comments, open) = (now, now, 0, 0, 0, true);
        Self { id, content, number, created, updated, closed, revision, comments, open, pull }
    }

    /// Makes a generated issue a pull request, or none: draws other seeds until one says so.
    pub(crate) fn draw_until(&mut self, pull: bool) {
        while let IssueText::Seed(seed) = &mut self.content
            && self.pull != pull
        {
            *seed = mix(*seed, 1);
            self.pull = draw_pull(&mut fastrand::Rng::with_seed(*seed));
        }
    }

    /// The id of the pull request that the issue is; no issue has it.
    pub(crate) fn pull_id(&self) -> u64 {
        self.id + 7
    }

    pub(crate) fn times(&self) -> Times {
        Times { created: self.created, updated: self.updated, number: self.number }
    }

    /// An issue as GitHub sent it.
    pub(crate) fn from_raw(text: &str) -> io::Result<Self> {
        let text = text.trim();
        let head: IssueHeader = serde_json::from_str(text).map_err(|error| {
            let wanted = "one JSON object with id, number, created_at and updated_at";
            io::Error::new(io::ErrorKind::InvalidData, format!("not an issue as GitHub sends it ({wanted}): {error}"))
        })?;
        Ok(Self {
            id: head.id,
            content: IssueText::Raw(text.into()),
            number: head.number,
            created: second_of(head.created_at),
            updated: second_of(head.updated_at),
            closed: head.closed_at.map(second_of).unwrap_or_default(),
            revision: 0,
            comments: head.comments,
            open: head.state.as_deref() != Some("closed"),
            pull: head.pull_request.is_some(),
        })
    }

    /// Changes the keys of an issue, based on its current text; it is raw from then on.
    pub(crate) fn patched(text: &str, patch: Map<String, Value>) -> io::Result<Self> {
        let mut object: Map<String, Value> = serde_json::from_str(text)?;
        object.extend(patch);
        Self::from_raw(&Value::Object(object).to_string())
    }
}
