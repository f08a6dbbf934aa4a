//! The handle of a running server.

mod records;

pub use records::SnapshotRecord;

use std::io;
use std::sync::{Arc, MutexGuard};

use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::builder::GithubServerBuilder;
use crate::changes;
use crate::clock::{Clock, timestamp};
use crate::data::ServerData;
use crate::fault::Fault;
use crate::issue::Issue;
use crate::log::{Counts, ReceivedRequest};
use crate::mutations::Mutations;
use crate::repository::Removal;
use crate::server::Shared;

/// A running server. Dropping it stops it and closes its connections.
///
/// Every method takes `&self`: share it in an [`Arc`] to change data from another task while it is read. Issues are named
/// by their repository, `owner/name`, and their number.
///
/// # Panics
///
/// Methods that take a repository panic if there is none of that name, and those that take an issue's number panic if
/// there is none of that number: a test that misspells a name should not pass.
#[derive(Debug)]
pub struct GithubServer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) accept: JoinHandle<()>,
}

/// One issue as the server has it, to compare a destination with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotIssue {
    /// GitHub's id, unique across repositories.
    pub id: u64,
    /// Its number within the repository.
    pub number: u32,
    /// When it last changed, as its JSON says.
    pub updated_at: Timestamp,
    /// Its JSON, byte for byte as it is served.
    pub text: String,
}

impl Drop for GithubServer {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl GithubServer {
    /// Returns a builder with the defaults.
    pub fn builder() -> GithubServerBuilder {
        GithubServerBuilder::default()
    }

    /// The base address, such as `http://127.0.0.1:40123`, without a slash at its end.
    pub fn url(&self) -> &str {
        self.shared.base_url()
    }

    /// The clock that issues get their times from.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    fn data(&self) -> MutexGuard<'_, ServerData> {
        self.shared.data()
    }

    #[track_caller]
    fn on<T>(&self, repository: &str, work: impl FnOnce(&mut ServerData, usize, u32) -> T) -> T {
        let now = self.shared.clock.second();
        let mut data = self.data();
        let Some(index) = data.find(repository) else { panic!("the server has no repository {repository}") };
        work(&mut data, index, now)
    }

    #[track_caller]
    fn on_issue<T>(&self, repository: &str, number: u32, work: impl FnOnce(&mut ServerData, usize, u32) -> T) -> T {
        self.on(repository, |data, index, now| {
            assert!(data.repositories[index].issues.contains_key(&number), "{repository} has no issue {number}");
            work(data, index, now)
        })
    }

    /// Adds a repository without issues.
    pub fn add_repository(&self, name: &str) {
        let now = self.shared.clock.second();
        self.data().add(name, now);
    }

    /// Opens `count` new issues and returns their numbers.
    #[track_caller]
    pub fn create(&self, repository: &str, count: u32) -> Vec<u32> {
        self.on(repository, |data, index, now| (0..count).map(|_| changes::create(data, index, now)).collect())
    }

    /// Changes an issue's title, body and labels.
    #[track_caller]
    pub fn edit(&self, repository: &str, number: u32) {
        self.on_issue(repository, number, |data, index, now| changes::edit(data, index, number, now));
    }

    /// Edits `count` random issues; all get the same `updated_at`.
    #[track_caller]
    pub fn bulk_edit(&self, repository: &str, count: usize) {
        self.on(repository, |data, index, now| changes::bulk_edit(data, index, count, now));
    }

    /// Closes an issue.
    #[track_caller]
    pub fn close(&self, repository: &str, number: u32) {
        self.on_issue(repository, number, |data, index, now| changes::set_open(data, index, number, false, now));
    }

    /// Reopens an issue.
    #[track_caller]
    pub fn reopen(&self, repository: &str, number: u32) {
        self.on_issue(repository, number, |data, index, now| changes::set_open(data, index, number, true, now));
    }

    /// Deletes an issue: it disappears from lists, and a request for it gets 410.
    #[track_caller]
    pub fn delete(&self, repository: &str, number: u32) {
        self.on_issue(repository, number, |data, index, _| changes::delete(data, index, number, Removal::Deleted));
    }

    /// Makes an issue disappear without a trace: a request for it gets 404.
    #[track_caller]
    pub fn hide(&self, repository: &str, number: u32) {
        self.on_issue(repository, number, |data, index, _| changes::delete(data, index, number, Removal::Hidden));
    }

