//! A reader for flat messages: one object whose values are plain strings and small integers, as nearly all single
//! commands are.
//!
//! It looks at each byte once, eight at a time inside strings, finds the end of the message on the way, and changes
//! nothing. What it does not know (an escape, nesting, a fraction, a literal, white space other than blanks, many
//! members) it leaves to [`json`](super::json): `None` is no verdict. What it accepts, [`frame`](super::frame) ends at
//! the same byte and [`json`](super::json) reads with the same members and values; a test holds it to that.
//!
//! Never: an opinion on what is malformed.

use super::json::{Number, Value};

/// Members up to which a message is read here.
pub const MEMBERS_MAX: usize = 12;

/// Bytes up to which a message is read here. One that is longer has a value that is looked at more closely anyway.
pub const BYTES_MAX: usize = 4096;

/// Digits that always fit into the integers that all JSON readers agree on.
const DIGITS_MAX: usize = 15;

/// One message, read where it lies.
#[derive(Debug)]
pub struct Flat<'a> {
    text: &'a str,
    members: [Member; MEMBERS_MAX],
    count: usize,
}

/// Where a member stands in the text.
#[derive(Clone, Copy, Default, Debug)]
struct Member {
    name: Span,
    value: Span,
    is_number: bool,
}

#[derive(Clone, Copy, Default, Debug)]
struct Span {
    begin: u16,
    end: u16,
}

impl Span {
    fn of(self, text: &str) -> &str {
        text.get(usize::from(self.begin)..usize::from(self.end)).unwrap_or_default()
    }
}

impl<'a> Flat<'a> {
    /// Reads the message that begins with the first byte. `None` when it is not flat, not complete or not valid, or
    /// when a member stands in it twice.
    pub fn read(bytes: &'a [u8]) -> Option<Flat<'a>> {
        let mut cursor = Cursor { bytes: bytes.get(..BYTES_MAX).unwrap_or(bytes), at: 0 };
        let mut members = [Member::default(); MEMBERS_MAX];
        let mut count = 0;
        cursor.take(b'{')?;
        loop {
            let member = cursor.member()?;
            *members.get_mut(count)? = member;
            count += 1;
            match cursor.next_token()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        let text = std::str::from_utf8(bytes.get(..cursor.at)?).ok()?;
        let flat = Flat { text, members, count };
        (!flat.names_repeat()).then_some(flat)
    }

    /// How many bytes the message has.
    pub fn len_bytes(&self) -> usize {
        self.text.len()
    }

    /// The members, each a name and a value, in the order they were sent.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let text = self.text;
        self.members.iter().take(self.count).map(move |member| {
            let value = member.value.of(text);
            let value = if member.is_number { Value::Number(number(value)) } else { Value::Text(value) };
            (member.name.of(text), value)
        })
    }

    fn names_repeat(&self) -> bool {
        let members = self.members.get(..self.count).unwrap_or_default();
        members.iter().enumerate().any(|(at, member)| {
            let name = member.name.of(self.text);
            members.iter().take(at).any(|before| before.name.of(self.text) == name)
        })
    }
}

/// At most [`DIGITS_MAX`] digits, so nothing overflows.
fn number(digits: &str) -> Number {
    Number::Unsigned(digits.bytes().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// A place in the message.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Takes the next byte that is not a blank.
    #[inline]
    fn next_token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if byte != b' ' {
                return Some(byte);
            }
        }
    }

    #[inline]
    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next_token()? == expected).then_some(())
    }

    #[inline]
    fn member(&mut self) -> Option<Member> {
        self.take(b'"')?;
        let name = self.rest_of_string()?;
        self.take(b':')?;
        match self.next_token()? {
            b'"' => Some(Member { name, value: self.rest_of_string()?, is_number: false }),
            b'0'..=b'9' => Some(Member { name, value: self.rest_of_number()?, is_number: true }),
            _ => None,
        }
    }

    /// The inside of the string whose opening quote was taken; its closing quote is taken too.
    #[inline]
    fn rest_of_string(&mut self) -> Option<Span> {
        let begin = self.at;
        let end = begin + plain_run(self.bytes.get(begin..)?);
        self.at = end + 1;
        // Anything but a quote is an escape, a control character, or the end of what was received.
        (*self.bytes.get(end)? == b'"').then_some(())?;
        Some(Span { begin: u16::try_from(begin).ok()?, end: u16::try_from(end).ok()? })
    }

    /// The number whose first digit was taken.
    #[inline]
    fn rest_of_number(&mut self) -> Option<Span> {
        let begin = self.at - 1;
        let digits = self.bytes.get(begin..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let leading_zero = digits > 1 && self.bytes.get(begin) == Some(&b'0');
        self.at = begin + digits;
        // What may follow a number is a comma, a brace or a blank; the caller sees to that, with anything else.
        if digits > DIGITS_MAX || leading_zero {
            return None;
        }
        Some(Span { begin: u16::try_from(begin).ok()?, end: u16::try_from(self.at).ok()? })
    }
}

/// How many bytes stand before the first quote, backslash or control character.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return at * 8 + (stops.trailing_zeros() / 8) as usize;
        }
    }
    let run = rest.iter().take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\').count();
    words.len() * 8 + run
}

/// Sets the high bit of bytes that end a plain run. Above the lowest such byte there may be false ones, since a
/// subtraction borrows upwards; the lowest is right.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGHS;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | equal(b'"') | equal(b'\\')
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

    fn flat(bytes: &[u8]) -> Option<(usize, Members)> {
        Flat::read(bytes).map(|flat| (flat.len_bytes(), spelled(flat.members())))
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
            members in proptest::collection::btree_map("[a-zA-Z_.-]{1,12}", prop_oneof!["\"[a-zA-Z0-9 .:/@-]{0,64}\"", "[1-9][0-9]{0,14}", Just("0".to_owned())], 1..=MEMBERS_MAX),
            blank in prop_oneof![Just(""), Just(" ")],
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{blank}{value}")).collect();
            let text = format!("{{{}}}", members.join(&format!(",{blank}")));
            let read = flat(text.as_bytes());
            prop_assert!(read.is_some(), "{}", text);
            prop_assert_eq!(read, thorough(text.as_bytes()));
        }

        #[test]
        fn a_run_ends_at_the_first_byte_that_is_not_plain(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let slowly = bytes.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')).unwrap_or(bytes.len());
            prop_assert_eq!(plain_run(&bytes), slowly);
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
        let many: Vec<String> = (0..=MEMBERS_MAX).map(|at| format!("\"m{at}\":1")).collect();
        assert_eq!(flat(format!("{{{}}}", many.join(",")).as_bytes()), None);
    }
}
