//! How long a run waits for quiet: bounded in each place, and in all.
//!
//! Never: waits itself. When there is no patience left, a run measures all the same, and its results say how busy the
//! machine was meanwhile.

use std::time::Duration;

/// Time that may be spent on waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// In all, from now on.
    left: Duration,
    /// In one place.
    each: Duration,
}

impl Patience {
    /// So much in all, and in one place no more than `each`.
    pub fn new(all: Duration, each: Duration) -> Patience {
        Patience { left: all, each }
    }

    /// How long may be waited in the place that begins now.
    pub fn here(&self) -> Duration {
        self.left.min(self.each)
    }

    /// How long may be waited from now on, in all.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Counts what was waited.
    pub fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }

    /// Whether none is left.
    pub fn is_over(&self) -> bool {
        self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever happens in each place, all the waits together are no longer than what there was, and none is longer
        /// than one may be. Once it is over, it stays over.
        #[test]
        fn waits_are_bounded(all_s in 0_u64..1000, each_s in 0_u64..100, wishes in proptest::collection::vec(0_u64..500, 0..50)) {
            let (all, each) = (Duration::from_secs(all_s), Duration::from_secs(each_s));
            let mut patience = Patience::new(all, each);
            let mut waited = Duration::ZERO;
            for wish in wishes {
                let was_over = patience.is_over();
                let here = patience.here().min(Duration::from_secs(wish));
                prop_assert!(here <= each && (!was_over || here.is_zero()));
                patience.spend(here);
                waited += here;
            }
            prop_assert!(waited <= all);
            prop_assert_eq!(patience.is_over(), waited == all);
        }
    }
}
