//! The scenes: each creates its state for real.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use github_server::{Fault, GithubServer};
use jiff::SignedDuration;
use rusqlite::Connection;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, Sql, Statement};

use super::table::{Surface, case};
use super::{REFERENCE, Scene, check_commands, check_process, check_webhook};
use crate::health::age;
use crate::peers;
use crate::support::Program;

pub(super) const NAMES: [&str; 9] = [
    "clock_ahead",
    "clock_behind",
    "dropped_warehouse",
    "never_enabled",
    "refused_login",
    "restored_from_last_week",
    "revoked_secret",
    "revoked_token",
    "ten_thousand_resources",
];

const PASSWORD: &str = "correct-horse-battery-staple";

/// A folder of files as the source, and a file as the database.
async fn files() -> Scene {
    Scene::new(Program::new("custom_source").variable("JSONL_PATH", ".")).await
}

fn write(scene: &Scene, lines: u32) {
    let lines: String = (1..=lines).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    fs::write(scene.program.folder().join("numbers.jsonl"), lines).unwrap();
}

fn database(scene: &Scene) -> Connection {
    Connection::open(scene.program.folder().join("jsonl.db")).unwrap()
}

/// A schedule that is shorter than those that `enable` accepts.
fn hurry(database: &Connection) {
    database.execute("UPDATE RESOURCE_CONFIGURATION SET value = json_set(value, '$.schedule', '3s')", ()).unwrap();
}

fn set_schedule(scene: &Scene, schedule: &str) {
    let update = "UPDATE RESOURCE_CONFIGURATION SET value = json_set(value, '$.schedule', ?1)";
    database(scene).execute(update, [schedule]).unwrap();
}

