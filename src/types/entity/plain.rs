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
    if bytes.is_empty() || bytes.len() > BYTES_MAX {
        return false;
    }
    // What stands behind the name is plain, and neither a dot nor a hyphen.
    let mut padded = [b'a'; BYTES_MAX];
    padded[..bytes.len()].copy_from_slice(bytes);
    let [one, two, three, four] = *padded.as_chunks::<LANE_BYTES>().0 else { return false };
    let (mut dots, mut hyphens, mut plain) = look(one, two);
    if bytes.len() > 2 * LANE_BYTES {
        let more = look(three, four);
        (dots, hyphens, plain) = (dots | more.0 << 32, hyphens | more.1 << 32, plain && more.2);
    }
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

/// Where dots and where hyphens stand in two lanes, and whether all bytes are those of plain domains.
#[inline(always)]
fn look(one: [u8; LANE_BYTES], two: [u8; LANE_BYTES]) -> (u64, u64, bool) {
    let (one, two) = (look_at_lane(one), look_at_lane(two));
    let bits = |one: u8x16, two: u8x16| u64::from(one.to_bitmask()) | u64::from(two.to_bitmask()) << 16;
    (bits(one.0, two.0), bits(one.1, two.1), (one.2 & two.2).to_bitmask() == 0xffff)
}

/// For each byte whether it is a dot, whether a hyphen, and whether it may stand in a plain domain.
#[inline(always)]
fn look_at_lane(lane: [u8; LANE_BYTES]) -> (u8x16, u8x16, u8x16) {
    let lane = u8x16::new(lane);
    let equal = |byte: u8| lane.simd_eq(u8x16::splat(byte));
    let (dot, hyphen) = (equal(b'.'), equal(b'-'));
    let letter = (lane - u8x16::splat(b'a')).simd_lt(u8x16::splat(26));
    let digit = (lane - u8x16::splat(b'0')).simd_lt(u8x16::splat(10));
    (dot, hyphen, letter | digit | equal(b'_') | dot | hyphen)
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

        #[test]
        fn every_byte_is_judged_alike_in_every_place(byte: u8, place in 0..2 * LANE_BYTES) {
            let mut lanes = [[b'x'; LANE_BYTES]; 2];
            lanes.as_flattened_mut()[place] = byte;
            let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            let bit = |is: bool| u64::from(is) << place;
            prop_assert_eq!(look(lanes[0], lanes[1]), (bit(byte == b'.'), bit(byte == b'-'), plain));
        }
    }
}
