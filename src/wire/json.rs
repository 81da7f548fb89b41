//! The parser, in place, with SIMD instructions. This is the only file that names `simd_json`.
//!
//! A [`Parser`] belongs to a thread and keeps its memory from message to message. It parses one message where it lies
//! in the receive buffer: strings are unescaped in place, and [`Value`]s borrow from there. Of what RFC 8259 leaves to
//! the reader, this one is strict: a repeated member name is refused at every depth ([`Repeated`]), half of a
//! surrogate pair is malformed, and so are integers outside of 64 bits and numbers that overflow a double. Integers
//! between 2^53 and 64 bits are kept exact; whoever uses one decides.
//!
//! Never: meaning, or trust in the peer. Size is bounded by the frame, depth here again.

use std::mem;

use simd_json::{Buffers, ErrorType, Node, StaticNode, Tape};

use super::Malformed;
use crate::types::limits::INTEGER_MAX;

/// Bytes that must follow a message in its buffer so that it is parsed without being copied first. What they are does
/// not matter, and they stay as they are.
pub const PADDING_BYTES: usize = simd_json::INPUT_PADDING;

/// Nodes of a tape that a parser keeps for the next message: enough for a full bulk lookup, 384 KiB.
const TAPE_NODES_KEPT: usize = 16 * 1024;

/// Members up to which names are compared pair by pair; above, they are sorted.
const PAIRWISE_MEMBERS_MAX: usize = 16;

/// A parser with its working memory. One serves all connections of a thread.
pub struct Parser {
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Parser {
    /// A parser for messages that nest up to `depth_max` deep; the message's own object is depth 1.
    pub fn new(depth_max: usize) -> Parser {
        Parser { buffers: Buffers::with_max_depth(0, depth_max), tape: Tape(Vec::new()) }
    }

    /// Parses the first `len` bytes of `buffer`, which are one message. Where [`PADDING_BYTES`] more follow in the
    /// buffer, no byte is copied. The message's bytes are changed, whether it is valid or not.
    ///
    /// # Errors
    /// When the bytes are not one JSON object in UTF-8 with nothing but white space around it.
    pub fn parse<'a>(&'a mut self, buffer: &'a mut [u8], len: usize) -> Result<Document<'a>, Malformed> {
        let mut tape: Tape<'a> = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let outcome = if buffer.len().saturating_sub(len) >= PADDING_BYTES {
            simd_json::fill_tape_padded(buffer, len, &mut self.buffers, &mut tape)
        } else {
            simd_json::fill_tape(buffer.get_mut(..len).unwrap_or_default(), &mut self.buffers, &mut tape)
        };
        // From here on, dropping the document gives the tape back.
        let document = Document { tape, home: &mut self.tape };
        match outcome {
            Err(error) => Err(reason(error.error())),
            Ok(()) if !matches!(document.tape.0.first(), Some(Node::Object { .. })) => Err(Malformed::NotAnObject),
            Ok(()) => Ok(document),
        }
    }
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parser").finish_non_exhaustive()
    }
}

fn reason(error: &ErrorType) -> Malformed {
    match error {
        ErrorType::InvalidUtf8 => Malformed::Utf8,
        ErrorType::InvalidNumber | ErrorType::InvalidExponent | ErrorType::Overflow => Malformed::Number,
        ErrorType::InvalidEscape | ErrorType::InvalidUnicodeEscape | ErrorType::InvalidUnicodeCodepoint => {
            Malformed::Escape
        }
        ErrorType::DepthLimitExceeded => Malformed::TooDeep,
        // The library has one word for control characters in strings, strings without an end, and much else.
        _ => Malformed::Structure,
    }
}

/// A parsed message.
#[derive(Debug)]
pub struct Document<'a> {
    tape: Tape<'a>,
    home: &'a mut Tape<'static>,
}

impl Document<'_> {
    /// The message's object.
    ///
    /// # Errors
    /// When an object at any depth names a member twice. Readers differ in which of the two they take, so neither is
    /// believed (`repsec:O3`).
    pub fn object(&self) -> Result<Object<'_>, Repeated<'_>> {
        let top = self.top();
        if names_repeat(&self.tape.0) { Err(Repeated(top)) } else { Ok(top) }
    }

    fn top(&self) -> Object<'_> {
        match self.tape.0.split_first() {
            Some((Node::Object { len, .. }, nodes)) => Object { nodes, len: *len },
            _ => Object { nodes: &[], len: 0 },
        }
    }
}

