//! Templates become files.
//!
//! A template can be read, and checked by its language's own tools, as what it becomes. A value stands where a literal stands,
//! and takes its quotes along; a statement of the template language is a comment of the file's own:
//!
//! | | a value | a statement |
//! |---|---|---|
//! | Python, YAML | `"<<title>>"` | `#% for host in hosts` |
//! | SQL | `'<<title>>'` | `--% for host in hosts` |
//! | Markdown | `<<title>>`, in code ``<<name\|code>>`` | `<!--% for host in hosts %-->` |
//!
//! A value is always escaped for its language; a template cannot switch that off. Snowflake's own `{{ variables }}` pass.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior};

use super::literal::{Language, markdown_code};
use crate::{Error, Result};

/// The file that a template becomes.
pub(super) fn render(path: &str, template: &str, context: &Value) -> Result<String> {
    let wrong = |error: minijinja::Error| {
        Error::internal(format!("the template of {path} cannot be rendered")).with_source(error)
    };
    let language = Language::of(path).ok_or_else(|| Error::internal(format!("{path} is in no known language")))?;
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

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;

    use super::*;

    fn rendered(path: &str, template: &str) -> String {
        let context = serde_json::json!({"title": "it's \"x\"", "names": ["a", "b"]});
        render(path, template, &Serde(context).into()).unwrap()
    }

    #[test]
    fn values_take_their_quotes_along() {
        assert_eq!(rendered("a.py", "T = \"<<title>>\"\n"), "T = \"it's \\\"x\\\"\"\n");
        assert_eq!(rendered("a.yml", "t: \"<< title >>\"\n"), "t: \"it's \\\"x\\\"\"\n");
        assert_eq!(rendered("a.sql", "SELECT '<<title>>';\n"), "SELECT 'it''s \"x\"';\n");
        assert_eq!(rendered("a.md", "# <<title>> `<<title|code>>`\n"), "# it's \"x\" `it's \"x\"`\n");
    }

    #[test]
    fn statements_are_comments_and_leave_no_line_behind() {
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
    fn snowflakes_own_variables_pass() {
        assert_eq!(rendered("a.yaml", "args: {{ args }}\n"), "args: {{ args }}\n");
    }

    #[test]
    fn a_template_cannot_switch_escaping_off() {
        let error = render("a.sql", "'<<title|safe>>'", &Serde(serde_json::json!({"title": "x"})).into());
        assert_eq!(error.unwrap_err().kind(), crate::ErrorKind::Internal);
    }

    #[test]
    fn a_value_that_is_not_there_is_an_error() {
        assert!(render("a.sql", "'<<nothing>>'", &Value::UNDEFINED).is_err());
    }
}
