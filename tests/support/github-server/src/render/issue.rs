//! Generated issues.

use std::fmt::Write as _;

use super::{Fragments, PEOPLE, association, body};
use crate::clock::timestamp;
use crate::fixtures::{TITLE_ENDS, TITLE_STARTS};
use crate::generate::mix;
use crate::issue::{Issue, draw_pull};
use crate::repository::Repository;

/// Appends a generated issue.
pub(crate) fn issue(repository: &Repository, issue: &Issue, seed: u64, out: &mut String) {
    let Fragments { api, html, people, .. } = &repository.fragments;
    let number = issue.number;
    // The parts that an edit keeps, and those that it changes.
    let mut fixed = fastrand::Rng::with_seed(seed);
    let mut varying = fastrand::Rng::with_seed(mix(seed, u64::from(issue.revision) + 1));
    let pull = draw_pull(&mut fixed);
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
    let drawn = repository.fragments.drawn_labels.max(1);
    let mut label = varying.usize(..drawn);
    let mut separator = "";
    for _ in 0..varying.usize(..4) {
        if let Some(text) = repository.fragments.labels.get(label % drawn).filter(|text| !text.is_empty()) {
            let _ = write!(out, "{separator}{text}");
            separator = ",";
        }
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
    let milestone = if varying.u8(..7) == 0 {
        let position = varying.usize(..repository.fragments.drawn_milestones.max(1));
        repository.fragments.milestones.get(position).filter(|text| !text.is_empty())
    } else {
        None
    };
    out.push_str(milestone.map_or("null", String::as_str));
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
    let association = association(author);
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
