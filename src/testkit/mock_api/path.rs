//! Path patterns: `/tickets/{id}/comments`.

use percent_encoding::percent_decode_str;

/// A path in which `{name}` matches any one segment, and a final `*` matches everything that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
    Rest,
}

/// The values of a pattern's parameters, decoded, in their order.
pub(super) type Parameters = Vec<(String, String)>;

impl PathPattern {
    /// # Panics
    /// Panics if the path does not start with `/`, contains a query, or has a `*` before its end.
    pub(super) fn new(text: &str) -> Self {
        assert!(text.starts_with('/') || text == "*", "a path starts with `/`: {text:?}");
        assert!(!text.contains(['?', '#']), "a path has no query: {text:?}");
        let segments: Vec<Segment> = text.strip_prefix('/').unwrap_or(text).split('/').map(Segment::new).collect();
        let rest = segments.iter().position(|segment| *segment == Segment::Rest);
        assert!(rest.is_none_or(|at| at + 1 == segments.len()), "`*` must end a path: {text:?}");
        Self { text: text.to_owned(), segments }
    }

    /// The pattern of one object in this list.
    pub(super) fn join(&self, parameter: &str) -> Self {
        Self::new(&format!("{}/{{{parameter}}}", self.text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of its parameters. Among the patterns that match a path, the one with the fewest counts.
    pub(super) fn parameters(&self) -> usize {
        self.segments.iter().filter(|segment| !matches!(segment, Segment::Literal(_))).count()
    }

    /// Returns the values of the parameters if the pattern matches the path, which is percent-encoded. An encoded `/` does not
    /// separate segments.
    pub(super) fn matches(&self, path: &str) -> Option<Parameters> {
        let mut parameters = Vec::new();
        let mut found = path.strip_prefix('/').unwrap_or(path).split('/');
        for segment in &self.segments {
            if *segment == Segment::Rest {
                return Some(parameters);
            }
            let found = percent_decode_str(found.next()?).decode_utf8_lossy();
            match segment {
                Segment::Literal(literal) if *literal == found => {}
                Segment::Parameter(name) if !found.is_empty() => parameters.push((name.clone(), found.into_owned())),
                _ => return None,
            }
        }
        found.next().is_none().then_some(parameters)
    }
}

impl Segment {
    fn new(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => Self::Parameter(name.to_owned()),
            None if text == "*" => Self::Rest,
            None => Self::Literal(percent_decode_str(text).decode_utf8_lossy().into_owned()),
        }
    }
}
