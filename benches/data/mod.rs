//! Input of the benches: issues as GitHub writes them, about 4.5 kB each, always the same ones.

use github_server::GithubServer;

const REPOSITORY: &str = "acme/widgets";

/// An issue's id, time of the last change in microseconds, and text.
pub(crate) type Issue = (i64, i64, String);

/// Returns `count` issues, ordered by number.
pub(crate) fn issues(count: u32) -> Vec<Issue> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let upstream = GithubServer::builder().oddities(false).repository(REPOSITORY, count).start().await.unwrap();
        let mut issues = Vec::new();
        upstream.visit(REPOSITORY, |issue| {
            issues.push((i64::try_from(issue.id).unwrap(), issue.updated_at.as_microsecond(), issue.text))
        });
        issues
    })
}
