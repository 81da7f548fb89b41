//! What a process has used of CPU and memory.
//!
//! CPU is read from the process's CPU clock (`clock_getcpuclockid`): nanoseconds of user and kernel mode together, over
//! all threads of the process, those that have ended included, and the kernel's io_uring workers, which are threads of
//! it too. (The sum over `/proc/PID/task/*/schedstat` is the same without threads that have ended.) A thread that is
//! running at that moment is counted up to its last scheduler tick, a few milliseconds ago at the most. What the kernel
//! does for a process in the context of another is charged to the other: over loopback, part of the receiving is done
//! by the sender. That is so for every server alike.
//!
//! Memory is resident memory (`Rss` of `/proc/PID/smaps_rollup`): every page that is mapped and present, of files too. What
//! the kernel holds for sockets and rings is not in it.

use std::fs;
use std::io;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::LoadError;

/// What a process has used, as of now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time since it began, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Threads that it has now.
    pub threads: u64,
}

impl Usage {
    /// Looks at a process. Reading memory makes the kernel walk its pages, which takes milliseconds where there are
    /// gigabytes; [`cpu_ns`] is quick.
    ///
    /// # Errors
    /// When there is no such process, or it belongs to somebody else.
    pub fn of(pid: u32) -> Result<Usage, LoadError> {
        let cpu_ns = cpu_ns(pid)?;
        let rss_bytes = memory_bytes(pid, "smaps_rollup", "Rss:")?;
        let threads = field(pid, "status", "Threads:")?;
        Ok(Usage { cpu_ns, rss_bytes, threads })
    }
}

/// CPU time that a process has used since it began, in nanoseconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu_ns(pid: u32) -> Result<u64, LoadError> {
    let failed = |source| LoadError::Process { pid, source };
    let id = i32::try_from(pid).map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
    let clock = clock_getcpuclockid(Pid::from_raw(id)).map_err(|error| failed(error.into()))?;
    clock_ns(clock).map_err(failed)
}

/// CPU time that this process has used since it began, in nanoseconds; 0 where the system does not say.
pub fn own_cpu_ns() -> u64 {
    clock_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default()
}

fn clock_ns(clock: ClockId) -> io::Result<u64> {
    let now = clock.now().map_err(io::Error::from)?;
    let seconds = u64::try_from(now.tv_sec()).unwrap_or_default();
    Ok(seconds * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or_default())
}

/// A field that is given in KiB.
fn memory_bytes(pid: u32, file: &str, name: &str) -> Result<u64, LoadError> {
    field(pid, file, name).map(|kib| kib * 1024)
}

/// The number behind a name at the beginning of a line of a file of `/proc/PID`.
fn field(pid: u32, file: &str, name: &str) -> Result<u64, LoadError> {
    let failed = |source| LoadError::Process { pid, source };
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(failed)?;
    let number = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| failed(io::Error::other(format!("/proc/{pid}/{file} has no number behind {name}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.rss_bytes > 1 << 20 && before.threads >= 1, "{before:?}");
        // Work until the clock moves; it counts the thread that works, and threads that have ended.
        let spent_by_thread = std::thread::spawn(|| {
            let begin = own_cpu_ns();
            while own_cpu_ns() < begin + 20_000_000 {}
            own_cpu_ns()
        });
        let seen = spent_by_thread.join().unwrap();
        let after = cpu_ns(std::process::id()).unwrap();
        assert!(after >= seen && seen >= before.cpu_ns, "{before:?} {seen} {after}");
    }

    #[test]
    fn there_is_no_such_process() {
        assert!(matches!(Usage::of(u32::MAX), Err(LoadError::Process { .. })));
        assert!(matches!(Usage::of(0x7fff_fffe), Err(LoadError::Process { .. })));
    }
}
