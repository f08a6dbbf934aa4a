//! Where a read of a described stream resumes.

use serde::{Deserialize, Serialize};

use crate::{Checkpoint, Error, ErrorKind, Result};

const VERSION: u32 = 1;

/// The checkpoint of a stream. Values are microseconds since 1970, or numbers, as the stream's format says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::rest) struct Position {
    v: u32,
    /// Everything below this value has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) mark: Option<i64>,
    /// A read that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) read: Option<Unfinished>,
    /// In an append stream, which is read downwards: everything above this value has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) below: Option<i64>,
    /// In an append stream: the newest value of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) newest: Option<i64>,
    /// The definition of the stream that was read; `None` in checkpoints of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

/// A read by windows that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::rest) struct Unfinished {
    /// When it began: the mark once it has ended.
    pub(in crate::rest) started: i64,
    /// Where the next window begins.
    pub(in crate::rest) at: i64,
    /// Whether it began by this machine's clock: the server did not tell its time.
    #[serde(rename = "local", default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::rest) is_local: bool,
    /// The newest version that it has seen, if it began by this machine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) newest: Option<i64>,
    /// The finest unit of the versions that it has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) unit: Option<i64>,
}

impl Position {
    pub(in crate::rest) fn mark(mark: Option<i64>) -> Self {
        Self { v: VERSION, mark, ..Self::default() }
    }

    pub(in crate::rest) fn unfinished(mark: Option<i64>, read: Unfinished) -> Self {
        Self { read: Some(read), ..Self::mark(mark) }
    }

    pub(in crate::rest) fn below(below: i64, newest: Option<i64>) -> Self {
        Self { below: Some(below), newest, ..Self::mark(None) }
    }

    /// # Errors
    /// `Checkpoint` for one that this version has not written.
    pub(in crate::rest) fn from_checkpoint(checkpoint: Option<&Checkpoint>) -> Result<Self> {
        let Some(checkpoint) = checkpoint else { return Ok(Self::mark(None)) };
        let position: Self = checkpoint.parse()?;
        if position.v != VERSION {
            return Err(Error::new(
                ErrorKind::Checkpoint,
                "the saved checkpoint is of another version of this program",
            )
            .with_help("upgrade the program, or `reset` the resource to read it again from the start"));
        }
        Ok(position)
    }

    /// Whether it is one of a stream with this definition, as far as it tells.
    pub(in crate::rest) fn is_of(&self, definition: &str) -> bool {
        self.of.as_ref().is_none_or(|of| of == definition)
    }

    /// Adds the definition of the stream that was read.
    ///
    /// # Errors
    /// As for [`from_checkpoint`](Self::from_checkpoint).
    pub(in crate::rest) fn sign(checkpoint: &Checkpoint, definition: &str) -> Result<Checkpoint> {
        let position = Self::from_checkpoint(Some(checkpoint))?;
        Self { of: Some(definition.to_owned()), ..position }.checkpoint()
    }

    pub(in crate::rest) fn checkpoint(&self) -> Result<Checkpoint> {
        Checkpoint::new(self)
    }
}