async fn rows(scene: &Scene) -> usize {
    let preview = scene.program.json(&["preview", "numbers", "--limit", "100"]).await;
    preview["rows"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_ahead() {
    let (case, scene) = (case("clock_ahead"), files().await);
    write(&scene, 1);
    scene.program.run(&["ingest", "numbers"]).await.expect(0);
    set_schedule(&scene, "0 0 1 1 *");
    age(&scene.program, SignedDuration::from_hours(1));
    check_commands(&case, &scene.program).await;
    let running = scene.run().await;
    check_process(&case, &scene, &running, Instant::now()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_behind() {
    let (case, scene) = (case("clock_behind"), files().await);
    write(&scene, 1);
    scene.program.run(&["ingest", "numbers"]).await.expect(0);
    age(&scene.program, SignedDuration::from_hours(-1));
    check_commands(&case, &scene.program).await;
    for text in ["ago\":-", "-1 ", "-PT"] {
        let said = scene.program.run(&["status"]).await.expect(0).stdout;
        assert!(!said.contains(text), "{said}");
    }
    // The run dated in the future delays nothing, and hides no failure.
    fs::remove_file(scene.program.folder().join("numbers.jsonl")).unwrap();
    let began = Instant::now();
    let running = scene.run().await;
    check_process(&case, &scene, &running, began).await;
    running.stop().await;
    assert_eq!(scene.program.json(&["status"]).await["health"], "failing", "the database says it, too");
    // A mark in the future does not count as a success forever: that time passes, too.
    age(&scene.program, SignedDuration::from_hours(3 * 24));
    let later = scene.program.run(&["--json", "status", "--fail-if-stale", "2h"]).await.expect(9).json();
    assert!(matches!(later["health"].as_str(), Some("failing" | "late")), "{later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_restored_from_last_week() {
    let (case, scene) = (case("restored_from_last_week"), files().await);
    let file = scene.program.folder().join("jsonl.db");
    write(&scene, 3);
    scene.program.run(&["ingest", "numbers"]).await.expect(0);
    age(&scene.program, SignedDuration::from_hours(7 * 24));
    let backup = scene.program.folder().join("backup.db");
    database(&scene).execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    write(&scene, 50);
    scene.program.run(&["ingest"]).await.expect(0);
    assert_eq!(rows(&scene).await, 50);
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(scene.program.folder().join(format!("jsonl.db{ending}")));
    }
    fs::copy(&backup, &file).unwrap();
    assert_eq!(rows(&scene).await, 3);
    check_commands(&case, &scene.program).await;
    let running = scene.run().await;
    check_process(&case, &scene, &running, Instant::now()).await;
    running.stop().await;
    assert_eq!(rows(&scene).await, 50, "nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_was_never_enabled() {
    let (case, scene) = (case("never_enabled"), files().await);
    write(&scene, 1);
    scene.program.run(&["configure", "path=."]).await.expect(0);
    check_commands(&case, &scene.program).await;
    let running = scene.run().await;
    check_process(&case, &scene, &running, Instant::now()).await;
    running.stop().await;
    for args in [["disable", "numbers"], ["reset", "numbers"]] {
        let refused = scene.program.run(&[args[0], args[1], "--json"]).await;
        assert_ne!(refused.code, Some(0), "{args:?}: {refused:?}");
    }
}

/// GitHub as the source, with a token in a file, and one resource that has been read.
async fn with_token() -> (Scene, GithubServer) {
    let upstream =
        GithubServer::builder().seed(7).repository("acme/gears", 30).token("github-token-1").start().await.unwrap();
    let scene = Scene::new(Program::github(upstream.url())).await;
    let token = scene.program.folder().join("token");
    fs::write(&token, "github-token-1").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    scene.program.run(&["configure", &format!("token=file:{}", token.display())]).await.expect(0);
    scene.program.run(&["ingest", "acme/gears", "--streams", "issues"]).await.expect(0);
    hurry(&Connection::open(scene.program.folder().join("github.db")).unwrap());
    (scene, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_gone() {
    let (case, (scene, _upstream)) = (case("revoked_secret"), with_token().await);
    for surface in [Surface::Metrics, Surface::Probes] {
        assert!(!case.cell(surface).applies(), "there is no process to ask");
    }
    // A process that has read it goes on until the source refuses it: this is the next one.
    fs::remove_file(scene.program.folder().join("token")).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let began = Instant::now();
    scene.program.run(&["run", "--notify-url", REFERENCE]).await.expect(4);
    check_webhook(&case, &scene, began).await;
    check_commands(&case, &scene.program).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_source_refuses() {
    let (case, (scene, upstream)) = (case("revoked_token"), with_token().await);
    let running = scene.run().await;
    running.healthy().await;
    upstream.fault_while(|_| true, Fault::status(401));
    check_process(&case, &scene, &running, Instant::now()).await;
    check_commands(&case, &scene.program).await;
    running.stop().await;
}

/// Snowflake as the database: the user, and what is said to its server.
struct Snowflake {
    user: String,
    port: u16,
}

impl Snowflake {
    async fn execute(&self, statement: &str) {
        let connection = ConnectionConfig::new("testorg-account", "tester", Credentials::Password(PASSWORD.into()));
        let client = HttpClient::new(connection.host("127.0.0.1").port(self.port).protocol(Protocol::Http)).unwrap();
        let mut session = client.open().await.unwrap();
        session.execute(Statement::new(Sql::assert_safe(statement.to_owned()))).await.unwrap();
        session.close().await.unwrap();
    }

    async fn post(&self, path: &str) {
        let url = format!("http://127.0.0.1:{}{path}{}", self.port, self.user);
        let status = tokio::process::Command::new("curl").args(["-sfX", "POST", "--noproxy", "*", &url]).status();
        assert!(status.await.unwrap().success(), "{url}");
    }
}

/// A connector over Snowflake with a warehouse and a user of its own, that runs each minute and is healthy.
async fn on_snowflake() -> Option<(Scene, Snowflake, GithubServer)> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let server = peers::next_fakesnow()?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let snowflake = Snowflake { user: format!("SURFACES{number}"), port: server.port };
    snowflake.execute(&format!("CREATE WAREHOUSE SURFACES{number} AUTO_RESUME = TRUE")).await;
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url()).snowflake(server.port, PASSWORD, &format!("SURFACES{number}"));
    let program = program.variable("SNOWFLAKE_USER", &snowflake.user);
    let scene = Scene::new(program.variable("SNOWFLAKE_WAREHOUSE", &format!("SURFACES{number}"))).await;
    let enable = ["enable", "acme/gears", "--streams", "issues", "--schedule", "1m"];
    scene.program.run(&enable).await.expect(0);
    scene.program.run(&["ingest"]).await.expect(0);
    Some((scene, snowflake, upstream))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_was_dropped() {
    let case = case("dropped_warehouse");
    let Some((scene, snowflake, _upstream)) = on_snowflake().await else { return };
    let running = scene.run().await;
    running.healthy().await;
    snowflake.execute(&format!("DROP WAREHOUSE {}", snowflake.user)).await;
    check_process(&case, &scene, &running, Instant::now()).await;
    check_commands(&case, &scene.program).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused() {
    let case = case("refused_login");
    let Some((scene, snowflake, _upstream)) = on_snowflake().await else { return };
    let running = scene.run().await;
    running.healthy().await;
    snowflake.post("/tests/parameters?REFUSED=1&user=").await;
    snowflake.post("/tests/end-sessions?user=").await;
    check_process(&case, &scene, &running, Instant::now()).await;
    check_commands(&case, &scene.program).await;
    running.stop().await;
}

/// Turns the only resource into 10,000, of which twenty fail.
fn multiply(database: &Connection) {
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)";
    let name = "printf('file-%05d', i)";
    for (table, key) in [("RESOURCE_CONFIGURATION", "key"), ("APP_STATE", "key"), ("INGESTION_RUN", "resource")] {
        let mut find = database.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        let columns = find.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap);
        let columns: Vec<String> = columns.collect();
        let copied = columns.iter().map(|column| match column.as_str() {
            column if column == key => name.to_owned(),
            "id" => "printf('%08x-0000-7000-8000-000000000000', i)".to_owned(),
            "record" => format!(
                "json_set(CASE WHEN i < 20 THEN json_set(record, '$.status', 'failed', '$.error', json('{{\"kind\": \
                 \"unavailable\", \"message\": \"down\", \"causes\": [], \"help\": \"wait\"}}'), '$.failing', \
                 json_object('since', json_extract(record, '$.ended_at'), 'tries', 1)) ELSE record END, '$.resource', {name}, \
                 '$.id', printf('%08x-0000-7000-8000-000000000000', i))"
            ),
            column => column.to_owned(),
        });
        let (names, copied) = (columns.join(", "), copied.collect::<Vec<_>>().join(", "));
        let old = format!("CREATE TEMPORARY TABLE old AS SELECT * FROM {table}; DELETE FROM {table};");
        let new = format!("INSERT INTO {table} ({names}) {numbers} SELECT {copied} FROM n, old; DROP TABLE old;");
        database.execute_batch(&(old + &new)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_resources() {
    let (case, scene) = (case("ten_thousand_resources"), files().await);
    write(&scene, 1);
    scene.program.run(&["ingest", "numbers"]).await.expect(0);
    set_schedule(&scene, "87600h");
    multiply(&database(&scene));
    check_commands(&case, &scene.program).await;
    let began = Instant::now();
    let running = scene.run().await;
    check_process(&case, &scene, &running, began).await;
    let asked = Instant::now();
    running.get("/metrics").await;
    println!("{} | /metrics took {:?}", case.name, asked.elapsed());
    let id = running.child.id().unwrap();
    let memory = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(str::trim).unwrap_or_default();
    println!("{} | peak memory of run: {peak}", case.name);
    if let Some(kilobytes) = peak.strip_suffix(" kB").and_then(|peak| peak.trim().parse::<u64>().ok()) {
        assert!(kilobytes < 400_000, "{peak}");
    }
    running.stop().await;
}
