//! Why bytes are no message.

use std::fmt;

/// What is wrong with bytes that should have been one JSON object in UTF-8. It says nothing of what the peer sent
/// (`repsec:R17`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Something else than `{` stands where a message begins: an array, a scalar, a byte order mark, another protocol.
    NotAnObject,
    /// Arrays and objects nest deeper than allowed.
    TooDeep,
    /// A control character (below U+0020) stands unescaped in a string, or anywhere outside where it is no white space.
    ControlCharacter,
    /// Brackets, commas, colons and values do not follow one another as in JSON.
    Structure,
    /// Not UTF-8.
    Utf8,
    /// An escape in a string that JSON does not know, or half of a surrogate pair.
    Escape,
    /// A number that JSON does not know, or one outside the range of its type.
    Number,
}

impl Malformed {
    /// A sentence about the message, for the peer.
    pub fn as_str(self) -> &'static str {
        match self {
            Malformed::NotAnObject => "a message must begin with `{`",
            Malformed::TooDeep => "arrays and objects are nested too deeply",
            Malformed::ControlCharacter => "control characters must be escaped",
            Malformed::Structure => "this is not JSON: values, brackets, commas or colons are out of place",
            Malformed::Utf8 => "a message must be UTF-8",
            Malformed::Escape => "a string has an escape that JSON does not know, or half of a surrogate pair",
            Malformed::Number => "a number is not JSON or out of range",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
