//! URLs of the server, and the targets of its `Link` headers.

use std::borrow::Cow;

use url::Url;

use crate::{Error, ErrorKind, Result};

/// Parses the base URL of a client: `http` or `https`, without query, fragment and credentials.
pub(super) fn base(text: &str) -> Result<Url> {
    let invalid = |why: &str| Error::configuration(format!("the base URL {why}"));
    let mut url = Url::parse(text).map_err(|error| invalid("is not a URL").with_source(error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("must not hold credentials").with_help("give them to `authorization`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("must not have a query or a fragment"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// Parses the URL of a proxy: as [`base`], with no path.
pub(super) fn proxy(text: &str) -> Option<Url> {
    // Parsers disagree about a text without `//`: to one it begins with a scheme, to another with a user.
    let is_plain = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) && !text.contains(['@', '\\']);
    base(text).ok().filter(|url| is_plain && url.path() == "/")
}

/// Resolves a caller's path below `base`, or absolute URL on the server of `base`.
pub(super) fn resolve(base: &Url, path_or_url: &str) -> Result<Url> {
    let absolute = ["http://", "https://"].iter().any(|scheme| path_or_url.starts_with(scheme));
    let text = if absolute { path_or_url.to_owned() } else { format!("{base}{}", path_or_url.trim_start_matches('/')) };
    let url = Url::parse(&text).map_err(|error| Error::internal(format!("{text} is not a URL")).with_source(error))?;
    pinned(base, url)
}

/// Resolves a reference in the response to `current`. It must lead to the server of `base`.
pub(super) fn follow(base: &Url, current: &Url, reference: &str) -> Result<Url> {
    let url = current.join(reference).map_err(|error| {
        Error::invalid_data(format!("the server points to {reference}, which is not a URL")).with_source(error)
    })?;
    pinned(base, url)
}

/// The longest URL of a page, in bytes: servers accept little more.
const MAX_PAGE_URL: usize = 8 << 10;

/// Resolves a link to another page of the list at `current`. A gateway may pass on links of the server behind it: for a link to
/// another scheme, host, port or base path, only its query is used. Nothing is ever sent elsewhere.
pub(super) fn page(base: &Url, current: &Url, reference: &str) -> Result<Url> {
    if reference.len() > MAX_PAGE_URL {
        return Err(Error::invalid_data("the server's link to another page is longer than a URL may be"));
    }
    let link = current.join(reference).map_err(|error| {
        Error::invalid_data(format!("the server points to {reference}, which is not a URL")).with_source(error)
    })?;
    let leaves_base = current.path().starts_with(base.path()) && !link.path().starts_with(base.path());
    if link.origin() == base.origin() && !leaves_base {
        return pinned(base, link);
    }
    let Some(query) = link.query() else {
        return Err(
            Error::invalid_data("the server's link to the next page does not say which page").with_context("url", link)
        );
    };
    let mut url = current.clone();
    url.set_query(Some(query));
    Ok(url)
}

/// The page number of a URL: its parameter `page`, or else 1.
pub(crate) fn page_number(url: &Url) -> u64 {
    url.query_pairs().find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok()).unwrap_or(1)
}

/// The URL of another page of the same list.
pub(crate) fn numbered(url: &Url, page: u64) -> Url {
    let others: Vec<(Cow<'_, str>, Cow<'_, str>)> = url.query_pairs().filter(|(name, _)| name != "page").collect();
    let mut numbered = url.clone();
    numbered.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &page.to_string());
    numbered
}

fn pinned(base: &Url, mut url: Url) -> Result<Url> {
    // Neither can fail on a URL with a host, and one without is rejected below.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    if url.origin() == base.origin() {
        return Ok(url);
    }
    let (there, here) = (url.origin().ascii_serialization(), base.origin().ascii_serialization());
    Err(Error::new(ErrorKind::Configuration, format!("{here} points to {there}, another server"))
        .with_context("url", url)
        .with_help(format!("if {there} is the right server, make it the base URL")))
}

/// The target of the first link with this relation, according to RFC 8288.
///
/// Existing parsers split at every comma, even inside the URL.
pub(super) fn target<'a>(header: &'a str, relation: &str) -> Result<Option<&'a str>> {
    let malformed = || Error::invalid_data("the Link header cannot be read").with_context("link", header);
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(None);
        }
        let (uri, parameters) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or_else(malformed)?;
        rest = parameters.trim_start();
        let (mut relations, mut is_empty) = (None, false);
        while let Some(parameter) = rest.strip_prefix(';') {
            let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
            let name = parameter[..end].trim();
            rest = &parameter[end..];
            let mut value = "";
            if let Some(written) = rest.strip_prefix('=') {
                let written = written.trim_start();
                (value, rest) = if let Some(quoted) = written.strip_prefix('"') {
                    split_quoted(quoted).ok_or_else(malformed)?
                } else {
                    written.split_at(written.find([';', ',']).unwrap_or(written.len()))
                };
            }
            // Sentry links to a next page that has nothing.
            is_empty |= name.eq_ignore_ascii_case("results") && value == "false";
            // According to the RFC, the first of several `rel` counts.
            if name.eq_ignore_ascii_case("rel") {
                relations.get_or_insert(value);
            }
            rest = rest.trim_start();
        }
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(malformed());
        }
        if !is_empty
            && relations
                .is_some_and(|names| names.split_ascii_whitespace().any(|name| name.eq_ignore_ascii_case(relation)))
        {
            return Ok(Some(uri));
        }
    }
}

