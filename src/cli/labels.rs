//! Which stream a text is about, where it is not the source's only default one.

use crate::{RunRecord, SourceSpec};

/// Names streams of resources for people: the only default stream of the source by the resource alone, like its view.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    /// See [`SourceSpec::sole_stream`].
    sole: Option<String>,
    /// The source-wide streams.
    source_wide: Vec<String>,
}

impl Labels {
    pub(super) fn new(spec: &SourceSpec) -> Self {
        let source_wide = spec.streams.iter().filter(|stream| stream.is_source_wide);
        Self {
            sole: spec.sole_stream().map(str::to_owned),
            source_wide: source_wide.map(|stream| stream.name.clone()).collect(),
        }
    }

    /// Whether the stream has to be named.
    pub(super) fn is_needed(&self, stream: &str) -> bool {
        self.sole.as_deref() != Some(stream)
    }

    /// Names a stream of a resource: `acme/widgets`, or `acme/widgets (issues)`; a source-wide stream by its name alone.
    pub(super) fn label(&self, resource: &str, stream: &str) -> String {
        if self.source_wide.iter().any(|name| name == stream) {
            return stream.to_owned();
        }
        // A run that could not begin may have no stream.
        if stream.is_empty() || !self.is_needed(stream) {
            return resource.to_owned();
        }
        format!("{resource} ({stream})")
    }

    /// Names what a run read.
    pub(super) fn of(&self, run: &RunRecord) -> String {
        self.label(&run.resource, &run.stream)
    }

    /// Whether a table of these streams needs a column for them.
    pub(super) fn need_column<'a>(&self, streams: impl IntoIterator<Item = &'a str>) -> bool {
        self.sole.is_none() || streams.into_iter().any(|stream| !stream.is_empty() && self.is_needed(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamSpec;

    #[test]
    fn a_stream_is_named_where_there_could_be_another() {
        let one = Labels::new(&SourceSpec::new("s", "1").stream(StreamSpec::new("issues")));
        assert_eq!(one.label("a", "issues"), "a");
        assert_eq!(one.label("a", "comments"), "a (comments)", "a stream of another version");
        assert!(!one.need_column(["issues", ""]) && one.need_column(["issues", "comments"]));
        let two = SourceSpec::new("s", "1").stream(StreamSpec::new("issues")).stream(StreamSpec::new("comments"));
        let two = Labels::new(&two);
        assert_eq!((two.label("a", "issues"), two.label("a", "")), ("a (issues)".to_owned(), "a".to_owned()));
        assert!(two.need_column([]));
    }

    #[test]
    fn a_source_wide_stream_is_named_without_a_resource() {
        let users = StreamSpec::snapshot("users").source_wide();
        let labels = Labels::new(&SourceSpec::new("s", "1").stream(StreamSpec::new("issues")).stream(users));
        assert_eq!(labels.label("*", "users"), "users");
        assert_eq!(labels.label("a", "issues"), "a", "the resource has only this stream of its own");
    }

    #[test]
    fn the_only_default_stream_needs_no_name() {
        let issues = StreamSpec::new("issues");
        let spec = SourceSpec::new("s", "1").stream(issues).stream(StreamSpec::new("comments").optional());
        let labels = Labels::new(&spec);
        assert_eq!((labels.label("a", "issues"), labels.label("a", "comments")), ("a".into(), "a (comments)".into()));
        assert!(!labels.need_column(["issues"]) && labels.need_column(["issues", "comments"]));
    }
}
