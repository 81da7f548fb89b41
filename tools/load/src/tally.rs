//! What is counted of the answers, and which of them are.

use hdrhistogram::Histogram;

use crate::error::LoadError;
use crate::protocol::Told;

/// Longest latency that is told from longer ones: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// Which answers count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counting {
    /// Those that arrive inside the window.
    Window {
        /// Where it begins, nanoseconds from the start.
        begin_ns: u64,
        /// Where it ends.
        end_ns: u64,
        /// Whether latencies are those of commands that were *intended* inside it (an open loop), not of those that are
        /// answered inside it (a closed one).
        by_intention: bool,
    },
    /// Those to commands that were marked when they were sent.
    Marked,
}

/// Counts of one worker, or of all.
#[derive(Debug)]
pub(crate) struct Tally {
    counting: Counting,
    /// Nanoseconds from intention (or sending) to answer.
    pub(crate) latency: Histogram<u64>,
    /// Nanoseconds from intention to sending, in an open loop.
    pub(crate) lag: Histogram<u64>,
    /// Answers that count, by what they were.
    pub(crate) told: [u64; Told::ALL.len()],
    /// When the last answer that counts arrived.
    pub(crate) last_ns: u64,
    /// Commands of an open loop that were due and never answered.
    pub(crate) unanswered: u64,
    /// The number behind the last name that was registered or removed.
    pub(crate) next_own: u64,
}

impl Tally {
    pub(crate) fn new(counting: Counting) -> Result<Tally, LoadError> {
        let histogram = || {
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS)
                .map_err(|error| LoadError::Plan(format!("no histogram can be made: {error}")))
        };
        let (latency, lag) = (histogram()?, histogram()?);
        Ok(Tally { counting, latency, lag, told: [0; Told::ALL.len()], last_ns: 0, unanswered: 0, next_own: 0 })
    }

    /// Notes an answer that arrived at `now_ns`, to a command of `at_ns` that was marked or not.
    pub(crate) fn answered(&mut self, told: Told, at_ns: u64, marked: bool, now_ns: u64) {
        let (counts, samples) = match self.counting {
            Counting::Marked => (marked, marked),
            Counting::Window { begin_ns, end_ns, by_intention } => {
                let inside = (begin_ns..end_ns).contains(&now_ns);
                (inside, if by_intention { marked } else { inside })
            }
        };
        if counts {
            if let Some(count) = Told::ALL.iter().position(|other| *other == told).and_then(|at| self.told.get_mut(at))
            {
                *count += 1;
            }
            self.last_ns = self.last_ns.max(now_ns);
        }
        if samples {
            self.latency.saturating_record(now_ns.saturating_sub(at_ns));
        }
    }

    /// Notes a marked command that leaves `late_ns` after it was intended.
    pub(crate) fn sent(&mut self, late_ns: u64) {
        self.lag.saturating_record(late_ns);
    }

    /// Notes a marked command that will have no answer any more. It has waited until `now_ns` at least.
    pub(crate) fn gave_up(&mut self, at_ns: u64, now_ns: u64) {
        self.latency.saturating_record(now_ns.saturating_sub(at_ns));
        self.unanswered += 1;
    }

    /// Answers that count.
    pub(crate) fn commands(&self) -> u64 {
        self.told.iter().sum()
    }

    /// Adds the counts of another worker.
    pub(crate) fn merge(&mut self, other: &Tally) {
        // Histograms of the same bounds always add up.
        let _ = self.latency.add(&other.latency).and_then(|()| self.lag.add(&other.lag));
        for (sum, count) in self.told.iter_mut().zip(other.told) {
            *sum += count;
        }
        self.last_ns = self.last_ns.max(other.last_ns);
        self.unanswered += other.unanswered;
        self.next_own = self.next_own.max(other.next_own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_window_counts_what_arrives_in_it() {
        let mut tally = Tally::new(Counting::Window { begin_ns: 100, end_ns: 200, by_intention: false }).unwrap();
        for (at, now) in [(10, 99), (10, 100), (150, 199), (199, 200)] {
            tally.answered(Told::Ok, at, false, now);
        }
        assert_eq!((tally.commands(), tally.latency.len(), tally.last_ns), (2, 2, 199));
        assert_eq!((tally.latency.min(), tally.latency.max()), (49, 90));
    }

    /// A command that was intended in the window has its latency, however late; one that was intended before has not,
    /// although its answer counts as work done in the window.
    #[test]
    fn an_open_window_omits_no_late_answer() {
        let mut tally = Tally::new(Counting::Window { begin_ns: 100, end_ns: 200, by_intention: true }).unwrap();
        tally.answered(Told::Ok, 50, false, 150);
        tally.answered(Told::Ok, 150, true, 900);
        tally.gave_up(160, 1160);
        assert_eq!((tally.commands(), tally.latency.len(), tally.unanswered), (1, 2, 1));
        assert_eq!((tally.latency.min(), tally.latency.max()), (750, 1000));
    }

    #[test]
    fn marked_commands_count_whenever_they_are_answered() {
        let mut tally = Tally::new(Counting::Marked).unwrap();
        tally.answered(Told::NotFound, 5, true, 10);
        tally.answered(Told::Ok, 6, false, 10);
        let mut sum = Tally::new(Counting::Marked).unwrap();
        sum.merge(&tally);
        sum.merge(&tally);
        assert_eq!((sum.commands(), sum.told, sum.latency.len()), (2, [0, 2, 0, 0, 0, 0], 2));
    }
}
