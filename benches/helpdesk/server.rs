//! A helpdesk with one workspace, and what happens in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use snowfeed::jiff::{SignedDuration, Timestamp};
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockResponse, Paging};

use super::{Outcome, server_process};

/// How often each kind of a fault happens, and after how many requests.
const FAULTS: u64 = 9;
const FAULT_EVERY: u64 = 61;

/// The time between two changes while the helpdesk is [busy](Command::Busy).
const PAUSE: Duration = Duration::from_millis(33);

/// Changes that happen in the same second.
const CHANGES_PER_SECOND: u64 = 30;

/// What the bench tells the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Asks for the number of requests since the start.
    Requests,
    /// Asks for the [`Records`].
    Records,
    /// Some requests fail from now on.
    Fail(Failure),
    /// Changes 20 tickets, and deletes 8 tickets and 15 comments of others.
    Change,
    /// 30 changes a second begin or end.
    Busy(bool),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// Statuses 429, with a time to wait, and 500.
    Statuses,
    /// Connections that end within a body.
    Disconnects,
    /// Bodies that are complete for HTTP, and end within the JSON text.
    Truncated,
}

/// The records of each stream by their ids, without the fields that only the server needs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Records {
    pub(crate) tickets: BTreeMap<u64, Value>,
    pub(crate) comments: BTreeMap<u64, Value>,
}

/// Serves until standard input is closed.
pub(crate) fn serve(tickets: u64, latency: Duration) -> Outcome<()> {
    let helpdesk = Helpdesk::start(tickets, latency);
    let (url, mut changing) = (helpdesk.api.url().to_owned(), None);
    server_process::answer(&url, |line| {
        let answer = match serde_json::from_str(line)? {
            Command::Requests => json!(helpdesk.requests.load(Ordering::SeqCst)),
            Command::Records => serde_json::to_value(helpdesk.records()?)?,
            Command::Fail(failure) => json!(helpdesk.fail(failure)),
            Command::Change => json!(helpdesk.change()),
            Command::Busy(is_busy) => {
                changing = is_busy.then(|| Changing::start(helpdesk.clone()));
                json!(changing.is_some())
            }
        };
        Ok(answer.to_string())
    })
}

#[derive(Clone)]
struct Helpdesk {
    api: MockApi,
    tickets: MockList,
    comments: MockList,
    /// How many tickets there were at the start.
    opened: u64,
    requests: Arc<AtomicU64>,
    changes: Arc<AtomicU64>,
}

impl Helpdesk {
    fn start(opened: u64, latency: Duration) -> Self {
        let api = MockApi::start();
        api.require_bearer("secret");
        api.list("/workspaces").records_at("/workspaces").insert(json!({"id": "acme"}));
        let paging = Paging::cursor("cursor", "/next_cursor").size(100).size_parameter("limit");
        let tickets = api.list("/tickets").filter("workspace", "workspace").since("updated_since", "updated_at");
        let tickets = tickets.sort_by("updated_at").paging(paging).lookup();
        let paging = Paging::cursor("cursor", "/next_cursor").size(2);
        let comments = api.child_list("/tickets/{ticket}/comments", &tickets).records_at("/comments").paging(paging);
        let requests = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&requests);
        api.fault("*", Fault::change(move || counted.fetch_add(1, Ordering::SeqCst)).always());
        if !latency.is_zero() {
            api.fault("*", Fault::delay(latency).always());
        }
        let helpdesk = Self { api, tickets, comments, opened, requests, changes: Arc::default() };
        (1..=opened).for_each(|id| helpdesk.open(id));
        // Near the end of the list: no ticket of the first page has the field.
        helpdesk.tickets.update(opened - 5, json!({"priority": "high"}));
        helpdesk
    }

    fn open(&self, id: u64) {
        self.tickets.insert(json!({"id": id, "workspace": "acme", "subject": "new", "updated_at": self.now()}));
        (0..2 + id % 2).for_each(|number| self.comment(id, number));
    }

    fn comment(&self, ticket: u64, number: u64) {
        self.comments.of(ticket).insert(json!({"id": comment_id(ticket, number), "text": format!("note {number}")}));
    }

    fn now(&self) -> String {
        let seconds = self.changes.fetch_add(1, Ordering::SeqCst) / CHANGES_PER_SECOND;
        (Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))).to_string()
    }

    fn fail(&self, failure: Failure) {
        let faults = match failure {
            Failure::Statuses => vec![Fault::rate_limit(Duration::from_secs(1)), Fault::status(500)],
            Failure::Disconnects => vec![Fault::truncate()],
            Failure::Truncated => {
                let body = MockResponse::new(200).with_header("Content-Type", "application/json");
                vec![Fault::response(body.with_body(r#"{"data": [{"id": 1, "sub"#))]
            }
        };
        faults.into_iter().for_each(|fault| self.api.fault("*", fault.every(FAULT_EVERY).times(FAULTS)));
    }

    /// The changed tickets are newer than all others, whatever changes in them. Nothing but its absence tells of a deleted record.
    fn change(&self) {
        let mut ids = (0..).map(|number| 1 + number * (self.opened / 40));
        for (number, id) in ids.by_ref().take(20).enumerate() {
            self.tickets.update(id, json!({"subject": "changed", "updated_at": self.now()}));
            match number / 5 {
                0 => self.comment(id, 10),
                1 => self.comments.of(id).update(comment_id(id, 0), json!({"text": "changed"})),
                2 => drop(self.comments.of(id).delete(comment_id(id, 0))),
                _ => self.tickets.update(id, json!({"satisfaction": 5})),
            }
        }
        ids.by_ref().take(8).for_each(|id| drop(self.tickets.delete(id)));
        ids.take(10).for_each(|id| drop(self.comments.of(id).delete(comment_id(id, 0))));
    }

    /// One of the changes while the helpdesk is busy.
    fn change_one(&self, number: u64) {
        let id = 1 + number * 7_919 % self.opened;
        match number % 20 {
            0 => self.open(self.opened + number + 1),
            1..=3 => {
                self.comment(id, 100 + number);
                self.tickets.update(id, json!({"updated_at": self.now()}));
            }
            _ => self.tickets.update(id, json!({"subject": format!("changed {number}"), "updated_at": self.now()})),
        }
    }

    fn records(&self) -> Outcome<Records> {
        let mut records = Records::default();
        for mut ticket in self.tickets.records() {
            let fields = ticket.as_object_mut().ok_or("a ticket is no object")?;
            let id = fields["id"].as_u64().ok_or("a ticket has no id")?;
            fields.retain(|name, _| !["workspace", "updated_at"].contains(&name.as_str()));
            for comment in self.comments.of(id).records() {
                records.comments.insert(comment["id"].as_u64().ok_or("a comment has no id")?, comment);
            }
            records.tickets.insert(id, ticket);
        }
        Ok(records)
    }
}

fn comment_id(ticket: u64, number: u64) -> u64 {
    ticket * 1_000_000 + number
}

/// Changes that end when this value is dropped.
struct Changing {
    is_done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Changing {
    fn start(helpdesk: Helpdesk) -> Self {
        let is_done = Arc::<AtomicBool>::default();
        let done = Arc::clone(&is_done);
        let change = move || {
            for number in 0.. {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                helpdesk.change_one(number);
                thread::sleep(PAUSE);
            }
        };
        Self { is_done, thread: Some(thread::spawn(change)) }
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
