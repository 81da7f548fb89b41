//! JSON for tests: texts in every spelling, and an independent reader of them.

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value as `serde_json` reads it, with repeated members kept.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Double(f64),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// What `serde_json` reads from these bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Tree> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether some object names a member twice.
    pub(crate) fn names_repeat(&self) -> bool {
        match self {
            Tree::Array(elements) => elements.iter().any(Tree::names_repeat),
            Tree::Object(members) => {
                let mut names: Vec<&String> = members.iter().map(|member| &member.0).collect();
                names.sort();
                names.dedup();
                names.len() < members.len() || members.iter().any(|member| member.1.names_repeat())
            }
            _ => false,
        }
    }

    /// How deep arrays and objects nest.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Tree::Array(elements) => 1 + elements.iter().map(Tree::depth).max().unwrap_or(0),
            Tree::Object(members) => 1 + members.iter().map(|member| member.1.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Whether two doubles are the same but for rounding: `serde_json` reads some that are a few units in the last place
/// away from the nearest one (its feature `float_roundtrip` is off).
pub(crate) fn near(one: f64, other: f64) -> bool {
    one == other || one.to_bits().abs_diff(other.to_bits()) <= 16
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(u64::try_from(value).map_or(Tree::Negative(value), Tree::Unsigned))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Double(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            elements.push(element);
        }
        Ok(Tree::Array(elements))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}

fn white() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// The text of a JSON string, with every kind of escape.
pub(crate) fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z0-9 ./:@-]{1,12}",
        2 => "[^\"\\\\\u{0}-\u{1f}]{1,4}",
        2 => prop_oneof![Just("\\n"), Just("\\\""), Just("\\\\"), Just("\\/"), Just("\\t"), Just("\\b")]
            .prop_map(str::to_owned),
        1 => any::<char>().prop_map(|character| {
            character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }),
        1 => "[a-z]{30,80}",
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// The text of a JSON number; few are out of range, so that most values that are made of them are valid.
pub(crate) fn number() -> impl Strategy<Value = String> {
    let finite = any::<f64>().prop_filter("JSON has no infinity", |value| value.is_finite());
    prop_oneof![
        8 => any::<i32>().prop_map(|value| value.to_string()),
        1 => any::<i64>().prop_map(|value| value.to_string()),
        1 => any::<u64>().prop_map(|value| value.to_string()),
        4 => finite.prop_map(|value| format!("{value:e}")),
        4 => "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?",
        1 => "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
    ]
}

/// The text of a JSON value that nests up to `depth` levels.
pub(crate) fn value(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
        number(),
        string(),
    ];
    leaf.prop_recursive(depth, 48, 6, |inner| {
        prop_oneof![
            (proptest::collection::vec(inner.clone(), 0..6), white())
                .prop_map(|(elements, white)| format!("[{white}{}{white}]", elements.join(&format!("{white},")))),
            object_of(inner),
        ]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = prop_oneof![string(), "\"[a-c]\"", Just("\"\\u0061\"".to_owned())];
    (proptest::collection::vec((name, value), 0..6), white()).prop_map(|(members, white)| {
        let members: Vec<String> =
            members.into_iter().map(|(name, value)| format!("{white}{name}{white}:{value}")).collect();
        format!("{{{}{white}}}", members.join(","))
    })
}

/// The text of a JSON object; some name a member twice.
pub(crate) fn object() -> impl Strategy<Value = String> {
    object_of(value(4))
}

/// An edit of a text: a place, what to put there, and how many bytes that replaces.
pub(crate) type Edit = (proptest::sample::Index, &'static [u8], usize);

/// Edits that turn valid JSON into nearly valid JSON.
pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let scrap: Vec<&'static [u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b",",
        b":",
        b"\\",
        b"\\u",
        b"\\ud800",
        b"\\udc00",
        b"0",
        b"1",
        b"-",
        b".",
        b"e",
        b"1e999",
        b"00",
        b" ",
        b"\n",
        b"\0",
        b"\x0b",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"null",
        b"tru",
        b"",
        b"'",
        b"/",
        b"//",
        b"18446744073709551616",
    ];
    proptest::collection::vec((any::<proptest::sample::Index>(), proptest::sample::select(scrap), 0..3_usize), 0..4)
}

/// The text after the edits.
pub(crate) fn edited(text: &str, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, scrap, replaced) in edits {
        let at = place.index(bytes.len() + 1);
        let end = (at + replaced).min(bytes.len());
        bytes.splice(at..end, scrap.iter().copied());
    }
    bytes
}
