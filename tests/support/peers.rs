//! Third-party servers, installed and started by the tests: pinned packages of Python and Node in a folder of the build
//! artefacts.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

#[path = "environment.rs"]
pub(crate) mod environment;

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

pub(crate) use environment::skipped;

/// Runs a Python file until standard input ends. It can import the modules beside it.
const PYTHON_FILE_LAUNCHER: &str = "\
import os, runpy, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
sys.argv = sys.argv[1:]
sys.path.append(os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name='__main__')
";

/// Runs a Python module until standard input ends, so that a server does not outlive the test that started it.
const PYTHON_MODULE_LAUNCHER: &str = "\
import os, runpy, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
";

/// The same for a Node program.
const NODE_LAUNCHER: &str = "process.stdin.on('end', () => process.exit(0)).resume(); require(process.argv[1])";

/// The longest time that a server may take to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// The maximum length of a server's output in messages, in bytes.
const LOG_TAIL: u64 = 16 << 10;

/// A running server. It ends with the process that started it, or when it is dropped.
pub(crate) struct Server {
    process: Mutex<Child>,
    pub(crate) port: u16,
    /// Its output.
    log: File,
}

impl Server {
    /// The address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The end of its output: why it does not do what a test expects.
    pub(crate) fn log_tail(&self) -> String {
        let (mut log, mut said) = (&self.log, Vec::new());
        let end = log.seek(SeekFrom::End(0)).unwrap();
        log.seek(SeekFrom::Start(end.saturating_sub(LOG_TAIL))).unwrap();
        log.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        // Both fail only when it has ended already.
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// The first port for a server that takes a while to listen, and how many there are. Their range is below the ephemeral ports of
/// Linux (from 32768) and macOS (from 49152), so that no connection and no other listener of a test takes such a port meanwhile.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 20_000;

/// A free port, which this process gives out once. Other processes begin elsewhere.
pub(crate) fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        let [low, high, ..] = RandomState::new().hash_one(()).to_ne_bytes();
        AtomicU16::new(u16::from_ne_bytes([low, high]))
    });
    std::iter::repeat_with(|| FIRST_PORT + next.fetch_add(1, Ordering::Relaxed) % PORTS)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

/// The URL of a server that reads a request and closes the connection, and the number of its connections.
pub(crate) fn hang_up() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = connection.unwrap().read(&mut [0; 4096]);
        }
    });
    (url, count)
}

/// The folder of build artefacts, whatever the test binary.
pub(crate) fn artefacts() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// A file of packages pinned by hash.
fn pinned(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/packages")).join(file)
}

/// Installs into the folder `name` by `install`, unless the folder matches `pins`. `None`: `install` lacks its program.
///
/// Scripts of a Python environment name their interpreter by its absolute path, so a folder that was moved or copied is
/// installed again.
fn installed(name: &str, pins: &Path, install: impl FnOnce(&Path) -> Option<()>) -> Option<PathBuf> {
    let folder = artefacts().join("packages").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = folder.join("done");
    let wanted = format!("installed in {}\n{}", folder.display(), std::fs::read_to_string(pins).unwrap());
    // Written last: an interrupted installation starts over.
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Some(folder);
    }
    install(&folder)?;
    std::fs::write(done, wanted).unwrap();
    Some(folder)
}

/// A program's output; `None` where there is no such program.
fn output(command: &mut Command) -> Option<Output> {
    match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{command:?} cannot be run: {error}"),
        Ok(output) => Some(output),
    }
}

