//! Renders templates.
//!
//! A template is valid in the language of its file, so that the language's tools can check it. A value is written as a literal and
//! replaces the literal's quotes; a statement of the template language is a comment of the file:
//!
//! | | a value | a statement |
//! |---|---|---|
//! | Python, YAML | `"<<title>>"` | `#% for host in hosts` |
//! | SQL | `'<<title>>'` | `--% for host in hosts` |
//! | Markdown | `<<title>>`, in code ``<<name\|code>>`` | `<!--% for host in hosts %-->` |
//!
//! Values are always escaped for their language; a template cannot disable that. Snowflake's own `{{ variables }}` are kept.

use std::fmt::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, UndefinedBehavior};

use crate::{Error, Result};

/// Renders a template.
pub(super) fn render(path: &str, template: &str, context: &Value) -> Result<String> {
    let wrong =
        |error: minijinja::Error| Error::internal(format!("cannot render the template of {path}")).with_source(error);
    let language = Language::from_path(path).ok_or_else(|| Error::internal(format!("unknown language of {path}")))?;
    let environment = environment(language).map_err(wrong)?;
    environment.render_named_str(path, template, context).map_err(wrong)
}

fn environment(language: Language) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(syntax(language)?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.remove_filter("safe");
    if language == Language::Markdown {
        environment.add_filter("code", |text: String| Value::from_safe_string(markdown_code(&text)));
    }
    environment.set_formatter(move |output, _, value| {
        let literal = if value.is_safe() { value.to_string() } else { language.literal(value)? };
        output.write_str(&literal).map_err(Into::into)
    });
    Ok(environment)
}

fn syntax(language: Language) -> Result<SyntaxConfig, minijinja::Error> {
    let mut syntax = SyntaxConfig::builder();
    match language {
        Language::Python | Language::Yaml => syntax
            .variable_delimiters("\"<<", ">>\"")
            .line_statement_prefix("#%")
            .block_delimiters("#{%", "%}#")
            .comment_delimiters("#{#", "#}#"),
        Language::Sql => syntax
            .variable_delimiters("'<<", ">>'")
            .line_statement_prefix("--%")
            .block_delimiters("/*{%", "%}*/")
            .comment_delimiters("/*{#", "#}*/"),
        Language::Markdown => syntax
            .variable_delimiters("<<", ">>")
            .block_delimiters("<!--%", "%-->")
            .comment_delimiters("<!--#", "#-->")
            .trim_blocks(true)
            .lstrip_blocks(true),
    };
    syntax.keep_trailing_newline(true).build()
}

/// The longest list or map that stays on one line, in bytes.
const LONGEST_LINE: usize = 100;

/// The language of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Markdown,
    Python,
    Sql,
    Yaml,
}

impl Language {
    /// The language of a file with this path.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "md" => Some(Self::Markdown),
            "py" => Some(Self::Python),
            "sql" => Some(Self::Sql),
            // Its comments and its texts in double quotes are those of YAML.
            "toml" | "yml" | "yaml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// Formats a value as a literal.
    pub(super) fn literal(self, value: &Value) -> Result<String, minijinja::Error> {
        self.literal_at(value, 1)
    }

