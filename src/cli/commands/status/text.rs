//! The status for people: a line for each resource, the worst first, or a card where the terminal is narrow.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::{ResourceEntry, StatusDocument, StreamEntry, UNREAD};
use crate::cli::age::{ago, due, point, span};
use crate::cli::labels::Labels;
use crate::cli::output::{count, table};
use crate::cli::terminal::plain;
use crate::cost::CostEntry;
use crate::engine::{Failure, Health, HealthFacts};

/// Narrower terminals get cards instead of a table.
const NARROW: usize = 100;

/// What stands where nothing is known.
const NOTHING: &str = "–";

/// The width of the shortest cut name.
const SHORTEST_NAME: usize = 12;

/// The colour of a health, besides its sign.
fn style(health: Health) -> Style {
    match health {
        Health::Failing => AnsiColor::Red.on_default().bold(),
        Health::Interrupted => AnsiColor::Magenta.on_default(),
        Health::Late => AnsiColor::Yellow.on_default(),
        Health::Running => AnsiColor::Blue.on_default(),
        Health::Healthy => AnsiColor::Green.on_default(),
        _ => Style::new().dimmed(),
    }
}

/// A cell of a line, and how it is shown.
struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    fn new(text: impl AsRef<str>) -> Self {
        Self { text: plain(text.as_ref()), style: Style::new() }
    }

    fn health(health: Health, text: &str) -> Self {
        Self { text: format!("{} {}", health.sign(), plain(text)), style: style(health) }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// The text, filled up to a width.
    fn padded(&self, width: usize) -> String {
        let style = self.style;
        format!("{style}{}{style:#}{}", self.text, " ".repeat(width.saturating_sub(self.width())))
    }
}

