//! The units, run by systemd.

use std::time::Duration;

use snowfeed::internals::snowflake::{Client, Sql, Statement};

use crate::account::administrator;
use crate::containers::has;
use crate::guide::{blocks, of};
use crate::helpdesk::{Helpdesk, TICKETS, TOKEN};
use crate::machine::Machine;
use crate::peers;

/// What the guide prints about systemd, in its order: install, run as a service, run by a timer.
const INSTALL: &str = "## On a machine";
const SYSTEMD: &str = "## systemd";

impl Machine {
    /// A machine with systemd, on which the guide's first block was run.
    fn with_systemd(helpdesk: &Helpdesk) -> Option<Self> {
        if !has("systemd-analyze") {
            return None;
        }
        let mut machine = Self::start(&["/lib/systemd/systemd", "--system", "--unit=systemd-journald.service"])?;
        machine.wait("systemd", |machine| machine.run("systemctl is-system-running").status.success().then_some(()));
        machine.check_out(helpdesk.api.url());
        machine.install();
        Some(machine)
    }

    /// Runs the guide's blocks about the program, the settings and the token.
    pub(crate) fn install(&self) {
        for block in of(&blocks("deploy.md", INSTALL), "sh") {
            self.expect_with(block, &format!("{TOKEN}\n"));
        }
    }

    /// A property of a unit.
    fn show(&self, unit: &str, property: &str) -> String {
        self.expect(&format!("systemctl show --value --property {property} {unit}")).trim().to_owned()
    }

    /// What the service answers, or why it does not.
    fn get(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        let script = format!(
            "python3 -c 'import urllib.request as r; print(r.urlopen(\"{url}\").read().decode())' 2>&1 || true"
        );
        self.expect(&script)
    }

    /// What a command of the connector prints, as its user.
    pub(crate) fn helpdesk(&self, arguments: &str) -> String {
        self.expect(&format!("runuser -u snowfeed -- helpdesk {arguments}"))
    }

    /// Waits until a stream of the resource has these rows.
    pub(crate) fn wait_for_rows(&mut self, rows: u64) {
        let count = "python3 -c 'import sqlite3; print(*sqlite3.connect(\"file:/var/lib/snowfeed/helpdesk.db?mode=ro\", \
                     uri=True).execute(\"select count(*) from tickets\").fetchone())'";
        let what = format!("{rows} tickets");
        self.wait(&what, |machine| {
            let ran = machine.run(count);
            (String::from_utf8_lossy(&ran.stdout).trim() == rows.to_string()).then_some(())
        });
    }
}

#[test]
fn the_service_reads_on_schedule_and_stops_in_good_order() {
    let helpdesk = Helpdesk::start();
    let Some(mut machine) = Machine::with_systemd(&helpdesk) else { return };
    let blocks = blocks("deploy.md", SYSTEMD);
    let mut blocks = of(&blocks, "sh");
    machine.expect(blocks.next().unwrap());
    machine.wait_for_rows(TICKETS);
    let status = machine.helpdesk("--json status");
    assert!(status.contains("\"healthy\""), "{status}");
    assert_eq!(machine.expect("stat -c '%U %a' /etc/snowfeed/token /var/lib/snowfeed"), "root 600\nsnowfeed 700\n");
    assert!(!machine.run("runuser -u snowfeed -- cat /etc/snowfeed/token").status.success());
    for (path, answer) in [("healthz", "ok"), ("readyz", "ready"), ("metrics", "snowfeed_runs_total")] {
        assert!(machine.get(path).contains(answer), "{path}");
    }

    // Killed, it starts again; the guide's pause is for people.
    machine.expect("mkdir -p /run/systemd/system/helpdesk-run.service.d\nprintf '[Service]\\nRestartSec=1\\n' > /run/systemd/system/helpdesk-run.service.d/tests.conf\nsystemctl daemon-reload");
    machine.expect("systemctl kill --signal KILL --kill-who main helpdesk-run");
    machine.wait("a restart", |machine| (machine.show("helpdesk-run", "NRestarts") == "1").then_some(()));
    machine.wait("the new process", |machine| machine.get("readyz").contains("ready").then_some(()));

    machine.expect("systemctl stop helpdesk-run");
    let ended = ["Result", "ExecMainStatus"].map(|property| machine.show("helpdesk-run", property));
    assert_eq!(ended, ["success", "0"]);
    let log = machine.expect("journalctl --unit helpdesk-run --output cat");
    assert!(log.contains("stopped; nothing is lost") && !log.contains(TOKEN), "{log}");

    // What the guide says about the ends of a unit: without its token, without its program.
    for (spoil, repair, status) in [
        (
            "mv /etc/snowfeed/token /etc/snowfeed/moved",
            "mv /etc/snowfeed/moved /etc/snowfeed/token",
            "status=243/CREDENTIALS",
        ),
        ("chmod 644 /usr/local/bin/helpdesk", "chmod 755 /usr/local/bin/helpdesk", "status=203/EXEC"),
    ] {
        machine.expect(&format!("{spoil}\n! systemctl start helpdesk-run\nsystemctl stop helpdesk-run\n{repair}"));
        let log = machine.expect("journalctl --unit helpdesk-run --output cat");
        assert!(log.contains(status), "{log}");
    }

    // A setting that is missing does not fix itself.
    machine.expect("sed -i /HELPDESK_URL/d /etc/snowfeed/environment\nsystemctl start helpdesk-run");
    machine.wait("the end", |machine| (machine.show("helpdesk-run", "ActiveState") == "failed").then_some(()));
    assert_eq!(machine.show("helpdesk-run", "ExecMainStatus"), "4");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(machine.show("helpdesk-run", "NRestarts"), "0");
}