/// A Python with the packages of this name; `None` where there is no Python. The first test that needs them installs them.
pub(crate) fn python(name: &str) -> Option<PathBuf> {
    let requirements = pinned(&format!("{name}.txt"));
    let folder = installed(name, &requirements, |folder| {
        let environment = folder.join("venv");
        let made = output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        assert!(
            made.status.success(),
            "`python3 -m venv` failed; Debian needs the package python3-venv for it: {}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        let mut pip = Command::new(environment.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        // Building a package here would fetch its build tools, which are not pinned.
        pip.args(["--only-binary", ":all:", "--require-hashes", "--requirement"]).arg(&requirements);
        let installed = pip.output().unwrap();
        assert!(installed.status.success(), "pip failed: {}", String::from_utf8_lossy(&installed.stderr));
        Some(())
    })?;
    Some(folder.join("venv/bin/python"))
}

/// The `node_modules` with the packages of this name; `None` where there is no npm. The first test that needs them installs them.
pub(crate) fn node(name: &str) -> Option<PathBuf> {
    let pins = pinned(name);
    let folder = installed(name, &pins.join("package-lock.json"), |folder| {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(pins.join(file), folder.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
        let installed = output(npm.current_dir(folder))?;
        assert!(installed.status.success(), "npm failed: {}", String::from_utf8_lossy(&installed.stderr));
        Some(())
    })?;
    Some(folder.join("node_modules"))
}

/// Starts a Python module as a server that listens on `port`, and waits until it answers.
pub(crate) fn serve(python: &Path, module: &str, arguments: &[&str], port: u16) -> Server {
    let mut command = Command::new(python);
    command.args(["-c", PYTHON_MODULE_LAUNCHER, module]).args(arguments).env("NO_PROXY", "*");
    start(command, port)
}

/// Starts a Python file as a server that listens on `port`, and waits until it answers.
fn serve_file(python: &Path, file: &str, arguments: &[&str], port: u16) -> Server {
    let mut command = Command::new(python);
    command.args(["-c", PYTHON_FILE_LAUNCHER, file]).args(arguments).env("NO_PROXY", "*");
    // No caches in the source tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    start(command, port)
}

/// Starts a Node program as a server that listens on `port`, and waits until it answers.
pub(crate) fn serve_node(program: &Path, arguments: &[&str], port: u16) -> Server {
    let mut command = Command::new("node");
    command.args(["-e", NODE_LAUNCHER]).arg(program).args(arguments);
    start(command, port)
}

/// Starts a server that listens on `port`, and waits until it answers.
pub(crate) fn start(mut command: Command, port: u16) -> Server {
    // Both ends share one position: output is appended wherever it is. The file has no name: nothing is left behind.
    let log = tempfile::Builder::new().append(true).tempfile().unwrap().into_file();
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
    let server = Server { process: Mutex::new(command.spawn().unwrap()), port, log };
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            server.process.lock().unwrap().try_wait().unwrap().is_none(),
            "the server ended: {}",
            server.log_tail()
        );
        assert!(began.elapsed() < START_TIMEOUT, "the server does not answer: {}", server.log_tail());
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

/// The most Snowflake servers of one test process. Each takes some 200 MB.
const MAX_SERVERS: usize = 4;

/// A server that the whole test process shares, started by the first test that needs it. `start` returns `None` where `program`
/// is missing.
fn shared(
    server: &'static OnceLock<Option<Server>>,
    program: &str,
    start: impl FnOnce() -> Option<Server>,
) -> Option<&'static Server> {
    let server = server.get_or_init(start);
    if server.is_none() {
        skipped(&format!("there is no {program}, which a server of the tests needs"));
    }
    server.as_ref()
}

/// The Snowflake server of this test process; `None` where there is no Python.
pub(crate) fn fakesnow() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    shared(&SERVER, "python3", start_fakesnow)
}

/// One of several Snowflake servers of this test process, in turn: each keeps one core busy at most. For tests that inspect only
/// their own database. `None` where there is no Python.
pub(crate) fn next_fakesnow() -> Option<&'static Server> {
    static SERVERS: OnceLock<Vec<OnceLock<Option<Server>>>> = OnceLock::new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let servers = SERVERS.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::iter::repeat_with(OnceLock::new).take(cores.min(MAX_SERVERS)).collect()
    });
    shared(&servers[NEXT.fetch_add(1, Ordering::Relaxed) % servers.len()], "python3", start_fakesnow)
}

fn start_fakesnow() -> Option<Server> {
    let python = python("fakesnow")?;
    let port = free_port();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fakesnow.py");
    Some(serve_file(&python, file, &[&port.to_string()], port))
}

/// A collector of traces for one test; `None` where there is no Python. `GET /` returns what it got.
pub(crate) fn start_collector() -> Option<Server> {
    let Some(python) = python("collector") else {
        skipped("there is no python3, which the collector of the tests needs");
        return None;
    };
    let port = free_port();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/collector.py");
    Some(serve_file(&python, file, &[&port.to_string()], port))
}

/// Sends a request without a body to one of a server's switches for tests, such as `/tests/end-sessions?user=me`.
pub(crate) fn post(server: &Server, path: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
}

/// The S3 of this test process, which requires no credentials; `None` where there is no Python.
pub(crate) fn moto() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start_moto).as_ref()
}

/// An S3 for one test; `None` where there is no Python.
pub(crate) fn start_moto() -> Option<Server> {
    let Some(python) = python("moto") else {
        skipped("there is no python3, which the S3 of the tests needs");
        return None;
    };
    let port = free_port();
    Some(serve(&python, "moto.server", &["-H", "127.0.0.1", "-p", &port.to_string()], port))
}

/// A Google Cloud Storage of this test process, with the bucket `stage`; `None` where there is no Python.
pub(crate) fn gcs() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    shared(&SERVER, "python3", || {
        let python = python("gcs")?;
        let port = free_port();
        let port_text = port.to_string();
        let arguments =
            ["start", "--host", "127.0.0.1", "--port", &port_text, "--in-memory", "--default-bucket", "stage"];
        Some(serve(&python, "gcp_storage_emulator", &arguments, port))
    })
}

/// An Azure Blob Storage of this test process; `None` where there is no npm. It is the newest version that runs on Node 18.
pub(crate) fn azurite() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    shared(&SERVER, "npm", || {
        let modules = node("azurite")?;
        let port = free_port();
        let port_text = port.to_string();
        let arguments = [
            "--inMemoryPersistence",
            "--silent",
            "--loose",
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--blobPort",
            &port_text,
        ];
        Some(serve_node(&modules.join("azurite/dist/src/blob/main.js"), &arguments, port))
    })
}
