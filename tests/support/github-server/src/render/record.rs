//! Records other than issues and pull requests.

use serde_json::{Value, json};

use super::{Fragments, association, body};
use crate::clock::timestamp;
use crate::fixtures::{COLORS, LABELS, TITLE_ENDS};
use crate::generate::mix;
use crate::issue::{Issue, IssueText};
use crate::repository::Repository;
use crate::table::{Record, RecordKind};

/// The milestones that are open and without a due date: issues bear them from the start.
const PLAIN_MILESTONES: u32 = 6;

/// A record with the keys that were set on it.
pub(crate) fn record(repository: &Repository, kind: RecordKind, record: &Record) -> Value {
    let context = Context::new(repository, record);
    let mut value = match kind {
        RecordKind::IssueComment => context.issue_comment(),
        RecordKind::ReviewComment => context.review_comment(),
        RecordKind::Label => context.label(),
        RecordKind::Milestone => context.milestone(),
        RecordKind::Release => context.release(),
        RecordKind::IssueEvent => context.issue_event(),
        RecordKind::Review => context.review(),
        RecordKind::Commit => context.commit(),
    };
    if let Value::Object(object) = &mut value {
        object.extend(record.keys.clone());
    }
    value
}

/// Forty hexadecimal digits, as Git names a commit.
pub(crate) fn sha_digits(seed: u64) -> String {
    format!("{:016x}{:016x}{:08x}", mix(seed, 1), mix(seed, 2), mix(seed, 3) >> 32)
}

/// Whether a milestone is open, as its JSON says.
pub(crate) fn milestone_is_open(milestone: &Record) -> bool {
    match milestone.text_key("state") {
        Some(state) => state != "closed",
        None => milestone.number <= PLAIN_MILESTONES || milestone.seed.is_multiple_of(2),
    }
}

/// One record while it is rendered.
struct Context<'a> {
    repository: &'a Repository,
    record: &'a Record,
    api: &'a str,
    html: &'a str,
    /// A user, or `null` where the account was deleted.
    user: Value,
    association: &'static str,
    /// The address of the record's issue or pull request for people.
    page: String,
}

impl<'a> Context<'a> {
    fn new(repository: &'a Repository, record: &'a Record) -> Self {
        let Fragments { api, html, .. } = &repository.fragments;
        let mut rng = fastrand::Rng::with_seed(record.seed);
        let person = rng.usize(..1_000);
        let deleted = repository.oddities && rng.u8(..100) == 0;
        let page = if repository.pull(record.parent).is_some() { "pull" } else { "issues" };
        Self {
            repository,
            record,
            api,
            html,
            user: if deleted { Value::Null } else { repository.fragments.person(person) },
            association: association(person),
            page: format!("{html}/{page}/{}", record.parent),
        }
    }

    /// Draws the same for the same revision.
    fn varying(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(mix(self.record.seed, u64::from(self.record.revision) + 1))
    }

    fn text(&self) -> Value {
        let mut text = String::new();
        let oddity = u16::try_from(self.record.seed % 1_000).unwrap_or_default();
        body(self.repository.oddities, oddity, &mut self.varying(), &mut text);
        match serde_json::from_str(&text) {
            Ok(Value::String(text)) => text.into(),
            // Unlike an issue, none of these records has no text.
            _ => "".into(),
        }
    }

    fn created(&self) -> String {
        timestamp(self.record.created).to_string()
    }

    fn updated(&self) -> String {
        timestamp(self.record.updated).to_string()
    }

    fn pull_url(&self) -> String {
        format!("{}/pulls/{}", self.api, self.record.parent)
    }

    fn reactions(&self, url: &str) -> Value {
        let mut rng = self.varying();
        let (up, heart) = (rng.u8(..5), rng.u8(..3));
        json!({
            "url": format!("{url}/reactions"), "total_count": up + heart, "+1": up, "-1": 0, "laugh": 0, "hooray": 0,
            "confused": 0, "heart": heart, "rocket": 0, "eyes": 0,
        })
    }

    fn issue_comment(&self) -> Value {
        let id = self.record.id;
        let url = format!("{}/issues/comments/{id}", self.api);
        json!({
            "url": url, "html_url": format!("{}#issuecomment-{id}", self.page),
            "issue_url": format!("{}/issues/{}", self.api, self.record.parent),
            "id": id, "node_id": format!("IC_kwDO{id:010x}"), "user": self.user, "created_at": self.created(),
            "updated_at": self.updated(), "author_association": self.association, "body": self.text(),
            "reactions": self.reactions(&url), "performed_via_github_app": null, "minimized": null,
        })
    }

