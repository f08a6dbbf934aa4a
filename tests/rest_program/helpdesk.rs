//! The helpdesk of the README, read by the program while it changes, fails, and while the program is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use snowfeed::jiff::{SignedDuration, Timestamp};
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, Paging};

use super::Program;

const TOKEN: &str = "secret-token-1";
const TICKETS: u64 = 1_200;
const COMMENTS: u64 = 3_000;
const KILLS: u64 = 50;
/// Kills per database. Then the database is compared with the server, and the next one begins.
const KILLS_PER_DATABASE: u64 = 10;

/// The records of a stream by their ids.
type Records = BTreeMap<String, Value>;

/// A helpdesk with one workspace, and what changes in it.
#[derive(Clone)]
struct Helpdesk {
    api: MockApi,
    tickets: MockList,
    comments: MockList,
    changes: Arc<AtomicU64>,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl Helpdesk {
    fn new() -> Self {
        let api = MockApi::start();
        api.require_bearer(TOKEN);
        api.list("/workspaces").records_at("/workspaces").insert(json!({"id": "acme"}));
        let paging = Paging::cursor("cursor", "/next_cursor").size(100).size_parameter("limit");
        let tickets = api.list("/tickets").filter("workspace", "workspace").since("updated_since", "updated_at");
        let tickets = tickets.sort_by("updated_at").paging(paging).lookup();
        let paging = Paging::cursor("cursor", "/next_cursor").size(2);
        let comments = api.child_list("/tickets/{ticket}/comments", &tickets).records_at("/comments").paging(paging);
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(7)));
        let helpdesk = Self { api, tickets, comments, changes: Arc::default(), random };
        (1..=TICKETS).for_each(|id| helpdesk.open(id));
        assert_eq!(helpdesk.records().1.len() as u64, COMMENTS);
        helpdesk
    }

    fn open(&self, id: u64) {
        self.tickets.insert(json!({"id": id, "workspace": "acme", "subject": "new", "updated_at": self.now()}));
        (0..2 + id % 2).for_each(|number| self.comment(id, number));
    }

    fn comment(&self, ticket: u64, number: u64) {
        self.comments.of(ticket).insert(json!({"id": ticket * 1_000_000 + number, "text": format!("note {number}")}));
    }

    /// A later time at every thirtieth change: several records have the same.
    fn now(&self) -> String {
        let seconds = self.changes.fetch_add(1, Ordering::SeqCst) / 30;
        (Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(seconds).unwrap())).to_string()
    }

    /// Changes, opens or deletes a ticket. A ticket is as new as its newest comment.
    fn change(&self) {
        let mut random = self.random.lock().unwrap();
        let id = random.u64(1..=TICKETS);
        let number = self.changes.load(Ordering::SeqCst);
        match (random.u8(0..20), self.tickets.get(id)) {
            (0, Some(_)) => drop(self.tickets.delete(id)),
            (1, _) => self.open(TICKETS + number),
            (2..=4, Some(_)) => {
                self.comment(id, 10 + number);
                self.tickets.update(id, json!({"updated_at": self.now()}));
            }
            (_, Some(_)) => {
                let changed = json!({"subject": format!("changed {number}"), "updated_at": self.now()});
                self.tickets.update(id, changed);
            }
            (_, None) => {}
        }
    }

    fn requests_until_kill(&self) -> u64 {
        self.random.lock().unwrap().u64(0..200)
    }

    /// The tickets and the comments.
    fn records(&self) -> (Records, Records) {
        let tickets = self.tickets.records();
        let comments = tickets.iter().flat_map(|ticket| self.comments.of(&ticket["id"]).records());
        let comments = by_id(comments);
        (by_id(tickets), comments)
    }

    fn program(&self) -> Program {
        Program::new()
            .file("helpdesk.toml", include_str!("../../examples/helpdesk.toml"))
            .variable("SNOWFEED_SOURCE", "helpdesk.toml")
            .variable("HELPDESK_URL", self.api.url())
            .variable("HELPDESK_TOKEN", TOKEN)
    }

    /// What the tables lack, what they have in an old form, and what only they have.
    fn compare(&self, database: &Path) -> Errors {
        let (tickets, comments) = self.records();
        let connection = rusqlite::Connection::open(database).unwrap();
        let mut errors = Errors::default();
        for (stream, records) in [("tickets", tickets), ("comments", comments)] {
            let select = format!("SELECT raw FROM {stream} WHERE deleted_at IS NULL");
            let mut select = connection.prepare(&select).unwrap();
            let rows = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
            let rows: Vec<Value> = rows.map(|raw| serde_json::from_str(&raw.unwrap()).unwrap()).collect();
            let count = rows.len();
            let mut stored = by_id(rows);
            errors.duplicated += count - stored.len();
            for (id, record) in records {
                match stored.remove(&id) {
                    None => errors.missing += 1,
                    Some(stored) => errors.stale += usize::from(stored != record),
                }
            }
            errors.extra += stored.len();
        }
        errors
    }
}

