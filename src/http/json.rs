//! Splitting a page of JSON into its records.

use std::marker::PhantomData;

use bytestring::ByteString;
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};

use super::error::IncompleteResponse;
use crate::{Error, Result};

/// Splits a page that is a JSON array into its elements: each one as a `T`, together with its own text.
///
/// Both borrow from the page. Nothing is copied or parsed twice, so a `T` with three fields costs one scan of the text. The text
/// of an element shares the page's memory and keeps it alive.
///
/// # Errors
///
/// `InvalidData`, with the position of the element, for a page that is not an array, ends too early or continues after its end, and
/// for an element that is not a `T`. The iterator ends after an error.
///
/// ```
/// use snowfeed::http::json;
///
/// #[derive(serde::Deserialize)]
/// struct Key {
///     id: u64,
/// }
///
/// let page = bytestring::ByteString::from_static(r#"[{"id": 7, "title": "seven"}, {"id": 8}]"#);
/// let elements = json::elements::<Key>(&page).collect::<snowfeed::Result<Vec<_>>>()?;
/// assert_eq!(elements[0].0.id, 7);
/// assert_eq!(elements[0].1, r#"{"id": 7, "title": "seven"}"#);
/// # Ok::<(), snowfeed::Error>(())
/// ```
pub fn elements<'a, T: Deserialize<'a>>(page: &'a ByteString) -> Elements<'a, T> {
    Elements { split: Split::new(page), element: PhantomData }
}

/// Splits a page as [`elements`] does, but continues after an element that is JSON but not a `T`.
///
/// # Errors
///
/// As for [`elements`], apart from such an element, which comes with its text and its own error.
///
/// ```
/// use snowfeed::http::json;
///
/// let page = bytestring::ByteString::from_static("[1, null, 3]");
/// let each = json::each::<u8>(&page).collect::<snowfeed::Result<Vec<_>>>()?;
/// assert_eq!(each.iter().map(|(number, _)| number.is_ok()).collect::<Vec<_>>(), [true, false, true]);
/// assert_eq!(each[1].1, "null");
/// # Ok::<(), snowfeed::Error>(())
/// ```
pub fn each<'a, T: Deserialize<'a>>(page: &'a ByteString) -> Each<'a, T> {
    Each(elements(page))
}

/// The iterator of [`each`].
#[derive(Debug)]
pub struct Each<'a, T>(Elements<'a, T>);

impl<'a, T: Deserialize<'a>> Iterator for Each<'a, T> {
    type Item = Result<(Result<T>, ByteString)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.split.next(PhantomData)
    }
}

/// Splits a page as [`each`] does, with a seed that reads each element.
#[cfg(feature = "rest")]
pub(crate) fn each_with<'a, S: DeserializeSeed<'a> + Copy>(
    page: &'a ByteString,
    seed: S,
) -> impl Iterator<Item = Result<(Result<S::Value>, ByteString)>> {
    let mut split = Split::new(page);
    std::iter::from_fn(move || split.next(seed))
}

/// The iterator of [`elements`].
#[derive(Debug)]
pub struct Elements<'a, T> {
    split: Split<'a>,
    element: PhantomData<fn() -> T>,
}

/// A page that is being split.
#[derive(Debug)]
struct Split<'a> {
    page: &'a ByteString,
    rest: &'a str,
    index: usize,
    state: State,
}

/// An element, as far as it can be read, and its text.
type Element<T> = (Result<T>, ByteString);

#[derive(Debug, Clone, Copy)]
enum State {
    Before,
    Within,
    Done,
}

const SPACE: [char; 4] = [' ', '\n', '\r', '\t'];

impl<'a> Split<'a> {
    fn new(page: &'a ByteString) -> Self {
        Self { page, rest: page, index: 0, state: State::Before }
    }

    /// The next element; an error is the last one.
    fn next<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Option<Result<Element<S::Value>>> {
        self.step(seed).inspect_err(|_| self.state = State::Done).transpose()
    }

