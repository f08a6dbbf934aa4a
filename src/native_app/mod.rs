//! The native app: any connector inside a Snowflake account.
//!
//! An [`App`] says for which source, under which names. A [`Bundle`] is what Snowflake installs: the manifest, the setup script,
//! the procedures, the page, the job's specification. [`lint`] holds a setup script to Snowflake's rules, which no server is
//! needed for.
//!
//! ```
//! use snowfeed::native_app::{App, Bundle};
//! use snowfeed::prelude::*;
//!
//! let spec = SourceSpec::new("planets", "1.2.0").resource_kind("star").host("api.example.com").table(TableSpec::new("planets"));
//! let bundle = Bundle::new(&App::from(&spec).title("Planets"))?;
//! assert!(bundle.text("manifest.yml").is_some_and(|manifest| manifest.contains("/snowfeed/public/images/planets:1.2.0")));
//! assert!(bundle.findings().is_empty());
//! # Ok::<(), snowfeed::Error>(())
//! ```

pub mod app;
pub mod bundle;
pub mod deploy;
mod hosts;
pub mod image;
pub mod lint;

pub use app::{App, Image, Name, Names};
pub use bundle::{Bundle, Written};
pub use lint::{Finding, Rule};
