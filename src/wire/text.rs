//! Writing JSON: strings and integers, straight into the bytes of an answer.
//!
//! Never writes a raw control character, so an answer never has a line end inside.

use wide::u8x16;

/// Bytes that are looked at together.
const LANE_BYTES: usize = 16;

/// Writes `text` as a JSON string with quotes, escaped as RFC 8785, section 3.2.2.2, prescribes: only `"`, `\` and
/// what is below U+0020, by the short form where there is one.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    // Nearly always nothing is escaped, so that this is all the room that is needed.
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = stop(rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((byte, behind)) = special.split_first() {
            push_escape(out, *byte);
            rest = behind;
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The place of the first quote, backslash or control character: of what ends a string, or is escaped in one.
#[inline]
pub(super) fn stop(bytes: &[u8]) -> Option<usize> {
    let (lanes, rest) = bytes.as_chunks::<LANE_BYTES>();
    for (number, lane) in lanes.iter().enumerate() {
        if let Some(place) = stop_in(*lane) {
            return Some(number * LANE_BYTES + place);
        }
    }
    if rest.is_empty() {
        return None;
    }
    // What fills the last lane is plain.
    let mut lane = [b' '; LANE_BYTES];
    lane[..rest.len()].copy_from_slice(rest);
    stop_in(lane).map(|place| bytes.len() - rest.len() + place)
}

#[inline]
fn stop_in(lane: [u8; LANE_BYTES]) -> Option<usize> {
    let lane = u8x16::new(lane);
    let stops = lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\')) | lane.simd_lt(u8x16::splat(0x20));
    let bits = stops.to_bitmask();
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}

/// Writes `value` in decimal.
pub fn push_unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes bytes in lower-case hex, without quotes.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

/// No escape is needed.
const PLAIN: u8 = 0;
/// Needs the long form, `\u00xx`.
const LONG: u8 = b'u';

/// For every byte the letter behind the backslash, or [`PLAIN`].
const ESCAPES: [u8; 256] = {
    let mut table = [PLAIN; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = LONG;
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

#[cold]
fn push_escape(out: &mut Vec<u8>, byte: u8) {
    match ESCAPES[usize::from(byte)] {
        LONG => {
            out.extend_from_slice(b"\\u00");
            push_hex(out, &[byte]);
        }
        letter => out.extend_from_slice(&[b'\\', letter]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn a_written_string_reads_back_and_has_no_control_character(text in any::<String>()) {
            let json = written(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            prop_assert!(json.bytes().all(|byte| byte >= 0x20));
        }

        #[test]
        fn integers_are_written_as_the_standard_library_writes_them(value in any::<u64>()) {
            let mut out = Vec::new();
            push_unsigned(&mut out, value);
            prop_assert_eq!(out, value.to_string().into_bytes());
        }
    }

    #[test]
    fn every_low_character_has_its_one_form() {
        let all: String = (0..0x21_u8).map(char::from).chain(['"', '\\', '/', '\u{7f}', '\u{2028}']).collect();
        assert_eq!(
            written(&all),
            "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f\
             \\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\
             \\u001e\\u001f \\\"\\\\/\u{7f}\u{2028}\""
        );
    }

    #[test]
    fn the_ends_of_the_integers() {
        for value in [0, 9, 10, u64::MAX] {
            let mut out = Vec::new();
            push_unsigned(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
