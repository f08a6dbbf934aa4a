//! Core files: the memory of a crashed process, with all its secrets.

/// Disables core files of this process. A failure is ignored: this is a precaution.
#[cfg(unix)]
pub(super) fn disable() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    // The soft and the hard limit, so that nothing raises it again.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Also disables core collectors, which ignore a limit of zero, and prevents other processes of this user from attaching to
    // this one or reading its environment.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(not(unix))]
pub(super) fn disable() {}
