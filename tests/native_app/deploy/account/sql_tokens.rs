//! Statements as tokens.

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name, as Snowflake stores it.
    Name(String),
    /// A text in single quotes.
    Text(String),
    /// Anything else.
    Mark(char),
}

/// The rest of a statement.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    words: Vec<Token>,
    at: usize,
    /// The statement.
    sql: String,
}

impl Tokens {
    pub(super) fn of(sql: &str) -> Self {
        let (mut words, mut chars) = (Vec::new(), sql.chars().peekable());
        while let Some(c) = chars.next() {
            match c {
                c if c.is_whitespace() || c == ';' => {}
                '\'' | '"' => {
                    let mut text = String::new();
                    while let Some(next) = chars.next() {
                        match next {
                            next if next == c && chars.peek() == Some(&c) => text.extend(chars.next()),
                            next if next == c => break,
                            '\\' if c == '\'' => text.extend(chars.next()),
                            next => text.push(next),
                        }
                    }
                    words.push(if c == '"' { Token::Name(text) } else { Token::Text(text) });
                }
                c if c.is_alphanumeric() || c == '_' || c == '$' => {
                    let mut name = String::from(c);
                    while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '$') {
                        name.push(next);
                    }
                    words.push(Token::Name(name.to_uppercase()));
                }
                c => words.push(Token::Mark(c)),
            }
        }
        Self { words, at: 0, sql: sql.to_owned() }
    }

    /// All tokens, including the consumed ones.
    pub(super) fn all(&self) -> &[Token] {
        &self.words
    }

    /// Whether a name in quotes is anywhere in the statement.
    pub(super) fn is_quoted(&self) -> bool {
        self.sql.contains('"')
    }

    /// The end of the statement, without what closes it.
    pub(super) fn rest(&self) -> &str {
        self.sql.trim_end_matches([';', ')', ' ', '\n'])
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    /// Whether these words come next; if so, they are consumed.
    pub(super) fn eat(&mut self, words: &str) -> bool {
        let wanted: Vec<Token> = words.split(' ').map(|word| Token::Name(word.to_owned())).collect();
        let comes = self.words.get(self.at..).is_some_and(|rest| rest.starts_with(&wanted));
        if comes {
            self.at += wanted.len();
        }
        comes
    }

    pub(super) fn eat_mark(&mut self, mark: char) -> bool {
        let comes = self.words.get(self.at) == Some(&Token::Mark(mark));
        self.at += usize::from(comes);
        comes
    }

    pub(super) fn name(&mut self) -> String {
        match self.next() {
            Some(Token::Name(name)) => name,
            other => panic!("expected a name, found {other:?}: {:?}", self.words),
        }
    }

    /// `A.B.C` as `A.B.C`, with or without quotes.
    pub(super) fn path(&mut self) -> String {
        let mut path = self.name();
        while self.eat_mark('.') {
            path = format!("{path}.{}", self.name());
        }
        path
    }

    pub(super) fn text(&mut self) -> String {
        match self.next() {
            Some(Token::Text(text)) => text,
            other => panic!("expected a text, found {other:?}: {:?}", self.words),
        }
    }

    /// The value after `NAME =`, at any position: a text, a name, or a list in brackets.
    pub(super) fn option(&self, name: &str) -> Option<Vec<String>> {
        let at = self.words.windows(2).position(|pair| pair == [Token::Name(name.to_owned()), Token::Mark('=')])? + 2;
        let mut rest = Self { at, ..self.clone() };
        let mut value = Vec::new();
        if !rest.eat_mark('(') {
            return Some(vec![match rest.next()? {
                Token::Text(text) => text,
                _ => {
                    rest.at -= 1;
                    rest.path()
                }
            }]);
        }
        while !rest.eat_mark(')') {
            match rest.next()? {
                Token::Text(text) => value.push(text),
                Token::Name(_) => {
                    rest.at -= 1;
                    value.push(rest.path());
                }
                Token::Mark(_) => {}
            }
        }
        Some(value)
    }

    pub(super) fn one(&self, name: &str) -> String {
        self.option(name).and_then(|value| value.into_iter().next()).unwrap_or_default()
    }
}

/// The stage and the path that a statement about files names: `@"P".S.STAGE/a/b`, with single quotes around it or without.
pub(super) fn target(sql: &str) -> (String, String) {
    let (before, rest) = sql.split_once('@').unwrap();
    let at = if before.ends_with('\'') {
        // The opening quote comes before the `@`.
        Tokens::of(&format!("'{rest}")).text()
    } else {
        rest.split_whitespace().next().unwrap_or_default().trim_end_matches(';').to_owned()
    };
    let mut quoted = false;
    let slash = at.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '/' && !quoted
    });
    let (stage, path) = slash.map_or((at.as_str(), ""), |(slash, _)| (&at[..slash], &at[slash + 1..]));
    (Tokens::of(stage).path(), path.to_owned())
}
