//! A reader for flat messages: one object whose values are plain strings and small integers, as nearly all single
//! commands are.
//!
//! It finds the quotes of 64 bytes at once with SIMD instructions, steps from one to the next, and so finds the end of
//! the message on the way. Nothing is changed. What it does not know (an escape, nesting, a fraction, a literal, white space other than blanks) it leaves to [`json`](super::json): `None` is no verdict. What it accepts, [`frame`](super::frame) ends at
//! the same byte and [`json`](super::json) reads with the same members and values; a test holds it to that.
//!
//! Never: an opinion on what is malformed.

use wide::u8x16;

use super::json::{Number, Value};

/// Bytes up to which a message is read here. One that is longer has a value that is looked at more closely anyway.
pub const BYTES_MAX: usize = 4096;

/// Bytes that are looked at together.
const BLOCK_BYTES: usize = 64;

/// Digits that always fit into the integers that all JSON readers agree on.
const DIGITS_MAX: usize = 15;

/// Reads the message that begins with the first byte and ends within the first `len`; what stands behind those is of no
/// meaning, but 64 bytes more of it spare a copy. Gives `member` each name and value in the order they were sent, and
/// returns how many bytes the message has.
///
/// `None` when the message is not flat, not complete or not valid, or when `member` says false, as it must for a name
/// that it was given before or does not know: names are not looked at here, not even whether they are UTF-8. What
/// `member` was given until then is of no meaning.
#[inline(always)]
pub fn read<'a>(bytes: &'a [u8], len: usize, mut member: impl FnMut(&'a [u8], Value<'a>) -> bool) -> Option<usize> {
    let mut marks = Marks::of(bytes);
    expect(bytes, 0, b'{')?;
    let mut at = 1;
    loop {
        let (name, value, end) = marks.member(at)?;
        if !member(name, value) {
            return None;
        }
        at = skip_blanks(bytes, end)? + 1;
        match bytes.get(at - 1)? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (at <= len && marks.is_plain_until(at)).then_some(at)
}

fn expect(bytes: &[u8], at: usize, expected: u8) -> Option<()> {
    (*bytes.get(at)? == expected).then_some(())
}

/// The place of the first byte from `at` on that is not a blank.
#[inline]
fn skip_blanks(bytes: &[u8], mut at: usize) -> Option<usize> {
    while *bytes.get(at)? == b' ' {
        at += 1;
    }
    Some(at)
}

/// The quotes of a message, one after the other, with a look at everything between them.
struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the block begins that the bits below are of.
    block: usize,
    /// Quotes that were not taken.
    quotes: u64,
    /// Backslashes and control characters.
    stops: u64,
}

