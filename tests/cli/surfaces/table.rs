//! The table, and how its cells are compared.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

const TABLE: &str = include_str!("../../health/surfaces.toml");
const GUIDE: &str = include_str!("../../../docs/guides/operate.md");

/// A place that shows the health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    Status,
    Json,
    FailIfStale,
    Metrics,
    Probes,
    Webhook,
}

impl Surface {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Json => "json",
            Self::FailIfStale => "fail_if_stale",
            Self::Metrics => "metrics",
            Self::Probes => "probes",
            Self::Webhook => "webhook",
        }
    }
}

/// All surfaces, those of the app too.
const SURFACES: [&str; 9] =
    ["status", "json", "fail_if_stale", "metrics", "probes", "webhook", "page", "views", "procedure"];

/// What one surface shows in one state.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cell {
    does_not_apply: Option<String>,
    pub(super) silent: Option<String>,
    pub(super) exit: Option<i32>,
    pub(super) limit: Option<String>,
    pub(super) says: Vec<String>,
    not: Vec<String>,
    pub(super) has: BTreeMap<String, Value>,
    pub(super) most_bytes: Option<usize>,
    // Of the app, which its own runner compares.
    badge: Option<String>,
    errors: Option<Vec<String>>,
    setup: Option<BTreeMap<String, String>>,
    days_behind: Option<u32>,
}

impl Cell {
    fn is_empty(&self) -> bool {
        let texts = [&self.does_not_apply, &self.silent, &self.limit, &self.badge];
        let of_app = self.errors.is_none() && self.setup.is_none() && self.days_behind.is_none();
        self.exit.is_none()
            && self.says.is_empty()
            && self.has.is_empty()
            && of_app
            && texts.iter().all(|text| text.is_none())
    }

    /// Whether the surface shows this state.
    pub(super) fn applies(&self) -> bool {
        self.does_not_apply.is_none()
    }

    /// Compares a text and a document with it.
    pub(super) fn check(&self, case: &Case, surface: Surface, text: &str, document: &Value) {
        let what = format!("{}, {}", case.name, surface.name());
        assert!(self.applies(), "{what}: it is shown");
        for words in &self.says {
            let is_said = match surface {
                Surface::Metrics => text.lines().any(|line| line == words),
                _ => text.contains(words.as_str()),
            };
            assert!(is_said, "{what}: {words:?} is not in {}", text.chars().take(8_000).collect::<String>());
        }
        for words in &self.not {
            assert!(!text.contains(words.as_str()), "{what}: {words:?} is in {text}");
        }
        for (pointer, expected) in &self.has {
            let found = document.pointer(pointer).unwrap_or(&Value::Null);
            let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            assert_eq!(found, expected, "{what}: {pointer}");
        }
        let length = text.len();
        assert!(self.most_bytes.is_none_or(|most| length <= most), "{what}: {length} bytes");
    }
}

/// A state.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    #[serde(skip)]
    pub(super) name: String,
    what: String,
    pub(super) program: String,
    pub(super) within_seconds: Option<u64>,
    #[serde(flatten)]
    cells: BTreeMap<String, Cell>,
}

impl Case {
    pub(super) fn cell(&self, surface: Surface) -> &Cell {
        &self.cells[surface.name()]
    }

    /// Each surface has a cell that says something, and there are no others.
    pub(super) fn check_shape(&self) {
        let mut names: Vec<&str> = self.cells.keys().map(String::as_str).collect();
        let mut surfaces = SURFACES;
        names.sort_unstable();
        surfaces.sort_unstable();
        assert_eq!(names, surfaces, "{}", self.name);
        assert!(!self.what.is_empty(), "{}", self.name);
        for (name, cell) in &self.cells {
            assert!(!cell.is_empty(), "{}, {name}: nothing is compared", self.name);
            // What no runner would read.
            let is_command = ["status", "json", "fail_if_stale"].contains(&name.as_str());
            let is_of_app = ["page", "views", "procedure"].contains(&name.as_str());
            let has_app_fields = [cell.errors.is_some(), cell.setup.is_some(), cell.days_behind.is_some()];
            assert!(is_of_app || !has_app_fields.contains(&true), "{}, {name}", self.name);
            assert_eq!(cell.badge.is_some(), name == "page" && cell.applies(), "{}, {name}", self.name);
            assert_eq!(cell.exit.is_some(), is_command && cell.applies(), "{}, {name}", self.name);
            assert!(cell.limit.is_none() || is_command, "{}, {name}", self.name);
            assert!(cell.silent.is_none() || name == "webhook", "{}, {name}", self.name);
            // Nobody runs the program as a process over the app's database.
            assert!(self.program != "app" || is_command || is_of_app || !cell.applies(), "{}, {name}", self.name);
        }
    }

    /// Compares a text with what the guide shows of the dead connector: each line there is one here, in the same order. `…` stands for what
    /// differs each time.
    pub(super) fn compare_with_guide(&self, surface: Surface, text: &str) {
        if self.name != "dropped_warehouse" {
            return;
        }
        let mark = format!("<!-- dead connector: {} -->\n\n```text\n", surface.name());
        let shown = GUIDE.split_once(&mark).unwrap_or_else(|| panic!("the guide lacks {mark}")).1;
        let shown = shown.split_once("\n```").unwrap().0;
        let mut rest = text.lines();
        for line in shown.lines() {
            let parts: Vec<String> = line.split('…').map(regex_lite::escape).collect();
            let pattern = regex_lite::Regex::new(&format!("^{}$", parts.join(".*"))).unwrap();
            assert!(
                rest.any(|found| pattern.is_match(found.trim_end())),
                "the guide shows {line:?}, but it is: {text}"
            );
        }
    }
}

/// The cases, ordered by name.
pub(super) fn cases() -> Vec<Case> {
    let table: BTreeMap<String, Case> = toml::from_str(TABLE).unwrap();
    table.into_iter().map(|(name, case)| Case { name, ..case }).collect()
}

pub(super) fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}
