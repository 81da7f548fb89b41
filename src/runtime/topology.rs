//! The cores that this process may use, and which of its threads use which.

use std::fs;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// How many event loops to start when nobody says: one for each core that the process may run on (its affinity and
/// its share of the container are respected).
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Pins the calling thread to the core of event loop `index`. Where there are more loops than cores, or the system
/// forbids it, the thread stays free, which costs speed only.
///
/// Returns whether the thread is pinned.
pub fn pin(index: usize) -> bool {
    let core = allowed().get(index).copied();
    core.is_some_and(|core| sched_setaffinity(None, &set_of(&[core])).is_ok())
}

/// Keeps the threads that run beside `loops` event loops, and those that they will start, off the cores of these loops,
/// if that leaves them any: a loop cannot go elsewhere when one of them takes its core. Left as they are: pinned threads,
/// the calling one, and all where the system forbids it, which costs speed only.
pub fn leave_cores_to(loops: usize) {
    let cores = allowed();
    let others = set_of(cores.get(loops..).unwrap_or_default());
    if others.count() == 0 {
        return;
    }
    let this = rustix::thread::gettid();
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads = threads.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    for thread in threads.filter(|thread| *thread != this) {
        if sched_getaffinity(Some(thread)).is_ok_and(|now| now.count() > 1) {
            let _ = sched_setaffinity(Some(thread), &others);
        }
    }
}

/// The cores on which the calling thread may run, in the order of their numbers; none where the system does not say.
fn allowed() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

fn set_of(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    set
}
