//! Core files: the remains of a process that crashes in the middle of its work.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::canary::{CANARY, assert_absent, find_secret};
use crate::support::{Program, end, signal, until};

/// The ways to pass a credential to a program: variables, and files by their names.
struct CredentialSource {
    description: &'static str,
    variables: &'static [(&'static str, &'static str)],
    files: &'static [&'static str],
    args: &'static [&'static str],
}

/// Runs a command with as large a core file as the system allows, in the program's folder.
fn with_core_files(program: &Program, command: &tokio::process::Command) -> tokio::process::Command {
    let command = command.as_std();
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(program.folder()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell.kill_on_drop(true);
    shell
}

fn core_files_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("core")).collect()
}

/// Whether this system writes core files into the current folder; tested with a program that has the secret in its environment.
fn cores_are_written() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let ended = Command::new("sh")
        .args(["-c", "ulimit -c unlimited && kill -s ABRT $$"])
        .env("SECRET", CANARY)
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!ended.success());
    let left = core_files_in(folder.path());
    left.iter().any(|core| find_secret(&fs::read(core).unwrap()).is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_in_a_core_file() {
    let can_be_written = cores_are_written();
    // Accepts connections and sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let url = format!("http://127.0.0.1:{port}");
    const TO_SNOWFLAKE: &[&str] = &["--to", "snowflake", "check"];
    let sources = [
        CredentialSource {
            description: "a token",
            variables: &[("GITHUB_TOKEN", CANARY)],
            files: &[],
            args: &["check"],
        },
        CredentialSource {
            description: "a token's file",
            variables: &[],
            files: &["hush"],
            args: &["--set", "token=file:hush", "check"],
        },
        CredentialSource {
            description: "an App's private key",
            variables: &[("GITHUB_APP_ID", "1"), ("GITHUB_INSTALLATION_ID", "2")],
            files: &["key"],
            args: &["--set", "private_key=file:key", "check"],
        },
        CredentialSource {
            description: "a password",
            variables: &[("SNOWFLAKE_PASSWORD", CANARY)],
            files: &[],
            args: TO_SNOWFLAKE,
        },
        CredentialSource {
            description: "an OAuth token",
            variables: &[("SNOWFLAKE_AUTHENTICATOR", "oauth"), ("SNOWFLAKE_TOKEN", CANARY)],
            files: &[],
            args: TO_SNOWFLAKE,
        },
        CredentialSource {
            description: "a programmatic access token",
            variables: &[("SNOWFLAKE_AUTHENTICATOR", "PROGRAMMATIC_ACCESS_TOKEN"), ("SNOWFLAKE_TOKEN", CANARY)],
            files: &[],
            args: TO_SNOWFLAKE,
        },
        CredentialSource {
            description: "a private key and its passphrase",
            variables: &[
                ("SNOWFLAKE_AUTHENTICATOR", "SNOWFLAKE_JWT"),
                ("SNOWFLAKE_PRIVATE_KEY_PATH", "key"),
                ("PRIVATE_KEY_PASSPHRASE", CANARY),
            ],
            files: &["key"],
            args: TO_SNOWFLAKE,
        },
    ];
    for CredentialSource { description, variables, files, args } in sources {
        if args == TO_SNOWFLAKE && !cfg!(feature = "snowflake") {
            continue;
        }
        let mut program = Program::github(&url);
        for (name, value) in variables {
            program = program.variable(name, value);
        }
        if args == TO_SNOWFLAKE {
            let folder = program.folder().to_str().unwrap().to_owned();
            program = program
                .variable("HOME", &folder)
                .variable("SNOWFLAKE_ACCOUNT", "testorg-account")
                .variable("SNOWFLAKE_HOST", "127.0.0.1")
                .variable("SNOWFLAKE_PORT", &port)
                .variable("SNOWFLAKE_PROTOCOL", "http")
                .variable("SNOWFLAKE_USER", "tester")
                .variable("SNOWFLAKE_DATABASE", "D");
        }
        for file in files {
            let key = || Command::new("openssl").args(["genrsa", "2048"]).output().map(|made| made.stdout);
            let text = if *file == "key" { key().unwrap_or_default() } else { CANARY.as_bytes().to_vec() };
            fs::write(program.folder().join(file), text).unwrap();
        }
        let child = with_core_files(&program, &program.command(args)).spawn().unwrap();
        // It is in the middle of its work: connected, with the credential in memory.
        silent.set_nonblocking(true).unwrap();
        let mut connection = None;
        until(description, || {
            connection = silent.accept().ok();
            connection.is_some()
        })
        .await;
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id().unwrap())).unwrap();
        let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert!(limit.split_whitespace().filter(|word| *word == "0").count() == 2, "{description}: {limit}");
        signal(&child, "ABRT");
        let ended = end(child).await;
        assert_eq!(ended.code, None, "{description}: {ended:?}");
        let left = core_files_in(program.folder());
        for core in &left {
            assert_absent(description, fs::read(core).unwrap());
        }
        assert!(left.is_empty(), "{description}: {left:?}");
    }
    if !can_be_written {
        eprintln!("this system writes no core files into the current folder; only the limit was looked at");
    }
}
