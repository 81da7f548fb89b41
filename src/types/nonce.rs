//! What makes a retry recognizable: a nonce and the time it was made.

use std::fmt;

use wide::u8x16;

use super::Timestamp;
use super::limits::{NONCE_BYTES_MAX, NONCE_BYTES_MIN, NONCE_HEX_DIGITS_MIN};

/// A client's one-time value: 22 to 64 characters of base64url or hex that carry at least 96 bits
/// (`repsec:O5`, and `repsec:N4` for the 96 bits). Two nonces are the same when their texts are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Nonce(Box<str>);

/// Why a text is no nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NonceError {
    /// Shorter than 22 or longer than 64 characters.
    Length,
    /// A character outside base64url (`A-Z a-z 0-9 - _`).
    Character,
    /// Hex digits only, and fewer than 24 of them: below 96 bits.
    TooFewBits,
}

/// Bytes that are looked at together.
const LANE_BYTES: usize = 16;
const _: () = assert!(LANE_BYTES <= NONCE_BYTES_MIN);

impl Nonce {
    /// Reads a nonce.
    ///
    /// # Errors
    /// When the length, the alphabet or the bits do not fit. A text of hex digits alone counts four bits a digit,
    /// since it may well be hex.
    pub fn parse(text: &str) -> Result<Nonce, NonceError> {
        Nonce::check(text).map(|()| Nonce(text.into()))
    }

    /// Whether a text is a nonce.
    ///
    /// # Errors
    /// As [`Nonce::parse`].
    pub fn check(text: &str) -> Result<(), NonceError> {
        if !(NONCE_BYTES_MIN..=NONCE_BYTES_MAX).contains(&text.len()) {
            return Err(NonceError::Length);
        }
        // The last lane may lie over the one before.
        let (lanes, _) = text.as_bytes().as_chunks();
        if !lanes.iter().chain(text.as_bytes().last_chunk()).all(|lane| is_in_alphabet(*lane)) {
            return Err(NonceError::Character);
        }
        if text.len() < NONCE_HEX_DIGITS_MIN && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NonceError::TooFewBits);
        }
        Ok(())
    }

    /// Takes over a text that was found to be a nonce; nothing is checked.
    pub fn from_checked(text: impl Into<Box<str>>) -> Nonce {
        Nonce(text.into())
    }

    /// The text as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether all of these are characters of base64url, of which the hex digits are some.
fn is_in_alphabet(lane: [u8; LANE_BYTES]) -> bool {
    let lane = u8x16::new(lane);
    // With this bit, upper-case letters are lower-case ones, and nothing else becomes a letter.
    let letter = ((lane | u8x16::splat(0x20)) - u8x16::splat(b'a')).simd_lt(u8x16::splat(26));
    let digit = (lane - u8x16::splat(b'0')).simd_lt(u8x16::splat(10));
    let other = lane.simd_eq(u8x16::splat(b'-')) | lane.simd_eq(u8x16::splat(b'_'));
    (letter | digit | other).to_bitmask() == 0xffff
}

impl fmt::Display for NonceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NonceError::Length => write!(f, "must have {NONCE_BYTES_MIN} to {NONCE_BYTES_MAX} characters"),
            NonceError::Character => f.write_str("must be base64url or hex"),
            NonceError::TooFewBits => write!(f, "must have at least {NONCE_HEX_DIGITS_MIN} hex digits (96 bits)"),
        }
    }
}

/// The pair that a command which changes state carries so that a repetition is no second effect (P8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Once {
    /// When the client made the command (`ts`), whole seconds.
    pub made: Timestamp,
    /// The client's one-time value.
    pub nonce: Nonce,
}

/// The same, where the nonce stands elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OnceRef<'a> {
    /// When the client made the command.
    pub made: Timestamp,
    /// The nonce, which was found to be one.
    pub nonce: &'a str,
}

impl Once {
    /// The pair, where it stands.
    pub fn as_ref(&self) -> OnceRef<'_> {
        OnceRef { made: self.made, nonce: self.nonce.as_str() }
    }
}

impl From<OnceRef<'_>> for Once {
    fn from(once: OnceRef<'_>) -> Once {
        Once { made: once.made, nonce: Nonce::from_checked(once.nonce) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_decide_not_only_length() {
        for (text, expected) in [
            ("abcdefghijklmnopqrstuv", None),
            ("0123456789abcdef012345", Some(NonceError::TooFewBits)),
            ("0123456789abcdef01234567", None),
            ("abcdefghijklmnopqrstu", Some(NonceError::Length)),
            ("abcdefghijklmnopqrst+/", Some(NonceError::Character)),
            ("abcdefghijklmnopqrst\u{e4}", Some(NonceError::Character)),
        ] {
            assert_eq!(Nonce::parse(text).err(), expected, "{text}");
        }
        assert_eq!(Nonce::parse(&"a".repeat(65)).err(), Some(NonceError::Length));
    }

    proptest! {
        /// Of any length, also those at which lanes lie over each other.
        #[test]
        fn every_character_is_judged_alike_in_every_place(
            character: char, ascii in 0_u8..128, is_ascii: bool, length in NONCE_HEX_DIGITS_MIN..=NONCE_BYTES_MAX,
            place in 0..NONCE_BYTES_MAX,
        ) {
            let character = if is_ascii { char::from(ascii) } else { character };
            let place = place % length;
            let text = ["g".repeat(place), character.to_string(), "g".repeat(length - place - 1)].concat();
            let is_plain = character.is_ascii_alphanumeric() || "-_".contains(character);
            // One that takes more than a byte may make the text too long.
            prop_assert_eq!(Nonce::check(&text).is_ok(), is_plain);
        }
    }
}
