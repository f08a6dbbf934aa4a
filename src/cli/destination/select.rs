//! Selects the destination of a command.

use std::sync::Arc;

use super::Destination;
use super::args::DestinationArgs;
use super::custom::{CustomDestination, OpenBackend};
#[cfg(feature = "snowflake")]
use super::snowflake;
#[cfg(feature = "sqlite")]
use super::sqlite;
#[cfg(all(feature = "sqlite", not(feature = "snowflake")))]
use super::{variable, without_snowflake};
#[cfg(all(feature = "snowflake", not(feature = "sqlite")))]
use crate::Error;
use crate::{Result, SourceSpec};

/// The destinations of a command line.
pub(in crate::cli) enum Destinations {
    /// Those that snowfeed was built with; the arguments select one.
    #[cfg(any(feature = "snowflake", feature = "sqlite"))]
    BuiltIn,
    /// The program's own backend.
    Custom(OpenBackend),
}

impl Destinations {
    /// Returns the destination that the arguments and the environment select.
    #[cfg_attr(
        not(any(feature = "snowflake", feature = "sqlite")),
        expect(unused_variables, reason = "no built-in destination")
    )]
    pub(in crate::cli) fn select(self, spec: &SourceSpec, args: &DestinationArgs) -> Result<Arc<dyn Destination>> {
        match self {
            #[cfg(any(feature = "snowflake", feature = "sqlite"))]
            Self::BuiltIn => select_built_in(spec, args),
            Self::Custom(open) => Ok(Arc::new(CustomDestination::new(open))),
        }
    }
}

#[cfg(any(feature = "snowflake", feature = "sqlite"))]
fn select_built_in(spec: &SourceSpec, args: &DestinationArgs) -> Result<Arc<dyn Destination>> {
    #[cfg(feature = "snowflake")]
    if snowflake::is_selected(args)? {
        return Ok(Arc::new(snowflake::SnowflakeDatabase::new(spec, args)?));
    }
    #[cfg(all(feature = "sqlite", not(feature = "snowflake")))]
    if variable("SNOWFEED_TO").is_some_and(|to| to == "snowflake") {
        return Err(without_snowflake("SNOWFEED_TO=snowflake"));
    }
    #[cfg(feature = "sqlite")]
    return Ok(Arc::new(sqlite::SqliteFile::new(spec, args)));
    #[cfg(not(feature = "sqlite"))]
    Err(Error::new(crate::ErrorKind::Unsupported, "this program was built without snowfeed's feature `sqlite`")
        .with_help("use `--to snowflake`, or build it with `--features sqlite`"))
}