/// Gives the tape's memory back to the parser.
impl Drop for Document<'_> {
    fn drop(&mut self) {
        if self.tape.0.capacity() <= TAPE_NODES_KEPT {
            *self.home = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        }
    }
}

/// An object in which some name stands twice.
#[derive(Clone, Copy, Debug)]
pub struct Repeated<'a>(Object<'a>);

impl<'a> Repeated<'a> {
    /// The value of the top-level member `name`, if there is exactly one of that name.
    pub fn sole(&self, name: &str) -> Option<Value<'a>> {
        let mut found = self.0.members().filter(|member| member.0 == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// A JSON value that borrows from its message.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, unescaped.
    Text(&'a str),
    /// An array.
    Array(Array<'a>),
    /// An object.
    Object(Object<'a>),
}

/// A JSON number. What is spelled without fraction and exponent is an integer; `-0` is 0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// An integer from 0 on.
    Unsigned(u64),
    /// An integer below 0.
    Negative(i64),
    /// A finite double.
    Double(f64),
}

impl Number {
    /// The number as an integer from 0 to 2^53 - 1, the range that all JSON readers agree on; `None` outside of it,
    /// and for what is spelled as a fraction.
    pub fn as_unsigned(self) -> Option<u64> {
        match self {
            Number::Unsigned(value) if value <= INTEGER_MAX => Some(value),
            Number::Unsigned(_) | Number::Negative(_) | Number::Double(_) => None,
        }
    }
}

/// The elements of an array, in order.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    nodes: &'a [Node<'a>],
    len: usize,
}

impl<'a> Array<'a> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements.
    pub fn elements(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut rest = self.nodes;
        (0..self.len).map_while(move |_| take_value(&mut rest))
    }
}

/// The members of an object, in the order they were sent.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    nodes: &'a [Node<'a>],
    len: usize,
}

impl<'a> Object<'a> {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The members, each a name and a value.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let mut rest = self.nodes;
        (0..self.len).map_while(move |_| match take_value(&mut rest) {
            Some(Value::Text(name)) => take_value(&mut rest).map(|value| (name, value)),
            _ => None,
        })
    }
}

/// Takes the value that begins the tape, with everything inside it.
fn take_value<'a>(nodes: &mut &'a [Node<'a>]) -> Option<Value<'a>> {
    let (first, behind) = nodes.split_first()?;
    let (value, inside) = match *first {
        Node::String(text) => (Value::Text(text), 0),
        Node::Static(StaticNode::Null) => (Value::Null, 0),
        Node::Static(StaticNode::Bool(value)) => (Value::Bool(value), 0),
        Node::Static(StaticNode::U64(value)) => (Value::Number(Number::Unsigned(value)), 0),
        Node::Static(StaticNode::I64(value)) => (Value::Number(signed(value)), 0),
        Node::Static(StaticNode::F64(value)) => (Value::Number(Number::Double(value)), 0),
        Node::Array { len, count } => (Value::Array(Array { nodes: behind.get(..count)?, len }), count),
        Node::Object { len, count } => (Value::Object(Object { nodes: behind.get(..count)?, len }), count),
    };
    *nodes = behind.get(inside..)?;
    Some(value)
}

fn signed(value: i64) -> Number {
    u64::try_from(value).map_or(Number::Negative(value), Number::Unsigned)
}

/// Whether any object on the tape names a member twice. Names are compared as they are after unescaping.
fn names_repeat(tape: &[Node<'_>]) -> bool {
    tape.iter().enumerate().any(|(at, node)| match node {
        Node::Object { len, .. } if *len > 1 => {
            let object = Object { nodes: tape.get(at + 1..).unwrap_or_default(), len: *len };
            object_names_repeat(object)
        }
        _ => false,
    })
}

fn object_names_repeat(object: Object<'_>) -> bool {
    if object.len > PAIRWISE_MEMBERS_MAX {
        let mut names: Vec<&str> = object.members().map(|member| member.0).collect();
        names.sort_unstable();
        return names.windows(2).any(|pair| pair[0] == pair[1]);
    }
    let mut names = [""; PAIRWISE_MEMBERS_MAX];
    object.members().enumerate().any(|(at, (name, _))| {
        let repeats = names.get(..at).is_some_and(|before| before.contains(&name));
        if let Some(place) = names.get_mut(at) {
            *place = name;
        }
        repeats
    })
}

#[cfg(test)]
mod tests;
