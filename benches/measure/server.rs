//! A server in a process of its own, which answers lines of its standard input with lines of its standard output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Outcome;

/// Prints the URL, then answers each line of standard input until it is closed.
pub(crate) fn answer(url: &str, mut reply: impl FnMut(&str) -> Outcome<String>) -> Outcome<()> {
    print_line(url)?;
    for line in std::io::stdin().lines() {
        print_line(&reply(&line?)?)?;
    }
    Ok(())
}

fn print_line(line: &str) -> Outcome<()> {
    println!("{line}");
    Ok(std::io::stdout().flush()?)
}

/// The process of a server, which ends when this value is dropped.
pub(crate) struct ServerProcess {
    pub(crate) url: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl ServerProcess {
    /// Starts this program with arguments that make it [`answer`].
    pub(crate) fn start(arguments: &[String]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().ok_or("the server has no output")?);
        let mut server = Self { url: String::new(), child, stdin, stdout };
        server.url = server.line()?;
        Ok(server)
    }

    /// The answer to a line.
    pub(crate) fn ask(&mut self, line: &str) -> Outcome<String> {
        writeln!(self.stdin.as_mut().ok_or("the server has no input")?, "{line}")?;
        self.line()
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
