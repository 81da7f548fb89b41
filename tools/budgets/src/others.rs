//! What else the machine does while something is measured.
//!
//! The kernel's account of all cores, less what this process, its children that have ended, and the servers of the
//! measurement have used.

use std::fs;
use std::time::Duration;

use repsec_load::process;

use crate::failure::Failure;
use crate::machine::{CpuTimes, TICKS_PER_SECOND};
use crate::peer::Peer;

/// A measurement that has begun.
pub struct Others {
    all: CpuTimes,
    ours_s: f64,
}

impl Others {
    /// From now on. These servers belong to the measurement.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn begin(peers: &[&Peer]) -> Result<Others, Failure> {
        Ok(Others { ours_s: ours_s(peers)?, all: CpuTimes::read()? })
    }

    /// Cores that were busy with something else. These servers belong to the measurement: those of the beginning that are
    /// still there, and those that it started.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn end(self, peers: &[&Peer]) -> Result<f64, Failure> {
        let used_s = ours_s(peers)? - self.ours_s;
        let seconds = self.all.elapsed_s();
        let (busy, stolen) = self.all.since()?;
        // The kernel counts in steps of 10 ms, so a little less than nothing may come out.
        Ok((busy + stolen - used_s / seconds).max(0.0))
    }
}

/// CPU that the measurement has used, in seconds.
fn ours_s(peers: &[&Peer]) -> Result<f64, Failure> {
    let mut ns = process::own_cpu_ns();
    for peer in peers {
        ns += process::cpu_ns(peer.pid()).map_err(Failure::load("looking at a server"))?;
    }
    Ok(Duration::from_nanos(ns).as_secs_f64() + ended_children_s()?)
}

/// CPU of all children of this process that have ended and were waited for, in seconds, in steps of 10 ms.
///
/// # Errors
/// When the kernel does not tell.
pub fn ended_children_s() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(Failure::system("read /proc/self/stat"))?;
    Ok(children_s(&stat))
}

/// CPU of children that were waited for, from `/proc/PID/stat` (proc(5): cutime and cstime, fields 16 and 17).
fn children_s(stat: &str) -> f64 {
    // The second field is a name in brackets, which may hold spaces and brackets.
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_read_behind_any_name() {
        let stat = "4711 (a) b (c) S 1 4711 4711 0 -1 4194304 100 200 0 0 5 6 150 50 20 0 3 0 100 1000 10";
        assert!((children_s(stat) - 2.0).abs() < 1e-9);
        assert!(children_s("").abs() < 1e-9);
    }

    #[test]
    fn what_this_process_does_is_nothing_else() {
        let others = Others::begin(&[]).unwrap();
        let begin = process::own_cpu_ns();
        while process::own_cpu_ns() < begin + 50_000_000 {}
        let cores = others.end(&[]).unwrap();
        assert!(cores >= 0.0 && cores.is_finite());
    }
}
