//! Where an earlier import of the same file stopped, for an entity that has several commands in it.
//!
//! The server's history of the entity tells. Suppose the entity was in some state, and then the file's first commands
//! were carried out: those that took effect left one event each, and those that could not (REGISTER of what was
//! registered, REMOVE of what was not) left none. If the history ends with exactly these events, then so many commands
//! are done. Every place of the history is tried as the beginning; the most commands win.
//!
//! What follows from this, as long as nobody else changes the entity at the same time: the state that the server has
//! is the one that the commands which are done leave, so the others can be carried out from there; and once all are
//! carried out, all are found done. If somebody else changed the entity afterwards, less fits, and what is carried out
//! again ends with what the file wants.
//!
//! One thing cannot be told apart: "registered by somebody else, then removed by an earlier import" and "registered and
//! removed by somebody else before the first import" leave the same two events. The former is assumed, since a second
//! run must change nothing; then the file's own first life of such an entity does not enter the history. What is
//! registered in the end is the same.
//!
//! May use: serde_json's values. Never: the network, or attributes themselves where their hash will do.

use std::hash::{BuildHasher, Hash as _, Hasher};

use serde_json::{Map, Value};

use super::formats::Change;

/// A command or an event, as far as comparing them needs it: a removal, or a registration with certain attributes.
/// Eight bytes, because the survey of a file keeps one of these for each of its commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step(u64);

impl Step {
    /// A removal.
    pub const REMOVED: Step = Step(0);

    /// A registration with these attributes. Hashed with a key that lives as long as the import.
    pub fn registered(attributes: &Map<String, Value>, key: &impl BuildHasher) -> Step {
        let mut hasher = key.build_hasher();
        hash_members(attributes, &mut hasher);
        Step(hasher.finish() | 1)
    }

    /// What a command does if it takes effect.
    pub fn of_change(change: &Change, key: &impl BuildHasher) -> Step {
        match change {
            Change::Register { attributes, .. } => Step::registered(attributes, key),
            Change::Remove => Step::REMOVED,
        }
    }

    /// What an event of an AUDIT answer did. `None` for events that neither register nor remove.
    pub fn of_event(event: &Value, key: &impl BuildHasher) -> Option<Step> {
        match event.get("event").and_then(Value::as_str)? {
            "registered" => {
                let attributes = event.get("detail").and_then(|detail| detail.get("attributes"));
                let none = Map::new();
                Some(Step::registered(attributes.and_then(Value::as_object).unwrap_or(&none), key))
            }
            "removed" => Some(Step::REMOVED),
            _ => None,
        }
    }

    /// Whether the entity is registered behind this step.
    pub fn leaves_registered(self) -> bool {
        self != Step::REMOVED
    }
}

/// Numbers are hashed by value: the server writes them in their canonical spelling, so that `1.0` comes back as `1`.
fn hash_value(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(number) => {
            // Adding zero makes one zero of the two.
            let value = number.as_f64().unwrap_or(f64::NAN) + 0.0;
            (2_u8, value.to_bits()).hash(hasher);
        }
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(items) => {
            (4_u8, items.len()).hash(hasher);
            items.iter().for_each(|item| hash_value(item, hasher));
        }
        Value::Object(members) => {
            hasher.write_u8(5);
            hash_members(members, hasher);
        }
    }
}

/// The members are sorted already.
fn hash_members(members: &Map<String, Value>, hasher: &mut impl Hasher) {
    members.len().hash(hasher);
    for (name, value) in members {
        name.hash(hasher);
        hash_value(value, hasher);
    }
}

/// How many of the file's commands on an entity are done, given the end of its history, oldest event first. As many
/// events as there are commands are enough.
pub fn commands_done(commands: &[Step], history: &[Step]) -> usize {
    let first = history.len().saturating_sub(commands.len());
    (first..=history.len()).filter_map(|from| done_from(commands, history, from)).max().unwrap_or(0)
}

