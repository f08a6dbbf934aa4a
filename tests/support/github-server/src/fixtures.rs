//! The parts of generated issues. Texts are written as in JSON, escapes included.

pub(crate) const NAMES: &[&str] = &[
    "ada",
    "grace-h",
    "linus",
    "margaret",
    "edsger",
    "barbara-l",
    "ken-t",
    "frances",
    "alan",
    "radia",
    "donald-k",
    "hedy",
    "tim-bl",
    "katherine-j",
    "dennis",
    "sophie-w",
    "dependabot",
    "stale-bot",
];

pub(crate) const LABELS: &[&str] = &[
    "bug",
    "enhancement",
    "documentation",
    "good first issue",
    "help wanted",
    "question",
    "performance",
    "security",
    "breaking change",
    "needs triage",
    "windows",
    "wontfix",
];

pub(crate) const COLORS: &[&str] = &["d73a4a", "a2eeef", "0075ca", "7057ff", "008672", "d876e3", "fbca04"];

pub(crate) const TITLE_STARTS: &[&str] = &[
    "Crash on",
    "Support",
    "Slow",
    "Document",
    "Flaky test in",
    "Deprecate",
    "Wrong result from",
    "Memory leak in",
    "Add an option for",
    "Panic: \\\"index out of bounds\\\" in",
    "\\u00dcbersetzung f\\u00fcr",
    "\u{1f680} Faster",
];

pub(crate) const TITLE_ENDS: &[&str] = &[
    "the parser",
    "nested queries",
    "time zones west of Greenwich",
    "`--watch` on Windows",
    "large uploads",
    "the retry loop",
    "configuration reload",
    "TLS renegotiation",
    "empty result sets",
    "the CI cache",
    "\u{65e5}\u{672c}\u{8a9e} names",
];

pub(crate) const BODY: &[&str] = &[
    "After the update the service does not start any more, and the log says nothing of use.\\r\\n",
    "I expected the second call to return the cached value, but it asks the network again.\\r\\n\\r\\n",
    "### Steps to reproduce\\r\\n\\r\\n1. Start the server\\r\\n2. Send a request with an empty body\\r\\n3. Watch it wait\\r\\n",
    "```rust\\nlet answer = client.get(\\\"/status\\\").send().await?;\\nassert!(answer.status().is_success());\\n```\\n",
    "It happens on Linux and on macOS; I have no Windows machine to try it on.\\r\\n",
    "This may be related to the change of the default time-out in the last minor release.\\r\\n",
    "| version | result |\\r\\n|---|---|\\r\\n| 1.2.0 | works |\\r\\n| 1.3.0 | fails |\\r\\n",
    "\u{1f389} Thanks for the quick answer! Tr\u{e8}s utile, \u{3042}\u{308a}\u{304c}\u{3068}\u{3046}.\\u2028",
    "<details><summary>Trace</summary>\\n\\n    at Parser.next (parser.js:1042:17)\\n    at main (index.js:7:3)\\n</details>\\n",
    "> quoted \\\\ backslash and a tab\\there\\r\\n",
];
