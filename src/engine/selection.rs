//! Which streams of a resource are read.

use std::collections::BTreeSet;

use super::{Connector, Event};
use crate::{Error, Resource, ResourceConfig, Result, SourceEvent, SourceSpec, StreamSpec};

/// Selects streams of a source. Those that they [require](StreamSpec::requires) are read, too.
///
/// ```
/// use snowfeed::engine::StreamSelection;
///
/// assert_eq!(StreamSelection::from(["issues"]), StreamSelection::Named(vec!["issues".into()]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamSelection {
    /// The source's default streams, also those that a later version adds.
    Default,
    /// The streams of these names.
    Named(Vec<String>),
}

impl<S: Into<String>> FromIterator<S> for StreamSelection {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self::Named(names.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for StreamSelection {
    fn from(names: [S; N]) -> Self {
        names.into_iter().collect()
    }
}

impl<S: Into<String>> From<Vec<S>> for StreamSelection {
    fn from(names: Vec<S>) -> Self {
        names.into_iter().collect()
    }
}

impl StreamSelection {
    /// The streams that it names, in the order of the source's declaration.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if the source has no stream of a name (the help has the closest name and lists
    /// all), or if nothing is selected.
    pub(crate) fn resolve<'a>(&self, spec: &'a SourceSpec) -> Result<Vec<&'a StreamSpec>> {
        let Self::Named(names) = self else {
            return Ok(spec.streams.iter().filter(|stream| stream.is_default).collect());
        };
        if names.is_empty() {
            return Err(Error::configuration("no stream is selected").with_help(listed(spec)));
        }
        names.iter().try_for_each(|name| find_stream(spec, name).map(drop))?;
        Ok(spec.streams.iter().filter(|stream| names.contains(&stream.name)).collect())
    }

    /// The streams that are read for it: those that it names, and those that they [require](StreamSpec::requires).
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub(crate) fn read<'a>(&self, spec: &'a SourceSpec) -> Result<Vec<&'a StreamSpec>> {
        let named = self.resolve(spec)?;
        Ok(with_required(spec, |stream| named.iter().any(|named| named.name == stream.name)))
    }

    /// The value of [`ResourceConfig::streams`] for this selection.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub(super) fn stored(&self, spec: &SourceSpec) -> Result<Option<Vec<String>>> {
        let names = self.read(spec)?.into_iter().map(|stream| stream.name.clone()).collect();
        Ok(matches!(self, Self::Named(_)).then_some(names))
    }
}

/// The selected streams and those that they require, in the order of the declaration.
fn with_required(spec: &SourceSpec, is_selected: impl Fn(&StreamSpec) -> bool) -> Vec<&StreamSpec> {
    let mut required = BTreeSet::new();
    // A stream comes after the one that it requires.
    let selected = spec.streams.iter().rev().filter(|stream| {
        let is_read = is_selected(stream) || required.contains(stream.name.as_str());
        required.extend(stream.requires().filter(|_| is_read));
        is_read
    });
    let mut streams: Vec<&StreamSpec> = selected.collect();
    streams.reverse();
    streams
}

/// The stream of a name that a user gave.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration) if the source has none of that name.
pub(crate) fn find_stream<'a>(spec: &'a SourceSpec, name: &str) -> Result<&'a StreamSpec> {
    spec.streams.iter().find(|stream| stream.name == name).ok_or_else(|| {
        if name.is_empty() {
            return Error::configuration("the name of a stream is empty").with_help(listed(spec));
        }
        let distance = |known: &str| strsim::damerau_levenshtein(known, &name.to_lowercase());
        let closest = spec.streams.iter().map(|stream| (distance(&stream.name), stream.name.as_str())).min();
        let closest = closest.filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2);
        let hint = closest.map(|(_, known)| format!("did you mean `{known}`? ")).unwrap_or_default();
        Error::configuration(format!("the source {} has no stream {name:?}", spec.name)).with_help(hint + &listed(spec))
    })
}

fn listed(spec: &SourceSpec) -> String {
    format!("the streams are: {}", list_streams(spec))
}

/// The names of all streams, for people: `issues (default), comments`.
pub(crate) fn list_streams(spec: &SourceSpec) -> String {
    let described = |stream: &StreamSpec| match stream.is_default {
        true => format!("{} (default)", stream.name),
        false => stream.name.clone(),
    };
    spec.streams.iter().map(described).collect::<Vec<_>>().join(", ")
}

/// The stored selection of a resource.
#[derive(Debug, Default)]
pub(super) struct StoredSelection {
    /// The streams that are read.
    pub(super) streams: Vec<StreamSpec>,
    /// The selected names that this version of the source does not have. They are ignored.
    pub(super) dropped: Vec<String>,
}

impl StoredSelection {
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if it selects no stream that exists.
    pub(super) fn check(&self, spec: &SourceSpec) -> Result<()> {
        if !self.streams.is_empty() {
            return Ok(());
        }
        let message = match self.dropped.as_slice() {
            [] => "no stream is selected".to_owned(),
            dropped => format!("this version of the source has none of the selected streams: {}", dropped.join(", ")),
        };
        Err(Error::configuration(message)
            .with_help(format!("`enable` the resource again with `--streams`; {}", listed(spec))))
    }
}

