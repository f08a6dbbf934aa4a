//! Unpaired surrogates in JSON texts. JSON allows `"\ud83d"` alone, and servers that truncate titles send it; Unicode text cannot
//! contain it.

/// Returns a JSON text with each unpaired surrogate replaced by U+FFFD; `None` if there are none.
pub(super) fn replaced(json: &str) -> Option<String> {
    let mut escapes = memchr::memmem::find_iter(json.as_bytes(), b"\\u");
    if !escapes.any(|at| matches!(json.as_bytes().get(at + 2), Some(b'd' | b'D'))) {
        return None;
    }
    let mut replaced = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &json.as_bytes()[at..]) {
        at += found;
        match unit(json, at) {
            Some(0xD800..=0xDBFF) if matches!(unit(json, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                replaced.push_str(&json[copied..at]);
                replaced.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            // An escaped character, such as a backslash, does not begin another escape.
            _ => at += 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    (copied > 0).then(|| replaced + &json[copied..])
}

/// The UTF-16 unit whose escape is at this place, if one is.
fn unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    if digits.starts_with('+') { None } else { u16::from_str_radix(digits, 16).ok() }
}

#[cfg(test)]
mod tests {
    use super::replaced;
    use proptest::prelude::*;

    #[test]
    fn only_unpaired_surrogates_are_replaced() {
        for (text, expected) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uDE00x""#, r#""\ufffdx""#),
            (r#""\ud83d\ud83d\ude00\ude00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#"{"\udfff":["\\\ud800ß"]}"#, r#"{"\ufffd":["\\\ufffdß"]}"#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\ud83d\\ude00""#, r#""\ufffd\\ude00""#),
        ] {
            assert_eq!(replaced(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\\\\ud83d""#, r#""\u00d8\ud7ff\ue000""#, "\"\\ß\\ud\"", "\\"]
        {
            assert_eq!(replaced(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn exactly_what_utf16_cannot_decode_is_replaced(units in prop::collection::vec(prop_oneof![
            0xD7FE_u16..0xE002, Just(0x5C), Just(0x22), Just(0x75), any::<u16>()
        ], 0..12)) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("[\"{escaped}\"]");
            let read: Vec<String> = serde_json::from_str(replaced(&json).as_ref().unwrap_or(&json)).unwrap();
            prop_assert_eq!(&read[0], &String::from_utf16_lossy(&units));
            prop_assert_eq!(replaced(&json).is_none(), String::from_utf16(&units).is_ok());
        }

        #[test]
        fn no_text_makes_it_panic(text in r#"[\\"ud8deEß0-9a+]{0,24}"#) {
            if let Some(other) = replaced(&text) {
                prop_assert_eq!(other.len(), text.len());
            }
        }
    }
}