/// The same if the commands began at this place of the history; `None` if they cannot have.
fn done_from(commands: &[Step], history: &[Step], from: usize) -> Option<usize> {
    let mut events = history.get(from..)?.iter();
    // Registrations and removals alternate, so an event tells the state before it, as the last one does behind it.
    let mut registered = match (events.as_slice().first(), history.last()) {
        (Some(event), _) => !event.leaves_registered(),
        (None, Some(last)) => last.leaves_registered(),
        (None, None) => false,
    };
    for (done, command) in commands.iter().enumerate() {
        if command.leaves_registered() == registered {
            continue;
        }
        match events.next() {
            None => return Some(done),
            Some(event) if event == command => registered = !registered,
            Some(_) => return None,
        }
    }
    events.as_slice().is_empty().then_some(commands.len())
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Commands or events in letters: a letter registers with that attribute, `-` removes.
    fn steps(letters: &str) -> Vec<Step> {
        letters.bytes().map(|letter| if letter == b'-' { Step::REMOVED } else { Step(letter.into()) }).collect()
    }

    /// The events that commands cause.
    fn carried_out(history: &mut Vec<Step>, commands: &[Step]) {
        for command in commands {
            let registered = history.last().is_some_and(|last| last.leaves_registered());
            if command.leaves_registered() != registered {
                history.push(*command);
            }
        }
    }

    proptest! {
        /// Whatever was before, and wherever the first import stopped: carrying out the rest gives what carrying out
        /// all would have given, and after that nothing is left to do.
        #[test]
        fn an_import_can_be_continued(before in "[ac-]{0,6}", file in "[ac-]{0,10}", stop in 0_usize..=10) {
            let file = steps(&file);
            let (first, _) = file.split_at(stop.min(file.len()));
            let mut history = Vec::new();
            carried_out(&mut history, &steps(&before));
            let mut expected = history.clone();
            carried_out(&mut expected, &file);
            carried_out(&mut history, first);

            let done = commands_done(&file, &history);
            prop_assert!(done >= first.len());
            carried_out(&mut history, &file[done..]);
            prop_assert_eq!(history.last(), expected.last());
            prop_assert_eq!(commands_done(&file, &history), file.len());
        }

        /// As many events as commands are enough to know.
        #[test]
        fn only_the_end_of_the_history_matters(before in "[ab-]{0,12}", file in "[ab-]{0,6}") {
            let file = steps(&file);
            let mut history = Vec::new();
            carried_out(&mut history, &steps(&before));
            let end = &history[history.len().saturating_sub(file.len())..];
            prop_assert_eq!(commands_done(&file, &history), commands_done(&file, end));
        }
    }

    #[test]
    fn cases() {
        for (history, file, done) in [
            ("", "a-c", 0),
            ("a", "a-c", 1),
            ("a-", "a-c", 2),
            ("a-c", "a-c", 3),
            // Commands that had no effect left no event.
            ("a", "ac-", 2),
            ("a-", "ac--", 4),
            ("a", "-a-", 2),
            // The same attributes twice: each life needs its own event.
            ("a-a", "a-a-a", 3),
            // Registered by somebody else before the first import.
            ("x", "a-c", 1),
            ("x-c", "a-c", 3),
            // Remove and register again is how attributes are changed: what lies further back does not count.
            ("x", "-c", 0),
            ("w-x", "-c", 0),
            ("w-x-", "-c", 1),
            ("w-x-c", "-c", 2),
            // Undone by somebody else afterwards: what makes it right again is carried out again.
            ("a-c-", "a-c", 2),
            ("a-c", "a-", 1),
            ("a-c-x", "a-c", 1),
        ] {
            let done_now = commands_done(&steps(file), &steps(history));
            assert_eq!(done_now, done, "{history:?} {file:?}");
        }
    }

    #[test]
    fn attributes_are_compared_by_value() {
        let key = RandomState::new();
        let step = |value: Value| Step::registered(value.as_object().unwrap(), &key);
        assert_eq!(step(json!({"a":[1.0,{"b":2}],"c":-0.0})), step(json!({"a":[1,{"b":2.0}],"c":0})));
        let values = [
            json!({}),
            json!({"a":1}),
            json!({"a":1,"b":1}),
            json!({"a":2}),
            json!({"a":"1"}),
            json!({"b":1}),
            json!({"a":null}),
            json!({"a":true}),
            json!({"a":[1]}),
            json!({"a":{"a":1}}),
            json!({"a":[]}),
        ];
        for (at, one) in values.iter().enumerate() {
            for other in &values[at + 1..] {
                assert_ne!(step(one.clone()), step(other.clone()), "{one} {other}");
            }
        }
    }

    #[test]
    fn events_are_read_from_answers() {
        let key = RandomState::new();
        let of = |text: &str| Step::of_event(&serde_json::from_str(text).unwrap(), &key);
        let with = Step::registered(json!({"a":1}).as_object().unwrap(), &key);
        assert_eq!(of(r#"{"event":"registered","detail":{"attributes":{"a":1}}}"#), Some(with));
        assert_eq!(of(r#"{"event":"registered"}"#), Some(Step::registered(&Map::new(), &key)));
        assert_eq!(of(r#"{"event":"removed"}"#), Some(Step::REMOVED));
        assert_eq!(of(r#"{"event":"rated"}"#), None);
        assert_eq!(of("{}"), None);
    }
}