    /// Transfers an issue to another repository of this upstream and returns its number there. A request for the old one
    /// gets 301.
    #[track_caller]
    pub fn transfer(&self, repository: &str, number: u32, to: &str) -> u32 {
        self.on_issue(repository, number, |data, index, now| {
            let Some(target) = data.find(to) else { panic!("the server has no repository {to}") };
            changes::transfer(data, index, number, target, now).unwrap_or_default()
        })
    }

    /// Sets top-level keys of an issue's JSON and moves its `updated_at`, unless the keys say when.
    ///
    /// # Errors
    ///
    /// When the outcome is not an issue, for instance without an `id`.
    #[track_caller]
    pub fn patch(&self, repository: &str, number: u32, keys: Value) -> io::Result<()> {
        self.on_issue(repository, number, |data, index, now| {
            changes::patch(&mut data.repositories[index], number, keys, now)
        })
    }

    /// Sets top-level keys of an issue's JSON and leaves its `updated_at` alone, as happens when a login, a milestone or an
    /// author's association changes.
    ///
    /// # Errors
    ///
    /// When the outcome is not an issue.
    #[track_caller]
    pub fn patch_silently(&self, repository: &str, number: u32, keys: Value) -> io::Result<()> {
        self.on_issue(repository, number, |data, index, _| {
            let repository = &mut data.repositories[index];
            let updated = repository.issues[&number].updated;
            changes::patch(repository, number, keys, updated)
        })
    }

    /// Inserts an issue as GitHub sent it, or replaces the one with its number: to replay a recorded history.
    ///
    /// # Errors
    ///
    /// When the text is not an issue.
    #[track_caller]
    pub fn put(&self, repository: &str, issue: &str) -> io::Result<()> {
        let issue = Issue::from_raw(issue)?;
        self.on(repository, |data, index, _| data.repositories[index].put(issue));
        Ok(())
    }

    /// Renames a label in every issue; no `updated_at` moves. Generated issues use `bug`, `enhancement`, `question`, ….
    #[track_caller]
    pub fn rename_label(&self, repository: &str, old: &str, new: &str) {
        self.on(repository, |data, index, _| changes::rename_label(&mut data.repositories[index], old, new));
    }

    /// Adds one more field with this value to all issues from a number on: with ascending order and a number above the
    /// page's size, page 2 is the first to show it. No `updated_at` moves.
    #[track_caller]
    pub fn add_field(&self, repository: &str, name: &str, value: &Value, from_number: u32) {
        self.on(repository, |data, index, _| {
            let fields = &mut data.repositories[index].new_fields;
            fields.push((name.to_owned(), from_number, value.to_string()));
        });
    }

    /// Renames or moves a repository, `owner/name`: the old path answers 301 to `/repositories/{id}`. Addresses in
    /// generated issues change with it, and no `updated_at` moves.
    #[track_caller]
    pub fn rename_repository(&self, old: &str, new: &str) {
        self.on(old, |data, index, _| {
            let repository = &mut data.repositories[index];
            let former = std::mem::replace(&mut repository.name, new.to_owned());
            repository.fragments.rename(new);
            repository.refresh_fragments();
            data.former_names.insert(former.to_lowercase(), index);
        });
    }

    /// Disables a repository's issues: lists and items answer 410.
    #[track_caller]
    pub fn disable_issues(&self, repository: &str) {
        self.on(repository, |data, index, _| data.repositories[index].issues_enabled = false);
    }

    /// Disables the issues of a repository with pull requests: lists still have those, and each issue answers 410.
    #[track_caller]
    pub fn disable_all_but_pull_requests(&self, repository: &str) {
        self.on(repository, |data, index, _| {
            let repository = &mut data.repositories[index];
            (repository.issues_enabled, repository.lists_pull_requests) = (false, true);
        });
    }

    /// Enables a repository's issues again.
    #[track_caller]
    pub fn enable_issues(&self, repository: &str) {
        self.on(repository, |data, index, _| {
            let repository = &mut data.repositories[index];
            (repository.issues_enabled, repository.lists_pull_requests) = (true, false);
        });
    }

    /// Restores an issue to an earlier state, `updated_at` included, like a server that is restored from a backup.
    ///
    /// # Errors
    ///
    /// When the text is not an issue.
    #[track_caller]
    pub fn restore(&self, repository: &str, earlier: &SnapshotIssue) -> io::Result<()> {
        self.put(repository, &earlier.text)
    }

