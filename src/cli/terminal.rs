//! The terminal: its width, and text that is safe for it, without control characters.

use std::fmt::Write as _;

/// The width that text should fit into: that of the terminal, or what `COLUMNS` says; `None` if standard output is not a terminal.
pub(super) fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    said.or_else(terminal_width).filter(|width| *width > 0)
}

#[cfg(unix)]
fn terminal_width() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col))
}

#[cfg(not(unix))]
fn terminal_width() -> Option<usize> {
    None
}

/// Returns text on one line, without the characters that [`steers`] finds: the text may come from a remote.
pub(super) fn plain(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\t' => ' ',
        c if steers(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(safe).collect()
}

/// The same for a text of several lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// The same for lines with this program's own colours.
pub(super) fn plain_but_for_colours(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        let (before, escape) = rest.split_at(start);
        safe.push_str(&plain_lines(before));
        let length = escape[2..].find(|c: char| !c.is_ascii_digit() && c != ';').map(|length| length + 2);
        match length.filter(|length| escape[*length..].starts_with('m')) {
            Some(length) => {
                let (colour, after) = escape.split_at(length + 1);
                safe.push_str(colour);
                rest = after;
            }
            None => {
                safe.push(char::REPLACEMENT_CHARACTER);
                rest = &escape[1..];
            }
        }
    }
    safe.push_str(&plain_lines(rest));
    safe
}

/// JSON in which all terminal control characters are escaped; the standard requires that only below U+0020.
pub(super) fn escaped(json: String) -> String {
    if !json.contains(|c| c != '\n' && steers(c)) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if c != '\n' && steers(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Whether a character is a control character, begins a line, or can make a text look like another: it changes the writing
/// direction, or is invisible.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_escaped_for_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc\u{7}"), "a\u{fffd}[31mb c\u{fffd}");
        assert_eq!(plain("a\u{202e}b\u{200f}\u{2028}\u{e0041}\r"), "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(plain_lines("a\u{9b}\nb"), "a\u{fffd}\nb");
        assert_eq!(escaped("{\n\"a\":\"\u{9b}\u{202e}é\"}".into()), "{\n\"a\":\"\\u009b\\u202eé\"}");
        let json = serde_json::to_string("\u{e0041}").unwrap();
        assert_eq!(escaped(json), "\"\\udb40\\udc41\"");
    }

    #[test]
    fn only_colour_sequences_are_kept() {
        let text = "\u{1b}[2m12:00\u{1b}[0m \u{1b}[38;5;1mx\n\u{1b}[2J\u{1b}]0;x\u{7}\u{1b}[\u{1b}[1m\u{1b}[9";
        let safe =
            "\u{1b}[2m12:00\u{1b}[0m \u{1b}[38;5;1mx\n\u{fffd}[2J\u{fffd}]0;x\u{fffd}\u{fffd}[\u{1b}[1m\u{fffd}[9";
        assert_eq!(plain_but_for_colours(text), safe);
    }

    proptest! {
        #[test]
        fn escaped_json_means_the_same(text in any::<String>()) {
            let json = escaped(serde_json::to_string(&text).unwrap());
            prop_assert!(!json.contains(steers), "{json:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn no_other_escape_sequence_remains(text in "[\u{1b}\\[\\]0-9;mJé\u{9b}]{0,20}") {
            let rest = plain_but_for_colours(&text);
            let colour = regex_lite::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
            prop_assert!(!colour.replace_all(&rest, "").contains(steers), "{rest:?}");
        }
    }
}
