//! Pages of issues that were all updated within one second.

use super::step::{PageInfo, UnixSecond};
use crate::{Error, Result};

/// A server that gives the same page under this many addresses in a row does not page at all.
const REPEATS: u32 = 8;

/// More pages than that of one second are not looked at: a server can make up pages for as long as they are asked for.
const MOST_PAGES: usize = 20_000;

/// Pages that lie within one second.
#[derive(Debug)]
pub(super) struct TieScan {
    /// Their addresses, page 1 first.
    pub(super) pages: Vec<String>,
    /// Reading them for good, from the last to the first: the page that is next. `None`: looking for the last one.
    pub(super) backward: Option<usize>,
    /// The time of the last row on the last page.
    pub(super) reached: Option<UnixSecond>,
    /// The range ends within these pages.
    pub(super) ended: bool,
    /// Their hashes, as they were when the last one was looked for.
    pub(super) fingerprints: Vec<[u8; 16]>,
    /// How many pages in a row had the same.
    pub(super) repeats: u32,
    /// The last page came again under the next number: there are no more.
    pub(super) closed: bool,
    /// They are no longer what they were then.
    pub(super) moved: bool,
}

impl TieScan {
    /// # Errors
    /// `InvalidData`, when the server gives pages that lead to no end; `info` are of the last one.
    pub(super) fn must_end(&self, info: &PageInfo) -> Result<()> {
        let leads_back = info.next.as_ref().is_some_and(|next| self.pages.contains(next));
        let problem = if self.repeats >= REPEATS {
            "the server gives the same page for different page numbers"
        } else if leads_back {
            "the server's link to the next page leads backward to a page that was read"
        } else if self.pages.len() >= MOST_PAGES {
            "the list of what was updated within one second does not end"
        } else {
            return Ok(());
        };
        Err(Error::invalid_data(problem)
            .with_context("url", &info.url)
            .with_help("the API at this address does not page as GitHub's does"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pages: usize) -> TieScan {
        let pages = (0..pages).map(|page| format!("?page={page}")).collect();
        let (backward, reached, fingerprints, repeats) = (None, None, Vec::new(), 0);
        TieScan { pages, backward, reached, ended: false, fingerprints, repeats, closed: false, moved: false }
    }

    #[test]
    fn pages_that_lead_back_or_on_and_on_are_an_error() {
        let next = |page: usize| PageInfo { next: Some(format!("?page={page}")), ..PageInfo::default() };
        scan(3).must_end(&next(3)).unwrap();
        scan(3).must_end(&PageInfo::default()).unwrap();
        for page in 0..3 {
            let error = scan(3).must_end(&next(page)).unwrap_err();
            assert!(error.message().contains("leads backward"), "{error}");
        }
        let error = scan(MOST_PAGES).must_end(&next(MOST_PAGES)).unwrap_err();
        assert!(error.message().contains("does not end"), "{error}");
    }
}
