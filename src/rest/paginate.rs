//! How a list continues on the next page.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::file::explained;
use crate::Error;

/// How a list continues, and what tells its end.
///
/// A short page never ends a list. The end is a page without a link or token; with an offset, a page number or a last record, an empty page;
/// with a flag, what the flag says, also on an empty page; with the number of pages, the page of that number. A token, a link or a page that
/// comes again is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "PaginateText", into = "PaginateText")]
#[schemars(with = "PaginateText")]
#[non_exhaustive]
pub struct Paginate {
    /// Where the next page is.
    pub by: Paging,
    /// A pointer to a flag that is true while there are more pages, or to a number or a text that is then neither 0 nor empty.
    pub more: Option<String>,
    /// A pointer to a flag that is true on the last page: true or false, 1 or 0, also as a text.
    pub done: Option<String>,
    /// A pointer to the number of pages, of a list by page numbers.
    pub pages: Option<String>,
}

/// Where the next page is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Paging {
    /// The list has one page.
    None,
    /// At the header `Link: …; rel="next"`.
    Link,
    /// At the URL that this pointer finds.
    Next(String),
    /// With a token, which the pointer `token` finds, at `to`.
    Token {
        /// A pointer to the token of the next page.
        token: String,
        /// A parameter, or with a leading `/` a place in the body.
        to: String,
    },
    /// With a value of the last record, which the pointer `last` finds in it, at `to`.
    Last {
        /// A pointer into the last record.
        last: String,
        /// A parameter, or with a leading `/` a place in the body.
        to: String,
    },
    /// With the number of records so far, in this parameter or at this place in the body.
    Offset(String),
    /// With the number of the page, from 1, in this parameter or at this place in the body.
    Page(String),
}

impl Paginate {
    /// The list has one page.
    pub fn none() -> Self {
        Paging::None.into()
    }

    /// The next page is at the header `Link`.
    pub fn link() -> Self {
        Paging::Link.into()
    }

    /// The next page is at the URL that this pointer finds.
    pub fn next(pointer: impl Into<String>) -> Self {
        Paging::Next(pointer.into()).into()
    }

    /// The next page needs the token that this pointer finds, at the parameter or place `to`.
    pub fn token(pointer: impl Into<String>, to: impl Into<String>) -> Self {
        Paging::Token { token: pointer.into(), to: to.into() }.into()
    }

    /// The next page needs the value that this pointer finds in the last record, at the parameter or place `to`.
    pub fn last(pointer: impl Into<String>, to: impl Into<String>) -> Self {
        Paging::Last { last: pointer.into(), to: to.into() }.into()
    }

    /// The next page needs the number of records so far.
    pub fn offset(to: impl Into<String>) -> Self {
        Paging::Offset(to.into()).into()
    }

    /// The next page needs its number, from 1.
    pub fn page(to: impl Into<String>) -> Self {
        Paging::Page(to.into()).into()
    }

    /// Sets the pointer to a flag that is true while there are more pages.
    #[must_use]
    pub fn more(mut self, pointer: impl Into<String>) -> Self {
        self.more = Some(pointer.into());
        self
    }

    /// Sets the pointer to a flag that is true on the last page.
    #[must_use]
    pub fn done(mut self, pointer: impl Into<String>) -> Self {
        self.done = Some(pointer.into());
        self
    }

    /// Sets the pointer to the number of pages: the list ends after that page. Only for lists by [page numbers](Self::page), whose API refuses
    /// a page beyond the last one, or answers with the last one again.
    #[must_use]
    pub fn pages(mut self, pointer: impl Into<String>) -> Self {
        self.pages = Some(pointer.into());
        self
    }
}

impl From<Paging> for Paginate {
    fn from(by: Paging) -> Self {
        Self { by, more: None, done: None, pages: None }
    }
}

/// The text or table of a file.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(untagged)]
enum PaginateText {
    Word(PaginateWord),
    Table(Box<PaginateTable>),
}