impl<'a> Marks<'a> {
    #[inline]
    fn of(bytes: &'a [u8]) -> Marks<'a> {
        let (quotes, stops) = look(bytes);
        Marks { bytes, block: 0, quotes, stops }
    }

    /// The place of the next quote. `None` when a backslash or a control character may stand before it.
    #[inline]
    fn next_quote(&mut self) -> Option<usize> {
        while self.quotes == 0 {
            self.block += BLOCK_BYTES;
            if self.stops != 0 || self.block >= BYTES_MAX {
                return None;
            }
            let rest = self.bytes.get(self.block..).filter(|rest| !rest.is_empty())?;
            (self.quotes, self.stops) = look(rest);
        }
        let place = self.quotes.trailing_zeros() as usize;
        self.quotes &= self.quotes - 1;
        Some(self.block + place)
    }

    /// Whether no backslash and no control character stands before `end`. Blocks that were left have none, and what
    /// stands behind the last quote was looked at byte by byte.
    fn is_plain_until(&self, end: usize) -> bool {
        let bits = end.saturating_sub(self.block);
        let before = if bits < BLOCK_BYTES { (1_u64 << bits) - 1 } else { u64::MAX };
        self.stops & before == 0
    }

    /// Name and value of the member that begins at `at` or behind blanks there, and where the byte behind it stands.
    #[inline(always)]
    fn member(&mut self, at: usize) -> Option<(&'a [u8], Value<'a>, usize)> {
        let bytes = self.bytes;
        let open = self.next_quote()?;
        if open != skip_blanks(bytes, at)? {
            return None;
        }
        let close = self.next_quote()?;
        let name = bytes.get(open + 1..close)?;
        let colon = skip_blanks(bytes, close + 1)?;
        expect(bytes, colon, b':')?;
        let begin = skip_blanks(bytes, colon + 1)?;
        match bytes.get(begin)? {
            b'"' => {
                // This quote is the next one, since only blanks and a colon stand before it.
                self.next_quote()?;
                let end = self.next_quote()?;
                let text = std::str::from_utf8(bytes.get(begin + 1..end)?).ok()?;
                Some((name, Value::Text(text), end + 1))
            }
            b'0'..=b'9' => {
                let (number, end) = number(bytes, begin)?;
                Some((name, Value::Number(number), end))
            }
            _ => None,
        }
    }
}

/// The number that begins at `begin`, and where the byte behind it stands. What that may be is for the caller to see.
#[inline(always)]
fn number(bytes: &[u8], begin: usize) -> Option<(Number, usize)> {
    let (mut end, mut value) = (begin, 0);
    while let digit @ b'0'..=b'9' = *bytes.get(end)? {
        value = value * 10 + u64::from(digit - b'0');
        end += 1;
        if end - begin > DIGITS_MAX {
            return None;
        }
    }
    let leading_zero = end > begin + 1 && bytes.get(begin) == Some(&b'0');
    (!leading_zero).then_some((Number::Unsigned(value), end))
}

/// The places of quotes, and those of backslashes and control characters, in the first block.
#[inline]
fn look(bytes: &[u8]) -> (u64, u64) {
    if let Some(block) = bytes.first_chunk() {
        return look_at_block(block);
    }
    let mut padded = [b' '; BLOCK_BYTES];
    if let Some(front) = padded.get_mut(..bytes.len()) {
        front.copy_from_slice(bytes);
    }
    look_at_block(&padded)
}

#[inline]
fn look_at_block(block: &[u8; BLOCK_BYTES]) -> (u64, u64) {
    let (mut quotes, mut stops) = (0, 0);
    for (at, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        let lane = u8x16::new(*lane);
        let quote = lane.simd_eq(u8x16::splat(b'"'));
        let stop = lane.simd_eq(u8x16::splat(b'\\')) | lane.simd_lt(u8x16::splat(0x20));
        quotes |= u64::from(quote.to_bitmask()) << (16 * at);
        stops |= u64::from(stop.to_bitmask()) << (16 * at);
    }
    (quotes, stops)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame::{Scan, Scanner};
    use crate::wire::json::{PADDING_BYTES, Parser};
    use crate::wire::samples;

    type Members = Vec<(String, String)>;

    fn spelled<'a>(members: impl Iterator<Item = (&'a str, Value<'a>)>) -> Members {
        members.map(|(name, value)| (name.to_owned(), format!("{value:?}"))).collect()
    }

