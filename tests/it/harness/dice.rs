//! Chance that can be repeated: the seed is printed, and `REPSEC_SEED` gives it back.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64: enough chance for tests, in five lines.
pub struct Dice(u64);

impl Dice {
    /// Dice with the seed from `REPSEC_SEED`, or a new one; either way it is printed.
    pub fn new() -> Dice {
        let seed = match std::env::var("REPSEC_SEED") {
            Ok(text) => text.parse().expect("REPSEC_SEED is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into(),
        };
        println!("REPSEC_SEED={seed}");
        Dice(seed)
    }

    /// Other dice that depend on these and on `salt` alone.
    pub fn fork(&self, salt: u64) -> Dice {
        Dice(self.0 ^ salt.wrapping_mul(0xa076_1d64_78bd_642f))
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    /// One of these, each as likely.
    pub fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let last = u64::try_from(things.len()).unwrap() - 1;
        &things[usize::try_from(self.between(0, last)).unwrap()]
    }
}