    fn review_comment(&self) -> Value {
        let id = self.record.id;
        let url = format!("{}/pulls/comments/{id}", self.api);
        let html_url = format!("{}#discussion_r{id}", self.page);
        let mut rng = fastrand::Rng::with_seed(mix(self.record.seed, 5));
        let (line, commit) = (rng.u16(1..900), sha_digits(mix(self.record.seed, 6)));
        json!({
            "url": url, "pull_request_review_id": null, "id": id, "node_id": format!("PRRC_kwDO{id:010x}"),
            "diff_hunk": format!("@@ -{line},4 +{line},4 @@ fn parse()\n-    old();\n+    new();"),
            "path": format!("src/part{}.rs", line % 40), "position": 4, "original_position": 4, "commit_id": commit,
            "original_commit_id": commit, "user": self.user, "body": self.text(), "created_at": self.created(),
            "updated_at": self.updated(), "html_url": html_url, "pull_request_url": self.pull_url(),
            "author_association": self.association,
            "_links": {"self": {"href": url}, "html": {"href": html_url}, "pull_request": {"href": self.pull_url()}},
            "reactions": self.reactions(&url), "start_line": null, "original_start_line": null, "start_side": null,
            "line": line, "original_line": line, "side": "RIGHT", "subject_type": "line",
        })
    }

    fn label(&self) -> Value {
        let (id, index) = (self.record.id, self.record.number as usize - 1);
        let name = label_name(self.record);
        let edited = if self.record.revision > 0 { format!(" ({})", self.record.revision) } else { String::new() };
        json!({
            "id": id, "node_id": format!("LA_kwDO{id:08x}"), "url": format!("{}/{}", self.api, label_path(self.record)),
            "name": name, "color": COLORS[index % COLORS.len()], "default": index < 3,
            "description": format!("Issues that are about {name}{edited}"),
        })
    }

    fn milestone(&self) -> Value {
        let Record { id, number, seed, .. } = *self.record;
        let url = format!("{}/milestones/{number}", self.api);
        let open = milestone_is_open(self.record);
        let due = (number > PLAIN_MILESTONES && !seed.is_multiple_of(5))
            .then(|| timestamp(self.record.created.saturating_add(60 * 86_400)).to_string());
        let description = (self.record.revision > 0).then(|| format!("Revision {}", self.record.revision));
        json!({
            "url": url, "html_url": format!("{}/milestone/{number}", self.html), "labels_url": format!("{url}/labels"),
            "id": id, "node_id": format!("MI_kwDO{id:08x}"), "number": number, "title": format!("1.{number}"),
            "description": description, "creator": self.user, "open_issues": (number - 1) * 7 + 2,
            "closed_issues": (number - 1) * 31 + 5, "state": if open { "open" } else { "closed" },
            "created_at": self.created(), "updated_at": self.updated(), "due_on": due,
            "closed_at": (!open).then(|| self.updated()),
        })
    }

    fn release(&self) -> Value {
        let Record { id, number, .. } = *self.record;
        let url = format!("{}/releases/{id}", self.api);
        let tag = format!("v0.{number}.0");
        let asset = id + 1;
        json!({
            "url": url, "assets_url": format!("{url}/assets"),
            "upload_url": format!("{}/assets{{?name,label}}", url.replace("//api.", "//uploads.")),
            "html_url": format!("{}/releases/tag/{tag}", self.html), "id": id, "author": self.repository.fragments.person(3),
            "node_id": format!("RE_kwDO{id:08x}"), "tag_name": tag, "target_commitish": "main", "name": tag, "draft": false,
            "immutable": false, "prerelease": number.is_multiple_of(4), "created_at": self.created(),
            "updated_at": self.updated(), "published_at": self.created(),
            "assets": [{
                "url": format!("{}/releases/assets/{asset}", self.api), "id": asset, "node_id": format!("RA_kwDO{asset:08x}"),
                "name": "widgets.tar.gz", "label": "", "uploader": self.repository.fragments.person(3),
                "content_type": "application/gzip", "state": "uploaded", "size": 123_456, "digest": null,
                "download_count": 42, "created_at": self.created(), "updated_at": self.created(),
                "browser_download_url": format!("{}/releases/download/{tag}/widgets.tar.gz", self.html),
            }],
            "tarball_url": format!("{}/tarball/{tag}", self.api), "zipball_url": format!("{}/zipball/{tag}", self.api),
            "body": self.text(), "reactions": self.reactions(&url),
        })
    }