    /// Formats a value on a line with this indentation level.
    fn literal_at(self, value: &Value, depth: usize) -> Result<String, minijinja::Error> {
        let words = |none: &str, yes: &str, no: &str| match value.kind() {
            ValueKind::None => none.to_owned(),
            _ => if value.is_true() { yes } else { no }.to_owned(),
        };
        match (self, value.kind()) {
            (_, ValueKind::Number) => Ok(value.to_string()),
            (_, ValueKind::String) => Ok(self.text(value.as_str().unwrap_or_default())),
            (Self::Python, ValueKind::None | ValueKind::Bool) => Ok(words("None", "True", "False")),
            (Self::Yaml, ValueKind::None | ValueKind::Bool) => Ok(words("null", "true", "false")),
            (Self::Sql, ValueKind::None | ValueKind::Bool) => Ok(words("NULL", "TRUE", "FALSE")),
            (Self::Sql, ValueKind::Seq) => {
                let items = self.items(value, depth)?;
                let line = items.join(", ");
                Ok(if line.len() <= LONGEST_LINE { line } else { items.join(",\n        ") })
            }
            (Self::Yaml | Self::Python, ValueKind::Seq) => {
                Ok(self.enclosed("[", &self.items(value, depth)?, "]", depth))
            }
            (Self::Yaml | Self::Python, ValueKind::Map) => {
                let entry = |key: Value| {
                    let item = self.literal_at(&value.get_item(&key)?, depth + 1)?;
                    Ok(format!("{}: {item}", self.literal_at(&key, depth + 1)?))
                };
                let entries: Vec<String> = value.try_iter()?.map(entry).collect::<Result<_, minijinja::Error>>()?;
                Ok(self.enclosed("{", &entries, "}", depth))
            }
            (_, kind) => {
                let message = format!("{self:?} has no literal for a value of kind {kind}");
                Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message))
            }
        }
    }

    fn items(self, value: &Value, depth: usize) -> Result<Vec<String>, minijinja::Error> {
        value.try_iter()?.map(|item| self.literal_at(&item, depth + 1)).collect()
    }

    /// Formats a list or a map: on one line, or in Python, if that is too long, with one line per item.
    fn enclosed(self, open: &str, items: &[String], close: &str, depth: usize) -> String {
        let line = format!("{open}{}{close}", items.join(", "));
        if self != Self::Python || (line.len() <= LONGEST_LINE && !line.contains('\n')) {
            return line;
        }
        let indent = "    ".repeat(depth);
        let lines: String = items.iter().map(|item| format!("{indent}    {item},\n")).collect();
        format!("{open}\n{lines}{indent}{close}")
    }

    fn text(self, text: &str) -> String {
        match self {
            Self::Markdown => markdown(text),
            Self::Python => double_quoted(text, &[]),
            // They delimit variables in Snowflake's own templates.
            Self::Yaml => double_quoted(text, &['{', '}', '%']),
            Self::Sql => single_quoted(text),
        }
    }
}

/// Whether all languages accept the character unescaped. YAML forbids other characters, and some parsers treat U+2028 as a line end.
fn is_printable(c: char) -> bool {
    let is_noncharacter = u32::from(c) & 0xFFFE == 0xFFFE;
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FDD0}'..='\u{FDEF}');
    // Changing the direction of writing can disguise a text.
    let is_bidi = matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !is_noncharacter && !is_separator && !is_bidi
}

/// A text in double quotes, with escapes that Python and YAML share. The characters in `also` are escaped too.
fn double_quoted(text: &str, also: &[char]) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        let code = u32::from(c);
        // Writing to a string cannot fail.
        let _ = match c {
            '"' | '\\' => write!(literal, "\\{c}"),
            '\n' => write!(literal, "\\n"),
            c if is_printable(c) && !also.contains(&c) => write!(literal, "{c}"),
            _ if code <= 0xFF => write!(literal, "\\x{code:02x}"),
            _ if code <= 0xFFFF => write!(literal, "\\u{code:04x}"),
            _ => write!(literal, "\\U{code:08x}"),
        };
    }
    literal + "\""
}

/// A SQL string literal.
fn single_quoted(text: &str) -> String {
    let mut literal = String::from("'");
    for c in text.chars() {
        let code = u32::from(c);
        let _ = match c {
            '\'' => write!(literal, "''"),
            '\\' => write!(literal, "\\\\"),
            '\n' => write!(literal, "\\n"),
            c if is_printable(c) => write!(literal, "{c}"),
            _ if code <= 0xFFFF => write!(literal, "\\u{code:04x}"),
            // They have no escape and are invisible.
            _ => Ok(()),
        };
    }
    literal + "'"
}

/// A text in a line of Markdown, outside code.
fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            c if c.is_whitespace() || c.is_control() => escaped.push(' '),
            c if c.is_ascii_punctuation()
                && !matches!(c, ',' | ';' | ':' | '\'' | '/' | '?' | '"' | '.' | '-' | '(' | ')') =>
            {
                escaped.extend(['\\', c]);
            }
            c if is_printable(c) => escaped.push(c),
            _ => {}
        }
    }
    escaped.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in inline code of Markdown: on one line and without backticks.