impl<'de> Deserialize<'de> for PaginateText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PaginateVisitor)
    }
}

struct PaginateVisitor;

impl<'de> Visitor<'de> for PaginateVisitor {
    type Value = PaginateText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"link\", \"none\", or a table")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<PaginateText, E> {
        match word {
            "link" => Ok(PaginateText::Word(PaginateWord::Link)),
            "none" => Ok(PaginateText::Word(PaginateWord::None)),
            _ => Err(E::custom(explained(&malformed(format!("{word:?} is not a paginator"))))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<PaginateText, A::Error> {
        PaginateTable::deserialize(MapAccessDeserializer::new(table)).map(|table| PaginateText::Table(Box::new(table)))
    }
}

fn malformed(what: impl Into<Cow<'static, str>>) -> Error {
    Error::configuration(what).with_help(
        "write \"link\", \"none\", or one of { next = \"/pointer\" }, { token = \"/pointer\", to = \"parameter\" }, \
         { last = \"/pointer\", to = \"parameter\" }, { offset = \"parameter\" }, { page = \"parameter\" }",
    )
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PaginateWord {
    None,
    Link,
}

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaginateTable {
    /// A pointer to the URL of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// A pointer to the token of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// A pointer into the last record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    /// A parameter, or with a leading `/` a place in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The parameter for the number of records so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<String>,
    /// The parameter for the number of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    /// A pointer to a flag that is true while there are more pages, or to a number or a text that is then neither 0 nor empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    more: Option<String>,
    /// A pointer to a flag that is true on the last page: true or false, 1 or 0, also as a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    /// A pointer to the number of pages, beside `page`: the list ends after that page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pages: Option<String>,
}

impl TryFrom<PaginateText> for Paginate {
    type Error = String;

    fn try_from(text: PaginateText) -> Result<Self, String> {
        let table = match text {
            PaginateText::Word(PaginateWord::None) => return Ok(Self::none()),
            PaginateText::Word(PaginateWord::Link) => return Ok(Self::link()),
            PaginateText::Table(table) => *table,
        };
        let PaginateTable { next, token, last, to, offset, page, more, done, pages } = table;
        let malformed = |what: &'static str| explained(&malformed(what));
        let by = match (next, token, last, offset, page, to) {
            (Some(next), None, None, None, None, None) => Paging::Next(next),
            (None, Some(token), None, None, None, Some(to)) => Paging::Token { token, to },
            (None, None, Some(last), None, None, Some(to)) => Paging::Last { last, to },
            (None, None, None, Some(offset), None, None) => Paging::Offset(offset),
            (None, None, None, None, Some(page), None) => Paging::Page(page),
            (None, Some(_), None, None, None, None) | (None, None, Some(_), None, None, None) => {
                return Err(malformed("the paginator has no `to`: where the next page takes the value"));
            }
            (None, None, None, None, None, _) => {
                return Err(malformed("the paginator does not say where the next page is"));
            }
            _ => return Err(malformed("the paginator says in several ways where the next page is")),
        };
        Ok(Self { by, more, done, pages })
    }
}

impl From<Paginate> for PaginateText {
    fn from(Paginate { by, more, done, pages }: Paginate) -> Self {
        let table = PaginateTable { more, done, pages, ..PaginateTable::default() };
        Self::Table(Box::new(match by {
            Paging::None => return Self::Word(PaginateWord::None),
            // A flag says nothing beside a link.
            Paging::Link => return Self::Word(PaginateWord::Link),
            Paging::Next(next) => PaginateTable { next: Some(next), ..table },
            Paging::Token { token, to } => PaginateTable { token: Some(token), to: Some(to), ..table },
            Paging::Last { last, to } => PaginateTable { last: Some(last), to: Some(to), ..table },
            Paging::Offset(offset) => PaginateTable { offset: Some(offset), ..table },
            Paging::Page(page) => PaginateTable { page: Some(page), ..table },
        }))
    }
}
