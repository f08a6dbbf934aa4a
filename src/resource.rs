//! Resources: what a source reads.

mod names;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

pub use self::names::ResourceNames;
use crate::{Error, Result};

/// Something that a source can read, such as the repository `acme/widgets`.
///
/// A user types its name, which is also the key of its state and the name of its view. Any text is legal, unless it is empty
/// or has leading or trailing white space. Where the name is an id, such as `C024BE91L`, a source can add a [title](Self::with_title).
///
/// Resources with the same name are equal, whatever their titles. The title is not serialized.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resource {
    name: String,
    title: Option<Box<str>>,
}

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
        Ok(Self { name, title: None })
    }

    /// The resource that stands for the source as a whole. The states, runs and rows of [source-wide](crate::StreamSpec::source_wide)
    /// streams belong to it. Its name is `*`.
    ///
    /// ```
    /// assert_eq!(snowfeed::Resource::source_wide().name(), "*");
    /// ```
    pub fn source_wide() -> Self {
        Self { name: SOURCE_WIDE.into(), title: None }
    }

    /// Adds what people call the resource. `discover` and the app's page show it beside the name. An empty title is none.
    ///
    /// ```
    /// use snowfeed::Resource;
    ///
    /// let channel = Resource::new("C024BE91L")?.with_title("general");
    /// assert_eq!((channel.name(), channel.title()), ("C024BE91L", Some("general")));
    /// assert_eq!(channel, Resource::new("C024BE91L")?);
    /// # Ok::<(), snowfeed::Error>(())
    /// ```
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into().into_boxed_str()).filter(|title| !title.is_empty());
        self
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What people call the resource, if its source said so when it listed the resource.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Resource {}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resource {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({:?})", self.name)
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
        resource.name
    }
}

impl std::str::FromStr for Resource {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}