/// A name cut to a width.
fn cut(name: &str, width: usize) -> String {
    let name = plain(name);
    if name.chars().count() <= width {
        return name;
    }
    name.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Text in lines of at most this width, each after this indentation. A longer word, such as a URL, keeps its line.
fn wrapped(text: &str, indent: &str, width: Option<usize>) -> Vec<String> {
    let text = plain(text);
    let Some(width) = width else { return vec![format!("{indent}{text}")] };
    let room = width.saturating_sub(indent.chars().count()).max(SHORTEST_NAME);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.into_iter().map(|line| format!("{indent}{line}")).collect()
}

fn tries(failing: &Failure) -> String {
    match failing.tries {
        0 => String::new(),
        1 => "1 try".to_owned(),
        tries => format!("{} tries", count(tries)),
    }
}

/// The health in a few words, with the time that matters most.
fn sentence(facts: &HealthFacts, now: Timestamp) -> String {
    let since = |time: Option<Timestamp>| time.map(|time| ago(time, now));
    let words = facts.health.words();
    let more = match facts.health {
        Health::Failing => {
            let failing = facts.failing.as_ref();
            let age = failing.and_then(|failing| failing.since).map(|since| span(now.duration_since(since)));
            let tries = failing.map(tries).filter(|tries| !tries.is_empty());
            let parts: Vec<String> = age.map(|age| format!("for {age}")).into_iter().chain(tries).collect();
            Some(parts.join(", ")).filter(|parts| !parts.is_empty())
        }
        Health::Late => since(facts.late_since).map(|ago| format!("(due {ago})")),
        Health::Running => since(facts.last_checked_at).map(|ago| format!("(for {})", ago.trim_end_matches(" ago"))),
        Health::Interrupted | Health::Healthy => since(facts.last_checked_at).map(|ago| format!("(checked {ago})")),
        _ => None,
    };
    more.map_or_else(|| words.to_owned(), |more| format!("{words} {more}"))
}

impl StreamEntry {
    /// What is wrong with the stream, and what to do.
    fn problem(&self, name: Option<&str>, now: Timestamp, indent: &str, width: Option<usize>) -> Vec<String> {
        let failing = self.facts.failing.as_ref().filter(|_| self.facts.health == Health::Failing);
        let message = failing.map(|failing| &failing.message).or(self.message.as_ref());
        let is_well = matches!(self.facts.health, Health::Healthy | Health::Paused);
        let text = match (name, message) {
            (None, message) => message.cloned(),
            (Some(name), Some(message)) if !self.exists => Some(format!("{name}: {message}")),
            (Some(_), None) if is_well => None,
            (Some(name), message) => {
                let sentence = format!("{} {name}: {}", self.facts.health.sign(), sentence(&self.facts, now));
                Some(message.map_or(sentence.clone(), |message| format!("{sentence}: {message}")))
            }
        };
        let mut lines: Vec<String> = text.map(|text| wrapped(&text, indent, width)).unwrap_or_default();
        if let Some(help) = failing.and_then(|failing| failing.help.as_ref()) {
            lines.extend(wrapped(&format!("→ {help}"), indent, width));
        }
        lines
    }
}

impl ResourceEntry {
    /// What is wrong with the resource and its streams, and what to do.
    fn problems(&self, labels: &Labels, now: Timestamp, indent: &str, width: Option<usize>) -> Vec<String> {
        let shown: Vec<&StreamEntry> = self.streams.iter().filter(|stream| stream.selected).collect();
        let mut lines = Vec::new();
        if self.enabled {
            let is_named = |stream: &StreamEntry| shown.len() > 1 || labels.is_needed(&stream.stream);
            for stream in &shown {
                let name = is_named(stream).then_some(stream.stream.as_str());
                lines.extend(stream.problem(name, now, indent, width));
            }
        }
        let failing = self.facts.failing.as_ref().filter(|failing| {
            shown
                .iter()
                .all(|stream| stream.facts.failing.as_ref().is_none_or(|other| other.message != failing.message))
        });
        if let Some(failing) = failing {
            // It keeps all streams from being read.
            lines.extend(wrapped(&failing.message, indent, width));
            lines.extend(failing.help.iter().flat_map(|help| wrapped(&format!("→ {help}"), indent, width)));
        } else if shown.is_empty() {
            lines.extend(wrapped(UNREAD, indent, width));
        }
        if let Some(rejects) = self.rejects.filter(|rejects| *rejects > 0) {
            let records = if rejects == 1 { "record is" } else { "records are" };
            let text = format!("{} rejected {records} outstanding; `rejects` lists them", count(rejects));
            lines.extend(wrapped(&text, indent, width));
        }
        if let Some(since) = self.reconciling_since {
            lines.extend(wrapped(&format!("reconciling since {}", point(since, now)), indent, width));
        }
        lines
    }

    fn last_success(&self, now: Timestamp) -> String {
        match self.facts.last_success_at {
            Some(at) => format!("{} ({})", ago(at, now), point(at, now)),
            None => NOTHING.to_owned(),
        }
    }

    fn last_change(&self, now: Timestamp) -> String {
        self.facts.last_change_at.map_or_else(|| NOTHING.to_owned(), |at| ago(at, now))
    }

    fn next_due(&self, now: Timestamp) -> String {
        match self.facts.next_due_at {
            Some(at) => format!("{} ({})", due(at, now), self.schedule),
            None => NOTHING.to_owned(),
        }
    }

    fn cells(&self, now: Timestamp) -> [Cell; 6] {
        let health = self.facts.health;
        let tries = self.facts.failing.as_ref().filter(|failing| failing.tries > 0);
        [
            Cell::health(health, health.words()),
            Cell::new(self.resource.name()),
            Cell::new(self.last_success(now)),
            Cell::new(self.last_change(now)),
            Cell::new(self.next_due(now)),
            Cell::new(tries.map_or_else(|| NOTHING.to_owned(), |failing| count(failing.tries))),
        ]
    }

    fn card(&self, labels: &Labels, now: Timestamp, width: usize) -> Vec<String> {
        let heading = Cell::health(self.facts.health, &sentence(&self.facts, now));
        let name = cut(self.resource.name(), width.saturating_sub(2));
        let mut lines = match heading.width() + 2 + name.chars().count() <= width {
            true => vec![format!("{}  {name}", heading.padded(0))],
            false => vec![heading.padded(0), format!("  {name}")],
        };
        for (what, value) in [
            ("last success", self.last_success(now)),
            ("last change", self.last_change(now)),
            ("next due", self.next_due(now)),
        ] {
            lines.extend((value != NOTHING).then(|| format!("  {what:<12}  {value}")));
        }
        lines.extend(self.problems(labels, now, "  ", Some(width)));
        lines
    }
}

impl StatusDocument {
    /// The text, for a terminal of this width; without one, lines are as long as they need.
    pub(super) fn text(&self, kind: &str, labels: &Labels, width: Option<usize>) -> String {
        let mut entries: Vec<&ResourceEntry> = self.resources.iter().collect();
        entries.sort_by_key(|entry| entry.facts.health);
        let mut lines = self.verdict(width);
        match width.filter(|width| *width < NARROW) {
            Some(width) => {
                for entry in entries {
                    lines.push(String::new());
                    lines.extend(entry.card(labels, self.as_of, width));
                }
            }
            None if entries.is_empty() => {}
            None => {
                lines.push(String::new());
                lines.extend(self.table(&entries, kind, labels, width));
            }
        }
        if let Some(days) = &self.cost {
            lines.extend([String::new(), cost(days, kind)]);
        }
        lines.join("\n")
    }

    /// The health of all, how many there are of each, and up to when everything is complete.
    fn verdict(&self, width: Option<usize>) -> Vec<String> {
        let count_of = |health: &Health| {
            let number = self.health_counts.get(health.as_str()).copied().filter(|number| *number > 0)?;
            Some(format!("{} {}", count(number as u64), health.words()))
        };
        let mut parts: Vec<String> = Health::ALL.iter().filter_map(count_of).collect();
        let oldest = self.facts.last_success_at;
        parts.extend(oldest.map(|at| format!("oldest success {} ({})", ago(at, self.as_of), point(at, self.as_of))));
        let heading = Cell::health(self.facts.health, self.facts.health.words()).padded(0);
        let mut lines = vec![heading];
        lines.extend((!parts.is_empty()).then(|| wrapped(&parts.join(", "), "  ", width)).into_iter().flatten());
        if let (Health::NotConfigured, Some(failing)) = (self.facts.health, &self.facts.failing) {
            lines.extend(wrapped(&failing.message, "  ", width));
            let help = failing.help.iter().flat_map(|help| wrapped(&format!("→ {help}"), "  ", width));
            lines.extend(help);
        }
        lines
    }

    fn table(&self, entries: &[&ResourceEntry], kind: &str, labels: &Labels, width: Option<usize>) -> Vec<String> {
        let header = ["health", kind, "last success", "last change", "next due", "tries"].map(Cell::new);
        let rows: Vec<[Cell; 6]> = entries.iter().map(|entry| entry.cells(self.as_of)).collect();
        let mut widths = header.each_ref().map(Cell::width);
        for row in &rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = cell.width().max(*widest);
            }
        }
        const GAP: usize = 2;
        let total = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
        let excess = width.map_or(0, |width| total.saturating_sub(width));
        widths[1] = widths[1].saturating_sub(excess).max(SHORTEST_NAME.min(widths[1]));
        let line = |row: &[Cell; 6]| {
            let cells = row.iter().zip(widths).enumerate().map(|(index, (cell, width))| match index {
                1 => Cell { text: cut(&cell.text, width), style: cell.style }.padded(width),
                _ => cell.padded(width),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines = vec![line(&header)];
        for (entry, row) in entries.iter().zip(&rows) {
            lines.push(line(row));
            lines.extend(entry.problems(labels, self.as_of, "    ", width));
        }
        lines
    }
}

fn cost(days: &[CostEntry], kind: &str) -> String {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "(all)".to_owned());
    let row = |day: &CostEntry| {
        let (resource, stream) = (name(&day.resource), name(&day.stream));
        vec![day.day.to_string(), resource, stream, count(day.statements), day.credits.to_string()]
    };
    let header = ["day", kind, "stream", "statements", "credits"];
    table(&header, &["statements", "credits"], days.iter().map(row))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use jiff::SignedDuration;

    use super::*;
    use crate::{Resource, SourceSpec, StreamSpec};

    fn now() -> Timestamp {
        "2026-11-28T05:06:00Z".parse().unwrap()
    }

    fn ago(minutes: i64) -> Option<Timestamp> {
        Some(now() - SignedDuration::from_mins(minutes))
    }

    fn facts(health: Health, success: i64, failing: Option<(u64, &str, &str)>) -> HealthFacts {
        let failing = failing.map(|(tries, message, help)| Failure {
            since: ago(104),
            tries,
            kind: None,
            message: message.to_owned(),
            help: Some(help.to_owned()),
        });
        HealthFacts {
            last_checked_at: ago(4),
            last_success_at: ago(success),
            last_change_at: ago(12 * 24 * 60),
            failing,
            next_due_at: ago(-12),
            ..HealthFacts::new(health)
        }
    }

    fn stream(name: &str, facts: HealthFacts, message: Option<&str>) -> StreamEntry {
        StreamEntry {
            stream: name.to_owned(),
            selected: true,
            state: None,
            message: message.map(str::to_owned),
            rejects: Some(0),
            reconciling_since: None,
            last_run: None,
            facts,
            exists: true,
        }
    }

    fn entry(name: &str, streams: Vec<StreamEntry>) -> ResourceEntry {
        let facts = HealthFacts::roll_up(streams.iter().map(|stream| &stream.facts));
        ResourceEntry {
            resource: Resource::new(name).unwrap(),
            enabled: facts.health != Health::Paused,
            schedule: "30m".to_owned(),
            state: None,
            message: None,
            rejects: Some(0),
            reconciling_since: None,
            last_run: None,
            next_due: None,
            facts,
            streams,
        }
    }

    /// A connector with a resource of each health.
    fn document() -> StatusDocument {
        let late = HealthFacts { next_due_at: ago(300), late_since: ago(300), ..facts(Health::Late, 331, None) };
        let never = HealthFacts { next_due_at: Some(now()), ..HealthFacts::new(Health::NeverRun) };
        let help = "replace the token: `configure token=env:GITHUB_TOKEN`, then check it with `check`";
        let denied = facts(
            Health::Failing,
            8 * 60,
            Some((7, "the server has refused the credentials of this connector (401)", help)),
        );
        let two =
            vec![stream("issues", facts(Health::Healthy, 4, None), None), stream("comments", denied.clone(), None)];
        let rejects = Some("1 record was rejected; it is kept in a separate table, and listed by `rejects`");
        let resources = vec![
            entry("acme/healthy", vec![stream("issues", facts(Health::Healthy, 4, None), rejects)]),
            entry("acme/late", vec![stream("issues", late, None)]),
            entry("acme/never-run", vec![stream("issues", never, None)]),
            entry("acme/paused", vec![stream("issues", facts(Health::Paused, 99_999, None), None)]),
            entry("acme/running", vec![stream("issues", facts(Health::Running, 34, None), None)]),
            entry("acme/cut-off", vec![stream("issues", facts(Health::Interrupted, 34, None), None)]),
            entry("acme/two-streams-and-a-name-that-is-much-longer-than-others-and-does-not-fit", two),
        ];
        let facts = HealthFacts::roll_up(resources.iter().map(|resource| &resource.facts));
        let mut health_counts = BTreeMap::new();
        for resource in &resources {
            *health_counts.entry(resource.facts.health.as_str()).or_default() += 1;
        }
        StatusDocument { as_of: now(), facts, health_counts, resources, stale: None, budget: None, cost: None }
    }

    fn shown(width: Option<usize>) -> String {
        let spec =
            SourceSpec::new("s", "1").stream(StreamSpec::new("issues")).stream(StreamSpec::new("comments").optional());
        let text = document().text("repository", &Labels::new(&spec), width);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn it_fits_terminals_of_60_80_and_140_columns() {
        for width in [60, 80, 140] {
            let text = shown(Some(width)) + "\n";
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width} columns: {line:?}");
            }
            let file = format!("src/cli/commands/status/golden/{width}.txt");
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            if std::env::var_os("SNOWFEED_BLESS").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            assert_eq!(text, std::fs::read_to_string(&file).unwrap(), "{}", file.display());
        }
    }

    #[test]
    fn without_a_terminal_no_line_is_cut() {
        let text = shown(None);
        assert!(text.contains("longer-than-others-and-does-not-fit") && text.contains("then check it with `check`"));
    }

    #[test]
    fn the_worst_comes_first() {
        let text = shown(Some(140));
        let position = |name: &str| text.find(&format!("acme/{name}")).unwrap_or_else(|| panic!("{name}: {text}"));
        let order = ["two-streams", "cut-off", "late", "running", "never-run", "healthy", "paused"];
        let positions: Vec<usize> = order.iter().map(|name| position(name)).collect();
        assert!(positions.is_sorted(), "{positions:?}");
    }

    #[test]
    fn nothing_is_known_before_anything_is_enabled() {
        let failing =
            Failure { since: None, tries: 0, kind: None, message: "no url".into(), help: Some("set it".into()) };
        let facts = HealthFacts { failing: Some(failing), ..HealthFacts::new(Health::NotConfigured) };
        let empty = StatusDocument { facts, resources: Vec::new(), health_counts: BTreeMap::new(), ..document() };
        let labels = Labels::new(&SourceSpec::new("s", "1").stream(StreamSpec::new("issues")));
        let text = anstream::adapter::strip_str(&empty.text("repository", &labels, None)).to_string();
        assert_eq!(text, "◇ not configured\n  no url\n  → set it");
    }
}
