//! JSON as `serde_json` reads it, with every member, also those whose name stands twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use repsec::wire::json::{Number, Object, Value};

/// A JSON value.
#[derive(Clone, PartialEq, Debug)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// An integer from 0 on.
    Unsigned(u64),
    /// One below 0.
    Negative(i64),
    /// What else is a number.
    Double(f64),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Tree>),
    /// An object.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// What our parser read.
    pub fn of(value: Value<'_>) -> Tree {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(value) => Tree::Bool(value),
            Value::Number(number) => Tree::of_number(number),
            Value::Text(text) => Tree::Text(text.to_owned()),
            Value::Array(array) => Tree::Array(array.elements().map(Tree::of).collect()),
            Value::Object(object) => Tree::of_object(object),
        }
    }

    /// The same of an object.
    pub fn of_object(object: Object<'_>) -> Tree {
        Tree::Object(object.members().map(|(name, value)| (name.to_owned(), Tree::of(value))).collect())
    }

    /// The same of a number.
    pub fn of_number(number: Number) -> Tree {
        match number {
            Number::Unsigned(value) => Tree::Unsigned(value),
            Number::Negative(value) => Tree::Negative(value),
            Number::Double(value) => Tree::Double(value),
        }
    }

    /// Levels of arrays and objects.
    pub fn depth(&self) -> usize {
        match self {
            Tree::Array(elements) => 1 + elements.iter().map(Tree::depth).max().unwrap_or(0),
            Tree::Object(members) => 1 + members.iter().map(|member| member.1.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether an object somewhere names a member twice.
    pub fn repeats(&self) -> bool {
        match self {
            Tree::Array(elements) => elements.iter().any(Tree::repeats),
            Tree::Object(members) => {
                let mut names: Vec<&str> = members.iter().map(|member| member.0.as_str()).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| pair[0] == pair[1]) || members.iter().any(|member| member.1.repeats())
            }
            _ => false,
        }
    }

    /// Whether some double is as far from zero as `least`, or farther.
    pub fn has_number_from(&self, least: f64) -> bool {
        match self {
            Tree::Double(value) => value.abs() >= least,
            Tree::Array(elements) => elements.iter().any(|element| element.has_number_from(least)),
            Tree::Object(members) => members.iter().any(|member| member.1.has_number_from(least)),
            _ => false,
        }
    }

    /// Whether both are the same value. `serde_json` rounds doubles less exactly, and reads `-0` as one.
    pub fn agrees(&self, theirs: &Tree) -> bool {
        match (self, theirs) {
            (Tree::Double(one), Tree::Double(other)) => one == other || one.to_bits().abs_diff(other.to_bits()) <= 16,
            (Tree::Unsigned(0), Tree::Double(other)) => *other == 0.0,
            (Tree::Array(one), Tree::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.agrees(other))
            }
            (Tree::Object(one), Tree::Object(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && one.1.agrees(&other.1))
            }
            (one, other) => one == other,
        }
    }
}

/// The first JSON value of these bytes, and where it ends.
pub fn first(bytes: &[u8]) -> Option<(Tree, usize)> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Tree>();
    let tree = values.next()?.ok()?;
    Some((tree, values.byte_offset()))
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Tree::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
