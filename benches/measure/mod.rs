//! A process's own resource usage.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Outcome;

/// This process's user and system time.
pub(crate) fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// This process's largest resident set, in MiB.
pub(crate) fn peak() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
