//! The shape of a message: all of it but one string and perhaps one number.
//!
//! A peer's lookups differ in the name and the id only, since its program writes them all alike. So whoever has read one of
//! them with care ([`flat`](super::flat)) can see of the next that it is the same but for those two, which is a
//! comparison of bytes, and knows what it means.
//!
//! Never: meaning, or more trust in the bytes between than in those of any other message.

use std::ops::Range;

use super::text::stop;

/// Digits that always fit into the integers that all JSON readers agree on.
const DIGITS_MAX: usize = 15;

/// The bytes around the values of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Before, between and behind the values.
    head: Box<[u8]>,
    middle: Box<[u8]>,
    tail: Box<[u8]>,
    values: Values,
}

/// Which values there are, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Values {
    Text,
    TextNumber,
    NumberText,
}

/// A message of a known shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shaped<'a> {
    /// How many bytes it has.
    pub length: usize,
    /// The string, which holds no escape and may not be UTF-8.
    pub text: &'a [u8],
    /// The number.
    pub number: Option<u64>,
}

impl Shape {
    /// The shape of a message that was found to be valid JSON. `text` is the part of it that stands between the quotes
    /// of a string without escapes, `number` the part that is an unsigned integer. `None` where they are not.
    pub fn of(message: &[u8], text: &[u8], number: Option<&[u8]>) -> Option<Shape> {
        let place = |part: &[u8]| {
            let begin = part.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
            begin..begin.saturating_add(part.len())
        };
        let (text, number) = (place(text), number.map(place));
        let part = |range: Range<usize>| message.get(range).map(Box::from);
        let end = message.len();
        let (head, middle, tail, values) = match number {
            None => (part(0..text.start)?, Box::default(), part(text.end..end)?, Values::Text),
            Some(number) if text.end <= number.start => {
                (part(0..text.start)?, part(text.end..number.start)?, part(number.end..end)?, Values::TextNumber)
            }
            Some(number) => {
                (part(0..number.start)?, part(number.end..text.start)?, part(text.end..end)?, Values::NumberText)
            }
        };
        let shape = Shape { head, middle, tail, values };
        // What it was made of has it; else the places were wrong.
        shape.read(message, message.len()).filter(|read| read.length == end).is_some().then_some(shape)
    }

    /// The message that begins with the first byte and ends within the first `len`, if it has this shape: then it is
    /// valid if the text is UTF-8, and means the same as that of which the shape was made, but for the two values.
    #[inline]
    pub fn read<'a>(&self, bytes: &'a [u8], len: usize) -> Option<Shaped<'a>> {
        let mut rest = Rest { bytes, at: 0 };
        rest.skip(&self.head)?;
        let (text, number) = match self.values {
            Values::Text => (rest.text()?, None),
            Values::TextNumber => {
                let text = rest.text()?;
                rest.skip(&self.middle)?;
                (text, Some(rest.number()?))
            }
            Values::NumberText => {
                let number = rest.number()?;
                rest.skip(&self.middle)?;
                (rest.text()?, Some(number))
            }
        };
        rest.skip(&self.tail)?;
        (rest.at <= len).then_some(Shaped { length: rest.at, text, number })
    }
}

