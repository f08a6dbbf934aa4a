//! Decodes notations that can hide a text: escapes of JSON, URLs and HTML, base64, hexadecimal digits.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

/// Replaces a credential.
pub(crate) const REDACTED: &str = "***";

/// The maximum number of escape levels that are decoded. Text with more levels is escaped to hide something.
pub(super) const LEVELS: usize = 16;

/// A character, and the bytes of the original text that it represents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glyph {
    pub(super) c: char,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Glyph {
    /// Whether a reader sees only a gap, or nothing: white space, control characters, zero-width characters, direction marks.
    pub(super) fn is_gap(self) -> bool {
        self.c.is_whitespace()
            || self.c.is_control()
            || matches!(
                self.c,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{feff}'
                    | '\u{ffa0}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
            )
    }

    /// The character, with full-width forms replaced by ASCII.
    pub(super) fn plain(self) -> char {
        match u32::from(self.c) {
            code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(self.c),
            _ => self.c,
        }
    }
}

pub(super) fn glyphs(text: &str) -> Vec<Glyph> {
    text.char_indices().map(|(start, c)| Glyph { c, start, end: start + c.len_utf8() }).collect()
}

/// Decodes one level of escaping; `None` if nothing is escaped.
pub(super) fn unescape(glyphs: &[Glyph]) -> Option<Vec<Glyph>> {
    if !glyphs.iter().any(|glyph| matches!(glyph.plain(), '\\' | '%' | '&')) {
        return None;
    }
    let mut unescaped = Vec::with_capacity(glyphs.len());
    let (mut at, mut is_changed) = (0, false);
    while let Some(first) = glyphs.get(at) {
        let rest = &glyphs[at + 1..];
        let escape = match first.plain() {
            '\\' => backslash(rest),
            '%' => percent(rest),
            '&' => entity(rest),
            _ => None,
        };
        match escape {
            Some((c, length)) => {
                unescaped.push(Glyph { c, start: first.start, end: rest[length - 1].end });
                (at, is_changed) = (at + 1 + length, true);
            }
            None => {
                unescaped.push(*first);
                at += 1;
            }
        }
    }
    is_changed.then_some(unescaped)
}

/// Decodes what follows a backslash: `u0067`, `u{67}`, `x67`, `147`, a letter, or the character itself. Returns its length, too.
fn backslash(rest: &[Glyph]) -> Option<(char, usize)> {
    let digits = |count| hex(rest.get(1..=count)?);
    match rest.first()?.plain() {
        'u' | 'U' => unicode(rest),
        'x' | 'X' => Some((char::from_u32(digits(2)?)?, 3)),
        'n' | 'r' | 't' | 'b' | 'f' => Some((' ', 1)),
        '0'..='7' => {
            let length = rest.iter().take(3).take_while(|glyph| glyph.plain().is_digit(8)).count();
            let code =
                rest[..length].iter().filter_map(|glyph| glyph.plain().to_digit(8)).fold(0, |code, n| code * 8 + n);
            Some((char::from_u32(code)?, length))
        }
        c if c.is_ascii_punctuation() => Some((c, 1)),
        _ => None,
    }
}

/// Decodes `u0067`, a surrogate pair, or `u{67}`.
fn unicode(rest: &[Glyph]) -> Option<(char, usize)> {
    if rest.get(1)?.plain() == '{' {
        let length = rest.iter().skip(2).take(7).position(|glyph| glyph.plain() == '}')?;
        return Some((char::from_u32(hex(&rest[2..2 + length])?)?, length + 3));
    }
    let first = hex(rest.get(1..5)?)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 5));
    }
    let second = hex(rest.get(7..11)?)?;
    let pair = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let c = char::decode_utf16(pair).next()?.ok()?;
    Some((c, 11))
}

/// Decodes what follows a percent sign: the digits of each byte of a character, or `u0067`.
fn percent(rest: &[Glyph]) -> Option<(char, usize)> {
    if matches!(rest.first()?.plain(), 'u' | 'U') {
        return unicode(rest);
    }
    (1..=4).find_map(|bytes| {
        let length = bytes * 3 - 1;
        let escape: String =
            std::iter::once('%').chain(rest.get(..length)?.iter().map(|glyph| glyph.plain())).collect();
        let decoded = percent_decode_str(&escape).decode_utf8().ok()?;
        let mut chars = decoded.chars();
        chars.next().filter(|_| chars.next().is_none()).map(|c| (c, length))
    })
}