#[test]
fn the_timer_starts_ingestions() {
    let helpdesk = Helpdesk::start();
    let Some(mut machine) = Machine::with_systemd(&helpdesk) else { return };
    let blocks = blocks("deploy.md", SYSTEMD);
    // The service's block is first, and leaves an enabled resource.
    let mut blocks = of(&blocks, "sh");
    machine.expect(blocks.next().unwrap());
    machine.wait_for_rows(TICKETS);
    machine.expect(blocks.next().unwrap());

    let next = machine.expect("systemctl list-timers --no-legend helpdesk-ingest.timer");
    assert!(next.contains(":00:00 ") || next.contains(":30:00 "), "{next}");
    helpdesk.open(TICKETS + 1);
    machine.expect("mkdir -p /run/systemd/system/helpdesk-ingest.timer.d\nprintf '[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/5\\nAccuracySec=1s\\n' > /run/systemd/system/helpdesk-ingest.timer.d/tests.conf\nsystemctl daemon-reload\nsystemctl restart helpdesk-ingest.timer");
    machine.wait_for_rows(TICKETS + 1);
    machine.expect("systemctl stop helpdesk-ingest.timer");
    machine.wait("its end", |machine| (machine.show("helpdesk-ingest", "ActiveState") == "inactive").then_some(()));
    assert_eq!(machine.show("helpdesk-ingest", "Result"), "success");

    // A failure is the unit's. A refused token decides its status, although the comments had nothing to read.
    machine.expect("echo wrong > /etc/snowfeed/token\n! systemctl start helpdesk-ingest");
    assert_eq!(machine.show("helpdesk-ingest", "ExecMainStatus"), "5");
    let log = machine.expect("journalctl --unit helpdesk-ingest --output cat");
    assert!(log.contains("error: acme") && log.contains("help: "), "{log}");
}

/// The lines for Snowflake, in effect: the key is a credential of the unit.
#[test]
fn the_service_fills_snowflake() {
    let helpdesk = Helpdesk::start();
    let (Some(server), Some(machine)) = (peers::fakesnow(), Machine::with_systemd(&helpdesk)) else { return };
    let database = format!("SYSTEMD_{}", std::process::id());
    let client = administrator(server);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let execute = |sql: String| {
        runtime.block_on(async {
            let mut session = client.open().await.unwrap();
            session.execute(Statement::new(Sql::assert_safe(sql))).await.unwrap()
        })
    };
    execute(format!("CREATE DATABASE {database}"));
    machine.expect("cp -r examples/deploy/helpdesk-* /etc/systemd/system\nsystemctl daemon-reload");
    machine.expect(&format!(
        "openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt -out /etc/snowfeed/rsa_key.p8\nchmod 600 /etc/snowfeed/rsa_key.p8\n\
         sed -i 's/^#\\(SNOW\\)/\\1/' /etc/snowfeed/environment\n\
         printf 'SNOWFLAKE_HOST=127.0.0.1\\nSNOWFLAKE_PORT={}\\nSNOWFLAKE_PROTOCOL=http\\nSNOWFLAKE_USER=TESTER\\nSNOWFLAKE_ROLE=SYSADMIN\\n\
         SNOWFLAKE_WAREHOUSE=COMPUTE_WH\\nSNOWFLAKE_DATABASE={database}\\n' >> /etc/snowfeed/environment\n\
         sed -i 's/^#LoadCredential/LoadCredential/' /etc/systemd/system/helpdesk-.service.d/service.conf\nsystemctl daemon-reload",
        server.port
    ));
    // By hand as root, who may read the key.
    machine.expect("helpdesk enable acme\nsystemctl start helpdesk-ingest");
    let rows = execute(format!("SELECT COUNT(*) FROM {database}.HELPDESK.TICKETS"));
    assert_eq!(rows.rows[0].integer(0).unwrap(), i64::try_from(TICKETS).unwrap());
}

#[test]
fn the_units_are_valid_and_confined() {
    let helpdesk = Helpdesk::start();
    let Some(machine) = Machine::with_systemd(&helpdesk) else { return };
    let units = "helpdesk-run.service helpdesk-ingest.service helpdesk-ingest.timer";
    machine.expect("cp -r examples/deploy/helpdesk-* /etc/systemd/system\nsystemctl daemon-reload");
    let verify = format!("cd /etc/systemd/system\nsystemd-analyze verify {units}");
    assert_eq!(machine.expect(&verify), "");
    for unit in ["helpdesk-run.service", "helpdesk-ingest.service"] {
        // 1.5 of 10; 0 is a service that can do nothing.
        machine.expect(&format!("systemd-analyze security --no-pager --threshold=15 {unit}"));
    }
    let next = machine.expect("systemd-analyze calendar --base-time='2026-11-30 12:10:00 UTC' '*:0/30'");
    assert!(next.contains("2026-11-30 12:30:00 UTC"), "{next}");

    // The same checks find what is wrong.
    machine.expect(
        "sed -i 's/^ProtectSystem=strict/ProtectSytem=strict/' /etc/systemd/system/helpdesk-.service.d/service.conf",
    );
    let found = machine.run(&verify);
    let found = [found.stdout, found.stderr].concat();
    assert!(String::from_utf8_lossy(&found).contains("ProtectSytem"), "{}", String::from_utf8_lossy(&found));
    assert!(!machine.run("systemd-analyze calendar '*:0/70'").status.success());
}
