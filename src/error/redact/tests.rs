use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

#[test]
fn credentials_in_urls_are_redacted_and_their_names_are_kept() {
    for (text, expected) in [
        ("https://a/x?access_token=hush&page=2", "https://a/x?access_token=***&page=2"),
        ("https://a/x?page=2&API-Key=hush", "https://a/x?page=2&API-Key=***"),
        ("/x?sig=h%2Fush (why)", "/x?sig=*** (why)"),
        ("<https://a/?client_secret=hush>; rel=\"next\"", "<https://a/?client_secret=***>; rel=\"next\""),
        ("https://a/#id_token=hush&state=x", "https://a/#id_token=***&state=x"),
        ("https://s3/?X-Amz-Credential=a%2Fb&X-Amz-Date=1", "https://s3/?X-Amz-Credential=***&X-Amz-Date=***"),
        ("see https://a/?token=hush, or (https://b/?key=hush)", "see https://a/?token=***, or (https://b/?key=***)"),
        ("https://a/?t%6Fken=hush", "https://a/?t%6Fken=***"),
        ("https://a/?to=https%3A%2F%2Fb%2F%3Ftoken%3Dhush&x=1", "https://a/?to=***&x=1"),
        ("https://me:hush@a/x and ftp://hush@b", "https://***@a/x and ftp://***@b"),
        ("https://a/x?auth[token]=hush", "https://a/x?auth[token]=***"),
        ("https://a/?password=hüsh", "https://a/?password=***"),
        (r"https://a/?a=1\u0026token=hush&b=2", r"https://a/?a=1\u0026token=***&b=2"),
        ("http:/me:hush@a/x", "http:/***@a/x"),
        ("HTTP:me:hush@a/x", "HTTP:***@a/x"),
        (r"https:\\me:hush@a/x", r"https:\\***@a/x"),
        ("//me:hush@a/x", "//***@a/x"),
    ] {
        assert_eq!(redact(text), expected);
    }
}

#[test]
fn ordinary_text_is_unchanged() {
    for text in [
        "https://a/x?page=2&since=2024-01-01T00:00:00Z&state=all&keyword=y",
        "what? a & b = c; token = 5",
        "https://a/?token=",
        "https://a/@me",
        "see //docs@home, me@example.com, git@github.com:acme/widgets.git",
        "a token begins with ghp_, github_pat_ or eyJ",
        "100 % of the rows, 50% of \"those\", C:\\temp\\new, Q&A, &amp; and \\u0041",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b, request 0193b0c4-7e1a-7c3e-8f5e-0d4f1a2b3c4d",
        "the regions Asia Pacific Southeast and Asia Pacific Northeast, npm_config_registry, eyJ.eyJ",
        "give it as http://USER:PASSWORD@HOST:PORT",
        "give it as PEM: -----BEGIN RSA PRIVATE KEY----- and so on",
        "",
    ] {
        assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}: {}", redact(text));
    }
}

#[test]
fn a_known_secret_is_redacted_whatever_its_name() {
    let text = "https://a/?q=correct%2Bhorse&r=horse";
    assert_eq!(redact(text), text);
    remember("correct+horse");
    assert_eq!(redact(text), "https://a/?q=***&r=horse");
}

#[test]
fn a_text_too_short_for_a_secret_is_kept() {
    remember("that");
    assert_eq!(redact("that"), "that");
}

#[test]
fn parts_of_a_long_secret_are_redacted_too() {
    remember("Lq7zP0aXv93KdmW81nYtRb55");
    assert_eq!(
        redact("it begins with Lq7zP0aXv93Kdm and ends with 81nYtRb55xyz"),
        "it begins with *** and ends with 81nYtRb55xyz"
    );
    assert_eq!(redact("first Lq7zP0aXv93K, then dmW81nYtRb55"), "first ***, then ***");
}

