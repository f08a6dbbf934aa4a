//! A process's file operations, as `strace` records them.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// One operation of a process.
#[derive(Debug, Clone)]
pub(crate) enum FileEvent {
    /// A file was created or opened; only its name counts.
    Create(String),
    Write {
        name: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        name: String,
        length: usize,
    },
    Unlink(String),
    /// Everything written to a file so far is on the disk.
    Sync(String),
    /// Names created and removed so far are on the disk.
    SyncFolder,
    /// A commit was reported.
    Reported,
}

/// A command that runs another one and records its file operations.
pub(crate) fn recorded(command: &Command, log: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-xx", "-s", "10000000", "-o"]).arg(log);
    strace.args(["-e", "trace=openat,pwrite64,write,ftruncate,unlink,fsync,fdatasync"]);
    strace.arg(command.get_program()).args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap_or_default());
    }
    strace
}

/// Reads a log: operations on the files of `folder`, and lines on standard error.
pub(crate) fn read(log: &Path, folder: &Path) -> Vec<FileEvent> {
    let text = std::fs::read_to_string(log).unwrap();
    let folder = std::fs::canonicalize(folder).unwrap();
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut events = Vec::new();
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            // A write counts from its beginning, a sync from its end.
            if begun.contains("sync(") {
                unfinished.insert(thread, begun);
            } else {
                events.extend(event(begun, &folder));
            }
        } else if call.starts_with("<... ") {
            let begun = unfinished.remove(thread);
            events.extend(begun.filter(|_| call.ends_with("= 0")).and_then(|begun| event(begun, &folder)));
        } else if !call.contains(") = -1 ") {
            events.extend(event(call, &folder));
        }
    }
    events
}

fn event(call: &str, folder: &Path) -> Option<FileEvent> {
    let (name, arguments) = call.split_once('(')?;
    let path = Path::new;
    let inside = |file: &str| {
        let is_in_folder = path(file).parent() == Some(folder);
        // The WAL's index need not survive.
        is_in_folder
            .then(|| path(file).file_name()?.to_str().map(str::to_owned))
            .flatten()
            .filter(|name| !name.ends_with("-shm"))
    };
    let descriptor_path = || Some(unescaped(arguments.split_once('<')?.1.split_once('>')?.0));
    let last = || {
        arguments.rsplit_once(") = ").map_or(arguments, |(arguments, _)| arguments).rsplit(", ").next()?.parse().ok()
    };
    match name {
        "openat" if arguments.contains("O_CREAT") => Some(FileEvent::Create(inside(&text(arguments)?)?)),
        "pwrite64" => {
            let name = inside(&String::from_utf8(descriptor_path()?).ok()?)?;
            Some(FileEvent::Write { name, at: last()?, bytes: quoted(arguments)? })
        }
        "ftruncate" => {
            Some(FileEvent::Truncate { name: inside(&String::from_utf8(descriptor_path()?).ok()?)?, length: last()? })
        }
        "unlink" => Some(FileEvent::Unlink(inside(&text(arguments)?)?)),
        "fsync" | "fdatasync" => {
            let synced = String::from_utf8(descriptor_path()?).ok()?;
            if path(&synced) == folder { Some(FileEvent::SyncFolder) } else { Some(FileEvent::Sync(inside(&synced)?)) }
        }
        "write" if arguments.starts_with("2<") => {
            text(arguments)?.contains(" committed").then_some(FileEvent::Reported)
        }
        _ => None,
    }
}

fn text(arguments: &str) -> Option<String> {
    String::from_utf8(quoted(arguments)?).ok()
}

/// The first text in quotes.
fn quoted(arguments: &str) -> Option<Vec<u8>> {
    Some(unescaped(arguments.split_once('"')?.1.split_once('"')?.0))
}

/// `\x41\x42` as bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
    let bytes = text.as_bytes();
    if !text.starts_with("\\x") {
        return bytes.to_vec();
    }
    bytes.chunks(4).map(|four| digit(four[2]) << 4 | digit(four[3])).collect()
}
