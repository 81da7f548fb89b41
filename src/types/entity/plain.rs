//! Domains that are seen at a glance to be canonical: nearly all names that are looked up.
//!
//! Eight bytes are looked at together. Each yields bits that say where dots and hyphens stand, and the rules about
//! labels are then questions about two words.

/// Bytes up to which a name is looked at; so short a name with a dot has no label of more than 63 octets.
const BYTES_MAX: usize = 64;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Whether the text is a canonical domain of plain labels. `false` only says that the thorough way must decide: names
/// that are long, have a label with hyphens in the third and fourth place (as `xn--`), or a last label that begins
/// with a digit.
pub(super) fn is_plain_domain(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > BYTES_MAX {
        return false;
    }
    let (words, rest) = bytes.as_chunks::<8>();
    let mut padded = [b'a'; 8];
    if let Some(front) = padded.get_mut(..rest.len()) {
        front.copy_from_slice(rest);
    }
    // Padding behind a name of eight full words is not looked at: there is no room for its bits.
    let last = (bytes.len() < BYTES_MAX).then_some(padded);
    let (mut dots, mut hyphens, mut place) = (0_u64, 0_u64, 0_u32);
    for word in words.iter().copied().chain(last) {
        let word = u64::from_le_bytes(word);
        let (dot, hyphen) = (equal(word, b'.'), equal(word, b'-'));
        let letters = between(word, b'a', b'z') | between(word, b'0', b'9') | equal(word, b'_');
        if letters | dot | hyphen != HIGHS {
            return false;
        }
        dots |= gathered(dot) << place;
        hyphens |= gathered(hyphen) << place;
        place += 8;
    }
    let last_byte = 1_u64 << (bytes.len() - 1);
    let begins = dots << 1 | 1;
    let ends = dots >> 1 | last_byte;
    let empty_label = dots & (begins | last_byte);
    let hyphen_at_edge = hyphens & (begins | ends);
    let reserved = begins << 2 & hyphens & hyphens >> 1;
    // A last label that begins with a digit may be a number, and the name an address.
    let last_label = bytes.get((u64::BITS - dots.leading_zeros()) as usize);
    dots != 0 && empty_label | hyphen_at_edge | reserved == 0 && last_label.is_some_and(|first| !first.is_ascii_digit())
}

/// The high bit of each byte that is `byte`; only right for bytes below 0x80, and none of the others is reported.
fn equal(word: u64, byte: u8) -> u64 {
    between(word, byte, byte)
}

/// The high bit of each byte from `low` to `high`, both below 0x80. No borrow leaves its byte, since each has its high
/// bit set before something smaller is taken away.
fn between(word: u64, low: u8, high: u8) -> u64 {
    let guarded = word | HIGHS;
    let from_low = guarded - ONES * u64::from(low);
    let above_high = guarded - ONES * (u64::from(high) + 1);
    from_low & !above_high & !word & HIGHS
}

/// The high bits of the eight bytes, the first byte's lowest.
fn gathered(highs: u64) -> u64 {
    (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rules one by one, on labels.
    fn slowly(text: &str) -> bool {
        let labels: Vec<&str> = text.split('.').collect();
        let plain = |label: &&str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.get(2..4) != Some("--")
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        text.len() <= BYTES_MAX
            && labels.len() > 1
            && labels.iter().all(plain)
            && !labels.last().is_some_and(|label| label.starts_with(|first: char| first.is_ascii_digit()))
    }

    proptest! {
        #[test]
        fn the_glance_says_what_the_rules_say(text in "[a-c9._-]{0,70}", wild in ".{0,24}") {
            prop_assert_eq!(is_plain_domain(&text), slowly(&text), "{}", text);
            prop_assert_eq!(is_plain_domain(&wild), slowly(&wild), "{}", wild);
        }

        #[test]
        fn real_names_are_plain(labels in proptest::collection::vec("[a-z]([a-z0-9_]{0,8}[a-z0-9])?", 2..6)) {
            let name = labels.join(".");
            prop_assert_eq!(is_plain_domain(&name), name.len() <= BYTES_MAX, "{}", name);
        }

        #[test]
        fn every_byte_is_judged_alike_in_every_place(byte: u8, place in 0..8_usize, others: u64) {
            let mut bytes = others.to_le_bytes();
            bytes[place] = byte;
            let word = u64::from_le_bytes(bytes);
            let letters = between(word, b'a', b'z');
            prop_assert_eq!(letters.to_le_bytes()[place] == 0x80, byte.is_ascii_lowercase());
            prop_assert_eq!(gathered(letters) >> place & 1 == 1, byte.is_ascii_lowercase());
        }
    }
}
