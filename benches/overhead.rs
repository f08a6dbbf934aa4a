//! What it costs to be watched: the processor time of `run` alone, with its metrics scraped each second, and with traces sent to a
//! collector.
//!
//! Each run is a process of its own, and so are the server and the collector; the scrapes are this process's. Runs alternate, and each
//! is compared with the one without anything beside it. See `docs/benchmarks.md`.

#[path = "measure/mod.rs"]
mod measure;
#[path = "measure/upstream.rs"]
mod upstream;

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use github_server::GithubServer;
use snowfeed::sources::github::GithubIssues;
use tracing::Instrument;
use upstream::Upstream;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The time between scrapes: the least that anyone would choose, 15 times as often as Prometheus by default.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// Without one, the server allows 60 requests.
const TOKEN: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";

/// The line with the processor time and the largest size of a program.
const USED: &str = "microseconds of processor time, and MiB of memory at most: ";

/// How a run is watched.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Alone,
    Metrics,
    Traces,
}

/// What a run has used, and what was asked of it.
struct Used {
    processor: Duration,
    peak: f64,
    wall: Duration,
    requests: u64,
    scrapes: u32,
}

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["server", issues] => {
            let server =
                GithubServer::builder().oddities(false).token(TOKEN).repository("acme/widgets", issues.parse()?);
            upstream::serve(server)?;
            Ok(ExitCode::SUCCESS)
        }
        ["collector"] => collect(),
        ["program", ..] => run_program(&arguments),
        words if words.contains(&"--test") => compare(300, 1),
        words => compare(value(words, "--issues")?.unwrap_or(200_000), value(words, "--pairs")?.unwrap_or(10)),
    }
}

/// The number after an option; `None` without the option.
fn value(words: &[&str], name: &str) -> Outcome<Option<u32>> {
    let Some(at) = words.iter().position(|word| *word == name) else { return Ok(None) };
    Ok(Some(words.get(at + 1).ok_or_else(|| format!("{name} needs a value"))?.parse()?))
}

/// Runs the program, and then prints what it has used.
fn run_program(arguments: &[String]) -> Outcome<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(snowfeed::cli::run_from(GithubIssues::default(), arguments.to_vec()));
    drop(runtime);
    eprintln!("{USED}{} {}", measure::processor_time().as_micros(), measure::peak()?);
    Ok(exit.into())
}

/// Answers each request for export with an empty body, and prints its own address first.
fn collect() -> Outcome<ExitCode> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        std::thread::spawn(move || stream.map_err(Into::into).and_then(answer_exports));
    }
    Ok(ExitCode::SUCCESS)
}

fn answer_exports(mut stream: TcpStream) -> Outcome<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim().to_ascii_lowercase().strip_prefix("content-length:") {
                Some(bytes) => length = bytes.trim().parse()?,
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

/// A process that ends with this value.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compare(issues: u32, pairs: u32) -> Outcome<ExitCode> {
    let mut server = Upstream::start(&["server".to_owned(), issues.to_string()])?;
    let mut collector = Ending(Command::new(std::env::current_exe()?).arg("collector").stdout(Stdio::piped()).spawn()?);
    let mut endpoint = String::new();
    BufReader::new(collector.0.stdout.take().ok_or("the collector has no output")?).read_line(&mut endpoint)?;
    let ways = [Way::Metrics, Way::Traces];
    let mut shares = [Vec::new(), Vec::new()];
    let mut used = [Vec::new(), Vec::new(), Vec::new()];
    // The first run warms up the server.
    run(Way::Alone, &mut server, endpoint.trim())?;
    for pair in 0..pairs {
        for (at, way) in ways.into_iter().enumerate() {
            let order = if pair % 2 == 0 { [Way::Alone, way] } else { [way, Way::Alone] };
            let [first, second] = order.map(|way| run(way, &mut server, endpoint.trim()));
            let (first, second) = (first?, second?);
            let (alone, watched) = if pair % 2 == 0 { (first, second) } else { (second, first) };
            shares[at].push(watched.processor.as_secs_f64() / alone.processor.as_secs_f64());
            used[0].push(alone);
            used[at + 1].push(watched);
        }
    }
    println!(
        "{issues} issues, {pairs} pairs each\n\n| | CPU s | wall s | peak MiB | requests | scrapes | CPU next to none |\n|---|--:|--:|--:|--:|--:|--:|"
    );
    for (name, used, shares) in
        [("alone", &used[0], None), ("metrics", &used[1], Some(&shares[0])), ("traces", &used[2], Some(&shares[1]))]
    {
        let seconds = |of: fn(&Used) -> Duration| median(used.iter().map(|used| of(used).as_secs_f64()).collect());
        let (processor, wall) = (seconds(|used| used.processor), seconds(|used| used.wall));
        let scrapes = median(used.iter().map(|used| f64::from(used.scrapes)).collect());
        let peak = median(used.iter().map(|used| used.peak).collect());
        let requests = used.iter().map(|used| used.requests).max().unwrap_or_default();
        let share = shares.map_or_else(String::new, |shares| {
            let (low, high) = (quantile(shares.clone(), 0.25), quantile(shares.clone(), 0.75));
            format!("{:+.1} % ({:+.1} to {:+.1})", percent(median(shares.clone())), percent(low), percent(high))
        });
        println!("| {name} | {processor:.2} | {wall:.2} | {peak:.0} | {requests} | {scrapes:.0} | {share} |");
    }
    println!("\na span that no subscriber wants: {:.1} ns", unwanted_span());
    Ok(ExitCode::SUCCESS)
}

