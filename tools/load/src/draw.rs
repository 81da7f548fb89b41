//! Which of `n` things comes next: uniformly, or by Zipf's law.
//!
//! May use: `rand_distr`. Never: a generator of its own; the caller's seed decides.

use rand::Rng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution as _, Zipf};

use crate::plan::Keys;

/// The exponent of Zipf's law that the usual benchmarks of stores take.
pub(crate) const ZIPF_EXPONENT: f64 = 0.99;

/// Draws numbers below `n`.
#[derive(Clone, Debug)]
pub(crate) enum Draw {
    /// Each as often as any other.
    Uniform {
        /// Below which.
        n: u64,
    },
    /// The number at rank `k` in proportion to `k^-0.99`.
    Zipf {
        /// Below which.
        n: u64,
        /// Draws ranks from 1 to `n`.
        ranks: Zipf<f64>,
        /// Has no divisor in common with `n`, so that `rank * step % n` is another number for each rank. Without it the
        /// names asked for most would be those registered first, which lie together in the memory of any server.
        step: u64,
    },
}

impl Draw {
    /// Draws below `n`, which is at least 1.
    pub(crate) fn new(keys: Keys, n: u64) -> Draw {
        let n = n.max(1);
        #[allow(clippy::cast_precision_loss, reason = "entities are fewer than 2^52")]
        match (keys, Zipf::new(n as f64, ZIPF_EXPONENT)) {
            (Keys::Zipf, Ok(ranks)) => Draw::Zipf { n, ranks, step: step(n) },
            _ => Draw::Uniform { n },
        }
    }

    /// The next number.
    pub(crate) fn next(&self, rng: &mut SmallRng) -> u64 {
        match self {
            Draw::Uniform { n } => below(rng, *n),
            Draw::Zipf { n, ranks, step } => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks are from 1 to n")]
                let rank = ranks.sample(rng) as u64 - 1;
                scaled(rank.min(n - 1), *step, *n)
            }
        }
    }
}

/// A number below `n`. Its probabilities differ by less than `n / 2^64`.
pub(crate) fn below(rng: &mut SmallRng, n: u64) -> u64 {
    let wide = u128::from(rng.next_u64()) * u128::from(n);
    u64::try_from(wide >> 64).unwrap_or_default()
}

/// The first number from the golden ratio of `n` on that shares no divisor with it.
fn step(n: u64) -> u64 {
    let golden = u64::try_from(u128::from(n) * 618_033_989 / 1_000_000_000).unwrap_or(1);
    (golden.max(1)..).find(|step| greatest_divisor(*step, n) == 1).unwrap_or(1)
}

fn greatest_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

fn scaled(rank: u64, step: u64, n: u64) -> u64 {
    u64::try_from(u128::from(rank) * u128::from(step) % u128::from(n)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;

    proptest! {
        #[test]
        fn draws_stay_below(n in 1_u64..1 << 44, seed: u64) {
            for keys in [Keys::Uniform, Keys::Zipf] {
                let (draw, mut rng) = (Draw::new(keys, n), SmallRng::seed_from_u64(seed));
                for _ in 0..100 {
                    prop_assert!(draw.next(&mut rng) < n);
                }
            }
        }

        #[test]
        fn ranks_are_spread_one_to_one(n in 1_u64..5_000) {
            let step = step(n);
            let numbers: HashSet<u64> = (0..n).map(|rank| scaled(rank, step, n)).collect();
            prop_assert_eq!(numbers.len(), usize::try_from(n).unwrap());
        }
    }

    /// Every rank of a small set, and the head and the tail of a large one, come as often as the law says, within five
    /// standard deviations. The seed is fixed, so this either holds or does not.
    #[test]
    fn zipf_draws_follow_the_law() {
        for n in [1_u64, 2, 10, 100_000] {
            let draw = Draw::new(Keys::Zipf, n);
            let mut rng = SmallRng::seed_from_u64(7);
            let draws = 400_000_u32;
            let size = usize::try_from(n).unwrap();
            let mut counts = vec![0_u32; size];
            for _ in 0..draws {
                counts[usize::try_from(draw.next(&mut rng)).unwrap()] += 1;
            }
            let weight = |rank: usize| (f64::from(u32::try_from(rank).unwrap()) + 1.0).powf(-ZIPF_EXPONENT);
            let total: f64 = (0..size).map(weight).sum();
            let number = |rank: usize| usize::try_from(scaled(u64::try_from(rank).unwrap(), step(n), n)).unwrap();
            let mut groups: Vec<std::ops::Range<usize>> = (0..size.min(10)).map(|rank| rank..rank + 1).collect();
            if size > 10 {
                groups.extend([10..100, 100..1000, 1000..size]);
            }
            for ranks in groups {
                let share: f64 = ranks.clone().map(weight).sum::<f64>() / total;
                let expected = share * f64::from(draws);
                let found: f64 = ranks.clone().map(|rank| f64::from(counts[number(rank)])).sum();
                let deviation = (expected * (1.0 - share)).sqrt();
                assert!((found - expected).abs() <= 5.0 * deviation + 1e-6, "{n} {ranks:?}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn uniform_draws_are_even() {
        let draw = Draw::new(Keys::Uniform, 10);
        let mut rng = SmallRng::seed_from_u64(7);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[usize::try_from(draw.next(&mut rng)).unwrap()] += 1;
        }
        for count in counts {
            assert!((9_500..10_500).contains(&count), "{counts:?}");
        }
    }
}