    /// What is read must not depend on what stands behind the bytes that were received.
    fn flat(bytes: &[u8]) -> Option<(usize, Members)> {
        let read = |bytes: &[u8], len| {
            let mut members = Members::new();
            let end = super::read(bytes, len, |name, value| {
                // A caller looks for names that it knows, and those are UTF-8.
                let Ok(name) = std::str::from_utf8(name) else { return false };
                let fresh = members.iter().all(|before| before.0 != name);
                members.push((name.to_owned(), format!("{value:?}")));
                fresh
            });
            end.map(|end| (end, members))
        };
        let plainly = read(bytes, bytes.len());
        for filler in [b'#', b'"', b'}', b'\n', b'1'] {
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len() + 2 * BLOCK_BYTES, filler);
            assert_eq!(read(&padded, bytes.len()), plainly, "behind it stands {:?}", char::from(filler));
        }
        plainly
    }

    /// The same by the scanner and the parser.
    fn thorough(bytes: &[u8]) -> Option<(usize, Members)> {
        let Scan::Message(range) = Scanner::new(1 << 20, 16).scan(bytes) else { return None };
        if range.start != 0 {
            return None;
        }
        let mut buffer = bytes.to_vec();
        buffer.resize(bytes.len() + PADDING_BYTES, b'#');
        let mut parser = Parser::new(16);
        let document = parser.parse(&mut buffer, range.end).ok()?;
        let object = document.object().ok()?;
        Some((range.end, spelled(object.members())))
    }

    /// Objects that are flat, or nearly.
    fn nearly_flat() -> impl Strategy<Value = String> {
        let name = prop_oneof!["[a-z]{1,10}", "[^\"\\\\\u{0}-\u{1f}]{0,9}", Just("id".to_owned())];
        let value = prop_oneof![
            6 => "\"[ -!#-\\[\\]-~]{0,40}\"",
            2 => "\"[^\"\\\\\u{0}-\u{1f}]{0,12}\"",
            3 => "[0-9]{1,17}",
            1 => samples::string(),
            1 => samples::number(),
            1 => samples::value(1),
        ];
        let blank = || prop_oneof![5 => Just(""), 2 => Just(" "), 1 => Just("  "), 1 => Just("\t")];
        let member = (name, value, blank(), blank())
            .prop_map(|(name, value, before, behind)| format!("{before}\"{name}\"{behind}:{before}{value}{behind}"));
        proptest::collection::vec(member, 0..15).prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #[test]
        fn what_is_accepted_the_thorough_way_reads_the_same(
            text in prop_oneof![nearly_flat(), samples::object()],
            edits in samples::edits(),
            behind in prop_oneof![Just(""), Just("\n"), Just("{"), Just("\r\n{\"command\":\"PING\"}")],
        ) {
            for text in [text.clone().into_bytes(), samples::edited(&text, &edits)] {
                let bytes = [&text, behind.as_bytes()].concat();
                if let Some(read) = flat(&bytes) {
                    prop_assert_eq!(Some(read), thorough(&bytes));
                }
                for length in 0..text.len() {
                    if let Some(read) = flat(&bytes[..length]) {
                        prop_assert_eq!(Some(read), thorough(&bytes[..length]), "cut at {}", length);
                    }
                }
            }
        }

        #[test]
        fn plain_messages_are_read_here(
            members in proptest::collection::btree_map("[a-zA-Z_.-]{1,12}", prop_oneof!["\"[a-zA-Z0-9 .:/@-]{0,64}\"", "[1-9][0-9]{0,14}", Just("0".to_owned())], 1..=12),
            blank in prop_oneof![Just(""), Just(" ")],
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{blank}{value}")).collect();
            let text = format!("{{{}}}", members.join(&format!(",{blank}")));
            let read = flat(text.as_bytes());
            prop_assert!(read.is_some(), "{}", text);
            prop_assert_eq!(read, thorough(text.as_bytes()));
        }

        #[test]
        fn every_byte_is_marked_as_what_it_is(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let (quotes, stops) = look(&bytes);
            for (at, byte) in bytes.iter().take(BLOCK_BYTES).enumerate() {
                prop_assert_eq!(quotes >> at & 1 == 1, *byte == b'"');
                prop_assert_eq!(stops >> at & 1 == 1, *byte == b'\\' || *byte < 0x20);
            }
            if bytes.len() < BLOCK_BYTES {
                prop_assert_eq!((quotes | stops) >> bytes.len(), 0);
            }
        }
    }

    #[test]
    fn what_is_not_flat_is_left_to_others() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "{\"a\":1",
            "{\"a\":\"1",
            "{\"a\":01}",
            "{\"a\":-1}",
            "{\"a\":1.5}",
            "{\"a\":1e3}",
            "{\"a\":true}",
            "{\"a\":null}",
            "{\"a\":[]}",
            "{\"a\":{}}",
            "{\"a\":\"\\n\"}",
            "{\"a\\u0062\":1}",
            "{\"a\":\"\n\"}",
            "{\n\"a\":1}",
            "{\"a\":1,}",
            "{\"a\":1,\"a\":2}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":1 2}",
            "{\"a\":1234567890123456}",
        ] {
            assert_eq!(flat(text.as_bytes()), None, "{text}");
        }
        assert_eq!(flat(b"{\"a\":\"\xff\"}"), None);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(BYTES_MAX));
        assert_eq!(flat(long.as_bytes()), None);
    }
}
