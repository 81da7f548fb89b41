//! The member `id`, by which a peer recognizes the answer to a message (`repsec:O2`).

use crate::types::limits::ID_BYTES_MAX;
use crate::wire::canonical::write_number;
use crate::wire::json::{Number, Value};
use crate::wire::text::push_string;

/// A peer's name for a message, which its answer repeats. Strings and integers of up to 64 bits come back exactly;
/// another number comes back as the same double in its shortest spelling (`1.50` as `1.5`).
#[derive(Clone, PartialEq, Debug)]
pub enum Id {
    /// A string of at most 256 bytes.
    Text(Box<str>),
    /// A number.
    Number(Number),
}

impl Id {
    /// Reads an id; `None` for what is neither a number nor a string of the allowed length.
    pub fn read(value: Value<'_>) -> Option<Id> {
        match value {
            Value::Text(text) if text.len() <= ID_BYTES_MAX => Some(Id::Text(text.into())),
            Value::Number(number) => Some(Id::Number(number)),
            Value::Text(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Writes the id as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Id::Text(text) => push_string(out, text),
            Id::Number(number) => write_number(out, *number),
        }
    }
}
