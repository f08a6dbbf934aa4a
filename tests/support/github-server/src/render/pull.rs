//! Pull requests, derived from the issues that they are.

use serde_json::{Value, json};

use super::record::sha_digits;
use super::{Fragments, owner, owner_id};
use crate::generate::mix;
use crate::issue::Issue;
use crate::repository::Repository;
use crate::table::RecordKind;

/// The fields of an issue that its pull request has, too.
const SHARED: [&str; 15] = [
    "number",
    "state",
    "locked",
    "title",
    "user",
    "body",
    "labels",
    "milestone",
    "active_lock_reason",
    "created_at",
    "updated_at",
    "closed_at",
    "assignee",
    "assignees",
    "author_association",
];

/// A pull request as lists have it.
pub(crate) fn listed_pull(repository: &Repository, issue: &Issue) -> Value {
    let Fragments { api, html, .. } = &repository.fragments;
    let number = issue.number;
    let fields: Value = serde_json::from_str(&repository.text(issue)).unwrap_or_default();
    let seed = mix(repository.seed, issue.id);
    let mut rng = fastrand::Rng::with_seed(seed);
    let head_sha = sha_digits(mix(seed, 1));
    let merged_at = &fields["pull_request"]["merged_at"];
    let url = format!("{api}/pulls/{number}");
    let (owner_login, short) = repository.name.split_once('/').unwrap_or_default();
    let kind = if repository.organization { "Organization" } else { "User" };
    let owner: Value = serde_json::from_str(&owner(owner_login, owner_id(owner_login), kind)).unwrap_or_default();
    // The counters of the repository, which GitHub has here, would change all pull requests with every issue.
    let base = json!({
        "id": repository.id, "node_id": format!("R_kgDO{:08x}", repository.id), "name": short,
        "full_name": repository.name, "private": false, "owner": owner, "html_url": html, "url": api, "fork": false,
        "default_branch": "main", "visibility": "public", "language": "Rust",
    });
    let login = fields["user"]["login"].as_str().unwrap_or("ghost");
    let branch = format!("patch-{}", rng.u16(..1_000));
    // A fork that was deleted leaves its pull requests behind.
    let fork_is_gone = repository.oddities && rng.u8(..50) == 0;
    let head_repository = if fork_is_gone { Value::Null } else { base.clone() };
    let issue_url = format!("{api}/issues/{number}");
    let review_comment_url = format!("{api}/pulls/comments{{/number}}");
    let statuses_url = format!("{api}/statuses/{head_sha}");
    let links = json!({
        "self": {"href": url}, "html": {"href": format!("{html}/pull/{number}")}, "issue": {"href": issue_url},
        "comments": {"href": format!("{issue_url}/comments")},
        "review_comments": {"href": format!("{url}/comments")},
        "review_comment": {"href": review_comment_url}, "commits": {"href": format!("{url}/commits")},
        "statuses": {"href": statuses_url},
    });
    let mut pull = json!({
        "url": url, "id": issue.pull_id(), "node_id": format!("PR_kwDO{:010x}", issue.pull_id()),
        "html_url": format!("{html}/pull/{number}"), "diff_url": format!("{html}/pull/{number}.diff"),
        "patch_url": format!("{html}/pull/{number}.patch"), "issue_url": issue_url,
        "commits_url": format!("{url}/commits"), "review_comments_url": format!("{url}/comments"),
        "review_comment_url": review_comment_url, "comments_url": format!("{issue_url}/comments"),
        "statuses_url": statuses_url, "merged_at": merged_at, "draft": fields["draft"].as_bool().unwrap_or_default(),
        "merge_commit_sha": (!merged_at.is_null()).then(|| sha_digits(mix(seed, 2))),
        "requested_reviewers": [], "requested_teams": [], "auto_merge": null, "_links": links,
        "head": {"label": format!("{login}:{branch}"), "ref": branch, "sha": head_sha, "user": fields["user"],
            "repo": head_repository},
        "base": {"label": format!("{owner_login}:main"), "ref": "main", "sha": sha_digits(mix(seed, 3)), "user": owner,
            "repo": base},
    });
    for key in SHARED {
        pull[key] = fields[key].clone();
    }
    pull
}

/// A pull request as a request for it alone returns it.
pub(crate) fn pull(repository: &Repository, issue: &Issue) -> Value {
    let mut pull = listed_pull(repository, issue);
    let mut rng = fastrand::Rng::with_seed(mix(repository.seed, issue.id ^ 0x7075_6c6c));
    let merged = !pull["merged_at"].is_null();
    let review_comments = repository.table(RecordKind::ReviewComment).children(issue.number).count();
    pull["merged"] = merged.into();
    pull["merged_by"] = if merged { repository.fragments.person(rng.usize(..1_000)) } else { Value::Null };
    pull["mergeable"] = Value::Null;
    pull["rebaseable"] = Value::Null;
    pull["mergeable_state"] = "unknown".into();
    pull["comments"] = issue.comments.into();
    pull["review_comments"] = review_comments.into();
    pull["maintainer_can_modify"] = false.into();
    for (key, most) in [("commits", 9_u32), ("additions", 900), ("deletions", 300), ("changed_files", 30)] {
        pull[key] = rng.u32(1..=most).into();
    }
    pull
}
