//! Chance and time of one simulated world. Both belong to its thread and to its seed.

use std::cell::Cell;

use repsec::types::Timestamp;

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall alike for one seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0xa076_1d64_78bd_642f) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Dice for a part of a world, which do not depend on what happens in another.
    pub fn part(seed: u64, part: u64) -> Dice {
        let whole = Dice::new(seed).roll();
        Dice::new(whole ^ Dice::new(part).roll())
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A place in a list of `count`, which is not empty.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.roll() % count as u64).unwrap()
    }

    /// Yes, so many times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.roll() % 1000 < per_mille
    }
}

thread_local! {
    static CLOCK_MS: Cell<u64> = const { Cell::new(0) };
    static PASSED_MS: Cell<u64> = const { Cell::new(0) };
}

/// The clock of the simulated server.
pub fn now() -> Timestamp {
    Timestamp::from_unix_ms(CLOCK_MS.get())
}

/// The time in truth, which nobody sets: disks take it, and not that of the clock.
pub fn passed_ms() -> u64 {
    PASSED_MS.get()
}

/// Sets both.
pub fn set_clock(clock_ms: u64, passed_ms: u64) {
    CLOCK_MS.set(clock_ms);
    PASSED_MS.set(passed_ms);
}