/// Splits at the closing quote, ignoring quotes after a backslash.
fn split_quoted(quoted: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = quoted.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&quoted[..end], &quoted[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: &str = r#"<https://api.github.com/repositories/617210/issues?state=closed&page=5>; rel="prev", <https://api.github.com/repositories/617210/issues?state=closed&page=7>; rel="next", <https://api.github.com/repositories/617210/issues?state=closed&page=21>; rel="last""#;

    #[test]
    fn finds_each_relation_of_a_real_header() {
        let page = |relation| target(GITHUB, relation).unwrap().map(|uri| uri.rsplit_once('=').unwrap().1);
        assert_eq!(page("prev"), Some("5"));
        assert_eq!(page("next"), Some("7"));
        assert_eq!(page("last"), Some("21"));
        assert_eq!(page("first"), None);
    }

    #[test]
    fn commas_and_semicolons_in_a_url_do_not_split_it() {
        let header = r#"</issues?labels=a,b;c&flag&page=2>; title="x, y; z"; rel="last next"; rel=prev"#;
        assert_eq!(target(header, "NEXT").unwrap(), Some("/issues?labels=a,b;c&flag&page=2"));
        assert_eq!(target(header, "prev").unwrap(), None);
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_text() {
        let header = r#"<?page=2>; title="\"; rel=\"prev\", <?page=9>"; rel="next""#;
        assert_eq!(target(header, "next").unwrap(), Some("?page=2"));
        assert_eq!(target(header, "prev").unwrap(), None);
    }

    #[test]
    fn unquoted_relations_and_empty_members_are_read() {
        assert_eq!(target(", <?page=2>;rel=next,, <?page=3> ; REL = last", "last").unwrap(), Some("?page=3"));
        assert_eq!(target("<?page=2>", "next").unwrap(), None);
        assert_eq!(target("", "next").unwrap(), None);
    }

    #[test]
    fn a_header_that_cannot_be_read_is_an_error() {
        for header in ["next", "<?page=2", r#"<?page=2>; rel="next"#, "<?page=2> rel=next"] {
            assert!(target(header, "next").is_err(), "{header}");
        }
    }

    #[test]
    fn paths_are_below_the_base_path_and_references_are_relative_to_the_answer() {
        let base = base("https://ghe.example/api/v3").unwrap();
        let asked = resolve(&base, "/repos/a/b/issues?state=all").unwrap();
        assert_eq!(asked.as_str(), "https://ghe.example/api/v3/repos/a/b/issues?state=all");
        assert_eq!(resolve(&base, "repos/a/b/issues?state=all").unwrap(), asked);
        assert_eq!(resolve(&base, asked.as_str()).unwrap(), asked);
        let next = |reference| follow(&base, &asked, reference).unwrap().to_string();
        assert_eq!(next("?page=2"), "https://ghe.example/api/v3/repos/a/b/issues?page=2");
        assert_eq!(next("/api/v3/repositories/1/issues"), "https://ghe.example/api/v3/repositories/1/issues");
        assert_eq!(next("https://ghe.example/other"), "https://ghe.example/other");
        assert_eq!(next("https://user:pass@ghe.example/x#y"), "https://ghe.example/x");
    }

    #[test]
    fn only_the_query_of_a_link_behind_a_gateway_is_used() {
        let base = base("https://gateway.example/github").unwrap();
        let current = resolve(&base, "repos/a/b/issues?state=all").unwrap();
        for link in [
            "https://api.github.com/repositories/7/issues?state=all&page=2",
            "http://gateway.example/github/repos/a/b/issues?state=all&page=2",
            "https://gateway.example:8443/x?state=all&page=2",
            "https://gateway.example/repositories/7/issues?state=all&page=2",
            "/repositories/7/issues?state=all&page=2",
            "//api.github.com/x?state=all&page=2",
            "?state=all&page=2",
            "https://user:pass@evil.example/x?state=all&page=2#y",
        ] {
            let url = page(&base, &current, link).unwrap();
            assert_eq!(url.as_str(), "https://gateway.example/github/repos/a/b/issues?state=all&page=2", "{link}");
        }
        let within = page(&base, &current, "https://gateway.example/github/repositories/7/issues?page=2").unwrap();
        assert_eq!(within.path(), "/github/repositories/7/issues");
        assert!(page(&base, &current, "https://api.github.com/repositories/7/issues").is_err());
    }

    #[test]
    fn a_page_number_replaces_the_one_of_the_url_and_keeps_the_rest() {
        let url = Url::parse("https://x/issues?a=b%20c&page=7&since=2024-01-01T00:00:00Z").unwrap();
        assert_eq!(page_number(&url), 7);
        let next = numbered(&url, 8);
        assert_eq!(next.as_str(), "https://x/issues?a=b+c&since=2024-01-01T00%3A00%3A00Z&page=8");
        assert_eq!(page_number(&Url::parse("https://x/issues?page=x").unwrap()), 1);
    }

    #[test]
    fn any_other_scheme_host_or_port_is_rejected_by_name() {
        let base = base("https://api.example").unwrap();
        for elsewhere in
            ["http://api.example/x", "https://api.example:8443/x", "https://evil.example/x", "//evil.example/x"]
        {
            let error = follow(&base, &base, elsewhere).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{elsewhere}");
            assert!(error.help().unwrap().contains("is the right server"), "{elsewhere}");
        }
        assert!(resolve(&base, "https://evil.example/x").is_err());
    }

    #[test]
    fn a_base_url_holds_no_credentials_and_no_query() {
        for text in ["api.example", "ftp://api.example", "https://me:secret@api.example", "https://api.example/?a=b"] {
            let error = base(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
