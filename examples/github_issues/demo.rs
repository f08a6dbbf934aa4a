//! A minute with snowfeed: a GitHub-like server on this machine, its issues in a database, and what happens when they change.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use github_server::GithubServer;
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Error, Mode, Resource, Result};

const REPOSITORY: &str = "acme/widgets";
const ISSUES: u32 = 2_000;
const MINUTE: Duration = Duration::from_secs(60);
const SHOWN: [&str; 4] = ["number", "state", "title", "deleted_at"];

/// Runs the demonstration, and keeps its database, at `path` if there is one.
pub(crate) async fn run(path: Option<&str>) -> ExitCode {
    match run_steps(path.map_or_else(fresh_path, PathBuf::from)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(help) = error.help() {
                eprintln!("help: {help}");
            }
            ExitCode::FAILURE
        }
    }
}

fn fresh_path() -> PathBuf {
    std::env::temp_dir().join(format!("snowfeed-demo-{}.db", std::process::id()))
}

async fn run_steps(path: PathBuf) -> Result<()> {
    if path.exists() {
        return Err(Error::configuration(format!("{} exists already", path.display())).with_help("name a new file"));
    }
    let upstream =
        GithubServer::builder().seed(2026).repository(REPOSITORY, ISSUES).start().await.map_err(|error| {
            Error::unavailable("the server of the demonstration cannot listen on 127.0.0.1").with_source(error)
        })?;
    upstream.add_repository("acme/archive");
    println!("A GitHub-like server with {ISSUES} issues in {REPOSITORY} runs at {}.\n", upstream.url());

    let database = Arc::new(Sqlite::open(&path)?);
    // All settings are set here, so that GITHUB_TOKEN and the like in the environment have no effect.
    let connector = Connector::new(GithubIssues::default(), database.clone())
        .with_settings([("api_url".to_owned(), upstream.url().into())]);

    println!("1. The first run reads everything, in parallel ranges.");
    ingest(&connector, Mode::Incremental).await?;

    println!("2. Nothing has changed: one conditional request, which costs no quota, and no write.");
    ingest(&connector, Mode::Incremental).await?;

    upstream.bulk_edit(REPOSITORY, 25);
    let new = upstream.create(REPOSITORY, 5);
    for number in 1..=10 {
        upstream.clock().advance(MINUTE);
        upstream.close(REPOSITORY, number);
    }
    upstream.clock().advance(MINUTE);
    println!("3. On the server, 25 issues are edited, 10 closed and {} opened. Only those are read.", new.len());
    ingest(&connector, Mode::Incremental).await?;

    upstream.delete(REPOSITORY, 100);
    upstream.transfer(REPOSITORY, 101, "acme/archive");
    upstream.rename_label(REPOSITORY, "bug", "defect");
    println!(
        "4. One issue is deleted, one is transferred to another repository, and the label `bug` is renamed to `defect`."
    );
    println!(
        "   GitHub does not report these: `updated_at` stays the same, and an incremental run finds none of them."
    );
    ingest(&connector, Mode::Incremental).await?;

    println!(
        "5. A reconcile run (`ingest --reconcile`) compares everything, verifies what is missing and marks it deleted."
    );
    ingest(&connector, Mode::Reconcile).await?;

    let rows = database.preview(&Resource::new(REPOSITORY)?, "issues", 3).await?;
    println!("Three of the rows that changed last:");
    for row in &rows.rows {
        let shown = rows.columns.iter().zip(row).filter(|(name, _)| SHOWN.contains(&name.as_str()));
        println!("   {}", shown.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("  "));
    }
    hints(&path);
    Ok(())
}

async fn ingest(connector: &Connector, mode: Mode) -> Result<()> {
    let began = Instant::now();
    let report = connector.ingest(IngestRequest::new([Resource::new(REPOSITORY)?]).mode(mode)).await?;
    let (counts, run) = (report.counts(), &report.runs[0]);
    println!(
        "   {:?}: {} inserted, {} updated, {} deleted, {} unchanged; requests: {}; {:.2} s\n",
        run.status,
        counts.inserted,
        counts.updated,
        counts.deleted,
        counts.unchanged,
        run.traffic.requests,
        began.elapsed().as_secs_f64()
    );
    match &run.error {
        None => Ok(()),
        Some(error) => Err(Error::new(error.kind, error.message.clone())),
    }
}

fn hints(path: &Path) {
    let path = path.display();
    println!("\nThe database is yours: {path}");
    println!("   sqlite3 {path} \"select state, count(*) from issues where deleted_at is null group by state\"");
    println!("   sqlite3 {path} \"select number, title, deleted_at from issues where deleted_at is not null\"");
    println!("   sqlite3 {path} 'select number, title, labels from \"{REPOSITORY}\" order by updated_at desc limit 5'");
    println!("\nThe same with your repository: GITHUB_TOKEN=… github_issues --db issues.db ingest OWNER/NAME");
}
