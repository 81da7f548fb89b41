//! A reader for flat messages: one object whose values are plain strings and small integers, as nearly all single
//! commands are.
//!
//! It finds the quotes of 64 bytes at once with SIMD instructions, steps from one to the next, and so finds the end of
//! the message on the way. Nothing is changed. What it does not know (an escape, nesting, a fraction, a literal, white space other than blanks) it leaves to [`json`](super::json): `None` is no verdict. What it accepts, [`frame`](super::frame) ends at
//! the same byte and [`json`](super::json) reads with the same members and values; a test holds it to that.
//!
//! Never: an opinion on what is malformed.

use wide::u8x16;

use super::json::Number;

/// Bytes up to which [`read`] looks, since it may be shown the same bytes again when more of the message has come.
const BYTES_MAX: usize = 4096;

/// Bytes that are looked at together.
const BLOCK_BYTES: usize = 64;

/// Digits that always fit into the integers that all JSON readers agree on.
const DIGITS_MAX: usize = 15;

/// The value of a member, as it was sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Flat<'a> {
    /// A string without escapes. It may not be UTF-8: whoever uses it looks.
    Text(&'a [u8]),
    /// A number, and how it was spelled.
    Number(Number, &'a [u8]),
    /// An object that is canonical text as it stands (RFC 8785): no blanks, ASCII names in ascending order, values that
    /// are strings without escapes or small integers. It may not be UTF-8 either.
    Object(&'a [u8]),
}

/// Reads the message that begins with the first byte and ends within the first `len`; what stands behind those is of no
/// meaning, but 64 bytes more of it spare a copy. Gives `member` each name and value in the order they were sent, and
/// returns how many bytes the message has.
///
/// `None` when the message is not flat, not complete or not valid, or when `member` says false, as it must for a name
/// that it was given before or does not know, and for a text that is not UTF-8: neither names nor texts are looked at
/// here. What `member` was given until then is of no meaning.
#[inline(always)]
pub fn read<'a>(bytes: &'a [u8], len: usize, member: impl FnMut(&'a [u8], Flat<'a>) -> bool) -> Option<usize> {
    read_up_to(BYTES_MAX, bytes, len, member, |_, _, _| false)
}

/// As [`read`], for messages of any length in which a member may also be an array of strings, as the names of a bulk
/// lookup are. `element` is given the member's name, a text, and whether it is the first of its array.
#[inline(always)]
pub fn read_with_lists<'a>(
    bytes: &'a [u8],
    len: usize,
    member: impl FnMut(&'a [u8], Flat<'a>) -> bool,
    element: impl FnMut(&'a [u8], &'a [u8], bool) -> bool,
) -> Option<usize> {
    read_up_to(usize::MAX, bytes, len, member, element)
}

