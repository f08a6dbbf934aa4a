//! Texts that look like a credential, whether in use or not: tokens with a well-known prefix, JSON Web Tokens, private keys.

use std::ops::Range;

use super::decode::Glyph;

/// A token with a well-known prefix.
struct Shape {
    /// In lower case.
    prefix: &'static str,
    /// The characters that may follow it, besides letters and digits.
    also: &'static [u8],
    /// A prefix with fewer characters after it only mentions a token.
    least: usize,
    /// The number of characters that are redacted after the prefix if the token is broken into pieces.
    usual: usize,
}

const fn shape(prefix: &'static str, also: &'static [u8], least: usize, usual: usize) -> Shape {
    Shape { prefix, also, least, usual }
}

const SHAPES: [Shape; 21] = [
    shape("ghp_", b"_", 20, 36),
    shape("gho_", b"_", 20, 36),
    shape("ghu_", b"_", 20, 36),
    shape("ghs_", b"_-.", 20, 36),
    shape("ghr_", b"_", 20, 36),
    shape("github_pat_", b"_", 20, 82),
    shape("glpat-", b"_-.", 20, 20),
    shape("xoxa-", b"-", 20, 50),
    shape("xoxb-", b"-", 20, 50),
    shape("xoxe-", b"-.", 20, 50),
    shape("xoxp-", b"-", 20, 50),
    shape("xoxr-", b"-", 20, 50),
    shape("xoxs-", b"-", 20, 50),
    shape("sk_live_", b"", 20, 24),
    shape("sk_test_", b"", 20, 24),
    shape("rk_live_", b"", 20, 24),
    shape("rk_test_", b"", 20, 24),
    shape("aiza", b"-_", 35, 35),
    shape("hf_", b"", 30, 34),
    shape("pypi-", b"-_", 40, 160),
    shape("npm_", b"", 36, 36),
];

/// A text without gaps.
struct Text {
    /// In lower case; 0 for characters outside ASCII.
    bytes: Vec<u8>,
    /// The index of each byte's glyph.
    indexes: Vec<usize>,
}

/// Finds such texts.
pub(super) fn find(glyphs: &[Glyph]) -> Vec<Range<usize>> {
    // A backslash before every character is ignored, as an earlier reader would have dropped it.
    let is_visible = |glyph: &Glyph| !glyph.is_gap() && glyph.plain() != '\\';
    let visible = glyphs.iter().enumerate().filter(|(_, glyph)| is_visible(glyph));
    let byte = |glyph: &Glyph| u8::try_from(glyph.plain()).ok().filter(u8::is_ascii).unwrap_or(0).to_ascii_lowercase();
    let (indexes, bytes) = visible.map(|(index, glyph)| (index, byte(glyph))).unzip();
    let text = Text { bytes, indexes };
    let tokens = SHAPES.iter().flat_map(|shape| text.tokens(shape));
    let found = tokens.chain(text.web_tokens()).chain(text.private_keys());
    found.map(|Range { start, end }| glyphs[text.indexes[start]].start..glyphs[text.indexes[end - 1]].end).collect()
}

impl Text {
    /// Whether this byte directly follows the one before it.
    fn is_joined(&self, at: usize) -> bool {
        at > 0 && self.indexes[at] == self.indexes[at - 1] + 1
    }

    /// Whether a word may begin here.
    fn is_boundary(&self, at: usize) -> bool {
        !self.is_joined(at) || !self.bytes[at - 1].is_ascii_alphanumeric()
    }

    /// Finds where `prefix` begins a word or, unless it is `like_word`, is written without gaps.
    fn starts<'a>(&'a self, prefix: &'a str, like_word: bool) -> impl Iterator<Item = usize> + 'a {
        let ranges = self.bytes.windows(prefix.len()).enumerate();
        let ranges = ranges.filter(|(_, window)| *window == prefix.as_bytes()).map(|(at, _)| at);
        let is_whole = move |at: usize| !like_word && (at + 1..at + prefix.len()).all(|next| self.is_joined(next));
        ranges.filter(move |at| self.is_boundary(*at) || is_whole(*at))
    }

    /// Returns the end of a run of letters, digits and these characters. Beyond `usual` characters it also ends at a gap.
    fn end(&self, start: usize, also: &[u8], usual: usize) -> usize {
        let mut at = start;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || also.contains(byte);
        while self.bytes.get(at).is_some_and(is_part) && (at < start.saturating_add(usual) || self.is_joined(at)) {
            at += 1;
        }
        at
    }

    fn tokens<'a>(&'a self, shape: &'a Shape) -> impl Iterator<Item = Range<usize>> + 'a {
        let Shape { prefix, also, least, usual } = shape;
        let range = move |start: usize| start..self.end(start + prefix.len(), also, *usual);
        let is_token = move |range: &Range<usize>| range.len() >= prefix.len() + least;
        self.starts(prefix, false).map(range).filter(is_token)
    }

    /// Finds header, claims and signature, each in base64, joined by dots.
    fn web_tokens(&self) -> impl Iterator<Item = Range<usize>> {
        const SEGMENT: &[u8] = b"-_";
        self.starts("eyj", true).filter_map(|start| {
            let header = self.end(start, SEGMENT, usize::MAX);
            let claims = self.end(header + 1, SEGMENT, usize::MAX);
            let is_token = header - start >= 10
                && self.bytes.get(header) == Some(&b'.')
                && self.bytes[header + 1..].starts_with(b"ey")
                && claims - header > 10;
            let signature = (self.bytes.get(claims) == Some(&b'.')).then(|| self.end(claims + 1, SEGMENT, 43));
            is_token.then(|| start..signature.unwrap_or(claims))
        })
    }

    /// Finds the text between the first and the last line of a private key.
    fn private_keys(&self) -> impl Iterator<Item = Range<usize>> {
        const BEGIN: &str = "privatekey-----";
        self.starts(BEGIN, false).filter_map(|begin| {
            let start = begin + BEGIN.len();
            let end = self.end(start, b"+/=:,", usize::MAX);
            (end - start >= 16).then_some(start..end)
        })
    }
}
