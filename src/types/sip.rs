//! SipHash of texts that are there as a whole (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
//!
//! Our own because two of these functions run for every name and every nonce, and a library's, made for texts that come in
//! parts, takes nearly a third more instructions; tests hold it to that library for texts of every length.
//!
//! May use: nothing. Never: a decision what is hashed, or with which key.

/// The four words between two rounds.
struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

/// SipHash-1-3 with 128 bits: the first word that it gives is the low half.
#[inline(always)]
pub(super) fn sip13_128(key: &[u8; 16], text: &[u8]) -> u128 {
    let mut state = State::of(key);
    state.v1 ^= 0xee;
    state.take_all::<1>(text);
    state.v2 ^= 0xee;
    let low = state.give::<3>();
    state.v1 ^= 0xdd;
    u128::from(state.give::<3>()) << u64::BITS | u128::from(low)
}

/// SipHash-2-4 with 64 bits.
pub(super) fn sip24(key: &[u8; 16], text: &[u8]) -> u64 {
    let mut state = State::of(key);
    state.take_all::<2>(text);
    state.v2 ^= 0xff;
    state.give::<4>()
}

impl State {
    #[inline(always)]
    fn of(key: &[u8; 16]) -> State {
        let key = u128::from_le_bytes(*key);
        #[allow(clippy::cast_possible_truncation, reason = "the halves are meant")]
        let (k0, k1) = (key as u64, (key >> u64::BITS) as u64);
        State {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    /// Takes the text, and then what is left of it behind whole words together with its length.
    #[inline(always)]
    fn take_all<const ROUNDS: usize>(&mut self, text: &[u8]) {
        let (words, rest) = text.as_chunks();
        for word in words {
            self.take::<ROUNDS>(u64::from_le_bytes(*word));
        }
        let rest = match text.last_chunk() {
            // The last eight bytes without those that were taken, which are the lower ones; of eight none are left.
            Some(last) => u64::from_le_bytes(*last) >> (8 * (7 - rest.len())) >> 8,
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        self.take::<ROUNDS>((text.len() as u64) << 56 | rest);
    }

    #[inline(always)]
    fn take<const ROUNDS: usize>(&mut self, word: u64) {
        self.v3 ^= word;
        self.rounds::<ROUNDS>();
        self.v0 ^= word;
    }

    #[inline(always)]
    fn give<const ROUNDS: usize>(&mut self) -> u64 {
        self.rounds::<ROUNDS>();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline(always)]
    fn rounds<const ROUNDS: usize>(&mut self) {
        for _ in 0..ROUNDS {
            self.v0 = self.v0.wrapping_add(self.v1);
            self.v2 = self.v2.wrapping_add(self.v3);
            self.v1 = self.v1.rotate_left(13) ^ self.v0;
            self.v3 = self.v3.rotate_left(16) ^ self.v2;
            self.v0 = self.v0.rotate_left(32).wrapping_add(self.v3);
            self.v2 = self.v2.wrapping_add(self.v1);
            self.v3 = self.v3.rotate_left(21) ^ self.v0;
            self.v1 = self.v1.rotate_left(17) ^ self.v2;
            self.v2 = self.v2.rotate_left(32);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::sip::SipHasher24;
    use siphasher::sip128::SipHasher13;

    use super::*;

    proptest! {
        /// The same as another implementation says, for every key and text; each text with all that it begins with, so
        /// that every number of bytes behind whole words occurs.
        #[test]
        fn hashes_are_those_of_the_library(key: [u8; 16], text in prop::collection::vec(any::<u8>(), 0..300)) {
            for length in 0..=text.len() {
                let text = &text[..length];
                prop_assert_eq!(sip13_128(&key, text), u128::from(SipHasher13::new_with_key(&key).hash(text)));
                prop_assert_eq!(sip24(&key, text), SipHasher24::new_with_key(&key).hash(text));
            }
        }
    }
}