#[inline(always)]
fn read_up_to<'a>(
    bytes_max: usize,
    bytes: &'a [u8],
    len: usize,
    mut member: impl FnMut(&'a [u8], Flat<'a>) -> bool,
    mut element: impl FnMut(&'a [u8], &'a [u8], bool) -> bool,
) -> Option<usize> {
    let mut marks = Marks::of(bytes, bytes_max);
    expect(bytes, 0, b'{')?;
    let mut at = 1;
    loop {
        let (name, begin) = marks.name(at)?;
        let end = if *bytes.get(begin)? == b'[' {
            marks.list(begin, |text, first| element(name, text, first))?
        } else {
            let (value, end) = marks.value(begin)?;
            if !member(name, value) {
                return None;
            }
            end
        };
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
    bytes_max: usize,
}

impl<'a> Marks<'a> {
    #[inline]
    fn of(bytes: &'a [u8], bytes_max: usize) -> Marks<'a> {
        let (quotes, stops) = look(bytes);
        Marks { bytes, block: 0, quotes, stops, bytes_max }
    }

    /// The place of the next quote. `None` when a backslash or a control character may stand before it.
    #[inline]
    fn next_quote(&mut self) -> Option<usize> {
        while self.quotes == 0 {
            self.block += BLOCK_BYTES;
            if self.stops != 0 || self.block >= self.bytes_max {
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

    /// Name of the member that begins at `at` or behind blanks there, and where its value begins.
    #[inline(always)]
    fn name(&mut self, at: usize) -> Option<(&'a [u8], usize)> {
        let bytes = self.bytes;
        let open = self.next_quote()?;
        if open != skip_blanks(bytes, at)? {
            return None;
        }
        let close = self.next_quote()?;
        let name = bytes.get(open + 1..close)?;
        let colon = skip_blanks(bytes, close + 1)?;
        expect(bytes, colon, b':')?;
        Some((name, skip_blanks(bytes, colon + 1)?))
    }

    /// The value that begins at `begin`, and where the byte behind it stands.
    #[inline(always)]
    fn value(&mut self, begin: usize) -> Option<(Flat<'a>, usize)> {
        match self.bytes.get(begin)? {
            b'"' => {
                let (text, end) = self.text(begin)?;
                Some((Flat::Text(text), end))
            }
            b'0'..=b'9' => {
                let (number, end) = number(self.bytes, begin)?;
                Some((Flat::Number(number, self.bytes.get(begin..end)?), end))
            }
            b'{' => {
                let end = self.object(begin)?;
                Some((Flat::Object(self.bytes.get(begin..end)?), end))
            }
            _ => None,
        }
    }

    /// Where the byte behind the object that begins at `begin` stands, if it is canonical.
    fn object(&mut self, begin: usize) -> Option<usize> {
        let bytes = self.bytes;
        let (mut at, mut before): (usize, Option<&[u8]>) = (begin + 1, None);
        loop {
            expect(bytes, at, b'"')?;
            let (name, end) = self.text(at)?;
            if !name.is_ascii() || before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            expect(bytes, end, b':')?;
            let value = end + 1;
            let end = match bytes.get(value)? {
                b'"' => self.text(value)?.1,
                b'0'..=b'9' => number(bytes, value)?.1,
                _ => return None,
            };
            at = end + 1;
            match bytes.get(end)? {
                b',' => {}
                b'}' => return Some(at),
                _ => return None,
            }
        }
    }

    /// The string that begins with the quote at `begin`, which is the next one, and where the byte behind it stands.
    #[inline(always)]
    fn text(&mut self, begin: usize) -> Option<(&'a [u8], usize)> {
        self.next_quote()?;
        let end = self.next_quote()?;
        Some((self.bytes.get(begin + 1..end)?, end + 1))
    }

    /// Gives `element` the strings of the array that begins at `begin`. Returns where the byte behind it stands. An
    /// array of no strings is left to others.
    #[inline(always)]
    fn list(&mut self, begin: usize, mut element: impl FnMut(&'a [u8], bool) -> bool) -> Option<usize> {
        let bytes = self.bytes;
        let (mut at, mut first) = (begin + 1, true);
        loop {
            let open = skip_blanks(bytes, at)?;
            expect(bytes, open, b'"')?;
            let (text, end) = self.text(open)?;
            if !element(text, first) {
                return None;
            }
            first = false;
            at = skip_blanks(bytes, end)? + 1;
            match bytes.get(at - 1)? {
                b',' => {}
                b']' => return Some(at),
                _ => return None,
            }
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
    use crate::types::Attributes;
    use crate::wire::canonical;
    use crate::wire::frame::{Scan, Scanner};
    use crate::wire::json::{PADDING_BYTES, Parser, Value};
    use crate::wire::samples;

    type Members = Vec<(String, String)>;

    fn spelled<'a>(members: impl Iterator<Item = (&'a str, Value<'a>)>) -> Members {
        members.map(|(name, value)| (name.to_owned(), spelled_value(value))).collect()
    }

    fn spelled_value(value: Value<'_>) -> String {
        match value {
            Value::Object(object) => format!("{:?}", canonical::attributes(object, usize::MAX)),
            value => format!("{value:?}"),
        }
    }

    /// What is read must not depend on what stands behind the bytes that were received.
    fn flat(bytes: &[u8]) -> Option<(usize, Members)> {
        let read = |bytes: &[u8], len| {
            let mut members = Members::new();
            let end = super::read(bytes, len, |name, value| {
                // A caller looks for names that it knows, and those are UTF-8.
                let Ok(name) = std::str::from_utf8(name) else { return false };
                let utf8 = |text| std::str::from_utf8(text).ok();
                let value = match value {
                    Flat::Text(text) => utf8(text).map(|text| spelled_value(Value::Text(text))),
                    Flat::Number(number, _) => Some(spelled_value(Value::Number(number))),
                    Flat::Object(text) => {
                        let attributes = utf8(text).map(Attributes::from_canonical);
                        attributes.map(|attributes| format!("{:?}", Ok::<_, canonical::Refused>(attributes)))
                    }
                };
                let Some(value) = value else { return false };
                let fresh = members.iter().all(|before| before.0 != name);
                members.push((name.to_owned(), value));
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
            2 => proptest::collection::btree_map("[a-z]{1,4}", prop_oneof!["\"[ -!#-\\[\\]-~]{0,20}\"", "[0-9]{1,17}"], 0..6)
                .prop_map(|members| {
                    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
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
        fn canonical_objects_are_read_here(
            members in proptest::collection::btree_map("[a-zA-Z_.-]{1,12}", prop_oneof!["\"[a-zA-Z0-9 .:/@-]{0,64}\"", "[1-9][0-9]{0,14}"], 1..=12),
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let text = format!("{{\"a\":{{{}}},\"b\":1}}", members.join(","));
            let read = flat(text.as_bytes());
            prop_assert!(read.is_some(), "{}", text);
            prop_assert_eq!(read, thorough(text.as_bytes()));
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

        /// Lists of strings, and what is nearly one, against the parser.
        #[test]
        fn lists_are_read_as_the_parser_reads_them(
            elements in proptest::collection::vec(prop_oneof![
                12 => "\"[ -!#-\\[\\]-~]{0,40}\"",
                1 => samples::string(),
                1 => samples::value(1),
            ], 0..40),
            blank in prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\t")],
            edits in samples::edits(),
        ) {
            let text = format!("{{\"a\":{blank}[{blank}{}],\"b\":7}}", elements.join(&format!(",{blank}")));
            for text in [text.clone().into_bytes(), samples::edited(&text, &edits)] {
                let mut list = Vec::new();
                let read = read_with_lists(&text, text.len(), |name, _| name == b"b", |name, element, first| {
                    let Ok(element) = std::str::from_utf8(element) else { return false };
                    list.push(format!("{:?}", Value::Text(element)));
                    name == b"a" && first == (list.len() == 1)
                });
                let Some(end) = read else { continue };
                let mut buffer = text.clone();
                buffer.resize(text.len() + PADDING_BYTES, b'#');
                let mut parser = Parser::new(16);
                let document = parser.parse(&mut buffer, end).unwrap();
                let (_, first) = document.object().unwrap().members().find(|(name, _)| *name == "a").unwrap();
                let Value::Array(array) = first else { panic!("{first:?}") };
                prop_assert_eq!(array.elements().map(|element| format!("{element:?}")).collect::<Vec<_>>(), list);
            }
        }

        #[test]
        fn plain_lists_are_read_here(elements in proptest::collection::vec("[a-z0-9.:@/-]{0,40}", 1..60)) {
            let text = format!("{{\"a\":[\"{}\"]}}", elements.join("\",\""));
            let mut list = Vec::new();
            let read = read_with_lists(text.as_bytes(), text.len(), |_, _| false, |_, element, _| {
                list.push(String::from_utf8(element.to_vec()).unwrap());
                true
            });
            prop_assert_eq!(read, Some(text.len()));
            prop_assert_eq!(list, elements);
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
            "{\"a\":{\"b\":{}}}",
            "{\"a\":{\"b\": 1}}",
            "{\"a\":{\"b\":1,\"a\":1}}",
            "{\"a\":{\"a\":1,\"a\":1}}",
            "{\"a\":{\"\u{e4}\":1}}",
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
