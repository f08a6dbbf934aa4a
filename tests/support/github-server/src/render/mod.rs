//! JSON as GitHub's REST API writes it.
//!
//! Addresses inside point to `api.github.com`, whatever the port the upstream listens on, so that a seed gives the same
//! bytes in every process.

mod issue;
mod pull;
mod record;

pub(crate) use issue::issue;
pub(crate) use pull::{listed_pull, pull};
pub(crate) use record::{commit_sha, label_name, label_path, milestone_is_open, record};

use serde_json::Value;

use crate::fixtures::{BODY, NAMES};
use crate::generate::mix;

/// Users that a repository's records are spread over.
const PEOPLE: usize = 60;

/// The parts of an issue that are the same in many, rendered once.
#[derive(Debug)]
pub(crate) struct Fragments {
    api: String,
    html: String,
    people: Vec<String>,
    /// By their numbers; empty where one was deleted.
    pub(crate) labels: Vec<String>,
    pub(crate) milestones: Vec<String>,
    /// How many labels and milestones generated issues choose from: those that the repository began with.
    pub(crate) drawn_labels: usize,
    pub(crate) drawn_milestones: usize,
}

impl Fragments {
    pub(crate) fn new(repository: &str, seed: u64) -> Self {
        let mut fragments = Self {
            api: String::new(),
            html: String::new(),
            people: (0..PEOPLE)
                .map(|index| person(&login(seed, index), 1_000 + seed % 90_000 + index as u64))
                .collect(),
            labels: Vec::new(),
            milestones: Vec::new(),
            drawn_labels: 0,
            drawn_milestones: 0,
        };
        fragments.rename(repository);
        fragments
    }

    /// Adopts the repository's new name, which is part of every address.
    pub(crate) fn rename(&mut self, repository: &str) {
        self.api = format!("https://api.github.com/repos/{repository}");
        self.html = format!("https://github.com/{repository}");
    }

    /// A user of the repository, as it is nested in other objects.
    fn person(&self, index: usize) -> Value {
        serde_json::from_str(&self.people[index % PEOPLE]).unwrap_or_default()
    }
}

/// How a user is related to the repository.
fn association(person: usize) -> &'static str {
    ["NONE", "NONE", "CONTRIBUTOR", "MEMBER", "COLLABORATOR"][person % 5]
}

fn login(seed: u64, index: usize) -> String {
    let number = mix(seed, index as u64) % 1_000;
    format!("{}{number}", NAMES[index % NAMES.len()])
}

fn person(login: &str, id: u64) -> String {
    owner(login, id, "User")
}

/// The id of a user or an organisation, derived from the name.
pub(crate) fn owner_id(login: &str) -> u64 {
    let login = login.to_lowercase();
    login.bytes().fold(0, |id, byte| mix(id, u64::from(byte))) % 90_000_000 + 1_000
}

/// The JSON of a user or an organisation, as it is nested in other objects.
pub(crate) fn owner(login: &str, id: u64, kind: &str) -> String {
    let api = format!("https://api.github.com/users/{login}");
    format!(
        r#"{{"login":"{login}","id":{id},"node_id":"U_kgDO{id:08x}","avatar_url":"https://avatars.githubusercontent.com/u/{id}?v=4","gravatar_id":"","url":"{api}","html_url":"https://github.com/{login}","followers_url":"{api}/followers","following_url":"{api}/following{{/other_user}}","gists_url":"{api}/gists{{/gist_id}}","starred_url":"{api}/starred{{/owner}}{{/repo}}","subscriptions_url":"{api}/subscriptions","organizations_url":"{api}/orgs","repos_url":"{api}/repos","events_url":"{api}/events{{/privacy}}","received_events_url":"{api}/received_events","type":"{kind}","user_view_type":"public","site_admin":false}}"#
    )
}

/// Appends a body: `null`, some sentences, or one of the oddities that break connectors.
fn body(oddities: bool, oddity: u16, rng: &mut fastrand::Rng, out: &mut String) {
    if rng.u8(..12) == 0 {
        out.push_str("null");
        return;
    }
    out.push('"');
    if oddities && oddity == 999 {
        // GitHub's own limit is 65,536 characters.
        let start = out.len();
        while out.len() - start < 65_000 {
            out.push_str(BODY[rng.usize(..BODY.len())]);
        }
    } else {
        for _ in 0..rng.usize(1..=18) {
            out.push_str(BODY[rng.usize(..BODY.len())]);
        }
        if oddities && (980..985).contains(&oddity) {
            out.push_str("null byte: \\u0000 end");
        }
    }
    out.push('"');
}

/// Appends a JSON string.
pub(crate) fn quoted(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