/// What is left of a message.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    #[inline]
    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        let ahead = self.bytes.get(self.at..self.at + expected.len())?;
        self.at += expected.len();
        (ahead == expected).then_some(())
    }

    /// The bytes before the next quote, none of which is a backslash or a control character.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        let ahead = self.bytes.get(self.at..)?;
        let length = stop(ahead).filter(|stop| ahead.get(*stop) == Some(&b'"'))?;
        self.at += length;
        ahead.get(..length)
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let (begin, mut value) = (self.at, 0);
        while let digit @ b'0'..=b'9' = *self.bytes.get(self.at)? {
            value = value * 10 + u64::from(digit - b'0');
            self.at += 1;
            if self.at - begin > DIGITS_MAX {
                return None;
            }
        }
        let leading_zero = self.at > begin + 1 && self.bytes.get(begin) == Some(&b'0');
        (self.at > begin && !leading_zero).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message with its values: text and perhaps a number, before it or behind it.
    fn message(before: bool, text: &str, number: Option<&str>) -> (String, Range<usize>, Option<Range<usize>>) {
        let part = |message: &mut String, head: &str, value: &str| {
            *message += head;
            let begin = message.len();
            *message += value;
            begin..message.len()
        };
        let mut message = "{\"a\": 1,".to_owned();
        let first = number.filter(|_| before).map(|number| part(&mut message, "\"n\":", number));
        if first.is_some() {
            message += " ,";
        }
        let place = part(&mut message, "\"t\":\"", text);
        message += "\"";
        let second = number.filter(|_| !before).map(|number| part(&mut message, ", \"n\":", number));
        (message + "}", place, first.or(second))
    }

    fn shape((message, text, number): &(String, Range<usize>, Option<Range<usize>>)) -> Option<Shape> {
        let part = |range: &Range<usize>| message.as_bytes().get(range.clone()).unwrap();
        Shape::of(message.as_bytes(), part(text), number.as_ref().map(part))
    }

    proptest! {
        /// Messages that differ in their values have each other's shape, whatever stands behind them; and of none that
        /// was cut, or in which another byte was changed, more is said than that.
        #[test]
        fn the_same_but_for_the_values(
            before: bool, has_number: bool,
            one in "[^\"\\\\\u{0}-\u{1f}]{0,40}", other in "[^\"\\\\\u{0}-\u{1f}]{0,40}",
            numbers in (0..1_000_000_000_000_000_u64, 0..10_u64),
            behind in ".{0,40}", change in any::<(prop::sample::Index, u8)>(),
        ) {
            let spelled = (numbers.0.to_string(), numbers.1.to_string());
            let shape = shape(&message(before, &one, has_number.then_some(&*spelled.0))).unwrap();
            let (second, text, number) = message(before, &other, has_number.then_some(&*spelled.1));
            let expected = Shaped { length: second.len(), text: other.as_bytes(), number: has_number.then_some(numbers.1) };
            let bytes = [second.as_bytes(), behind.as_bytes()].concat();
            prop_assert_eq!(shape.read(&bytes, second.len()), Some(expected));
            for length in 0..second.len() {
                prop_assert_eq!(shape.read(&bytes[..length], length), None);
                prop_assert_eq!(shape.read(&bytes, length), None);
            }
            let place = change.0.index(second.len());
            let mut changed = second.clone().into_bytes();
            changed[place] = change.1;
            if let Some(read) = shape.read(&changed, changed.len()) {
                let inside = |range: &Range<usize>| range.contains(&place);
                prop_assert!(changed == second.as_bytes() || inside(&text) || number.as_ref().is_some_and(inside)
                    || read.length < changed.len());
                // What is read is still JSON that says so.
                let read_text = std::str::from_utf8(read.text);
                if let (Ok(read_text), Ok(value)) = (read_text, serde_json::from_slice::<serde_json::Value>(&changed[..read.length])) {
                    prop_assert_eq!(value["t"].as_str(), Some(read_text));
                    prop_assert_eq!(value["n"].as_u64(), read.number);
                } else {
                    prop_assert!(read_text.is_err());
                }
            }
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        let shape = shape(&message(true, "x", Some("7"))).unwrap();
        for (spelled, value) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("00", None),
            ("01", None),
            ("", None),
            ("1.5", None),
            ("-1", None),
            ("1e3", None),
            ("123456789012345", Some(123_456_789_012_345)),
            ("1234567890123456", None),
        ] {
            let (text, ..) = message(true, "x", Some(spelled));
            let read = shape.read(text.as_bytes(), text.len()).map(|read| read.number);
            assert_eq!(read, value.map(Some), "{spelled}");
        }
    }

    #[test]
    fn places_that_are_wrong_make_no_shape() {
        let text = "{\"a\":\"b\",\"n\":1}".to_owned();
        assert!(shape(&(text.clone(), 6..7, Some(13..14))).is_some());
        for (place, number) in [(5..7, Some(13..14)), (6..7, Some(12..14)), (6..7, Some(6..7)), (6..8, None)] {
            assert_eq!(shape(&(text.clone(), place.clone(), number.clone())), None, "{place:?} {number:?}");
        }
        assert_eq!(Shape::of(text.as_bytes(), b"b", None), None, "a part of something else");
    }
}