#[test]
fn a_private_key_is_redacted_except_its_first_line() {
    let body = "MIIEpAIBAAKCAQEA75ZkkV1iVV0bK3G8e5a/7Ue8l1Vw\n0ppV6t2p0U5tqB8P5";
    let text = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----");
    assert_eq!(redact(&text), "-----BEGIN RSA PRIVATE KEY-----\n***\n-----END RSA PRIVATE KEY-----");
    let json = serde_json::to_string(&text).unwrap();
    assert!(!redact(&json).contains("MIIEpAIBAAKC"), "{}", redact(&json));
}

#[test]
fn text_escaped_too_many_times_is_redacted() {
    let mut text = "%67hp_".to_owned();
    for _ in 0..LEVELS {
        text = text.replace('%', "%25");
    }
    assert_eq!(redact(&format!("see {text}")), REDACTED);
}

#[cfg(feature = "http")]
#[test]
fn the_password_of_a_basic_credential_is_a_known_secret() {
    remember_authorization(&format!("Basic {}", STANDARD.encode("me:Zk93-uPq1-77vT")));
    assert_eq!(redact("bad password: zk93 uPq1 77vT!"), "bad password: ***!");
}

#[cfg(feature = "http")]
#[test]
fn text_for_further_use_loses_only_known_secrets() {
    remember("Wd5vN2qHx8");
    let link = "<https://a/?page=2&token=x&cursor=eyJhbGciOi.eyJpZCI6MX0.c2ln>";
    assert_eq!(redact_known(link), link);
    assert_eq!(redact_known("/?q=Wd5vN2q%48x8"), "/?q=***");
}

/// How a remote may write a text.
#[derive(Debug, Clone, Copy)]
enum Notation {
    Plain,
    Upper,
    Lower,
    /// `\u0067` for each character, or for some.
    Json(u8),
    Braces,
    Hex,
    Octal,
    /// `%67`, encoded this many times.
    Percent(u8),
    PercentU,
    Entity,
    HexEntity,
    FullWidth,
    /// With this text between pieces of this many characters.
    Split(&'static str, usize),
    Base64,
    Base64Url,
    /// In lines of 76 characters.
    Base64Lines,
    HexDigits,
}

fn notations() -> impl Strategy<Value = Notation> {
    let gaps = [
        " ", "\n", "\r\n", "\t", "\0", "\u{7f}", "\u{1b}", "\u{9b}", "\u{ad}", "\u{200b}", "\u{200d}", "\u{2060}",
        "\u{feff}", "\u{202e}", "\u{2028}",
    ];
    prop_oneof![
        Just(Notation::Plain),
        Just(Notation::Upper),
        Just(Notation::Lower),
        (1u8..5).prop_map(Notation::Json),
        Just(Notation::Braces),
        Just(Notation::Hex),
        Just(Notation::Octal),
        (1u8..5).prop_map(Notation::Percent),
        Just(Notation::PercentU),
        Just(Notation::Entity),
        Just(Notation::HexEntity),
        Just(Notation::FullWidth),
        (prop::sample::select(gaps.to_vec()), 1usize..12).prop_map(|(gap, length)| Notation::Split(gap, length)),
        Just(Notation::Base64),
        Just(Notation::Base64Url),
        Just(Notation::Base64Lines),
        Just(Notation::HexDigits),
    ]
}

impl Notation {
    fn write(self, text: &str) -> String {
        let each = |write: &dyn Fn(char) -> String| text.chars().map(write).collect::<String>();
        let lines = |text: String, length: usize, gap: &str| {
            text.chars()
                .collect::<Vec<_>>()
                .chunks(length)
                .map(|line| line.iter().collect())
                .collect::<Vec<String>>()
                .join(gap)
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::Json(every) => {
                let write = |(at, c): (usize, char)| match at % usize::from(every) {
                    0 => format!("\\u{:04x}", u32::from(c)),
                    _ => c.to_string(),
                };
                text.chars().enumerate().map(write).collect()
            }
            Self::Braces => each(&|c| format!("\\u{{{:x}}}", u32::from(c))),
            Self::Hex => each(&|c| format!("\\x{:02X}", u32::from(c))),
            Self::Octal => each(&|c| format!("\\{:03o}", u32::from(c))),
            Self::Percent(times) => {
                let once = each(&|c| format!("%{:02x}", u32::from(c)));
                (1..times).fold(once, |text, _| text.replace('%', "%25"))
            }
            Self::PercentU => each(&|c| format!("%u{:04x}", u32::from(c))),
            Self::Entity => each(&|c| format!("&#{};", u32::from(c))),
            Self::HexEntity => each(&|c| format!("&#x{:X};", u32::from(c))),
            Self::FullWidth => each(&|c| char::from_u32(u32::from(c) + 0xfee0).unwrap().to_string()),
            Self::Split(gap, length) => lines(text.to_owned(), length, gap),
            Self::Base64 => STANDARD.encode(text),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(text),
            Self::Base64Lines => lines(STANDARD.encode(text), 20, "\r\n"),
            Self::HexDigits => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// Everything that a reader could decode from a text, as letters and digits.
fn readings(text: &str) -> Vec<String> {
    let mut level = decode::glyphs(text);
    let mut readings = Vec::new();
    loop {
        let binary = decode::binary(&level);
        for level in std::iter::once(&level).chain(&binary) {
            let letters = level.iter().map(|glyph| glyph.plain()).filter(char::is_ascii_alphanumeric);
            readings.push(letters.map(|c| c.to_ascii_lowercase()).collect());
        }
        match decode::unescape(&level) {
            Some(next) => level = next,
            None => return readings,
        }
    }
}

/// Returns a part of the token that can still be read; shorter parts may match by chance.
fn leak(text: &str, token: &str) -> Option<String> {
    const TELLING: usize = 10;
    let letters: Vec<char> = token.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let parts: Vec<String> = letters.windows(TELLING).map(|part| part.iter().collect()).collect();
    let readings = readings(text);
    parts.into_iter().find(|part| readings.iter().any(|reading| reading.contains(part)))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r"[a?&;=%@:/ #\\ux{}0-9tokenß,)]{0,40}") {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once).into_owned(), once);
    }

