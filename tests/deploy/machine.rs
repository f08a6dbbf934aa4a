//! A copy of this machine for one test, with processes and files of its own: recipes install into `/etc` and `/usr/local` as printed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::containers::{has, linked_statically};
use crate::peers;

/// The cgroups that systemd counts its processes in.
const CGROUPS: &str = "/sys/fs/cgroup/systemd";

/// The longest time that anything may take here.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The machine. It ends when it is dropped.
pub(crate) struct Machine {
    unshare: Child,
    /// The process id, here, of its first process.
    first: u32,
    /// A port for its metrics.
    pub(crate) port: u16,
    cgroup: PathBuf,
    shared: TempDir,
    _folder: TempDir,
}

impl Machine {
    /// Starts one whose first process is this command; `None` where this machine cannot have one.
    pub(crate) fn start(command: &[&str]) -> Option<Self> {
        if !has("unshare") || !has("nsenter") {
            return None;
        }
        // No package can grant either.
        let namespaces = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).output().unwrap();
        if !namespaces.status.success() || !Path::new(CGROUPS).is_dir() {
            eprintln!("skipped: this user may not create namespaces, or there are no cgroups at {CGROUPS}");
            return None;
        }
        let (folder, shared) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let cgroup = Path::new(CGROUPS).join(format!("snowfeed{}", folder.path().file_name()?.to_str()?));
        fs::create_dir(&cgroup).unwrap();
        let script = "echo $$ > \"$0/cgroup.procs\"; exec setpriv --pdeathsig KILL unshare --mount --pid --fork --cgroup --uts --ipc --kill-child \"$@\"";
        let mut unshare = Command::new("sh");
        unshare.args(["-e", "-c", script]).arg(&cgroup).arg("tests/deploy/machine.sh");
        unshare.arg(folder.path()).arg(shared.path()).args(command);
        // It ends with the thread that starts it, and the machine ends with it.
        let log = fs::File::create(shared.path().join("log")).unwrap();
        unshare.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let unshare = unshare.spawn().unwrap();
        let mut machine = Self { unshare, first: 0, port: peers::free_port(), cgroup, shared, _folder: folder };
        let id = machine.unshare.id();
        let children = format!("/proc/{id}/task/{id}/children");
        machine.wait("its first process", |machine| {
            assert!(machine.unshare.try_wait().unwrap().is_none(), "{}", machine.read("log"));
            let children = fs::read_to_string(&children).unwrap_or_default();
            machine.first = children.trim().parse().ok()?;
            machine.run("test -d /shared && ! test -d /outside/etc").status.success().then_some(())
        });
        Some(machine)
    }

    /// A file that it shares with this machine, as `/shared/NAME`.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    /// What is in a shared file; nothing where there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.shared(name)).unwrap_or_default()
    }

    /// Copies the program and the examples to where a checkout has them, `/shared`.
    pub(crate) fn check_out(&self, url: &str) {
        let folder = self.shared("target/x86_64-unknown-linux-gnu/release");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(linked_statically("snowfeed_program"), folder.join("snowfeed")).unwrap();
        let copied = Command::new("cp").args(["-r", "examples"]).arg(self.shared.path()).status().unwrap();
        assert!(copied.success());
        // Only the address of the API and the port replace the guide's.
        let replaced = [
            ("environment", "https://api.example.com", url),
            ("helpdesk-run.service", ":9464", &format!(":{}", self.port)),
        ];
        for (name, from, to) in replaced {
            let file = self.shared("examples/deploy").join(name);
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(from), "{name}: {from}");
            fs::write(file, text.replace(from, to)).unwrap();
        }
    }

    /// Runs a script of the shell.
    pub(crate) fn run(&self, script: &str) -> Output {
        self.run_with(script, "")
    }

    /// Runs a script of the shell with this input.
    pub(crate) fn run_with(&self, script: &str, input: &str) -> Output {
        let mut enter = Command::new("nsenter");
        enter.args(["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd", "--target"]);
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        enter.arg(self.first.to_string()).args(["env", "-i", path, "HOME=/root", "sh", "-e", "-c"]);
        enter.arg(format!("cd /shared\n{script}"));
        enter.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = enter.spawn().unwrap();
        // The script need not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The output of a script that succeeds.
    #[track_caller]
    pub(crate) fn expect(&self, script: &str) -> String {
        self.expect_with(script, "")
    }

    #[track_caller]
    pub(crate) fn expect_with(&self, script: &str, input: &str) -> String {
        let ran = self.run_with(script, input);
        let printed = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        if !ran.status.success() {
            let journal = self.run("journalctl --no-pager --lines 30").stdout;
            panic!("{script}\n{printed}\n{}{}", self.read("log"), String::from_utf8_lossy(&journal));
        }
        printed
    }

    /// Waits until `found` finds something.
    #[track_caller]
    pub(crate) fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(began.elapsed() < TIMEOUT, "waiting for {what}: {}", self.read("log"));
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        // A cgroup is busy until the last of its processes is gone.
        for _ in 0..50 {
            let remove = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
            let _ = Command::new("find").arg(&self.cgroup).args(remove).output();
            if !self.cgroup.exists() {
                break;
            }
            sleep(Duration::from_millis(100));
        }
    }
}
