//! The apps that tests use.

pub(crate) use custom_source::JsonLines;
use snowfeed::native_app::App;
use snowfeed::prelude::*;

#[path = "../../examples/custom_source.rs"]
#[allow(dead_code, unreachable_pub, reason = "its `main` is not called")]
mod custom_source;

/// The app of the reference source, with fixed versions: they change with every release.
pub(crate) fn github() -> App {
    let mut spec = snowfeed::sources::github::GithubIssues::default().spec();
    spec.version = "0.1.0".into();
    App::from(&spec).title("GitHub issues").program("github_issues")
}

/// The app of a source that has no hosts and no secrets.
pub(crate) fn custom() -> App {
    App::from(&JsonLines.spec())
}
