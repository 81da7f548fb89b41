//! The shape of a message: all of it but its strings and numbers, or some of them.
//!
//! A peer's commands differ in their values only, since its program writes them all alike. So whoever has read one of
//! them with care ([`flat`](super::flat)) can see of the next that it is the same but for those, which is a comparison
//! of bytes, and knows what it means.
//!
//! Never: meaning, or more trust in the bytes between than in those of any other message.

use std::ops::Range;

use super::text::stop;

/// Values of a message at the most; one with more has no shape.
pub const VALUES_MAX: usize = 16;

/// Bytes up to which [`Shape::read`] looks, since it may be shown the same bytes again when more of the message has come.
const BYTES_MAX: usize = 4096;

/// Digits that always fit into the integers that all JSON readers agree on.
const DIGITS_MAX: usize = 15;

/// The bytes around the values of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// What stands before each value and behind the last, one behind the other.
    literals: Box<[u8]>,
    values: Box<[Place]>,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    /// How many bytes stand between it and the value before.
    before: usize,
    is_text: bool,
}

/// A value of a message that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spelled<'a> {
    /// What stands between the quotes of a string without escapes.
    Text(&'a [u8]),
    /// The digits of an unsigned integer.
    Number(&'a [u8]),
}

/// A value of a message of a known shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Where it stands, without quotes. A text holds no escape and may not be UTF-8.
    pub place: Range<usize>,
    /// The number; `None` for a text.
    pub number: Option<u64>,
}