pub(super) fn markdown_code(text: &str) -> String {
    text.chars().map(|c| if c == '`' { '\'' } else { c }).filter(|c| is_printable(*c)).collect()
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;

    use super::*;

    fn rendered(path: &str, template: &str) -> String {
        let context = serde_json::json!({"title": "it's \"x\"", "names": ["a", "b"]});
        render(path, template, &Serde(context).into()).unwrap()
    }

    #[test]
    fn values_replace_their_quotes() {
        assert_eq!(rendered("a.py", "T = \"<<title>>\"\n"), "T = \"it's \\\"x\\\"\"\n");
        assert_eq!(rendered("a.yml", "t: \"<< title >>\"\n"), "t: \"it's \\\"x\\\"\"\n");
        assert_eq!(rendered("a.sql", "SELECT '<<title>>';\n"), "SELECT 'it''s \"x\"';\n");
        assert_eq!(rendered("a.md", "# <<title>> `<<title|code>>`\n"), "# it's \"x\" `it's \"x\"`\n");
    }

    #[test]
    fn template_statements_leave_no_line() {
        assert_eq!(
            rendered("a.yml", "a:\n  #% for name in names\n  - \"<<name>>\"\n  #% endfor\nb: 1\n"),
            "a:\n  - \"a\"\n  - \"b\"\nb: 1\n"
        );
        assert_eq!(rendered("a.sql", "--% if title\nSELECT 1;\n--% endif\n"), "SELECT 1;\n");
        assert_eq!(
            rendered("a.md", "a\n\n<!--% for name in names %-->\n- <<name>>\n<!--% endfor %-->\n\nb\n"),
            "a\n\n- a\n- b\n\nb\n"
        );
    }

    #[test]
    fn snowflake_variables_stay_unchanged() {
        assert_eq!(rendered("a.yaml", "args: {{ args }}\n"), "args: {{ args }}\n");
    }

    #[test]
    fn a_template_cannot_disable_escaping() {
        let error = render("a.sql", "'<<title|safe>>'", &Serde(serde_json::json!({"title": "x"})).into());
        assert_eq!(error.unwrap_err().kind(), crate::ErrorKind::Internal);
    }

    #[test]
    fn a_missing_value_is_an_error() {
        assert!(render("a.sql", "'<<nothing>>'", &Value::UNDEFINED).is_err());
    }

    #[test]
    fn values_are_literals_of_each_language() {
        let value = Serde(serde_json::json!({"a": [1, true, null, "x"]})).into();
        assert_eq!(Language::Python.literal(&value).unwrap(), r#"{"a": [1, True, None, "x"]}"#);
        assert_eq!(Language::Yaml.literal(&value).unwrap(), r#"{"a": [1, true, null, "x"]}"#);
        let list = Serde(["/a.py", "it's"]).into();
        assert_eq!(Language::Sql.literal(&list).unwrap(), "'/a.py', 'it''s'");
    }

    #[test]
    fn a_text_stays_within_its_literal() {
        let text = "a\"b'c\\d\n''' \"\"\" $$ # : {{ x }} <% y %> \u{2028}\u{202e}é😀\0";
        assert_eq!(
            Language::Yaml.text(text),
            "\"a\\\"b'c\\\\d\\n''' \\\"\\\"\\\" $$ # : \\x7b\\x7b x \\x7d\\x7d <\\x25 y \\x25> \\u2028\\u202eé😀\\x00\""
        );
        assert_eq!(single_quoted("a'b\\c\n$$\0"), "'a''b\\\\c\\n$$\\u0000'");
    }

    #[test]
    fn a_text_adds_no_markdown() {
        assert_eq!(markdown("# a\n\n<script> [x](y) `z` | *b*"), "\\# a \\<script\\> \\[x\\](y) \\`z\\` \\| \\*b\\*");
        assert_eq!(markdown_code("a```b\nc"), "a'''bc");
    }

    #[test]
    fn a_value_without_a_literal_is_an_error() {
        assert!(Language::Sql.literal(&Value::UNDEFINED).is_err());
        assert!(Language::Markdown.literal(&Serde(["a"]).into()).is_err());
    }
}
