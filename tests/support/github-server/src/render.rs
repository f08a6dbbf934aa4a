//! An issue's JSON, as GitHub's REST API writes it.
//!
//! Addresses inside point to `api.github.com`, whatever the port the upstream listens on, so that a seed gives the same
//! bytes in every process.

use std::fmt::Write as _;

use crate::clock::timestamp;
use crate::data::Repository;
use crate::fixtures::{BODY, COLORS, LABELS, NAMES, TITLE_ENDS, TITLE_STARTS};
use crate::generate::mix;
use crate::issue::Issue;

/// Users that a repository's issues are spread over.
const PEOPLE: usize = 60;

/// The parts of an issue that are the same in many, rendered once.
#[derive(Debug)]
pub(crate) struct Fragments {
    api: String,
    html: String,
    people: Vec<String>,
    pub(crate) labels: Vec<String>,
    rendered_labels: Vec<String>,
    milestones: Vec<String>,
    pub(crate) milestone_titles: Vec<String>,
    id_base: u64,
}

impl Fragments {
    pub(crate) fn new(repository: &str, seed: u64) -> Self {
        let mut fragments = Self {
            api: String::new(),
            html: String::new(),
            people: (0..PEOPLE)
                .map(|index| person(&login(seed, index), 1_000 + seed % 90_000 + index as u64))
                .collect(),
            labels: LABELS.iter().map(|&label| label.to_owned()).collect(),
            rendered_labels: Vec::new(),
            milestones: Vec::new(),
            milestone_titles: (1..=6).map(|minor| format!("1.{minor}")).collect(),
            id_base: 4_000_000 + seed % 1_000_000,
        };
        fragments.rename(repository);
        fragments
    }

    /// Adopts the repository's new name, which is part of every address.
    pub(crate) fn rename(&mut self, repository: &str) {
        self.api = format!("https://api.github.com/repos/{repository}");
        self.html = format!("https://github.com/{repository}");
        self.refresh();
    }

    /// Renders labels and milestones again after one of their names has changed.
    pub(crate) fn refresh(&mut self) {
        self.rendered_labels = self.labels.iter().enumerate().map(|(index, name)| self.label(index, name)).collect();
        self.milestones =
            self.milestone_titles.iter().enumerate().map(|(index, title)| self.milestone(index, title)).collect();
    }

    fn label(&self, index: usize, name: &str) -> String {
        let id = self.id_base + index as u64;
        let url = format!("{}/labels/{}", self.api, name.replace(' ', "%20"));
        serde_json::json!({
            "id": id, "node_id": format!("LA_kwDO{id:08x}"), "url": url, "name": name,
            "color": COLORS[index % COLORS.len()], "default": index < 3,
            "description": format!("Issues that are about {name}"),
        })
        .to_string()
    }

    fn milestone(&self, index: usize, title: &str) -> String {
        let (id, number) = (self.id_base + 500 + index as u64, index + 1);
        let mut out = String::new();
        let _ = write!(
            out,
            r#"{{"url":"{api}/milestones/{number}","html_url":"{html}/milestone/{number}","labels_url":"{api}/milestones/{number}/labels","id":{id},"node_id":"MI_kwDO{id:08x}","number":{number},"title":"#,
            api = self.api,
            html = self.html,
        );
        quoted(title, &mut out);
        let _ = write!(
            out,
            r#","description":null,"creator":{},"open_issues":{},"closed_issues":{},"state":"open","created_at":"2019-03-01T09:00:00Z","updated_at":"2024-05-06T07:08:09Z","due_on":null,"closed_at":null}}"#,
            self.people[index],
            index * 7 + 2,
            index * 31 + 5,
        );
        out
    }
}

fn login(seed: u64, index: usize) -> String {
    let number = mix(seed, index as u64) % 1_000;
    format!("{}{number}", NAMES[index % NAMES.len()])
}

fn person(login: &str, id: u64) -> String {
    owner(login, id, "User")
}

/// The JSON of a user or an organisation, as it is nested in other objects.
pub(crate) fn owner(login: &str, id: u64, kind: &str) -> String {
    let api = format!("https://api.github.com/users/{login}");
    format!(
        r#"{{"login":"{login}","id":{id},"node_id":"U_kgDO{id:08x}","avatar_url":"https://avatars.githubusercontent.com/u/{id}?v=4","gravatar_id":"","url":"{api}","html_url":"https://github.com/{login}","followers_url":"{api}/followers","following_url":"{api}/following{{/other_user}}","gists_url":"{api}/gists{{/gist_id}}","starred_url":"{api}/starred{{/owner}}{{/repo}}","subscriptions_url":"{api}/subscriptions","organizations_url":"{api}/orgs","repos_url":"{api}/repos","events_url":"{api}/events{{/privacy}}","received_events_url":"{api}/received_events","type":"{kind}","user_view_type":"public","site_admin":false}}"#
    )
}

