//! Bulk lookups: how many names fit into one VERIFY with `entities`.
//!
//! May use: `types::limits`. Never: sends.

use serde_json::Value;

use super::request::Request;
use crate::types::limits::BULK_MESSAGE_BYTES_MAX;

/// Names in one message: enough that the message costs nothing beside them, few enough that an answer comes soon.
pub const NAMES_MAX: usize = 1000;
/// Bytes of names in one message, as JSON. What else is in the message (command, token) has the rest of the bound.
const NAMES_BYTES_MAX: usize = BULK_MESSAGE_BYTES_MAX - 64 * 1024;

/// The names of one message.
#[derive(Default, Debug)]
pub struct Chunk {
    names: Vec<String>,
    bytes: usize,
}

impl Chunk {
    /// Takes one more name, or gives it back when the message is full. A single name is always taken: if it is too
    /// long for the server, the server says so.
    ///
    /// # Errors
    /// The name, for the next message.
    pub fn push(&mut self, name: String) -> Result<(), String> {
        let bytes = json_bytes(&name);
        let full = self.names.len() >= NAMES_MAX || self.bytes + bytes > NAMES_BYTES_MAX;
        if full && !self.names.is_empty() {
            return Err(name);
        }
        self.bytes += bytes;
        self.names.push(name);
        Ok(())
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The message.
    pub fn request(&self) -> Request {
        Request::new("VERIFY")
            .with("entities", self.names.iter().map(String::as_str).map(Value::from).collect::<Vec<_>>())
    }
}

/// The bytes of a name as JSON with its quotes and comma, or more: control characters take six, `"` and `\` two.
fn json_bytes(name: &str) -> usize {
    let escaped = |byte: u8| match byte {
        0..=0x1f => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    3 + name.bytes().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_stay_within_the_bound_and_lose_nothing(names in prop::collection::vec("\\PC{0,40}|[\\x00-\\x1f\"\\\\]{0,40}", 1..60), times in 1_usize..60) {
            let names: Vec<String> = names.iter().map(|name| name.repeat(times)).collect();
            let mut chunks = vec![Chunk::default()];
            for name in &names {
                if let Err(name) = chunks.last_mut().unwrap().push(name.clone()) {
                    chunks.push(Chunk::default());
                    chunks.last_mut().unwrap().push(name).unwrap();
                }
            }
            for chunk in &chunks {
                prop_assert!(chunk.request().line(None).len() <= BULK_MESSAGE_BYTES_MAX);
                let counted: usize = chunk.names().iter().map(|name| json_bytes(name)).sum();
                prop_assert!(chunk.request().line(None).len() <= counted + 64);
            }
            let all: Vec<String> = chunks.into_iter().flat_map(|chunk| chunk.names).collect();
            prop_assert_eq!(all, names);
        }
    }

    #[test]
    fn a_message_holds_so_many_names_and_a_single_one_of_any_length() {
        let mut chunk = Chunk::default();
        for number in 0..NAMES_MAX {
            chunk.push(number.to_string()).unwrap();
        }
        assert_eq!(chunk.push("more".to_owned()), Err("more".to_owned()));
        let mut chunk = Chunk::default();
        chunk.push("x".repeat(2 * BULK_MESSAGE_BYTES_MAX)).unwrap();
        assert_eq!(chunk.push("more".to_owned()), Err("more".to_owned()));
    }
}