impl Shape {
    /// The shape of a message that was found to be valid JSON. The values are parts of it, in their order; what is none
    /// of them stays as it is. `None` where that is not so, and where there are too many.
    pub fn of(message: &[u8], values: &[Spelled<'_>]) -> Option<Shape> {
        if values.len() > VALUES_MAX {
            return None;
        }
        let (mut literals, mut places, mut at) = (Vec::with_capacity(message.len()), Vec::new(), 0);
        for value in values {
            let (Spelled::Text(part) | Spelled::Number(part)) = value;
            let begin = part.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
            let before = message.get(at..begin)?;
            literals.extend_from_slice(before);
            places.push(Place { before: before.len(), is_text: matches!(value, Spelled::Text(_)) });
            at = begin.saturating_add(part.len());
        }
        literals.extend_from_slice(message.get(at..)?);
        let shape = Shape { literals: literals.into(), values: places.into() };
        // What it was made of has it; else the places were wrong.
        shape.read(message, message.len(), |_, _| ()).filter(|length| *length == message.len()).map(|_| shape)
    }

    /// How many values it has.
    pub fn values(&self) -> usize {
        self.values.len()
    }

    /// Reads the message that begins with the first byte and ends within the first `len`, if it has this shape: then it
    /// is valid if its texts are UTF-8, and means the same as that of which the shape was made, but for the values.
    /// Gives `value` each of them with its number, and returns how many bytes the message has. What was given before a
    /// `None` is of no meaning.
    #[inline(always)]
    pub fn read(&self, bytes: &[u8], len: usize, mut value: impl FnMut(usize, Found)) -> Option<usize> {
        let bytes = bytes.get(..BYTES_MAX).unwrap_or(bytes);
        let (mut rest, mut literals) = (Rest { bytes, at: 0 }, &*self.literals);
        for (number, place) in self.values.iter().enumerate() {
            let (before, behind) = literals.split_at_checked(place.before)?;
            rest.skip(before)?;
            literals = behind;
            let begin = rest.at;
            let found = if place.is_text { rest.text().map(|()| None)? } else { Some(rest.number()?) };
            value(number, Found { place: begin..rest.at, number: found });
        }
        rest.skip(literals)?;
        (rest.at <= len).then_some(rest.at)
    }
}

/// What is left of a message.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    #[inline(always)]
    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        let ahead = self.bytes.get(self.at..self.at + expected.len())?;
        self.at += expected.len();
        (ahead == expected).then_some(())
    }

    /// Skips the bytes before the next quote, none of which is a backslash or a control character.
    #[inline(always)]
    fn text(&mut self) -> Option<()> {
        let ahead = self.bytes.get(self.at..)?;
        self.at += stop(ahead).filter(|stop| ahead.get(*stop) == Some(&b'"'))?;
        Some(())
    }

    #[inline(always)]
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

    /// A message with these values, which are texts in quotes or numbers, and the parts of it that they are.
    fn message(values: &[String]) -> (String, Vec<Range<usize>>) {
        let (mut message, mut places) = ("{\"a\": 1".to_owned(), Vec::new());
        for (number, value) in values.iter().enumerate() {
            message += &format!(" ,\"v{number}\":");
            let begin = message.len() + usize::from(value.starts_with('"'));
            message += value;
            places.push(begin..begin + value.trim_matches('"').len());
        }
        (message + "}", places)
    }

    fn shape((message, places): &(String, Vec<Range<usize>>)) -> Option<Shape> {
        let spelled = |place: &Range<usize>| {
            let part = &message.as_bytes()[place.clone()];
            if message.as_bytes()[place.start - 1] == b'"' { Spelled::Text(part) } else { Spelled::Number(part) }
        };
        Shape::of(message.as_bytes(), &places.iter().map(spelled).collect::<Vec<_>>())
    }

    fn read(shape: &Shape, bytes: &[u8], len: usize) -> Option<(usize, Vec<Found>)> {
        let mut found = Vec::new();
        let length = shape.read(bytes, len, |number, value| {
            assert_eq!(number, found.len());
            found.push(value);
        })?;
        assert_eq!(found.len(), shape.values());
        Some((length, found))
    }

    /// The same values twice, but for what they are.
    fn values() -> impl Strategy<Value = Vec<(String, String)>> {
        let text = || "\"[^\"\\\\\u{0}-\u{1f}]{0,40}\"";
        let number = || prop_oneof![(0..1_000_000_000_000_000_u64), 0..10_u64].prop_map(|number| number.to_string());
        prop::collection::vec(prop_oneof![(text(), text()), (number(), number())], 0..6)
    }

    proptest! {
        /// Messages that differ in their values have each other's shape, whatever stands behind them; and of none that
        /// was cut, or in which another byte was changed, more is said than that.
        #[test]
        fn the_same_but_for_the_values(
            values in values(), behind in ".{0,40}", change in any::<(prop::sample::Index, u8)>(),
        ) {
            let (one, other): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let shape = shape(&message(&one)).unwrap();
            let (second, places) = message(&other);
            let found = places.iter().zip(&other).map(|(place, value)| {
                Found { place: place.clone(), number: value.parse().ok() }
            });
            let bytes = [second.as_bytes(), behind.as_bytes()].concat();
            prop_assert_eq!(read(&shape, &bytes, second.len()), Some((second.len(), found.collect())));
            for length in 0..second.len() {
                prop_assert_eq!(read(&shape, &bytes[..length], length), None);
                prop_assert_eq!(read(&shape, &bytes, length), None);
            }
            let place = change.0.index(second.len());
            let mut changed = second.clone().into_bytes();
            changed[place] = change.1;
            let Some((length, found)) = read(&shape, &changed, changed.len()) else { return Ok(()) };
            let inside = places.iter().any(|range| range.contains(&place));
            prop_assert!(changed == second.as_bytes() || inside);
            // What is read is still JSON that says so.
            match serde_json::from_slice::<serde_json::Value>(&changed[..length]) {
                Ok(json) => for (number, found) in found.into_iter().enumerate() {
                    let value = &json[format!("v{number}")];
                    match found.number {
                        None => prop_assert_eq!(value.as_str().unwrap().as_bytes(), &changed[found.place]),
                        number => prop_assert_eq!(value.as_u64(), number),
                    }
                },
                Err(_) => prop_assert!(std::str::from_utf8(&changed).is_err()),
            }
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        let shape = shape(&message(&["\"x\"".to_owned(), "7".to_owned()])).unwrap();
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
            let (text, _) = message(&["\"x\"".to_owned(), spelled.to_owned()]);
            let found = read(&shape, text.as_bytes(), text.len()).map(|(_, found)| found[1].number);
            assert_eq!(found, value.map(Some), "{spelled}");
        }
    }

    #[test]
    fn no_more_is_looked_at_than_a_short_message_has() {
        let long = |bytes| message(&[format!("\"{}\"", "x".repeat(bytes))]);
        let (short, head) = (shape(&long(1)).unwrap(), long(0).0.len());
        for (bytes, is_read) in [(BYTES_MAX - head, true), (BYTES_MAX - head + 1, false)] {
            let (text, _) = long(bytes);
            assert_eq!(read(&short, text.as_bytes(), text.len()).is_some(), is_read);
        }
    }

    #[test]
    fn values_that_are_wrong_make_no_shape() {
        let text = b"{\"a\":\"b\",\"n\":1}";
        let part = |range: Range<usize>| &text[range];
        assert!(Shape::of(text, &[Spelled::Text(part(6..7)), Spelled::Number(part(13..14))]).is_some());
        for wrong in [
            vec![Spelled::Text(part(5..7)), Spelled::Number(part(13..14))],
            vec![Spelled::Text(part(6..7)), Spelled::Number(part(12..14))],
            vec![Spelled::Number(part(13..14)), Spelled::Text(part(6..7))],
            vec![Spelled::Text(part(6..7)), Spelled::Number(part(6..7))],
            vec![Spelled::Text(part(6..8))],
            vec![Spelled::Number(part(6..7))],
            vec![Spelled::Text(b"b")],
        ] {
            assert_eq!(Shape::of(text, &wrong), None, "{wrong:?}");
        }
        let many = message(&vec!["1".to_owned(); VALUES_MAX]);
        assert_eq!(shape(&many).map(|shape| shape.values()), Some(VALUES_MAX));
        assert_eq!(shape(&message(&vec!["1".to_owned(); VALUES_MAX + 1])), None);
    }
}