/// The nanoseconds that a span costs which no subscriber wants, with work inside it. It has as many fields as that of a request.
fn unwanted_span() -> f64 {
    const SPANS: u32 = 1_000_000;
    let template = std::hint::black_box(Some("repos/{owner}/{repo}/issues"));
    let began = Instant::now();
    for attempt in 0..SPANS {
        let span = tracing::debug_span!(
            "request",
            otel.name = template.map(|template| format!("GET {template}")),
            attempt,
            url.template = template,
            http.response.status_code = tracing::field::Empty,
            bytes = tracing::field::Empty
        );
        let work = async { std::hint::black_box(attempt) }.instrument(span.clone());
        std::hint::black_box(work.now_or_never());
        span.record("http.response.status_code", 200).record("bytes", 1);
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(SPANS)
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "few values")]
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// Reads everything into a new file with `run`, and stops it.
fn run(way: Way, server: &mut Upstream, endpoint: &str) -> Outcome<Used> {
    server.received()?;
    let url = server.url.clone();
    let folder = tempfile::tempdir()?;
    let program = |arguments: &[&str]| -> Outcome<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("program")
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("GITHUB_API_URL", &url)
            .env("GITHUB_TOKEN", TOKEN);
        if way == Way::Traces {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        Ok(command)
    };
    let enabled = program(&["enable", "acme/widgets"])?.output()?;
    if !enabled.status.success() {
        return Err(String::from_utf8_lossy(&enabled.stderr).into());
    }
    let mut arguments = vec!["--json", "--log-format", "json", "run"];
    if way == Way::Metrics {
        arguments.extend(["--listen", "127.0.0.1:0"]);
    }
    let began = Instant::now();
    let mut child = program(&arguments)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut notes = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
    let mut results = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    let (is_ended, scrapes) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let notes = scope.spawn(|| -> Outcome<(Duration, f64)> {
            let mut scraper = None;
            for line in &mut notes {
                let line = line?;
                if let Some((_, address)) = line.split_once("http://127.0.0.1:")
                    && scraper.is_none()
                    && way == Way::Metrics
                {
                    let port: u16 = address.split('/').next().unwrap_or_default().parse()?;
                    scraper = Some(scope.spawn({
                        let (is_ended, scrapes) = (&is_ended, &scrapes);
                        move || scrape(port, is_ended, scrapes)
                    }));
                }
                if let Some(used) = line.strip_prefix(USED) {
                    let (processor, peak) = used.split_once(' ').ok_or("no peak")?;
                    return Ok((Duration::from_micros(processor.parse()?), peak.parse()?));
                }
            }
            Err("the program did not say what it has used".into())
        });
        let ended = results.next().ok_or("the program has ended before its run")??;
        let wall = began.elapsed();
        is_ended.store(true, Ordering::Relaxed);
        let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
        if !ended.contains("\"complete\"") || !stopped.success() {
            return Err(ended.into());
        }
        let (processor, peak) = notes.join().map_err(|_| "the reader of notes panicked")??;
        child.wait()?;
        let (requests, scrapes) = (server.received()?.requests, scrapes.load(Ordering::Relaxed));
        Ok(Used { processor, peak, wall, requests, scrapes })
    })
}

/// Reads the metrics every second.
fn scrape(port: u16, is_ended: &AtomicBool, scrapes: &AtomicU32) {
    let mut next = Instant::now();
    while !is_ended.load(Ordering::Relaxed) {
        if Instant::now() < next {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        next += SCRAPE_EVERY;
        let answer = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        });
        if answer.is_ok_and(|answer| answer.contains("snowfeed_info")) {
            scrapes.fetch_add(1, Ordering::Relaxed);
        }
    }
}
