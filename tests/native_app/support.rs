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

/// The same source with streams that a user has to select, one of which requires another one.
pub(crate) fn several_streams() -> App {
    let mut spec = snowfeed::sources::github::GithubIssues::default().spec();
    spec.version = "0.1.0".into();
    spec.streams.truncate(1);
    let comments = StreamSpec::new("comments").optional().column("id", "id", ColumnType::Integer);
    let reactions = StreamSpec::child("reactions", "comments").optional().column("id", "id", ColumnType::Integer);
    App::from(&spec.stream(comments).stream(reactions)).title("GitHub issues").program("github_issues")
}

/// The app of a source that has no hosts and no secrets.
pub(crate) fn custom() -> App {
    App::from(&JsonLines.spec())
}