/// Decodes what follows an ampersand: `#103;`, `#x67;` with or without the semicolon, or a name.
fn entity(rest: &[Glyph]) -> Option<(char, usize)> {
    let ends = |length: usize| length + usize::from(rest.get(length).is_some_and(|glyph| glyph.plain() == ';'));
    let run =
        |skip: usize, radix| rest.iter().skip(skip).take(8).take_while(|glyph| glyph.plain().is_digit(radix)).count();
    if rest.first()?.plain() == '#' {
        let is_hex = matches!(rest.get(1)?.plain(), 'x' | 'X');
        let (skip, radix) = if is_hex { (2, 16) } else { (1, 10) };
        let length = run(skip, radix);
        let digits: String = rest.get(skip..skip + length)?.iter().map(|glyph| glyph.plain()).collect();
        let c = char::from_u32(u32::from_str_radix(&digits, radix).ok()?)?;
        return Some((c, ends(skip + length)));
    }
    let length = rest.iter().take(9).position(|glyph| glyph.plain() == ';')?;
    let name: String = rest[..length].iter().map(|glyph| glyph.plain()).collect();
    let c = match &*name {
        "amp" => '&',
        "bsol" => '\\',
        "percnt" => '%',
        "num" => '#',
        "semi" => ';',
        "lowbar" | "UnderBar" => '_',
        "hyphen" | "dash" => '-',
        "period" => '.',
        "plus" => '+',
        "sol" => '/',
        "equals" => '=',
        "colon" => ':',
        "commat" => '@',
        "quest" => '?',
        _ if name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_alphabetic()) => ' ',
        _ => return None,
    };
    Some((c, length + 1))
}

/// Parses a number in hexadecimal digits.
fn hex(digits: &[Glyph]) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.len() <= 6;
    is_number.then(|| digits.iter().try_fold(0, |number, digit| Some(number << 4 | digit.plain().to_digit(16)?)))?
}

/// The minimum number of digits to decode: fewer cannot hold a secret.
const SHORTEST_BASE64: usize = 11;
const SHORTEST_HEX: usize = 16;

/// Decodes everything that may be base64 or hexadecimal digits, wherever it begins and however it is broken into lines. Each byte
/// becomes a character.
pub(super) fn binary(glyphs: &[Glyph]) -> Vec<Vec<Glyph>> {
    let visible: Vec<Glyph> = glyphs.iter().copied().filter(|glyph| !glyph.is_gap()).collect();
    let is_base64 =
        |glyph: &Glyph| glyph.plain().is_ascii_alphanumeric() || matches!(glyph.plain(), '+' | '/' | '-' | '_');
    let is_hex = |glyph: &Glyph| glyph.plain().is_ascii_hexdigit();
    let mut decoded = Vec::new();
    for digits in visible.split(|glyph| !is_base64(glyph)).filter(|digits| digits.len() >= SHORTEST_BASE64) {
        decoded.extend((0..4).filter_map(|skip| base64(&digits[skip..])));
    }
    for digits in visible.split(|glyph| !is_hex(glyph)).filter(|digits| digits.len() >= SHORTEST_HEX) {
        decoded.extend((0..2).map(|skip| hexadecimal(&digits[skip..])));
    }
    decoded
}

fn base64(digits: &[Glyph]) -> Option<Vec<Glyph>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true),
    );
    // A single leftover digit encodes no byte.
    let digits = if digits.len() % 4 == 1 { &digits[..digits.len() - 1] } else { digits };
    let standard = |glyph: &Glyph| match glyph.plain() {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    let bytes = LENIENT.decode(digits.iter().map(standard).collect::<String>()).ok()?;
    let glyph = |(at, byte): (usize, &u8)| {
        // Each digit encodes six bits.
        let (first, last) = (at * 8 / 6, (at * 8 + 7) / 6);
        Glyph { c: char::from(*byte), start: digits[first].start, end: digits[last].end }
    };
    Some(bytes.iter().enumerate().map(glyph).collect())
}

fn hexadecimal(digits: &[Glyph]) -> Vec<Glyph> {
    let glyph = |pair: &[Glyph]| {
        let c = char::from_u32(hex(pair)?)?;
        Some(Glyph { c, start: pair[0].start, end: pair[1].end })
    };
    digits.chunks_exact(2).filter_map(glyph).collect()
}