    /// Moves past white space and, if it is there, `token`.
    fn skip(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start_matches(SPACE);
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn step<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<Element<S::Value>>> {
        match self.state {
            State::Done => return Ok(None),
            State::Before => {
                if !self.skip('[') {
                    return Err(self.error("a JSON array was expected"));
                }
                if self.skip(']') {
                    return self.end();
                }
            }
            State::Within => {
                if self.skip(']') {
                    return self.end();
                }
                if !self.skip(',') {
                    return Err(self.damaged(if self.rest.is_empty() {
                        "the array is cut short"
                    } else {
                        "a comma was expected"
                    }));
                }
            }
        }
        let text = self.rest.trim_start_matches(SPACE);
        let mut json = serde_json::Deserializer::from_str(text);
        let (value, length) = match seed.deserialize(&mut json) {
            // Only an iterator tells how far a text was read.
            Ok(value) => (Ok(value), json.into_iter::<IgnoredAny>().byte_offset()),
            Err(error) if error.is_eof() => return Err(self.error("the array is cut short").with_source(error)),
            Err(error) => {
                let error = self.error("the element cannot be read").with_source(error);
                let mut any = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
                match any.next() {
                    Some(Ok(_)) => (Err(error), any.byte_offset()),
                    _ => return Err(error),
                }
            }
        };
        let (raw, rest) = text.split_at(length);
        self.rest = rest;
        self.index += 1;
        self.state = State::Within;
        Ok(Some((value, self.page.slice_ref(raw))))
    }

    fn end<E>(&mut self) -> Result<Option<E>> {
        self.state = State::Done;
        if self.rest.trim_start_matches(SPACE).is_empty() {
            Ok(None)
        } else {
            Err(self.damaged("there is more after the end of the array"))
        }
    }

    fn damaged(&self, message: &'static str) -> Error {
        self.error(message).with_source(IncompleteResponse::DamagedJson)
    }

    fn error(&self, message: &'static str) -> Error {
        Error::invalid_data(message).with_context("element", self.index)
    }
}

impl<'a, T: Deserialize<'a>> Iterator for Elements<'a, T> {
    type Item = Result<(T, ByteString)>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.split.next(PhantomData)?.and_then(|(value, raw)| Ok((value?, raw)));
        Some(element.inspect_err(|_| self.split.state = State::Done))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn split(text: &str) -> Result<Vec<(Value, ByteString)>> {
        elements(&ByteString::from(text)).collect()
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn write(values: &[Value], pretty: bool) -> String {
        if pretty { serde_json::to_string_pretty(values) } else { serde_json::to_string(values) }.unwrap()
    }

    proptest! {
        #[test]
        fn agrees_with_a_value_tree(values in prop::collection::vec(any_json(), 0..12), pretty: bool) {
            let elements = split(&write(&values, pretty)).unwrap();
            prop_assert_eq!(elements.len(), values.len());
            for ((element, raw), value) in elements.iter().zip(&values) {
                prop_assert_eq!(element, value);
                prop_assert_eq!(&serde_json::from_str::<Value>(raw).unwrap(), value);
                prop_assert_eq!(raw.trim(), &raw[..]);
            }
        }

        #[test]
        fn every_cut_is_an_error(values in prop::collection::vec(any_json(), 0..6), pretty: bool, at: prop::sample::Index) {
            let text = write(&values, pretty);
            let cut = text.floor_char_boundary(at.index(text.len()));
            prop_assert!(split(&text[..cut]).is_err(), "{}", &text[..cut]);
        }

        #[test]
        fn accepts_exactly_the_arrays_that_serde_json_accepts(text in r#"[\[\]{},:"0-9atrue \n-]{0,12}"#) {
            prop_assert_eq!(split(&text).is_ok(), serde_json::from_str::<Vec<Value>>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn errors_name_the_element_and_end_the_iteration() {
        for (text, index) in [
            ("", 0),
            ("null", 0),
            (r#"{"message":"Bad"}"#, 0),
            ("[1,]", 1),
            ("[1 2]", 1),
            ("[1,2", 2),
            ("[1]x", 1),
            ("[[1],[2],[3", 2),
        ] {
            let page = ByteString::from(text);
            let mut elements = elements::<IgnoredAny>(&page);
            let error = elements.by_ref().find_map(Result::err).expect(text);
            assert_eq!(error.kind(), crate::ErrorKind::InvalidData, "{text}");
            let position = error.context().find(|(name, _)| *name == "element").unwrap().1;
            assert_eq!(position, index.to_string(), "{text}");
            assert!(elements.next().is_none(), "{text}");
        }
    }

    #[test]
    fn an_invalid_element_does_not_affect_the_others() {
        #[derive(Debug, Deserialize)]
        struct Key {
            id: u64,
        }
        let bad = [r#"null"#, "7", r#""x""#, "[]", "[{}]", r#"{"id":"x"}"#, r#"{"id":1,"id":2}"#, "true", "-1.5e3"];
        let page: ByteString = format!("[{{\"id\":1}}, {} ,{{\"id\":2}}]", bad.join(" , ")).into();
        let all: Vec<_> = each::<Key>(&page).map(Result::unwrap).collect();
        let good: Vec<u64> = all.iter().filter_map(|(key, _)| key.as_ref().ok()).map(|key| key.id).collect();
        assert_eq!(good, [1, 2]);
        let rejected: Vec<&str> = all.iter().filter(|(key, _)| key.is_err()).map(|(_, raw)| &raw[..]).collect();
        assert_eq!(rejected, bad);
        for cut in [r#"[{"id":1}, nul"#, r#"[null"#, r#"[{"id":1} {"id":2}]"#, "[null,]", r#"[{"id":1,}]"#] {
            assert!(each::<Key>(&cut.into()).any(|element| element.is_err()), "{cut}");
        }
    }

    #[test]
    fn texts_and_values_borrow_from_the_page() {
        #[derive(Deserialize)]
        struct Borrowed<'a> {
            title: &'a str,
        }
        let page = ByteString::from(r#" [ {"title": "one"} , {"title": "two"} ] "#);
        let within = |text: &str| page.as_bytes().as_ptr_range().contains(&text.as_ptr());
        for element in elements::<Borrowed<'_>>(&page) {
            let (value, raw) = element.unwrap();
            assert!(within(value.title) && within(&raw));
            assert_eq!(raw, format!(r#"{{"title": "{}"}}"#, value.title));
        }
    }
}
