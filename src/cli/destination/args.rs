//! The arguments that select a built-in destination.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;

#[cfg(feature = "snowflake")]
use super::options::OptionArgs;

/// The built-in destinations of this program.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct DestinationArgs {
    /// The database file [default: {name}.db; environment: SNOWFEED_DB]
    #[cfg(feature = "sqlite")]
    #[arg(long, global = true, value_name = "PATH")]
    pub(in crate::cli) db: Option<PathBuf>,
    #[cfg(feature = "snowflake")]
    #[command(flatten, next_help_heading = "Snowflake")]
    pub(in crate::cli) snowflake: SnowflakeArgs,
}

/// The kind of destination, and Snowflake's options.
#[cfg(feature = "snowflake")]
#[derive(Debug, Default, Clone, clap::Args)]
pub(in crate::cli) struct SnowflakeArgs {
    #[cfg_attr(feature = "sqlite", doc = "The kind of destination [default: sqlite; environment: SNOWFEED_TO]")]
    #[cfg_attr(
        not(feature = "sqlite"),
        doc = "The kind of destination [default: snowflake; environment: SNOWFEED_TO]"
    )]
    #[arg(long, global = true, value_name = "DESTINATION", value_enum)]
    pub(in crate::cli) to: Option<DestinationKind>,
    /// A connection of Snowflake's tools, by its name [default: theirs]
    #[arg(long, global = true, value_name = "CONNECTION")]
    pub(in crate::cli) connection: Option<String>,
    /// The database, instead of the connection's
    #[arg(long, global = true, value_name = "DATABASE")]
    pub(in crate::cli) database: Option<String>,
    /// The schema of the views, instead of the connection's [default: PUBLIC]
    #[arg(long, global = true, value_name = "SCHEMA")]
    pub(in crate::cli) schema: Option<String>,
    /// The warehouse, instead of the connection's
    #[arg(long, global = true, value_name = "WAREHOUSE")]
    pub(in crate::cli) warehouse: Option<String>,
    /// The role, instead of the connection's
    #[arg(long, global = true, value_name = "ROLE")]
    pub(in crate::cli) role: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) options: OptionArgs,
}

/// The destinations.
#[cfg(feature = "snowflake")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum DestinationKind {
    /// The file of --db
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// A Snowflake database
    Snowflake,
}
