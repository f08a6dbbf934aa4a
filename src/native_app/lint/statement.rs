//! Splits a setup script into statements.

use sqlparser::dialect::SnowflakeDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// A syntax error of a script, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParseError {
    pub(super) line: u64,
    pub(super) message: String,
}

/// A token of a statement; whitespace and comments are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A word without quotes, in upper case.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A text in single quotes.
    Text(String),
    /// A text between `$$`.
    Body(String),
    /// Anything else.
    Symbol(String),
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The line in which it begins, from 1.
    pub(super) line: u64,
    /// Its tokens.
    pub(super) parts: Vec<Part>,
}

/// The statements of a script, without their semicolons.
pub(super) fn split(script: &str) -> Result<Vec<Statement>, ParseError> {
    let dialect = SnowflakeDialect;
    let tokens = Tokenizer::new(&dialect, script)
        .tokenize_with_location()
        .map_err(|error| ParseError { line: error.location.line, message: error.message })?;
    let mut statements = Vec::new();
    let mut current: Option<Statement> = None;
    for token in tokens {
        let part = match token.token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::SemiColon => {
                statements.extend(current.take());
                continue;
            }
            Token::Word(word) if word.quote_style.is_some() => Part::Quoted(word.value),
            Token::Word(word) => Part::Word(word.value.to_uppercase()),
            Token::SingleQuotedString(text) => Part::Text(text),
            Token::DollarQuotedString(body) => Part::Body(body.value),
            other => Part::Symbol(other.to_string()),
        };
        let line = token.span.start.line;
        current.get_or_insert_with(|| Statement { line, parts: Vec::new() }).parts.push(part);
    }
    statements.extend(current);
    Ok(statements)
}

impl Statement {
    /// The leading words, in upper case, up to the first other token.
    pub(super) fn leading_words(&self) -> Vec<&str> {
        self.parts.iter().map_while(Part::word).collect()
    }

    /// Whether these words occur in sequence anywhere.
    pub(super) fn has(&self, words: &[&str]) -> bool {
        self.parts.windows(words.len()).any(|parts| parts.iter().map(Part::word).eq(words.iter().copied().map(Some)))
    }

    /// The tokens after the first occurrence of these words.
    pub(super) fn after(&self, words: &[&str]) -> Option<&[Part]> {
        let at = (0..self.parts.len()).find(|at| starts_with(&self.parts[*at..], words))?;
        Some(&self.parts[at + words.len()..])
    }

    /// The value of a property: `HANDLER = 'a.b'`, `RUNTIME_VERSION = 3.11`.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        match self.after(&[name])? {
            [Part::Symbol(equals), value, ..] if equals == "=" => value.value(),
            _ => None,
        }
    }

    /// The texts of a list property: `IMPORTS = ('/a.py', '/b.py')`.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        let [Part::Symbol(equals), Part::Symbol(open), items @ ..] = self.after(&[name])? else { return None };
        let is_list = equals == "=" && open == "(";
        is_list.then(|| {
            let inside = items.iter().take_while(|part| **part != Part::Symbol(")".into()));
            inside.filter_map(Part::text).collect()
        })
    }
}

fn starts_with(parts: &[Part], words: &[&str]) -> bool {
    parts.len() >= words.len() && parts.iter().zip(words).all(|(part, word)| part.word() == Some(*word))
}

impl Part {
    /// The word, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The text in single quotes, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn value(&self) -> Option<&str> {
        match self {
            Self::Word(value) | Self::Quoted(value) | Self::Text(value) | Self::Symbol(value) => Some(value),
            Self::Body(_) => None,
        }
    }

    /// The name, as Snowflake stores it, if it is one.
    pub(super) fn parse_name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// Parses the name at the beginning: `PUBLIC.X` is `["PUBLIC", "X"]`.
pub(super) fn name(parts: &[Part]) -> Vec<&str> {
    let mut steps = Vec::new();
    let mut rest = parts;
    while let Some((step, after)) = rest.split_first() {
        let Some(step) = step.parse_name() else { break };
        steps.push(step);
        match after.split_first() {
            Some((Part::Symbol(dot), after)) if dot == "." => rest = after,
            _ => break,
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<(u64, Vec<String>)> {
        let statement =
            |statement: Statement| (statement.line, statement.leading_words().into_iter().map(str::to_owned).collect());
        split(script).unwrap().into_iter().map(statement).collect()
    }

    #[test]
    fn semicolons_in_bodies_literals_names_and_comments_do_not_split() {
        let script = "\
-- a; b
// c; d
/* e;
f */ select 'a;''b\\'; c', \"d;e\";
create procedure p() as $$ begin; end; -- ' $$;

;;drop x";
        let [first, second, third] = &words(script)[..] else { panic!("{:?}", words(script)) };
        assert_eq!(first, &(4, vec!["SELECT".to_owned()]));
        assert_eq!((second.0, second.1[0].as_str()), (5, "CREATE"));
        assert_eq!((third.0, third.1.join(" ")), (7, "DROP X".to_owned()));
    }

    #[test]
    fn an_unterminated_token_is_reported_with_its_line() {
        for script in ["select 1;\nselect 'a", "select 1;\nselect $$ a", "select 1;\nselect \"a", "select 1;\n/* a"] {
            assert!(split(script).unwrap_err().line >= 2, "{script}");
        }
    }

    #[test]
    fn properties_and_lists_are_read() {
        let statement =
            &split("CREATE PROCEDURE a.\"B\"() RUNTIME_VERSION = 3.11 HANDLER='m.f' IMPORTS = ('/m.py', '/n.py')")
                .unwrap()[0];
        assert_eq!(statement.property("RUNTIME_VERSION"), Some("3.11"));
        assert_eq!(statement.property("HANDLER"), Some("m.f"));
        assert_eq!(statement.list("IMPORTS"), Some(vec!["/m.py", "/n.py"]));
        assert_eq!(name(statement.after(&["PROCEDURE"]).unwrap()), ["A", "B"]);
    }
}
