//! Shapes against `serde_json`: a message that has the shape of another is the other with two values changed.

use repsec::wire::flat::{self, Flat};
use repsec::wire::shape::Shape;

use super::tree::{self, Tree};

/// The first line is the message of which the shape is made, the rest is read by it.
pub fn run(data: &[u8]) {
    let Some(line_end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (message, rest) = (&data[..line_end], &data[line_end + 1..]);
    let (mut text, mut number) = (None, None);
    let whole = flat::read(message, message.len(), |name, value| {
        match value {
            Flat::Text(value) if std::str::from_utf8(value).is_ok() => text = Some((name, value)),
            Flat::Text(_) => return false,
            Flat::Number(_, spelled) => number = Some((name, spelled)),
            Flat::Object(_) => {}
        }
        true
    });
    let (Some(length), Some((text_name, text))) = (whole, text) else { return };
    let message = &message[..length];
    let Some((Tree::Object(expected), _)) = tree::first(message).filter(|(tree, _)| !tree.repeats()) else { return };
    let shape = Shape::of(message, text, number.map(|number| number.1)).expect("a flat message has a shape");
    let Some(shaped) = shape.read(rest, rest.len()) else { return };
    let mut padded = rest.to_vec();
    padded.extend_from_slice(&[b'"'; 64]);
    assert_eq!(shape.read(&padded, rest.len()), Some(shaped), "what stands behind a message matters");
    let Ok(found) = std::str::from_utf8(shaped.text) else { return };
    let expected = expected.into_iter().map(|(name, value)| {
        let value = match (&name, shaped.number) {
            (name, _) if name.as_bytes() == text_name => Tree::Text(found.to_owned()),
            (name, Some(value)) if number.is_some_and(|number| name.as_bytes() == number.0) => Tree::Unsigned(value),
            _ => value,
        };
        (name, value)
    });
    assert_eq!(tree::first(rest), Some((Tree::Object(expected.collect()), shaped.length)));
}