fn by_id(records: impl IntoIterator<Item = Value>) -> Records {
    records.into_iter().map(|record| (record["id"].to_string(), record)).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Errors {
    missing: usize,
    duplicated: usize,
    stale: usize,
    /// Live rows of records that are gone.
    extra: usize,
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn thirty_changes_a_second_and_faults_lose_nothing() {
    let helpdesk = Helpdesk::new();
    for fault in [Fault::rate_limit(Duration::ZERO), Fault::status(500), Fault::truncate()] {
        helpdesk.api.fault("*", fault.every(61).times(9));
    }
    let program = helpdesk.program();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                helpdesk.change();
                std::thread::sleep(Duration::from_millis(33));
            }
        });
        let ended = program.run(&["ingest", "acme"]);
        is_done.store(true, Ordering::SeqCst);
        ended.expect(0);
    });
    program.run(&["ingest", "acme"]).expect(0);
    let database = program.path("helpdesk.db");
    let after_two = helpdesk.compare(&database);
    assert_eq!(after_two, Errors { extra: after_two.extra, ..Errors::default() });
    // Deletions while it read, and more.
    (1..=20).for_each(|id| drop(helpdesk.tickets.delete(id * 50)));
    program.run(&["ingest", "acme", "--reconcile"]).expect(0);
    assert_eq!(helpdesk.compare(&database), Errors::default());
}

#[test]
fn no_kill_loses_or_duplicates_a_row() {
    let helpdesk = Helpdesk::new();
    for _ in 0..KILLS / KILLS_PER_DATABASE {
        let (program, requests) = (helpdesk.program(), Arc::<AtomicU64>::default());
        let (changing, counted) = (helpdesk.clone(), Arc::clone(&requests));
        let change = move || {
            if counted.fetch_add(1, Ordering::SeqCst) % 10 == 0 {
                changing.change();
            }
        };
        helpdesk.api.fault("*", Fault::change(change).always());
        let mut kills = 0;
        while kills < KILLS_PER_DATABASE {
            kills += u64::from(kill(&program, &requests, helpdesk.requests_until_kill()));
        }
        program.run(&["ingest", "acme"]).expect(0);
        helpdesk.api.clear_faults();
        // It finds deletions, and what the run before saw change.
        program.run(&["ingest", "acme", "--reconcile"]).expect(0);
        assert_eq!(helpdesk.compare(&program.path("helpdesk.db")), Errors::default());
    }
}

/// Starts a run, and kills it after some requests. Returns false if it had already ended.
fn kill(program: &Program, requests: &AtomicU64, after: u64) -> bool {
    let until = requests.load(Ordering::SeqCst) + after;
    let mut command = program.command(&["--quiet", "ingest", "acme"]);
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    while requests.load(Ordering::SeqCst) <= until {
        if let Some(status) = running.0.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    running.0.kill().unwrap();
    true
}
