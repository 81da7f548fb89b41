//! Numbers of several rounds: their middle and how far they lie apart.
//!
//! Never: rounds to digits, units, or a judgement.

use serde::{Deserialize, Serialize};

/// One number for each round, in the order of the rounds. Never empty, and never NaN.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Of each round.
    pub rounds: Vec<f64>,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Sample {
    /// A sample of these numbers; `None` when there are none, or one of them is not finite.
    pub fn of(rounds: Vec<f64>) -> Option<Sample> {
        let mut sorted = rounds.clone();
        if sorted.iter().any(|number| !number.is_finite()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Sample { rounds, median: middle(&sorted), min, max })
    }

    /// Round by round, ours divided by the peer's: what both had in the same minute is compared, so that a machine that
    /// grows slower in between tells nothing. `None` when the rounds do not match or the peer's are not above zero.
    pub fn ratio(ours: &Sample, peer: &Sample) -> Option<Sample> {
        if ours.rounds.len() != peer.rounds.len() || peer.min <= 0.0 {
            return None;
        }
        Sample::of(ours.rounds.iter().zip(&peer.rounds).map(|(ours, peer)| ours / peer).collect())
    }

    /// How many rounds.
    pub fn len(&self) -> usize {
        self.rounds.len()
    }

    /// Whether there are no rounds, which never is.
    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }
}

/// The middle of sorted numbers, of which there is one at least.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    if sorted.len().is_multiple_of(2) { f64::midpoint(at(half - 1), at(half)) } else { at(half) }
}

/// The number below which this share (0 to 1) of all lies, by the nearest rank; `None` when there are none.
pub fn quantile(numbers: &[f64], share: f64) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut rank = 1;
    // Counting up spares conversions between floats and places; there are hundreds, not millions.
    while rank < sorted.len() && float(rank) < share * float(sorted.len()) {
        rank += 1;
    }
    sorted.get(rank - 1).copied()
}

/// A count as a float, for quotients.
#[allow(clippy::cast_precision_loss, reason = "quotients are given to a few digits")]
pub fn float(count: usize) -> f64 {
    count as f64
}

/// A large count as a float, for quotients.
#[allow(clippy::cast_precision_loss, reason = "quotients are given to a few digits")]
pub fn float64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(0.001_f64..1e9, 1..20)
    }

    proptest! {
        /// Half of all lie on each side, it does not matter in which order they came, and it moves with a factor.
        #[test]
        fn a_median_is_in_the_middle(mut rounds in numbers(), factor in 0.5_f64..2.0) {
            let sample = Sample::of(rounds.clone()).unwrap();
            let below = rounds.iter().filter(|number| **number <= sample.median).count();
            let above = rounds.iter().filter(|number| **number >= sample.median).count();
            prop_assert!(2 * below >= rounds.len() && 2 * above >= rounds.len());
            prop_assert!(sample.min <= sample.median && sample.median <= sample.max);
            rounds.reverse();
            let reversed = Sample::of(rounds.clone()).unwrap();
            prop_assert_eq!((reversed.median, reversed.min, reversed.max), (sample.median, sample.min, sample.max));
            let scaled = Sample::of(rounds.iter().map(|number| number * factor).collect()).unwrap();
            prop_assert!((scaled.median / sample.median / factor - 1.0).abs() < 1e-9);
        }

        /// A sample beside itself is one; what is doubled has twice the ratio; and each round is compared with itself.
        #[test]
        fn ratios_are_of_rounds(rounds in numbers(), drift in proptest::collection::vec(0.5_f64..2.0, 20)) {
            let ours = Sample::of(rounds.clone()).unwrap();
            prop_assert_eq!(Sample::ratio(&ours, &ours).unwrap().median, 1.0);
            // Both peers grow slower and faster together: the ratio stays.
            let with = |factor: f64| {
                Sample::of(rounds.iter().zip(&drift).map(|(number, drift)| number * drift * factor).collect()).unwrap()
            };
            let ratio = Sample::ratio(&with(2.0), &with(1.0)).unwrap();
            prop_assert!((ratio.min - 2.0).abs() < 1e-9 && (ratio.max - 2.0).abs() < 1e-9);
        }

        #[test]
        fn a_quantile_has_its_share_below(numbers in numbers(), share in 0.0_f64..=1.0) {
            let found = quantile(&numbers, share).unwrap();
            let below = numbers.iter().filter(|number| **number <= found).count();
            let less = numbers.iter().filter(|number| **number < found).count();
            prop_assert!(float(below) >= share * float(numbers.len()) - 1e-9);
            prop_assert!(less == 0 || float(less) < share * float(numbers.len()) + 1e-9);
        }
    }

    #[test]
    fn examples() {
        assert_eq!(Sample::of(vec![3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Sample::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Sample::of(vec![]), None);
        assert_eq!(Sample::of(vec![1.0, f64::NAN]), None);
        let (two, three) = (Sample::of(vec![1.0, 2.0]).unwrap(), Sample::of(vec![1.0, 2.0, 3.0]).unwrap());
        assert_eq!(Sample::ratio(&two, &three), None);
        assert_eq!(Sample::ratio(&two, &Sample::of(vec![0.0, 1.0]).unwrap()), None);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.99), Some(99.0));
        assert_eq!(quantile(&hundred, 1.0), Some(100.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
