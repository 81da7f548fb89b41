//! What is known about an entity: a JSON object in canonical form.

use std::fmt;

/// The attributes of an entity as the canonical JSON text of an object (RFC 8785: no white space, members sorted by
/// UTF-16 code units, one spelling of every number and string). Equal attributes are equal bytes. Empty attributes
/// are the empty text, not `{}`.
///
/// This type trusts its maker: only `wire::json` and the log's schema build it from bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Attributes(Box<str>);

/// The SHA-256 of canonical attributes, by which a peer may check them without sending them. The digest of empty
/// attributes is that of `{}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Attributes {
    /// No attributes.
    pub fn none() -> Attributes {
        Attributes::default()
    }

    /// Takes over text that is already canonical; `{}` becomes the empty text.
    pub fn from_canonical(text: impl Into<Box<str>>) -> Attributes {
        let text = text.into();
        if &*text == "{}" { Attributes::none() } else { Attributes(text) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stored text: empty, or an object with at least one member.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The JSON object of a stored text, which for "no attributes" is `{}`.
pub fn object_text(stored: &str) -> &str {
    if stored.is_empty() { "{}" } else { stored }
}

/// Whether every member of `asked` stands with the same value in `registered`. Both are stored texts of
/// [`Attributes`]. Linear in their lengths, since both are sorted.
pub fn covers(registered: &str, asked: &str) -> bool {
    let mut have = Members::of(registered);
    Members::of(asked)
        .all(|want| have.by_ref().find(|member| member.0 == want.0).is_some_and(|found| found.1 == want.1))
}

/// The members of a canonical object's top level, in order, as raw text: `("\"name\"", "value")`.
struct Members<'a> {
    rest: &'a str,
}

impl<'a> Members<'a> {
    fn of(stored: &'a str) -> Members<'a> {
        let inner = stored.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
        Members { rest: inner }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        if self.rest.is_empty() {
            return None;
        }
        let colon = end_of(self.rest, b':');
        let (name, behind) = self.rest.split_at(colon);
        let behind = behind.get(1..).unwrap_or_default();
        let comma = end_of(behind, b',');
        let (value, rest) = behind.split_at(comma);
        self.rest = rest.get(1..).unwrap_or_default();
        Some((name, value))
    }
}

/// Where `stop` first stands outside strings and nested values, or the length.
fn end_of(text: &str, stop: u8) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ if byte == stop && depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(object_text(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_covered_member_by_member() {
        let registered = r#"{"a":"x,:}\"","b":[1,{"a":2}],"c":null}"#;
        for (asked, expected) in [
            ("", true),
            (registered, true),
            (r#"{"a":"x,:}\""}"#, true),
            (r#"{"b":[1,{"a":2}]}"#, true),
            (r#"{"a":"x,:}\"","c":null}"#, true),
            (r#"{"b":[1]}"#, false),
            (r#"{"c":false}"#, false),
            (r#"{"d":null}"#, false),
            (r#"{"a":2}"#, false),
        ] {
            assert_eq!(covers(registered, asked), expected, "{asked}");
        }
        assert!(covers("", ""));
        assert!(!covers("", r#"{"a":1}"#));
    }
}
