//! Shapes against `serde_json`: a message that has the shape of another is the other with other values.

use repsec::wire::flat::{self, Flat};
use repsec::wire::shape::{Shape, Spelled, VALUES_MAX};

use super::tree::{self, Tree};

/// The first line is the message of which the shape is made, the rest is read by it.
pub fn run(data: &[u8]) {
    let Some(line_end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (message, rest) = (&data[..line_end], &data[line_end + 1..]);
    let (mut names, mut values) = (Vec::new(), Vec::new());
    let whole = flat::read(message, message.len(), |name, value| {
        let value = match value {
            Flat::Text(value) if std::str::from_utf8(value).is_ok() => Spelled::Text(value),
            Flat::Text(_) => return false,
            Flat::Number(_, spelled) => Spelled::Number(spelled),
            Flat::Object(_) => return true,
        };
        names.push(name);
        values.push(value);
        true
    });
    let Some(length) = whole else { return };
    let message = &message[..length];
    let Some((Tree::Object(expected), _)) = tree::first(message).filter(|(tree, _)| !tree.repeats()) else { return };
    if values.len() > VALUES_MAX {
        assert_eq!(Shape::of(message, &values), None);
        return;
    }
    let shape = Shape::of(message, &values).expect("a flat message has a shape");
    let read = |bytes: &[u8], len| {
        let mut found = Vec::new();
        shape.read(bytes, len, |_, value| found.push(value)).map(|length| (length, found))
    };
    let shaped = read(rest, rest.len());
    let mut padded = rest.to_vec();
    padded.extend_from_slice(&[b'"'; 64]);
    assert_eq!(read(&padded, rest.len()), shaped, "what stands behind a message matters");
    let Some((length, found)) = shaped else { return };
    let mut values = std::collections::BTreeMap::new();
    for (name, found) in names.into_iter().zip(found) {
        let value = match (found.number, std::str::from_utf8(&rest[found.place])) {
            (Some(number), _) => Tree::Unsigned(number),
            (None, Ok(text)) => Tree::Text(text.to_owned()),
            (None, Err(_)) => return,
        };
        values.insert(name, value);
    }
    let expected = expected.into_iter().map(|(name, value)| {
        let value = values.remove(name.as_bytes()).unwrap_or(value);
        (name, value)
    });
    assert_eq!(tree::first(rest), Some((Tree::Object(expected.collect()), length)));
}