    #[test]
    fn no_input_makes_it_panic(text in any::<String>()) {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once).into_owned(), once);
    }

    #[test]
    fn no_notation_of_a_secret_in_use_gets_through(
        secret in "[A-Za-z0-9+/=._~!-]{12,60}",
        notation in notations(),
        outer in notations(),
        before in "[a-z :,\"(]{0,20}",
        after in "[a-z :,\")]{0,20}",
    ) {
        remember(&secret);
        let text = format!("{before}{}{after}", notation.write(&secret));
        prop_assert!(leak(&redact(&text), &secret).is_none(), "{} -> {}", text, redact(&text));
        // In an outer notation that keeps the inner one intact.
        if matches!(outer, Notation::Json(_) | Notation::Percent(_) | Notation::Entity) {
            let text = outer.write(&text);
            prop_assert!(leak(&redact(&text), &secret).is_none(), "{} -> {}", text, redact(&text));
        }
    }

    #[test]
    fn no_notation_of_any_token_gets_through(
        token in prop_oneof![
            "gh[opusr]_[A-Za-z0-9]{36}",
            "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
            "glpat-[A-Za-z0-9_-]{20}",
            "eyJ[A-Za-z0-9_-]{20,40}\\.eyJ[A-Za-z0-9_-]{20,80}\\.[A-Za-z0-9_-]{43}",
        ],
        notation in notations(),
        before in "([a-z:,\"(]{0,9} )?",
        after in "([ :,\")][a-z :,\")]{0,20})?",
    ) {
        let text = format!("{before}{}{after}", notation.write(&token));
        prop_assert!(leak(&redact(&text), &token).is_none(), "{} -> {}", text, redact(&text));
    }

    #[test]
    fn words_are_unchanged(text in "([A-Z]?[a-z]{1,10}[,.:;]? ){0,20}") {
        prop_assert!(matches!(redact(&text), Cow::Borrowed(_)), "{} -> {}", text, redact(&text));
    }
}
