//! `Link` headers in GitHub's form.

use crate::log::ReceivedRequest;

/// The requested page, and its size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageParams {
    pub(crate) page: usize,
    pub(crate) per_page: usize,
}

impl PageParams {
    /// Reads `page` and `per_page` as GitHub does: invalid values are ignored.
    pub(crate) fn from_request(request: &ReceivedRequest, limit: usize) -> Self {
        let number =
            |name| request.query(name).and_then(|text| text.parse::<usize>().ok()).filter(|&number| number > 0);
        Self { page: number("page").unwrap_or(1), per_page: number("per_page").unwrap_or(30).min(limit) }
    }

    /// The number of records before this page.
    pub(crate) fn offset(self) -> usize {
        (self.page - 1).saturating_mul(self.per_page)
    }

    /// The header, unless one page holds everything.
    pub(crate) fn links(self, address: &str, request: &ReceivedRequest, total: usize) -> Option<String> {
        let last = total.div_ceil(self.per_page).max(1);
        let link = |page: usize, relation: &str| {
            let query = rest_of_query(request);
            format!("<{address}?{query}page={page}>; rel=\"{relation}\"")
        };
        let mut links = Vec::new();
        if self.page > 1 {
            links.push(link((self.page - 1).min(last), "prev"));
        }
        if self.page < last {
            links.push(link(self.page + 1, "next"));
            links.push(link(last, "last"));
        }
        if self.page > 1 {
            links.push(link(1, "first"));
        }
        (!links.is_empty()).then(|| links.join(", "))
    }

    /// The header that continues after a record instead of counting pages.
    pub(crate) fn cursor_link(self, address: &str, request: &ReceivedRequest, after: u64) -> String {
        let query = rest_of_query(request);
        format!("<{address}?{query}after={after:016x}&page={}>; rel=\"next\"", self.page + 1)
    }
}

/// A link to the page after the requested one, whether there is one or not.
pub(crate) fn next_page(address: &str, request: &ReceivedRequest) -> String {
    let page = PageParams::from_request(request, usize::MAX).page + 1;
    format!("<{address}?{}page={page}>; rel=\"next\"", rest_of_query(request))
}

/// The query without the page parameters, ready for one more parameter.
fn rest_of_query(request: &ReceivedRequest) -> String {
    let target = request.target();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let kept = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !name.is_empty() && name != "page" && name != "after"
    });
    kept.flat_map(|pair| [pair, "&"]).collect()
}