impl Connector {
    /// The streams of a resource that are read: the selected ones, or the source's default ones, and those that they [require](StreamSpec::requires).
    /// Selected names that the source does not have are ignored.
    pub fn streams(&self, config: Option<&ResourceConfig>) -> Vec<&StreamSpec> {
        let selected = config.and_then(|config| config.streams.as_ref());
        with_required(&self.spec, |stream| match selected {
            Some(names) => names.contains(&stream.name),
            None => stream.is_default,
        })
    }

    /// The selected names that the source does not have: those of streams that a later version dropped.
    pub(crate) fn dropped_streams<'a>(&self, config: Option<&'a ResourceConfig>) -> Vec<&'a str> {
        let names = config.and_then(|config| config.streams.as_ref()).into_iter().flatten().map(String::as_str);
        names.filter(|name| self.spec.streams.iter().all(|stream| stream.name != *name)).collect()
    }

    /// Warns of selected streams that the source no longer has.
    pub(super) fn warn_of_dropped(&self, resource: &Resource, dropped: &[String]) {
        for stream in dropped {
            let warning = format!(
                "{resource}: this version of the source has no stream {stream:?}, which is selected; `enable` it again with \
                 `--streams` to select others"
            );
            let (resource, stream) = (resource.clone(), stream.clone());
            self.emit(Event::Source { resource, stream, event: SourceEvent::Warning(warning) });
        }
    }

    /// The streams to read of a resource: the requested ones, or those of its stored selection.
    pub(super) fn selection_for(
        &self,
        requested: Option<&[&StreamSpec]>,
        config: Option<&ResourceConfig>,
    ) -> StoredSelection {
        match requested {
            Some(streams) => {
                StoredSelection { streams: streams.iter().copied().cloned().collect(), ..StoredSelection::default() }
            }
            None => self.selection(config),
        }
    }

    /// The stored selection of a resource.
    pub(super) fn selection(&self, config: Option<&ResourceConfig>) -> StoredSelection {
        StoredSelection {
            streams: self.streams(config).into_iter().cloned().collect(),
            dropped: self.dropped_streams(config).into_iter().map(str::to_owned).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SourceSpec {
        SourceSpec::new("mock", "1")
            .stream(StreamSpec::new("issues"))
            .stream(StreamSpec::new("pulls").optional())
            .stream(StreamSpec::child("reviews", "pulls").optional())
            .stream(StreamSpec::child("replies", "reviews").optional())
            .stream(StreamSpec::deletions_of("gone", "issues").optional())
    }

    fn names(streams: Vec<&StreamSpec>) -> Vec<&str> {
        streams.into_iter().map(|stream| stream.name.as_str()).collect()
    }

    #[test]
    fn what_a_selection_requires_is_read_with_it() {
        let spec = spec();
        for (selection, expected) in [
            (StreamSelection::Default, &["issues"][..]),
            (["replies"].into(), &["pulls", "reviews", "replies"]),
            (["gone", "reviews"].into(), &["issues", "pulls", "reviews", "gone"]),
            (["pulls", "pulls"].into(), &["pulls"]),
        ] {
            assert_eq!(names(selection.read(&spec).unwrap()), expected, "{selection:?}");
            let stored = selection.stored(&spec).unwrap();
            let expected = (selection != StreamSelection::Default).then_some(expected);
            assert_eq!(
                stored.as_deref().map(|names| names.iter().map(String::as_str).collect()),
                expected.map(<[&str]>::to_vec)
            );
        }
        assert_eq!(names(StreamSelection::from(["replies"]).resolve(&spec).unwrap()), ["replies"]);
    }

    #[test]
    fn an_unknown_name_gets_the_closest_one_and_all_names() {
        let help = |name| find_stream(&spec(), name).unwrap_err().help().unwrap().to_owned();
        let all = "the streams are: issues (default), pulls, reviews, replies, gone";
        assert_eq!(help("Isues"), format!("did you mean `issues`? {all}"));
        assert_eq!(help("customers"), all);
        assert_eq!(StreamSelection::Named(vec![]).resolve(&spec()).unwrap_err().help(), Some(all));
    }

    #[test]
    fn a_stored_selection_needs_a_stream_that_exists() {
        let stored = |streams: &[&str], dropped: &[&str]| StoredSelection {
            streams: streams.iter().map(|name| StreamSpec::new(*name)).collect(),
            dropped: dropped.iter().map(ToString::to_string).collect(),
        };
        stored(&["issues"], &["old"]).check(&spec()).unwrap();
        let message = |selection: StoredSelection| selection.check(&spec()).unwrap_err().message().to_owned();
        assert_eq!(message(stored(&[], &[])), "no stream is selected");
        assert_eq!(message(stored(&[], &["old"])), "this version of the source has none of the selected streams: old");
    }
}
