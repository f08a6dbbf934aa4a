//! Core files: the memory of a process that ended badly, with every secret in it.

/// Disables core files of this process. A failure is ignored: this is a precaution.
#[cfg(unix)]
pub(super) fn disable() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    // The soft and the hard limit, so that nothing raises it again.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Programs that collect cores, which a limit of zero does not stop, get none either; nor may another process of this user
    // attach to this one or read its environment.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(not(unix))]
pub(super) fn disable() {}
