//! When each command is meant to be sent.
//!
//! Command `k` of a run at `r` commands per second is due at `k / r` seconds, to the nanosecond and without drift, and
//! belongs to connection `k % connections`. So each connection has an even schedule of its own, and all together have one.
//!
//! Never: a clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An even schedule over all connections. Times are nanoseconds from the start of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    rate: u64,
    connections: u64,
}

impl Schedule {
    pub(crate) fn new(rate: u64, connections: u64) -> Schedule {
        Schedule { rate: rate.max(1), connections }
    }

    /// When command `k` is due.
    pub(crate) fn due_ns(&self, k: u64) -> u64 {
        match k.checked_mul(1_000_000_000) {
            Some(product) => product / self.rate,
            None => u64::try_from(u128::from(k) * 1_000_000_000 / u128::from(self.rate)).unwrap_or(u64::MAX),
        }
    }

    /// The command that connection `connection` sends in its turn `turn`, both from 0 on.
    pub(crate) fn command(&self, turn: u64, connection: u64) -> u64 {
        turn.saturating_mul(self.connections).saturating_add(connection)
    }
}

/// Which connection of a worker has something to send next, and when. A connection stands in it at most once, and only
/// while it may send: one that waits for answers needs nobody to wake up for it.
#[derive(Debug, Default)]
pub(crate) struct Agenda(BinaryHeap<Reverse<(u64, usize)>>);

impl Agenda {
    /// Notes that the connection at this place of the worker's has something to send then.
    pub(crate) fn add(&mut self, due_ns: u64, at: usize) {
        self.0.push(Reverse((due_ns, at)));
    }

    /// When the next of them is.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((due_ns, _))| *due_ns)
    }

    /// Takes the next one that is due.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Option<usize> {
        self.next_due_ns().filter(|due_ns| *due_ns <= now_ns)?;
        self.0.pop().map(|Reverse((_, at))| at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Neighbours are as far apart as the rate says, to the nanosecond, and no error adds up.
        #[test]
        fn due_times_are_evenly_spaced(rate in 1_u64..=1_000_000_000, k in 0_u64..1 << 40) {
            let schedule = Schedule::new(rate, 1);
            let (now, next) = (schedule.due_ns(k), schedule.due_ns(k + 1));
            let step = 1_000_000_000 / rate;
            prop_assert!((step..=step + 1).contains(&(next - now)));
            let exact = u128::from(k) * 1_000_000_000 / u128::from(rate);
            prop_assert_eq!(u128::from(now), exact);
        }

        /// The turns of all connections together are the schedule: each command once, at its own time.
        #[test]
        fn no_command_is_lost_or_doubled(rate in 1_u64..100_000, connections in 1_u64..40, until_ms in 0_u64..50) {
            let schedule = Schedule::new(rate, connections);
            let until_ns = until_ms * 1_000_000;
            let turns = |connection| {
                (0..).map(move |turn| schedule.command(turn, connection)).take_while(|k| schedule.due_ns(*k) < until_ns)
            };
            let mut sent: Vec<u64> = (0..connections).flat_map(turns).collect();
            sent.sort_unstable();
            let expected: Vec<u64> = (0..).take_while(|k| schedule.due_ns(*k) < until_ns).collect();
            prop_assert_eq!(sent, expected);
        }

        /// Nothing is taken before its time, nothing is left behind it, and what is earlier comes first.
        #[test]
        fn an_agenda_gives_what_is_due(times in proptest::collection::vec(0_u64..1000, 0..50), now in 0_u64..1000) {
            let mut agenda = Agenda::default();
            for (at, due_ns) in times.iter().enumerate() {
                agenda.add(*due_ns, at);
            }
            let taken: Vec<u64> = std::iter::from_fn(|| agenda.take_due(now)).map(|at| times[at]).collect();
            let mut expected: Vec<u64> = times.iter().copied().filter(|due_ns| *due_ns <= now).collect();
            expected.sort_unstable();
            prop_assert_eq!(taken, expected);
            prop_assert_eq!(agenda.next_due_ns(), times.into_iter().filter(|due_ns| *due_ns > now).min());
        }
    }
}