    /// Makes the server fail at an issue: the issue itself and every page that contains it answer 500, until
    /// [`repair`](Self::repair).
    #[track_caller]
    pub fn break_issue(&self, repository: &str, number: u32) {
        self.on_issue(repository, number, |data, index, _| data.repositories[index].broken.insert(number));
    }

    /// Makes the server answer for all issues of a repository again.
    #[track_caller]
    pub fn repair(&self, repository: &str) {
        self.on(repository, |data, index, _| data.repositories[index].broken.clear());
    }

    /// Deletes a repository; [`add_repository`](Self::add_repository) can reuse its name for a new one, with another id.
    #[track_caller]
    pub fn delete_repository(&self, repository: &str) {
        self.on(repository, |data, index, _| data.repositories[index].deleted = true);
    }

    /// Sets the changes between requests; [`Mutations::NONE`] stops them.
    pub fn set_mutations(&self, mutations: Mutations) {
        self.shared.set_mutations(mutations);
    }

    /// All issues of a repository, whatever their state, by ascending id.
    #[track_caller]
    pub fn snapshot(&self, repository: &str) -> Vec<SnapshotIssue> {
        let mut all = Vec::new();
        self.visit(repository, |issue| all.push(issue));
        all.sort_by_key(|issue| issue.id);
        all
    }

    /// Hands every issue of a repository to `visitor`, by ascending number: a [`snapshot`](Self::snapshot) for
    /// repositories that do not fit into memory as text. The upstream answers no request meanwhile.
    #[track_caller]
    pub fn visit(&self, repository: &str, mut visitor: impl FnMut(SnapshotIssue)) {
        self.on(repository, |data, index, _| {
            let repository = &data.repositories[index];
            for issue in repository.issues.values() {
                visitor(SnapshotIssue {
                    id: issue.id,
                    number: issue.number,
                    updated_at: timestamp(issue.updated),
                    text: repository.text(issue),
                });
            }
        });
    }

    /// How many issues a repository has.
    #[track_caller]
    pub fn len(&self, repository: &str) -> usize {
        self.on(repository, |data, index, _| data.repositories[index].issues.len())
    }

    /// A repository's id, which outlives its name.
    #[track_caller]
    pub fn repository_id(&self, repository: &str) -> u64 {
        self.on(repository, |data, index, _| data.repositories[index].id)
    }

    /// Applies this fault to the next request without another fault. Faults queue up, one per request.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults().push(fault);
    }

    /// Applies this fault to request number `number` (from 1, see [`Received::number`]).
    pub fn fault_at(&self, number: u64, fault: Fault) {
        self.shared.faults().at(number, fault);
    }

    /// Applies this fault once, to the next request whose path and query contain `part`.
    pub fn fault_on(&self, part: impl Into<String>, fault: Fault) {
        let part = part.into();
        self.shared.faults().once(Box::new(move |request| request.target().contains(&part)), fault);
    }

    /// Applies this fault to every request that meets the condition, until [`clear_faults`](Self::clear_faults).
    pub fn fault_while(&self, condition: impl Fn(&ReceivedRequest) -> bool + Send + Sync + 'static, fault: Fault) {
        self.shared.faults().always(Box::new(condition), fault);
    }

    /// Answers 502 to every page larger than `per_page` issues, as GitHub does when a page is too large for it.
    pub fn heavy_above(&self, per_page: usize) {
        let heavy = move |request: &ReceivedRequest| {
            let asked = request.query("per_page").and_then(|count| count.parse::<usize>().ok()).unwrap_or(30);
            request.path().ends_with("/issues") && asked > per_page
        };
        self.fault_while(heavy, Fault::status(502));
    }

    /// Applies one of these faults to a share of all requests (0.0 to 1.0), drawn from the seed.
    pub fn fault_rate(&self, rate: f64, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults().random(rate, faults.into_iter().collect(), self.shared.seed);
    }

    /// Removes every fault that has not occurred yet.
    pub fn clear_faults(&self) {
        *self.shared.faults() = Default::default();
    }

    /// Makes every installation token handed out so far invalid.
    pub fn revoke_installation_tokens(&self) {
        self.shared.access().revoke();
    }

    /// Every request since the start, in the order of arrival.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.log.received()
    }

    /// The number of requests to a path, whatever their query.
    pub fn requests_to(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path() == path).count()
    }

    /// Totals over all requests.
    pub fn counts(&self) -> Counts {
        self.shared.log.counts()
    }

    /// Forgets the requests so far; numbering continues.
    pub fn forget_requests(&self) {
        self.shared.log.forget();
    }
}