    fn issue_event(&self) -> Value {
        let id = self.record.id;
        let kinds = ["labeled", "assigned", "milestoned", "renamed", "mentioned", "referenced"];
        let mut rng = fastrand::Rng::with_seed(mix(self.record.seed, 7));
        let event = self.record.text_key("event").unwrap_or(kinds[rng.usize(..kinds.len())]);
        let person = self.repository.fragments.person(rng.usize(..1_000));
        let commit = (event == "referenced").then(|| sha_digits(mix(self.record.seed, 8)));
        let mut value = json!({
            "id": id, "node_id": format!("LE_kwDO{id:010x}"), "url": format!("{}/issues/events/{id}", self.api),
            "actor": self.user, "event": event, "commit_url": commit.as_ref().map(|sha| format!("{}/commits/{sha}", self.api)),
            "commit_id": commit, "created_at": self.created(), "performed_via_github_app": null,
            "issue": self.opened_issue(),
        });
        match event {
            "labeled" => value["label"] = json!({"name": LABELS[rng.usize(..LABELS.len())], "color": COLORS[0]}),
            "assigned" => (value["assignee"], value["assigner"]) = (person, self.user.clone()),
            "milestoned" => value["milestone"] = json!({"title": format!("1.{}", rng.u32(1..=PLAIN_MILESTONES))}),
            "renamed" => {
                let to = TITLE_ENDS[rng.usize(..TITLE_ENDS.len())];
                value["rename"] = json!({"from": "Something", "to": format!("Something about {to}")});
            }
            _ => {}
        }
        value
    }

    /// The issue of an event as it was opened. GitHub has it as it is now, but then every edit would change its events.
    fn opened_issue(&self) -> Value {
        let Some(issue) = self.repository.issues.get(&self.record.parent) else { return Value::Null };
        let mut text = String::new();
        match &issue.content {
            IssueText::Seed(seed) => {
                let opened = Issue::generated(issue.id, issue.number, *seed, issue.created);
                super::issue(self.repository, &opened, *seed, &mut text);
            }
            IssueText::Raw(raw) => text.push_str(raw),
        }
        let mut value: Value = serde_json::from_str(&text).unwrap_or_default();
        value["labels"] = json!([]);
        value["milestone"] = Value::Null;
        value
    }

    fn review(&self) -> Value {
        let id = self.record.id;
        let html_url = format!("{}#pullrequestreview-{id}", self.page);
        let states = ["APPROVED", "APPROVED", "COMMENTED", "CHANGES_REQUESTED"];
        let given = states[fastrand::Rng::with_seed(mix(self.record.seed, 9)).usize(..states.len())];
        json!({
            "id": id, "node_id": format!("PRR_kwDO{id:08x}"), "user": self.user, "body": self.text(),
            "state": if self.record.revision > 0 { "DISMISSED" } else { given }, "html_url": html_url,
            "pull_request_url": self.pull_url(), "author_association": self.association,
            "_links": {"html": {"href": html_url}, "pull_request": {"href": self.pull_url()}},
            "submitted_at": self.created(), "commit_id": sha_digits(mix(self.record.seed, 10)),
        })
    }

    fn commit(&self) -> Value {
        let sha = commit_sha(self.repository, self.record.number);
        let url = format!("{}/commits/{sha}", self.api);
        let seed = mix(self.record.seed, 11);
        let subject = TITLE_ENDS[fastrand::Rng::with_seed(seed).usize(..TITLE_ENDS.len())];
        // GitHub knows no account for the e-mail address of some commits.
        let login = self.user["login"].as_str().unwrap_or("unknown");
        let signature = json!({"name": login, "email": format!("{login}@example.com"), "date": self.created()});
        let parents: Vec<Value> = (self.record.parent > 0)
            .then(|| commit_sha(self.repository, self.record.parent))
            .map(|sha| {
                let url = format!("{}/commits/{sha}", self.api);
                json!({"sha": sha, "url": url, "html_url": format!("{}/commit/{sha}", self.html)})
            })
            .into_iter()
            .collect();
        let tree = sha_digits(seed);
        json!({
            "sha": sha, "node_id": format!("C_kwDO{sha}"), "url": url, "html_url": format!("{}/commit/{sha}", self.html),
            "comments_url": format!("{url}/comments"), "author": self.user, "committer": self.user, "parents": parents,
            "commit": {
                "author": signature, "committer": signature, "message": format!("Improve {subject}"),
                "tree": {"sha": tree, "url": format!("{}/git/trees/{tree}", self.api)},
                "url": format!("{}/git/commits/{sha}", self.api), "comment_count": 0,
                "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
            },
        })
    }
}

/// The name of a label, by which GitHub addresses it.
pub(crate) fn label_name(label: &Record) -> String {
    let index = label.number as usize - 1;
    match (label.text_key("name"), LABELS.get(index)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(name)) => (*name).to_owned(),
        (None, None) => format!("area: part {}", label.number),
    }
}

/// The path of a label below its repository.
pub(crate) fn label_path(label: &Record) -> String {
    let name: String = url::form_urlencoded::byte_serialize(label_name(label).as_bytes()).collect();
    format!("labels/{}", name.replace('+', "%20"))
}

/// The name of a commit.
pub(crate) fn commit_sha(repository: &Repository, number: u32) -> String {
    sha_digits(mix(repository.seed, u64::from(number) << 32))
}
