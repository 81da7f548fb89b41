//! What makes a retry recognizable: a nonce and the time it was made.

use std::fmt;

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

/// Whether a byte is a character of base64url, of which the hex digits are some.
const IN_ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        byte += 1;
    }
    table
};

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
        // Without a branch for each.
        if !text.bytes().fold(true, |all, byte| all & IN_ALPHABET[usize::from(byte)]) {
            return Err(NonceError::Character);
        }
        if text.len() < NONCE_HEX_DIGITS_MIN && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NonceError::TooFewBits);
        }
        Ok(())
    }

    /// The text as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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

#[cfg(test)]
mod tests {
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
}
