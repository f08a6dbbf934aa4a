//! Packages any connector as a Snowflake Native App.
//!
//! An [`App`] describes the app: its source and its names. A [`Bundle`] holds the files that Snowflake installs: the manifest, the
//! setup script, the procedures, the page, the job's specification. [`Bundle::findings`] checks the setup script against Snowflake's
//! rules, without an account. [`deploy`] installs the app in an account; [`image`] builds its container image.
//!
//! ```
//! use snowfeed::native_app::{App, Bundle};
//! use snowfeed::prelude::*;
//!
//! let spec = SourceSpec::new("planets", "1.2.0").resource_kind("star").host("api.example.com").stream(StreamSpec::new("planets"));
//! let bundle = Bundle::new(&App::from(&spec).title("Planets"))?;
//! assert!(bundle.text("manifest.yml").is_some_and(|manifest| manifest.contains("/snowfeed/public/images/planets:1.2.0")));
//! assert!(bundle.findings().is_empty());
//! # Ok::<(), snowfeed::Error>(())
//! ```

mod app;
mod bundle;
pub mod deploy;
mod hosts;
pub mod image;
mod lint;

pub(crate) use app::Names;
pub use app::{App, Name};
pub use bundle::{Bundle, WriteReport};
pub use lint::{Finding, Rule};

/// The reference of an app's image, `/database/schema/repository/name:tag`, for this repository's tests.
#[cfg(any(feature = "testkit", fuzzing))]
#[doc(hidden)]
pub fn image_reference(app: &App) -> crate::Result<String> {
    app.names().map(|names| names.image.to_string())
}
