//! Resources: what a source reads.

mod names;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::names::ResourceNames;
use crate::{Error, Result};

/// Something that a source can read, such as the repository `acme/widgets`.
///
/// A user types its name, which is also the key of its state and the name of its view. Any text is legal, unless it is empty
/// or has leading or trailing white space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resource(String);

/// The name of the resource that stands for the source as a whole.
const SOURCE_WIDE: &str = "*";

impl Resource {
    /// A resource by its name.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if the name is empty or has leading or trailing white space.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.trim() != name {
            return Err(Error::configuration(format!("{name:?} is not a resource name"))
                .with_help("name it without leading or trailing white space"));
        }
        Ok(Self(name))
    }

    /// The resource that stands for the source as a whole. The states, runs and rows of [source-wide](crate::StreamSpec::source_wide)
    /// streams belong to it. Its name is `*`.
    ///
    /// ```
    /// assert_eq!(snowfeed::Resource::source_wide().name(), "*");
    /// ```
    pub fn source_wide() -> Self {
        Self(SOURCE_WIDE.into())
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({:?})", self.0)
    }
}

impl TryFrom<String> for Resource {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.0
    }
}

impl std::str::FromStr for Resource {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}
