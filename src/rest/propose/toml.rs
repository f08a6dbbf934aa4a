//! Writes a proposal as TOML, with comments.

use std::fmt::Write as _;

use super::super::paginate::{Paginate, Paging};
use super::super::stream::Stream;
use super::super::time::TimeFormat;
use super::super::version::Order;
use super::proposal::{Proposal, SignIn};
use super::quote::{key, quoted, table};

impl Proposal {
    /// The stream as a `[[stream]]` of a description, with a comment at each guess.
    pub fn stream_toml(&self) -> String {
        let Stream { name, path, body, records, key, version, cursor, since, order, deleted, paginate, .. } =
            &self.stream;
        let mut lines = vec![("", "[[stream]]".to_owned())];
        let mut line = |key: &'static str, value: String| lines.push((key, format!("{key} = {value}")));
        line("name", quoted(name));
        line("path", quoted(path));
        if let Some(body) = body {
            line("body", table(body));
        }
        if !records.is_empty() {
            line("records", quoted(records));
        }
        let pointers: Vec<&str> = key.iter().collect();
        if pointers != ["/id"] {
            line("key", list(&pointers));
        }
        if let Some(version) = version {
            let at: Vec<&str> = version.at.iter().collect();
            line(
                "version",
                match version.format {
                    TimeFormat::Rfc3339 => list(&at),
                    format => format!("{{ at = {}, format = {} }}", list(&at), quoted(format.word())),
                },
            );
        }
        if let Some(cursor) = cursor {
            line("cursor", quoted(cursor));
        }
        if let Some(since) = since {
            let at: Vec<&str> = since.at.iter().collect();
            let at = (!at.is_empty()).then(|| format!("at = {}", list(&at)));
            let format = since.format.map(|format| format!("format = {}", quoted(format.word())));
            let entries: Vec<String> = at.into_iter().chain(format).collect();
            line("since", format!("{{ {} }}", entries.join(", ")));
        }
        if let Some(order) = order {
            line("order", quoted(order_word(*order)));
        }
        if let Some(deleted) = deleted {
            line("deleted", quoted(&deleted.at));
        }
        if let Some(paginate) = paginate {
            line("paginate", paginate_toml(paginate));
        }
        let mut text = String::new();
        for (key, line) in &lines {
            let doubts: Vec<&str> =
                self.doubts.iter().filter(|(about, _)| about == key).map(|(_, doubt)| doubt.as_str()).collect();
            let comment = if doubts.is_empty() { String::new() } else { format!("  # {}", doubts.join("; ")) };
            // Writing into a string does not fail.
            let _ = writeln!(text, "{line}{comment}");
        }
        for (key, doubt) in &self.doubts {
            if !lines.iter().any(|(written, _)| written == key) {
                let _ = writeln!(text, "# {key}: {doubt}");
            }
        }
        text
    }

    /// A whole description of this name: where the API is, how to sign in, and the stream.
    pub fn to_toml(&self, name: &str) -> String {
        let mut text = head(name);
        // Writing into a string does not fail.
        let _ = writeln!(text, "name = {}", quoted(name));
        let _ = writeln!(text, "base_url = {}", quoted(&self.base_url));
        let _ = match &self.auth {
            Some(SignIn { toml, settings }) => {
                let variables: Vec<String> = settings.iter().map(|setting| variable(name, setting)).collect();
                let values = if variables.len() == 1 { "value" } else { "values" };
                writeln!(text, "auth = {toml}  # the {values} of {}", variables.join(" and "))
            }
            None => writeln!(
                text,
                "# auth = {{ bearer = \"{{token}}\" }}  # if it needs one: the value of {}",
                variable(name, "token")
            ),
        };
        if !self.headers.is_empty() {
            let headers: Vec<String> =
                self.headers.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
            let _ = writeln!(text, "headers = {{ {} }}", headers.join(", "));
        }
        if self.has_code {
            let _ = writeln!(
                text,
                "errors = {{ code = \"/error\" }}  # and what to do about a code: ratelimited = \"wait\""
            );
        }
        let _ = write!(text, "\n{}", self.stream_toml());
        text
    }

    /// A description of this name for an API that is not known yet, with the keys that most APIs need.
    pub fn blank(name: &str) -> String {
        format!(
            r#"{}name = {}
base_url = "https://api.example.com/v1"
auth = {{ bearer = "{{token}}" }}  # the value of {}
# resource = {{ stream = "workspaces", id = "/id" }}  # the stream that lists what a user may enable; {{resource}} stands for its id

[[stream]]
name = "tickets"
path = "/tickets?limit=100"
records = "/data"  # where the answer has the list; leave it out if the answer is the list
key = "/id"
version = "/updated_at"  # what moves when a record changes
cursor = "updated_since"  # the parameter for what has changed since; without it each run reads everything
order = "version"  # how the list is sorted: "version", "-version", "key" or "-key"; leave it out if it is not
paginate = {{ token = "/next_cursor", to = "cursor" }}  # or "link", {{ next = "/next" }}, {{ page = "page" }}, {{ offset = "offset" }}, "none"
get = "/tickets/{{key}}"  # one record, so that a reconcile run can tell what is deleted

# A list for each record of another stream:
# [[stream]]
# name = "comments"
# parent = "tickets"
# path = "/tickets/{{parent.id}}/comments"
# records = "/data"
# paginate = {{ token = "/next_cursor", to = "cursor" }}
"#,
            head(name),
            quoted(name),
            variable(name, "token"),
        )
    }
}

fn head(name: &str) -> String {
    format!(
        "# The source {name}. `snowfeed --source {name}.toml check` checks it; `snowfeed schema` prints the schema of this file for editors.\n"
    )
}

/// The variable with the value of a setting.
fn variable(name: &str, setting: &str) -> String {
    format!("{}_{}", name.to_uppercase(), setting.to_uppercase())
}

fn list(texts: &[&str]) -> String {
    match texts {
        [text] => quoted(text),
        texts => format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
    }
}

fn order_word(order: Order) -> &'static str {
    match order {
        Order::Version => "version",
        Order::VersionDescending => "-version",
        Order::Key => "key",
        Order::KeyDescending => "-key",
    }
}

fn paginate_toml(paginate: &Paginate) -> String {
    let mut entries: Vec<(&str, &str)> = match &paginate.by {
        Paging::None => return quoted("none"),
        Paging::Link => return quoted("link"),
        Paging::Next(next) => vec![("next", next)],
        Paging::Token { token, to } => vec![("token", token), ("to", to)],
        Paging::Last { last, to } => vec![("last", last), ("to", to)],
        Paging::Offset(to) => vec![("offset", to)],
        Paging::Page(to) => vec![("page", to)],
    };
    entries.extend(paginate.more.iter().map(|more| ("more", more.as_str())));
    entries.extend(paginate.done.iter().map(|done| ("done", done.as_str())));
    entries.extend(paginate.pages.iter().map(|pages| ("pages", pages.as_str())));
    let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
    format!("{{ {} }}", entries.join(", "))
}
