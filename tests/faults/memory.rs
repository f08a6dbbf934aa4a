//! Runs under an external memory limit: the program succeeds with more data than fits into memory.
//!
//! `SNOWFEED_LOAD_ISSUES` sets the number of issues (20,000 unless set).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use github_server::{Fault, GithubServer};

use crate::environment::{number, skipped};
use crate::program::{ProcessOutput, ingest, ingest_all, run};
use crate::scenario::REPOSITORY;

/// All memory that the program may address, including its own code and libraries.
const ADDRESS_SPACE: u64 = 256 << 20;

/// The program with a memory limit; `None` where no limit can be set.
fn with_memory_limit(url: &str, file: &Path) -> Option<Command> {
    let plain = ingest(url, file);
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={ADDRESS_SPACE}")).arg(plain.get_program()).args(plain.get_args());
    // glibc reserves 64 MiB of addresses for each of its arenas, used or not.
    command.env_clear().env("GITHUB_API_URL", url).env("MALLOC_ARENA_MAX", "1");
    if Command::new("prlimit").arg("--version").output().is_err() {
        skipped("there is no prlimit, which limits a program's memory");
        return None;
    }
    Some(command)
}

/// Runs to the end, and returns the largest resident set in MiB, as last sampled.
fn run_measured(mut command: Command) -> (ProcessOutput, u64) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or_default() / 1_024);
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (ProcessOutput { code: output.status.code(), stdout: String::new(), stderr }, peak)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingestion_larger_than_memory_completes() {
    let issues = u32::try_from(number("SNOWFEED_LOAD_ISSUES").unwrap_or(20_000)).unwrap();
    let upstream = GithubServer::builder().oddities(false).repository(REPOSITORY, issues).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let Some(command) = with_memory_limit(upstream.url(), &file) else { return };
    let (run, peak) = tokio::task::block_in_place(|| run_measured(command));
    assert_eq!(run.code, Some(0), "{run:#?}");
    let reader = rusqlite::Connection::open(&file).unwrap();
    let rows: u32 = reader.query_row("SELECT count(*) FROM issues", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, issues);
    println!(
        "{issues} issues, {} MiB in the file, within {} MiB of address space; largest resident set {peak} MiB",
        std::fs::metadata(&file).unwrap().len() >> 20,
        ADDRESS_SPACE >> 20
    );
}

/// The limit of the program's resident memory, in MiB, at any concurrency.
const MAX_RESIDENT: u64 = 96;

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_concurrency() {
    let repositories: Vec<String> = (0..32).map(|number| format!("acme/part-{number:02}")).collect();
    let builder = GithubServer::builder().oddities(false).latency(Duration::from_millis(20));
    // Pages of 1.2 MiB.
    let issue = |number: usize| {
        let (body, day) = ("x".repeat(12 << 10), number % 28 + 1);
        format!(
            r#"{{"id":{number},"number":{number},"body":"{body}","created_at":"2023-01-01T00:00:00Z","updated_at":"2024-{month:02}-{day:02}T00:00:00Z"}}"#,
            month = number / 28 + 1
        )
    };
    let builder = repositories.iter().fold(builder, |builder, name| builder.repository_from(name, (1..300).map(issue)));
    let upstream = builder.start().await.unwrap();
    for requests in ["8", "32", "100"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let mut command = ingest_all(upstream.url(), &file, &repositories);
        command.args(["--concurrency", "32", "--set", &format!("concurrency={requests}")]);
        let (run, peak) = tokio::task::block_in_place(|| run_measured(command));
        assert_eq!(run.code, Some(0), "{run:#?}");
        println!("32 repositories, {requests} concurrent requests: largest resident set {peak} MiB");
        assert!(peak <= MAX_RESIDENT, "{peak} MiB with {requests} concurrent requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_gzip_bombs_stay_within_the_memory_limit() {
    let upstream = GithubServer::builder().repository(REPOSITORY, 3_000).start().await.unwrap();
    // By then, eight ranges are being read in parallel.
    upstream.fault_while(|request| request.number() > 6, Fault::GzipBomb(16 << 30));
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = with_memory_limit(upstream.url(), &folder.path().join("x.db")) else { return };
    let run = tokio::task::block_in_place(|| run(&mut command));
    run.assert_fails(3, "longer than allowed", "smaller pages");
}
