//! Pages of rows that were all updated within one second.

use super::step::{PageInfo, UnixSecond};
use crate::{Error, Result};

/// A server that sends the same page for this many URLs in a row does not paginate at all.
const REPEATS: u32 = 8;

/// The maximum number of pages of one second: a server can make up pages endlessly.
const MOST_PAGES: usize = 20_000;

/// Reads pages that lie within one second: first forward to their end, then backward for delivery.
#[derive(Debug)]
pub(super) struct TieScan {
    /// Their URLs, page 1 first.
    pub(super) pages: Vec<String>,
    /// The next page of the backward scan; `None` during the forward scan.
    pub(super) backward: Option<usize>,
    /// The time of the last row on the last page.
    pub(super) reached: Option<UnixSecond>,
    /// The range ends within these pages.
    pub(super) ended: bool,
    /// Their hashes during the forward scan.
    pub(super) fingerprints: Vec<[u8; 16]>,
    /// How many pages in a row had the same hash.
    pub(super) repeats: u32,
    /// The server sent the last page again under the next number: there are no more pages.
    pub(super) closed: bool,
    /// The pages have changed since the forward scan.
    pub(super) moved: bool,
}

impl TieScan {
    /// # Errors
    /// `InvalidData`, when the pages have no end; `info` is that of the last one.
    pub(super) fn must_end(&self, info: &PageInfo) -> Result<()> {
        let leads_back = info.next.as_ref().is_some_and(|next| self.pages.contains(next));
        let problem = if self.repeats >= REPEATS {
            "the server gives the same page for different page numbers"
        } else if leads_back {
            "the server's link to the next page leads back to a page that was read"
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
    fn looping_or_endless_pages_are_an_error() {
        let next = |page: usize| PageInfo { next: Some(format!("?page={page}")), ..PageInfo::default() };
        scan(3).must_end(&next(3)).unwrap();
        scan(3).must_end(&PageInfo::default()).unwrap();
        for page in 0..3 {
            let error = scan(3).must_end(&next(page)).unwrap_err();
            assert!(error.message().contains("leads back"), "{error}");
        }
        let error = scan(MOST_PAGES).must_end(&next(MOST_PAGES)).unwrap_err();
        assert!(error.message().contains("does not end"), "{error}");
    }
}
