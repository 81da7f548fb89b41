//! The cores that this process may use.

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
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    allowed.get(index).is_some_and(|core| core_affinity::set_for_current(*core))
}
