//! The secrets in use: what was read as one, or sent as one.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use twox_hash::XxHash3_128;

use super::LEVELS;
use super::decode::{self, Glyph};

/// A shorter text is not taken for a secret: it may be part of any word, or any value. In bytes.
pub(crate) const SHORTEST_SECRET: usize = 8;

/// So many of the secrets that were used last are looked for: tokens that are renewed again and again must not add up.
const MOST: usize = 64;

/// Of a secret with at least this many letters and digits, any part of [`PART`] of them is taken out, too.
const LONG: usize = 20;
const PART: usize = 12;

/// The secrets, the last used one last.
static KNOWN: Mutex<VecDeque<Known>> = Mutex::new(VecDeque::new());

/// A secret as hashes, so that its text is in no more places than it must be.
struct Known {
    whole: u128,
    fold: Fold,
    /// How many bytes of folded text each hash is of.
    length: usize,
    hashes: HashSet<u128>,
    /// How many characters at its beginning and at its end folding drops.
    edges: (usize, usize),
}

/// How a text is made comparable. Case never counts, nor do gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fold {
    /// Letters and digits count.
    Letters,
    /// Punctuation counts, too: for a secret of little else.
    Punctuation,
}

impl Fold {
    fn keeps(self, glyph: &Glyph) -> bool {
        match self {
            Self::Letters => glyph.plain().is_alphanumeric(),
            Self::Punctuation => !glyph.is_gap(),
        }
    }

    /// The text in UTF-8, and for each byte the glyph that it is of.
    fn apply(self, glyphs: &[Glyph]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut owners) = (Vec::with_capacity(glyphs.len()), Vec::with_capacity(glyphs.len()));
        for (index, glyph) in glyphs.iter().enumerate().filter(|(_, glyph)| self.keeps(glyph)) {
            for c in glyph.plain().to_lowercase() {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            owners.resize(bytes.len(), index);
        }
        (bytes, owners)
    }
}

/// Remembers a secret that is used from now on.
pub(crate) fn remember(secret: &str) {
    if secret.len() < SHORTEST_SECRET {
        return;
    }
    let whole = XxHash3_128::oneshot(secret.as_bytes());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match known.iter().position(|one| one.whole == whole) {
        Some(last) if last + 1 == known.len() => {}
        Some(index) => {
            let again = known.remove(index);
            known.extend(again);
        }
        None => {
            known.push_back(Known::new(whole, secret));
            if known.len() > MOST {
                known.pop_front();
            }
        }
    }
}

#[cfg(feature = "http")]
pub(super) fn none_is_known() -> bool {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Remembers the value of an `Authorization` header: what follows its scheme and, of user and password, the password.
#[cfg(feature = "http")]
pub(crate) fn remember_authorization(header: &str) {
    use base64::Engine as _;

    let (scheme, secret) = header.split_once(' ').unwrap_or(("", header));
    let secret = secret.trim();
    remember(secret);
    if scheme.eq_ignore_ascii_case("basic")
        && let Ok(pair) = base64::engine::general_purpose::STANDARD.decode(secret)
        && let Ok(pair) = String::from_utf8(pair)
        && let Some((_, password)) = pair.split_once(':')
    {
        remember(password);
    }
}

impl Known {
    fn new(whole: u128, secret: &str) -> Self {
        // The first and last line of a key are no secret, and in many a message.
        let lines: Vec<&str> = secret.lines().filter(|line| !line.starts_with("-----")).collect();
        let mut level = decode::glyphs(&lines.join("\n"));
        let letters = Fold::Letters.apply(&level).0.len();
        let fold = if letters < SHORTEST_SECRET { Fold::Punctuation } else { Fold::Letters };
        let edge = |glyphs: &mut dyn Iterator<Item = &Glyph>| glyphs.take_while(|glyph| !fold.keeps(glyph)).count();
        let edges = (edge(&mut level.iter()), edge(&mut level.iter().rev()));
        let folded = fold.apply(&level).0.len();
        let length = if folded < LONG { folded } else { PART };
        let mut hashes = HashSet::new();
        // What is escaped in a secret is undone along with what a remote has escaped.
        for _ in 0..LEVELS {
            let mut bytes = fold.apply(&level).0;
            hashes.extend(windows(&bytes, length).map(XxHash3_128::oneshot));
            bytes.reverse();
            hashes.extend(windows(&bytes, length).map(XxHash3_128::oneshot));
            match decode::unescape(&level) {
                Some(next) => level = next,
                None => break,
            }
        }
        Self { whole, fold, length, hashes, edges }
    }
}

fn windows(bytes: &[u8], length: usize) -> impl Iterator<Item = &[u8]> {
    bytes.windows(length.max(SHORTEST_SECRET))
}

/// Where secrets are in this text, which is decoded.
pub(super) fn find(glyphs: &[Glyph]) -> Vec<Range<usize>> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let forms: BTreeSet<(Fold, usize)> = known.iter().map(|one| (one.fold, one.length)).collect();
    let mut found: Vec<Range<usize>> = Vec::new();
    for (fold, length) in forms {
        let (bytes, owners) = fold.apply(glyphs);
        for (at, window) in windows(&bytes, length).enumerate() {
            let hash = XxHash3_128::oneshot(window);
            let alike = |one: &&Known| (one.fold, one.length) == (fold, length) && one.hashes.contains(&hash);
            let Some(one) = known.iter().find(alike) else { continue };
            let drops = |glyph: &&Glyph| !fold.keeps(glyph);
            let (first, last) = (owners[at], owners[at + window.len() - 1]);
            let before = glyphs[..first].iter().rev().take(one.edges.0).take_while(drops).count();
            let after = glyphs[last + 1..].iter().take(one.edges.1).take_while(drops).count();
            found.push(glyphs[first - before].start..glyphs[last + after].end);
        }
    }
    found
}
