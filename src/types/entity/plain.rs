//! Domains that are seen at a glance to be canonical: nearly all names that are looked up.
//!
//! Sixteen bytes are looked at together. Each yields bits that say where dots and hyphens stand, and the rules about
//! labels are then questions about two words.

use wide::u8x16;

/// Bytes up to which a name is looked at; so short a name with a dot has no label of more than 63 octets.
const BYTES_MAX: usize = 64;

/// Bytes that are looked at together.
const LANE_BYTES: usize = 16;

/// Whether the text is a canonical domain of plain labels. `false` only says that the thorough way must decide: names
/// that are long, have a label with hyphens in the third and fourth place (as `xn--`), or a last label that begins
/// with a digit.
#[inline]
pub(super) fn is_plain_domain(bytes: &[u8]) -> bool {
    let Some((dots, hyphens, plain)) = look(bytes) else { return false };
    if !plain {
        return false;
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

/// Where dots and where hyphens stand, and whether all bytes are those of plain domains; `None` for what is too long.
///
/// Names are looked at where they lie, by a piece from their begin and one from their end, which overlap: to copy one
/// into lanes first takes longer than all that is done with them.
#[inline(always)]
fn look(bytes: &[u8]) -> Option<(u64, u64, bool)> {
    let length = bytes.len();
    if let (Some(begin), Some(end)) = (bytes.first_chunk(), bytes.last_chunk()) {
        if length <= 2 * LANE_BYTES {
            return Some(both(look_at_lane(*begin), look_at_lane(*end), length - LANE_BYTES));
        }
        let ([one, two], [three, four]) = (lanes(bytes.first_chunk()?), lanes(bytes.last_chunk()?));
        let begin = both(look_at_lane(one), look_at_lane(two), LANE_BYTES);
        let end = both(look_at_lane(three), look_at_lane(four), LANE_BYTES);
        return (length <= BYTES_MAX).then(|| both(begin, end, length - 2 * LANE_BYTES));
    }
    let mut lane = [b'a'; LANE_BYTES];
    let (begin, end) = lane.split_at_mut(LANE_BYTES / 2);
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        begin.copy_from_slice(first);
        end.copy_from_slice(last);
        let (dots, hyphens, plain) = look_at_lane(lane);
        let half = |bits: u64| (bits & 0xff) | (bits >> 8) << (length - 8);
        return Some((half(dots), half(hyphens), plain));
    }
    // What stands behind so short a name is plain, and neither a dot nor a hyphen.
    begin.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    (length > 0).then(|| look_at_lane(lane))
}

/// What is known of two pieces together, the second of which stands so many bytes further on.
#[inline(always)]
fn both(one: (u64, u64, bool), two: (u64, u64, bool), further: usize) -> (u64, u64, bool) {
    (one.0 | two.0 << further, one.1 | two.1 << further, one.2 && two.2)
}

#[inline(always)]
fn lanes(bytes: &[u8; 2 * LANE_BYTES]) -> [[u8; LANE_BYTES]; 2] {
    let (mut one, mut two) = ([0; LANE_BYTES], [0; LANE_BYTES]);
    let (begin, end) = bytes.split_at(LANE_BYTES);
    one.copy_from_slice(begin);
    two.copy_from_slice(end);
    [one, two]
}

/// In which places of a lane dots stand, in which hyphens, and whether all of its bytes may stand in a plain domain.
#[inline(always)]
fn look_at_lane(lane: [u8; LANE_BYTES]) -> (u64, u64, bool) {
    let lane = u8x16::new(lane);
    let equal = |byte: u8| lane.simd_eq(u8x16::splat(byte));
    let (dot, hyphen) = (equal(b'.'), equal(b'-'));
    let letter = (lane - u8x16::splat(b'a')).simd_lt(u8x16::splat(26));
    let digit = (lane - u8x16::splat(b'0')).simd_lt(u8x16::splat(10));
    let plain = letter | digit | equal(b'_') | dot | hyphen;
    (u64::from(dot.to_bitmask()), u64::from(hyphen.to_bitmask()), plain.to_bitmask() == 0xffff)
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
            prop_assert_eq!(is_plain_domain(text.as_bytes()), slowly(&text), "{}", text);
            prop_assert_eq!(is_plain_domain(wild.as_bytes()), slowly(&wild), "{}", wild);
        }

        #[test]
        fn real_names_are_plain(labels in proptest::collection::vec("[a-z]([a-z0-9_]{0,8}[a-z0-9])?", 2..6)) {
            let name = labels.join(".");
            prop_assert_eq!(is_plain_domain(name.as_bytes()), name.len() <= BYTES_MAX, "{}", name);
        }

        /// Of any length, also those at which another way of looking begins.
        #[test]
        fn every_byte_is_judged_alike_in_every_place(byte: u8, length in 1..=BYTES_MAX, place in 0..BYTES_MAX) {
            let (mut text, place) = (vec![b'x'; length], place % length);
            text[place] = byte;
            let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            let bit = |is: bool| u64::from(is) << place;
            prop_assert_eq!(look(&text), Some((bit(byte == b'.'), bit(byte == b'-'), plain)));
        }
    }

    #[test]
    fn what_is_empty_or_too_long_is_not_looked_at() {
        assert_eq!((look(b""), look(&[b'a'; BYTES_MAX + 1])), (None, None));
    }
}
