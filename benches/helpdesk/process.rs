//! Processes of other programs, and what they use.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::Outcome;

/// How often a process is asked whether it has ended, and what it uses.
const INTERVAL: Duration = Duration::from_millis(1);

/// The unit of the times in `/proc`, which Linux has kept since it was the frequency of its clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used until its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) wall: f64,
    /// User and system time, in seconds. The system counts in hundredths.
    pub(crate) cpu: f64,
    /// The largest resident set, in MiB.
    pub(crate) peak: f64,
}

/// A process that does not outlive this value.
pub(crate) struct Running {
    child: Child,
    began: Instant,
}

impl Running {
    /// Starts a program, whose output goes into a file.
    pub(crate) fn start(mut command: Command, log: &Path) -> Outcome<Self> {
        let log = File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self { child: command.spawn()?, began: Instant::now() })
    }

    /// Kills it with SIGKILL; false if it had already ended.
    pub(crate) fn kill(mut self) -> Outcome<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(false);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(true)
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Outcome<(ExitStatus, Usage)> {
        let mut peak = 0.0;
        // It stays a zombie, which still has its times; its memory is gone.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(Pid::from_child(&self.child)), options)?.is_none() {
            peak = self.peak()?.unwrap_or(peak);
            thread::sleep(INTERVAL);
        }
        let wall = self.began.elapsed().as_secs_f64();
        let cpu = self.processor_time()?;
        Ok((self.child.wait()?, Usage { wall, cpu, peak }))
    }

    /// `None` once it has ended.
    fn peak(&self) -> Outcome<Option<f64>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { return Ok(None) };
        let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(Some(kilobytes / 1024.0))
    }

    /// User and system time of it and its children.
    fn processor_time(&self) -> Outcome<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program is in parentheses, and may contain spaces. The times are the fields 14 to 17.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in the state of a process")?;
        let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS_PER_SECOND)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
