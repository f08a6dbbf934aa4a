//! The blocks of a guide, run as printed.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use snowfeed::internals::snowflake::{Session, Sql, Statement};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::tokenizer::{Token, Tokenizer};
use tempfile::TempDir;

/// The fenced blocks of a section: language and text.
pub(crate) fn blocks(guide: &str, heading: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new("docs/guides").join(guide)).unwrap();
    let mut lines = text.lines().skip_while(|line| *line != heading).skip(1);
    let (mut found, mut open) = (Vec::new(), None::<(String, String)>);
    for line in lines.by_ref().take_while(|line| !line.starts_with("## ")) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(!found.is_empty() && open.is_none(), "{guide} has no blocks below {heading:?}");
    found
}

pub(crate) fn of<'a>(blocks: &'a [(String, String)], language: &'a str) -> impl Iterator<Item = &'a str> {
    blocks.iter().filter(move |(of, _)| of == language).map(|(_, text)| text.as_str())
}

/// The statements of a block of SQL.
pub(crate) fn statements(sql: &str) -> Vec<String> {
    let tokens = Tokenizer::new(&SnowflakeDialect, sql).tokenize().unwrap();
    let mut found = vec![String::new()];
    for token in tokens {
        match token {
            Token::SemiColon => found.push(String::new()),
            Token::Whitespace(_) => *found.last_mut().unwrap() += " ",
            token => *found.last_mut().unwrap() += &token.to_string(),
        }
    }
    found
        .into_iter()
        .map(|sql| sql.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|sql| !sql.is_empty())
        .collect()
}

/// A shell with a separate folder, and programs under the guide's names.
pub(crate) struct Shell {
    folder: TempDir,
    pub(crate) variables: BTreeMap<&'static str, String>,
}

impl Shell {
    pub(crate) fn new(port: u16, password: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        // Only the account's address and login replace the reader's.
        let variables = BTreeMap::from([
            ("PATH", format!("{home}/bin:/usr/bin:/bin")),
            ("HOME", home),
            ("SNOWFLAKE_ACCOUNT", "testorg-account".to_owned()),
            ("SNOWFLAKE_HOST", "127.0.0.1".to_owned()),
            ("SNOWFLAKE_PORT", port.to_string()),
            ("SNOWFLAKE_PROTOCOL", "http".to_owned()),
            ("SNOWFLAKE_USER", "tester".to_owned()),
            ("SNOWFLAKE_PASSWORD", password.to_owned()),
            ("SNOWFLAKE_WAREHOUSE", "compute_wh".to_owned()),
        ]);
        Self { folder, variables }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a block; returns its output.
    pub(crate) async fn run(&self, block: &str) -> String {
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", block])
            .current_dir(&self.folder)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let printed = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert!(ran.status.success(), "{block}{printed}");
        printed
    }
}

/// The number of rows of a statement's result.
pub(crate) async fn rows(session: &mut Box<dyn Session>, sql: &str) -> usize {
    let answer = session.execute(Statement::new(Sql::assert_safe(sql))).await;
    answer.unwrap_or_else(|error| panic!("{sql}: {error:?}")).rows.len()
}
