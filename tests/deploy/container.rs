//! The Containerfile, built and run by podman.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::containers::{Podman, linked_statically, succeeded};
use crate::guide::{blocks, of};
use crate::helpdesk::{Helpdesk, TICKETS, TOKEN};
use crate::peers;

/// Options of `podman run`: what this machine needs, and no privilege.
pub(crate) const OPTIONS: &str = "--net=host --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 --cap-drop=all \
                                  --security-opt=no-new-privileges";

/// A checkout in which the guide's commands run, with podman's data in a folder of their own.
pub(crate) struct Checkout {
    podman: Podman,
    folder: TempDir,
    pub(crate) port: u16,
}

impl Checkout {
    /// `None` without podman.
    pub(crate) fn new() -> Option<Self> {
        let (podman, folder) = (Podman::new()?, TempDir::new().unwrap());
        let checkout = Self { podman, folder, port: peers::free_port() };
        let release = checkout.path().join("target/x86_64-unknown-linux-gnu/release");
        fs::create_dir_all(&release).unwrap();
        fs::copy(linked_statically("snowfeed_program"), release.join("snowfeed")).unwrap();
        succeeded(Command::new("cp").args(["-r", "examples"]).arg(checkout.path()));
        Some(checkout)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn podman(&self) -> Command {
        let mut podman = self.podman.command();
        podman.current_dir(&self.folder);
        podman
    }

    /// A command of the guide, with the options that replace an installed podman, and an API on loopback.
    pub(crate) fn run(&self, line: &str, url: &str) -> String {
        let of_test = self.podman();
        let words = [of_test.get_program()].into_iter().chain(of_test.get_args()).map(|word| word.to_str().unwrap());
        let podman = words.collect::<Vec<_>>().join(" ");
        let line =
            line.replace("podman run ", &format!("podman run {OPTIONS} ")).replace("podman ", &format!("{podman} "));
        let line = line.replace("https://api.example.com", url).replace("--publish 127.0.0.1:9464:9464 ", "");
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &line]).current_dir(&self.folder).stdin(Stdio::piped());
        let mut shell = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Only one command reads it.
        let _ = std::io::Write::write_all(&mut shell.stdin.take().unwrap(), format!("{TOKEN}\n").as_bytes());
        let ran = shell.wait_with_output().unwrap();
        let printed = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(ran.status.success(), "{line}\n{printed}");
        assert!(!printed.contains(TOKEN), "{printed}");
        printed
    }

    /// Waits until `/readyz` of a container answers.
    pub(crate) fn wait_until_ready(&self) {
        let began = Instant::now();
        let url = format!("http://127.0.0.1:{}/readyz", self.port);
        let get = ["-c", "import sys, urllib.request as r; r.urlopen(sys.argv[1])", &url];
        while !Command::new("python3").args(get).output().unwrap().status.success() {
            assert!(began.elapsed() < Duration::from_secs(60), "{url} does not answer");
            sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn the_image_ingests_onto_a_volume_and_stops_in_good_order() {
    let helpdesk = Helpdesk::start();
    let Some(checkout) = Checkout::new() else { return };
    // Tests share the ports of this machine.
    let file = checkout.path().join("examples/deploy/Containerfile");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("9464", &checkout.port.to_string())).unwrap();
    let blocks = blocks("deploy.md", "## A container");
    for block in of(&blocks, "sh") {
        checkout.run(block, helpdesk.api.url());
    }
    // The second container serves from the volume that the first one has filled.
    checkout.wait_until_ready();
    let status = checkout.run("podman exec helpdesk /usr/local/bin/snowfeed --json status", "");
    assert!(status.contains("\"healthy\""), "{status}");
    let rows = checkout.run("podman exec helpdesk /usr/local/bin/snowfeed --json preview acme --limit 100", "");
    assert_eq!(rows.matches("\"subject\": \"Ticket ").count() as u64, TICKETS, "{rows}");

    // Nothing else in the image can be written.
    let options = "--env TMPDIR=/ --secret token,uid=10001,mode=0400 --volume helpdesk:/data";
    let without = format!(
        "podman run --rm {options} --env HELPDESK_URL={} helpdesk ingest acme --reconcile 2>&1 || true",
        helpdesk.api.url()
    );
    let refused = checkout.run(&without, "");
    assert!(refused.contains("there is no folder for temporary files") && refused.contains("set TMPDIR"), "{refused}");

    // SIGTERM, and a wait of the longest time of the guide: it ends long before.
    let began = Instant::now();
    checkout.run("podman stop helpdesk", "");
    assert!(began.elapsed() < Duration::from_secs(30));
    let inspected = checkout.run("podman inspect --format '{{.State.ExitCode}} {{.Config.User}}' helpdesk", "");
    assert_eq!(inspected.trim(), "0 10001:10001");
    let log = checkout.run("podman logs helpdesk", "");
    assert!(log.contains("stopped; nothing is lost"), "{log}");
}
