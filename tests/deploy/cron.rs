//! The crontab, run by cron.

use std::process::Command;

use crate::containers::has;
use crate::guide::{blocks, of};
use crate::helpdesk::{Helpdesk, TICKETS};
use crate::machine::Machine;

const CRONTAB: &str = include_str!("../../examples/deploy/crontab");

#[test]
fn cron_ingests_and_mails_when_data_is_stale() {
    if !has("cron") {
        return;
    }
    let helpdesk = Helpdesk::start();
    let Some(mut machine) = Machine::start(&["sleep", "infinity"]) else { return };
    machine.check_out(helpdesk.api.url());
    machine.install();
    let blocks = blocks("deploy.md", "## cron");
    of(&blocks, "sh").for_each(|block| drop(machine.expect(block)));
    // Each minute instead of each half hour, and what sends mail.
    machine.expect(
        "sed -i -E 's#^([*]/30|15) #* #; s/2h/1s/' /etc/cron.d/helpdesk\n\
         printf '#!/bin/sh\\ncat >> /shared/mail\\n' > /usr/sbin/sendmail\nchmod 755 /usr/sbin/sendmail\ntouch mail\nchmod 666 mail\ncron",
    );
    machine.wait_for_rows(TICKETS);
    let mail = machine.wait("mail", |machine| {
        let mail = machine.read("mail");
        mail.contains("acme").then_some(mail)
    });
    assert!(mail.contains("To: operator@example.com") && mail.contains("--fail-if-stale 1s"), "{mail}");
}

/// cron's own parser.
#[test]
fn the_crontab_is_valid() {
    if !has("crontab") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let is_valid = |text: &str| {
        let file = folder.path().join("crontab");
        // A crontab of a user has no column for the user.
        std::fs::write(&file, text.replace(" snowfeed ", " ")).unwrap();
        Command::new("crontab").arg("-n").arg(file).output().unwrap().status.success()
    };
    assert!(is_valid(CRONTAB));
    assert!(!is_valid(&CRONTAB.replace("*/30 ", "*/30x ")));
}
