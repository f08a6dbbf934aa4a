//! The table `issues`.

use crate::ColumnType::{Boolean, Integer, Json, Present, Text, Timestamp};
use crate::StreamSpec;

/// The name of the only table.
pub(super) const TABLE: &str = "issues";

/// The reason for leaving out pull requests.
pub(super) const EXCLUDED: &str = "pull_request";

/// The table `issues`.
pub(super) fn issues() -> StreamSpec {
    StreamSpec::new(TABLE)
        .column("id", "id", Integer)
        .column("number", "number", Integer)
        .column("title", "title", Text)
        .column("state", "state", Text)
        .column("is_pull_request", "pull_request", Present)
        .column("user_login", "user.login", Text)
        .column("labels", "labels[*].name", Json)
        .column("assignees", "assignees[*].login", Json)
        .column("milestone", "milestone.title", Text)
        .column("comments", "comments", Integer)
        .column("body", "body", Text)
        .column("created_at", "created_at", Timestamp)
        .column("updated_at", "updated_at", Timestamp)
        .column("closed_at", "closed_at", Timestamp)
        .column("html_url", "html_url", Text)
        .column("state_reason", "state_reason", Text)
        .column("locked", "locked", Boolean)
        .column("active_lock_reason", "active_lock_reason", Text)
        .column("author_association", "author_association", Text)
        .column("draft", "draft", Boolean)
        .column("merged_at", "pull_request.merged_at", Timestamp)
        .column("closed_by_login", "closed_by.login", Text)
        .column("issue_type", "type.name", Text)
        .column("reactions", "reactions", Json)
        .column("node_id", "node_id", Text)
        .column("url", "url", Text)
        .column("repository_url", "repository_url", Text)
        .column("labels_url", "labels_url", Text)
        .column("comments_url", "comments_url", Text)
        .column("events_url", "events_url", Text)
        .column("user", "user", Json)
}