/// Appends a generated issue.
pub(crate) fn generated(repository: &Repository, issue: &Issue, seed: u64, out: &mut String) {
    let Fragments { api, html, people, rendered_labels, milestones, .. } = &repository.fragments;
    let number = issue.number;
    // The parts that an edit keeps, and those that it changes.
    let mut fixed = fastrand::Rng::with_seed(seed);
    let mut varying = fastrand::Rng::with_seed(mix(seed, u64::from(issue.revision) + 1));
    let pull = fixed.u8(..10) < 3;
    let author = fixed.usize(..PEOPLE);
    let oddity = fixed.u16(..1_000);

    let page = if pull { "pull" } else { "issues" };
    for (key, tail) in
        [("url", ""), ("labels_url", "/labels{/name}"), ("comments_url", "/comments"), ("events_url", "/events")]
    {
        let open = if key == "url" { "{" } else { "," };
        let _ = write!(out, r#"{open}"{key}":"{api}/issues/{number}{tail}""#);
        if key == "url" {
            let _ = write!(out, r#","repository_url":"{api}""#);
        }
    }
    let kind = if pull { "PR" } else { "I" };
    let _ = write!(
        out,
        r#","html_url":"{html}/{page}/{number}","id":{id},"node_id":"{kind}_kwDO{id:010x}","number":{number},"title":""#,
        id = issue.id,
    );
    out.push_str(TITLE_STARTS[varying.usize(..TITLE_STARTS.len())]);
    out.push(' ');
    out.push_str(TITLE_ENDS[varying.usize(..TITLE_ENDS.len())]);
    if issue.revision > 0 {
        let _ = write!(out, " (revision {})", issue.revision);
    }
    // A deleted account leaves its issues behind without a user.
    out.push_str("\",\"user\":");
    out.push_str(if repository.oddities && oddity < 10 { "null" } else { &people[author] });

    out.push_str(",\"labels\":[");
    let mut label = varying.usize(..rendered_labels.len());
    for position in 0..varying.usize(..4) {
        if position > 0 {
            out.push(',');
        }
        out.push_str(&rendered_labels[label % rendered_labels.len()]);
        label += 1 + varying.usize(..3);
    }
    let locked = oddity.is_multiple_of(50);
    let _ = write!(out, r#"],"state":"{}","locked":{locked},"#, if issue.open { "open" } else { "closed" });
    if varying.u8(..5) == 0 {
        let assignee = &people[varying.usize(..PEOPLE)];
        let _ = write!(out, r#""assignee":{assignee},"assignees":[{assignee}],"milestone":"#);
    } else {
        out.push_str("\"assignee\":null,\"assignees\":[],\"milestone\":");
    }
    out.push_str(if varying.u8(..7) == 0 { &milestones[varying.usize(..milestones.len())] } else { "null" });
    let _ = write!(
        out,
        r#","comments":{},"created_at":"{}","updated_at":"{}","closed_at":"#,
        issue.comments,
        timestamp(issue.created),
        timestamp(issue.updated),
    );
    if issue.closed > 0 && !issue.open {
        let _ = write!(out, "\"{}\"", timestamp(issue.closed));
    } else {
        out.push_str("null");
    }
    let association = ["NONE", "NONE", "CONTRIBUTOR", "MEMBER", "COLLABORATOR"][author % 5];
    let _ = write!(out, r#","author_association":"{association}","type":null,"active_lock_reason":"#);
    out.push_str(if locked { "\"resolved\"" } else { "null" });
    if pull {
        let merged = !issue.open && fixed.u8(..4) > 0;
        let _ = write!(
            out,
            r#","draft":false,"pull_request":{{"url":"{api}/pulls/{number}","html_url":"{html}/pull/{number}","diff_url":"{html}/pull/{number}.diff","patch_url":"{html}/pull/{number}.patch","merged_at":"#,
        );
        if merged {
            let _ = write!(out, "\"{}\"}}", timestamp(issue.closed));
        } else {
            out.push_str("null}");
        }
    } else {
        out.push_str(r#","sub_issues_summary":{"total":0,"completed":0,"percent_completed":0},"issue_dependencies_summary":{"blocked_by":0,"total_blocked_by":0,"blocking":0,"total_blocking":0}"#);
    }
    out.push_str(",\"body\":");
    body(repository.oddities, oddity, &mut varying, out);
    out.push_str(",\"closed_by\":");
    out.push_str(if issue.open { "null" } else { &people[(author + 1) % PEOPLE] });
    let (up, down, heart) = (varying.u8(..9), varying.u8(..3), varying.u8(..4));
    let _ = write!(
        out,
        r#","reactions":{{"url":"{api}/issues/{number}/reactions","total_count":{},"+1":{up},"-1":{down},"laugh":0,"hooray":0,"confused":0,"heart":{heart},"rocket":0,"eyes":0}},"timeline_url":"{api}/issues/{number}/timeline","performed_via_github_app":null,"state_reason":"#,
        up + down + heart,
    );
    out.push_str(match (issue.open, pull) {
        (false, false) if fixed.u8(..5) == 0 => "\"not_planned\"",
        (false, false) => "\"completed\"",
        _ => "null",
    });
    out.push_str(r#","parent_issue_url":null,"pinned_comment":null,"score":1.0}"#);
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
