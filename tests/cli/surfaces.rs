//! What each surface shows in each state that an operator meets, by the table in `tests/health/surfaces.toml`: the command line, the
//! metrics, the probes and the webhook of a real process. The app's side is in `tests/native_app/python/test_surfaces.py`.

#[path = "surfaces/scenes.rs"]
mod scenes;
#[path = "surfaces/table.rs"]
mod table;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Ended, Program, end, signal};
use table::{Case, Surface, cases};

/// How long a process may take to begin, or to show what takes no schedule.
const SOON: Duration = Duration::from_secs(60);

/// The name of the variable with the webhook's URL, and that URL's path.
const REFERENCE: &str = "env:ALERT_URL";
const HOOK: &str = "/services/T012/B345";

/// A program, and who gets its notifications.
pub(super) struct Scene {
    pub(super) program: Program,
    hook: MockServer,
}

impl Scene {
    async fn new(program: Program) -> Self {
        let hook = MockServer::start().await;
        Mock::given(wiremock::matchers::path(HOOK)).respond_with(ResponseTemplate::new(200)).mount(&hook).await;
        let program = program.variable("ALERT_URL", &format!("{}{HOOK}", hook.uri()));
        Self { program, hook }
    }

    /// What the webhook got.
    async fn told(&self) -> Vec<Value> {
        let requests = self.hook.received_requests().await.unwrap();
        requests.into_iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    }

    /// Starts `run` with metrics and the webhook.
    async fn run(&self) -> Running {
        let mut child = self.program.start(&["run", "--listen", "127.0.0.1:0", "--notify-url", REFERENCE]);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listens = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("http://127.0.0.1:") {
                    return address.trim_end_matches("/metrics").parse().unwrap();
                }
            }
            panic!("it does not listen")
        };
        let port = tokio::time::timeout(SOON, listens).await.expect("it does not listen in time");
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                println!("run: {line}");
            }
        });
        // What it reports must not block it.
        let mut stdout = child.stdout.take().unwrap();
        tokio::spawn(async move { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await });
        Running { child, port }
    }
}

/// A process of `run`.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    /// The status and the body of a path.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The metrics, once they have these lines.
    async fn metrics_with(&self, lines: &[&str], limit: Duration) -> String {
        let began = Instant::now();
        loop {
            let (status, metrics) = self.get("/metrics").await;
            assert_eq!(status, 200);
            if lines.iter().all(|wanted| metrics.lines().any(|line| line == *wanted)) {
                return metrics;
            }
            assert!(began.elapsed() < limit, "within {limit:?} there was not {lines:?} in {metrics}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until this process itself has read everything.
    async fn healthy(&self) {
        let lines = ["snowfeed_runs_in_progress 0", "snowfeed_health{health=\"healthy\"} 1"];
        while !self.metrics_with(&lines, SOON).await.contains("status=\"complete\"}") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn stop(self) {
        signal(&self.child, "TERM");
        end(self.child).await;
    }
}

/// What is said, for the documentation: one line for each surface.
fn show(case: &Case, surface: Surface, text: &str) {
    for line in text.lines().filter(|line| !line.is_empty()).take(12) {
        println!("{} | {} | {}", case.name, surface.name(), line.chars().take(240).collect::<String>());
    }
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or(Value::Null)
}

/// Compares what the commands say, over what the processes have left.
async fn check_commands(case: &Case, program: &Program) {
    for surface in [Surface::Status, Surface::Json, Surface::FailIfStale] {
        let cell = case.cell(surface);
        let limit = cell.limit.as_deref().unwrap_or("2h");
        let args = match surface {
            Surface::Status => vec!["status"],
            Surface::Json => vec!["--json", "status", "--fail-if-stale", limit],
            _ => vec!["status", "--fail-if-stale", limit],
        };
        let began = Instant::now();
        let ended = program.run(&args).await;
        let took = began.elapsed();
        assert_eq!(ended.code, cell.exit, "{} {args:?}: {ended:#?}", case.name);
        assert!(took < Duration::from_secs(20), "{} {args:?} took {took:?}", case.name);
        if ended.stdout.len() > 100_000 {
            println!("{} | {args:?}: {} bytes in {took:?}", case.name, ended.stdout.len());
        }
        let text =
            if surface == Surface::Json { ended.stdout.clone() } else { [&*ended.stdout, &ended.stderr].concat() };
        if surface == Surface::Status {
            show(case, surface, &text);
            case.compare_with_guide(surface, &text);
        }
        cell.check(case, surface, &text, &document(&ended));
    }
}

/// Compares what a running process says once it has noticed the state, and whom it tells.
async fn check_process(case: &Case, scene: &Scene, running: &Running, began: Instant) {
    let limit = case.within_seconds.map_or(SOON, Duration::from_secs);
    let cell = case.cell(Surface::Metrics);
    let lines: Vec<&str> = cell.says.iter().map(String::as_str).collect();
    let metrics = running.metrics_with(&lines, limit).await;
    println!("{} | noticed after {:.1} s", case.name, began.elapsed().as_secs_f64());
    cell.check(case, Surface::Metrics, &metrics, &Value::Null);
    let shown: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("snowfeed_health{") && line.ends_with(" 1")).collect();
    show(case, Surface::Metrics, &shown.join("\n"));
    case.compare_with_guide(Surface::Metrics, &metrics);
    if metrics.len() > 100_000 {
        println!("{} | /metrics: {} bytes", case.name, metrics.len());
    }
    let probes = json!({"/healthz": running.get("/healthz").await.0, "/readyz": running.get("/readyz").await.0});
    for (path, status) in &case.cell(Surface::Probes).has {
        assert_eq!(probes[path].to_string(), status.to_string(), "{} {path}", case.name);
    }
    check_webhook(case, scene, began).await;
}

/// Compares what the webhook was told.
async fn check_webhook(case: &Case, scene: &Scene, began: Instant) {
    let limit = case.within_seconds.map_or(SOON, Duration::from_secs);
    let cell = case.cell(Surface::Webhook);
    if cell.silent.is_some() {
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(scene.told().await.is_empty(), "{}: {:#?}", case.name, scene.told().await);
        return;
    }
    let told = loop {
        if let Some(told) = scene.told().await.into_iter().next() {
            break told;
        }
        assert!(began.elapsed() < limit + Duration::from_secs(20), "{}: no notification was sent", case.name);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    println!("{} | told after {:.1} s", case.name, began.elapsed().as_secs_f64());
    let text = told["text"].as_str().unwrap();
    show(case, Surface::Webhook, text);
    case.compare_with_guide(Surface::Webhook, text);
    cell.check(case, Surface::Webhook, text, &told);
    assert!(cell.most_bytes.is_none_or(|most| told.to_string().len() < most), "{}", told.to_string().len());
}

#[test]
fn every_case_has_a_scene_and_every_cell_a_reader() {
    let mut cases = cases();
    for case in &cases {
        case.check_shape();
    }
    cases.retain(|case| case.program != "app");
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let mut scenes = scenes::NAMES.to_vec();
    scenes.sort_unstable();
    assert_eq!(names, scenes, "a case without a scene, or a scene without a case");
}
