//! The secrets in use: texts that were read or sent as a secret.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use twox_hash::XxHash3_128;

use super::decode::{self, Glyph, LEVELS};

/// The minimum length of a secret, in bytes: a shorter text may be part of any word or value.
pub(crate) const SHORTEST_SECRET: usize = 8;

/// The maximum number of remembered secrets, the most recently used ones: renewed tokens must not accumulate.
const MOST: usize = 64;

/// In a secret with at least this many letters and digits, any part of [`PART`] of them is redacted, too.
const LONG: usize = 20;
const PART: usize = 12;

static KNOWN: RwLock<KnownSecrets> = RwLock::new(KnownSecrets { secrets: VecDeque::new(), forms: BTreeMap::new() });

/// The secrets as hashes, to avoid further copies of their text.
struct KnownSecrets {
    /// The most recently used one is last.
    secrets: VecDeque<Secret>,
    /// All hashes, by how they are computed: the folding of the text, and the number of bytes hashed.
    forms: BTreeMap<(Fold, usize), HashMap<u128, Part, BuildHasherDefault<IdentityHasher>>>,
}

struct Secret {
    whole: u128,
    form: (Fold, usize),
    hashes: Vec<u128>,
}

/// A hashed part of a secret.
#[derive(Clone, Copy)]
struct Part {
    /// The number of secrets that contain it.
    of: usize,
    /// The number of characters that folding drops at the beginning and at the end of the secret.
    edges: (usize, usize),
}

/// Hashes a value that is already a hash to itself.
#[derive(Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
}

/// How a text is normalized for comparison. Case and gaps never count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fold {
    /// Letters and digits count.
    Letters,
    /// Punctuation counts, too: for a secret that consists mostly of it.
    Punctuation,
}

impl Fold {
    fn keeps(self, glyph: &Glyph) -> bool {
        match self {
            Self::Letters => glyph.plain().is_alphanumeric(),
            Self::Punctuation => !glyph.is_gap(),
        }
    }

    /// The text in UTF-8, and for each byte the index of its glyph.
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

/// Remembers a secret that is in use from now on.
pub(crate) fn remember(secret: &str) {
    if secret.len() < SHORTEST_SECRET {
        return;
    }
    let whole = XxHash3_128::oneshot(secret.as_bytes());
    let is_recent = |known: &KnownSecrets| known.secrets.iter().rev().take(MOST / 2).any(|one| one.whole == whole);
    if !is_recent(&KNOWN.read().unwrap_or_else(PoisonError::into_inner)) {
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).add(whole, secret);
    }
}

#[cfg(feature = "http")]
pub(super) fn none_is_known() -> bool {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).secrets.is_empty()
}

/// Remembers the value of an `Authorization` header: the part after its scheme, or the password if it holds user and password.
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

impl KnownSecrets {
    fn add(&mut self, whole: u128, secret: &str) {
        if let Some(index) = self.secrets.iter().position(|one| one.whole == whole) {
            let again = self.secrets.remove(index);
            self.secrets.extend(again);
            return;
        }
        let (form, edges, hashes) = hashes(secret);
        let parts = self.forms.entry(form).or_default();
        for hash in &hashes {
            parts.entry(*hash).or_insert(Part { of: 0, edges }).of += 1;
        }
        self.secrets.push_back(Secret { whole, form, hashes: hashes.into_iter().collect() });
        if self.secrets.len() > MOST {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(Secret { form, hashes, .. }) = self.secrets.pop_front() else { return };
        let Some(parts) = self.forms.get_mut(&form) else { return };
        for hash in hashes {
            if let Some(part) = parts.get_mut(&hash) {
                part.of -= 1;
                if part.of == 0 {
                    parts.remove(&hash);
                }
            }
        }
        if parts.is_empty() {
            self.forms.remove(&form);
        }
    }
}

/// Returns how a secret is found, how much folding drops at its edges, and the hashes of its parts.
fn hashes(secret: &str) -> ((Fold, usize), (usize, usize), BTreeSet<u128>) {
    // The first and last line of a key are not secret, and many messages contain them.
    let lines: Vec<&str> = secret.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut level = decode::glyphs(&lines.join("\n"));
    let letters = Fold::Letters.apply(&level).0.len();
    let fold = if letters < SHORTEST_SECRET { Fold::Punctuation } else { Fold::Letters };
    let edge = |glyphs: &mut dyn Iterator<Item = &Glyph>| glyphs.take_while(|glyph| !fold.keeps(glyph)).count();
    let edges = (edge(&mut level.iter()), edge(&mut level.iter().rev()));
    let folded = fold.apply(&level).0.len();
    let length = if folded < LONG { folded.max(SHORTEST_SECRET) } else { PART };
    let mut hashes = BTreeSet::new();
    // Decoding the remote's text also decodes escapes that the secret itself contains.
    for _ in 0..LEVELS {
        let mut bytes = fold.apply(&level).0;
        hashes.extend(bytes.windows(length).map(XxHash3_128::oneshot));
        bytes.reverse();
        hashes.extend(bytes.windows(length).map(XxHash3_128::oneshot));
        match decode::unescape(&level) {
            Some(next) => level = next,
            None => break,
        }
    }
    ((fold, length), edges, hashes)
}

/// Finds secrets in this text, which is decoded.
pub(super) fn find(glyphs: &[Glyph]) -> Vec<Range<usize>> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    for fold in [Fold::Letters, Fold::Punctuation] {
        let mut forms = known.forms.range((fold, 0)..=(fold, usize::MAX)).peekable();
        if forms.peek().is_none() {
            continue;
        }
        let (bytes, owners) = fold.apply(glyphs);
        let drops = |glyph: &&Glyph| !fold.keeps(glyph);
        for ((_, length), parts) in forms {
            for (at, window) in bytes.windows(*length).enumerate() {
                let Some(part) = parts.get(&XxHash3_128::oneshot(window)) else { continue };
                let (first, last) = (owners[at], owners[at + length - 1]);
                let before = glyphs[..first].iter().rev().take(part.edges.0).take_while(drops).count();
                let after = glyphs[last + 1..].iter().take(part.edges.1).take_while(drops).count();
                found.push(glyphs[first - before].start..glyphs[last + after].end);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_secret_is_forgotten_with_all_its_parts() {
        let mut known = KnownSecrets { secrets: VecDeque::new(), forms: BTreeMap::new() };
        for number in 0..MOST as u128 + 40 {
            // The secrets share parts.
            known.add(number, &format!("the-same-beginning-of-all-{number:04}"));
        }
        assert_eq!(known.secrets.len(), MOST);
        let parts = &known.forms[&(Fold::Letters, PART)];
        let of = |text: &str| parts.get(&XxHash3_128::oneshot(text.as_bytes())).map(|part| part.of);
        assert_eq!(of("thesamebegin"), Some(MOST));
        assert_eq!((of("ingofall0003"), of("ingofall0103")), (None, Some(1)));
        while !known.secrets.is_empty() {
            known.forget_oldest();
        }
        assert!(known.forms.is_empty());
    }
}
