//! The canonical text of JSON values (RFC 8785, JCS): equal values have equal bytes.

use std::fmt;

use super::json::{Array, Number, Object, Value};
use super::text;
use crate::types::Attributes;
use crate::types::limits::INTEGER_MAX;

/// Why attributes cannot be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A number that canonical text spells as an integer lies beyond ±(2^53 - 1), where JSON readers disagree on its
    /// value (RFC 7493, section 2.2).
    Number,
    /// The canonical text has more bytes than this.
    TooLong(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Number => write!(f, "integers must lie within ±{INTEGER_MAX}"),
            Refused::TooLong(bytes_max) => write!(f, "must not be longer than {bytes_max} bytes in canonical form"),
        }
    }
}

/// The attributes that an object stands for.
///
/// # Errors
/// When the canonical text is longer than `bytes_max`, or a number has no agreed value.
pub fn attributes(object: Object<'_>, bytes_max: usize) -> Result<Attributes, Refused> {
    let mut out = Vec::new();
    write_object(&mut out, object, bytes_max)?;
    if out.len() > bytes_max {
        return Err(Refused::TooLong(bytes_max));
    }
    // Only whole strings and ASCII were written, so this cannot fail; and if it did, nothing would be stored.
    Ok(String::from_utf8(out).map_or_else(|_| Attributes::none(), Attributes::from_canonical))
}

/// Writes the number as ECMAScript does (RFC 8785, section 3.2.2.3), or as its exact digits if it is an integer.
pub fn write_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Unsigned(value) => text::push_unsigned(out, value),
        Number::Negative(value) => {
            out.push(b'-');
            text::push_unsigned(out, value.unsigned_abs());
        }
        Number::Double(value) => out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes()),
    }
}

/// Nesting is bounded by the parser, so recursion is too.
fn write_value(out: &mut Vec<u8>, value: Value<'_>, bytes_max: usize) -> Result<(), Refused> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if has_agreed_value(number) => write_number(out, number),
        Value::Number(_) => return Err(Refused::Number),
        Value::Text(text) => text::push_string(out, text),
        Value::Array(array) => write_array(out, array, bytes_max)?,
        Value::Object(object) => write_object(out, object, bytes_max)?,
    }
    // Checked along the way, so that a message of many values is not spelled out in vain.
    if out.len() > bytes_max { Err(Refused::TooLong(bytes_max)) } else { Ok(()) }
}

fn write_array(out: &mut Vec<u8>, array: Array<'_>, bytes_max: usize) -> Result<(), Refused> {
    out.push(b'[');
    for (at, element) in array.elements().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_value(out, element, bytes_max)?;
    }
    out.push(b']');
    Ok(())
}

fn write_object(out: &mut Vec<u8>, object: Object<'_>, bytes_max: usize) -> Result<(), Refused> {
    let mut members: Vec<(&str, Value<'_>)> = object.members().collect();
    // RFC 8785, section 3.2.3: by UTF-16 code units, which differs from UTF-8 order beyond the basic plane.
    members.sort_unstable_by(|one, other| one.0.encode_utf16().cmp(other.0.encode_utf16()));
    out.push(b'{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text::push_string(out, name);
        out.push(b':');
        write_value(out, value, bytes_max)?;
    }
    out.push(b'}');
    Ok(())
}

/// Whether all JSON readers agree on the number's value once it is written canonically. Doubles from 10^21 on are
/// written with an exponent, so no reader takes them for integers.
fn has_agreed_value(number: Number) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "2^53 - 1 is exact in a double")]
    const LARGEST: f64 = INTEGER_MAX as f64;
    match number {
        Number::Unsigned(value) => value <= INTEGER_MAX,
        Number::Negative(value) => value.unsigned_abs() <= INTEGER_MAX,
        Number::Double(value) => value.abs() <= LARGEST || value.abs() >= 1e21,
    }
}

#[cfg(test)]
mod tests;
