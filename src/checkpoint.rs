//! Where a source may resume.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Error, ErrorKind, Result};

/// Where a source may resume reading a resource: JSON that only the source understands.
///
/// A checkpoint is a *lower bound*: resuming from it may repeat records and never skips one. It travels inside a
/// [`Batch`](crate::Batch), so it cannot be committed without its records.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use snowfeed::Checkpoint;
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Position { page: u32 }
///
/// let checkpoint = Checkpoint::new(&Position { page: 7 })?;
/// assert_eq!(checkpoint.parse::<Position>()?, Position { page: 7 });
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(Box<RawValue>);

impl Checkpoint {
    /// Writes a source's position down.
    ///
    /// # Errors
    /// [`Checkpoint`](ErrorKind::Checkpoint) when the position cannot be written as JSON.
    pub fn new<T: Serialize>(position: &T) -> Result<Self> {
        serde_json::value::to_raw_value(position).map(Self).map_err(|error| {
            Error::new(ErrorKind::Checkpoint, "the position cannot be written as JSON").with_source(error)
        })
    }

    /// Reads the position back.
    ///
    /// # Errors
    /// [`Checkpoint`](ErrorKind::Checkpoint) when the JSON is not a `T`: it was written by another source, or by a
    /// version of it that this one does not understand.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.0.get()).map_err(|error| {
            Error::new(ErrorKind::Checkpoint, "the saved checkpoint cannot be read by this version of the source")
                .with_source(error)
                .with_help(
                    "upgrade the program, or `reset` the resource to read it again from the start (nothing is deleted)",
                )
        })
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Checkpoint {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Checkpoint {}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({})", self.as_str())
    }
}
