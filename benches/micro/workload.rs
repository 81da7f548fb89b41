//! What all measurements share: names, messages, events, a table full of them. The same in every run.
//!
//! Names are made from a real list (`tests/data/README.md`): the 8,335 domains themselves, then subdomains of them, so
//! that lengths and letters are those of the field. Never: randomness, a clock, or anything that is timed.

use repsec::domain::{Change, Event, apply};
use repsec::projection::Current;
use repsec::types::{Attributes, Entity, HashKey, Kind, Nonce, Once, Principal, Sequence, Timestamp};

const LISTED: &str = include_str!("../../tests/data/disposable-email-domains-final.txt");
const CHANGES: &str = include_str!("../../tests/data/disposable-email-domains-history.jsonl");

/// The key of hashes wherever no store brings its own.
pub const KEY: HashKey = HashKey::new([7; 16]);

/// What is known of every entity: 69 bytes in canonical form.
pub const ATTRIBUTES: &str = r#"{"category":"disposable","confidence":97,"source":"list-9bbbf2da92b5"}"#;

/// The first second of all events.
const BEGAN_S: u64 = 1_700_000_000;

/// Whether to run once and on little, because this is a test.
pub fn is_test() -> bool {
    // As Criterion decides it: `cargo bench` passes the flag, `cargo test` does not.
    let passed = |flag: &str| std::env::args().any(|argument| argument == flag);
    !passed("--bench") || passed("--test")
}

/// The size of a measurement, and of its test.
pub fn size<T>(measured: T, tested: T) -> T {
    if is_test() { tested } else { measured }
}

/// How many entities a table has: more than the processor's caches hold.
pub fn entities() -> u64 {
    size(1_000_000, 3_000)
}

/// The numbers that lookups ask for, `count` of the first `below`, in an order that no cache foresees.
pub fn scattered(count: u64, below: u64) -> impl Iterator<Item = u64> {
    // A prime that divides none of the sizes used here: every number comes once before any comes again.
    (0..count).map(move |at| at.wrapping_mul(2_654_435_761) % below)
}

/// How many lookups are prepared, so that one finds in the caches little of what the one before it left there.
pub fn lookups() -> u64 {
    size(1 << 18, 1 << 11)
}

/// Goes round and round through a list. It MUST outlive the samples of a measurement: one that began anew with each
/// would ask for the same few names, which the caches then hold.
#[derive(Default)]
pub struct Round(usize);

impl Round {
    /// The next element; behind the last comes the first.
    pub fn next<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        self.0 = if self.0 + 1 < list.len() { self.0 + 1 } else { 0 };
        &list[self.0]
    }
}

/// Names by number, each different.
pub struct Names(Vec<&'static str>);

impl Names {
    /// All of them.
    pub fn new() -> Names {
        Names(LISTED.lines().collect())
    }

    /// The name with this number: a listed domain, or a subdomain of one.
    pub fn at(&self, number: u64) -> String {
        let listed = self.0.len() as u64;
        let domain = self.0[usize::try_from(number % listed).expect("an index")];
        if number < listed { domain.to_owned() } else { format!("h{:x}.{domain}", number / listed) }
    }

    /// The names with these numbers.
    pub fn all(&self, numbers: impl Iterator<Item = u64>) -> Vec<String> {
        numbers.map(|number| self.at(number)).collect()
    }
}

/// A VERIFY on a line, as our own client spells it.
pub fn verify_line(name: &str) -> String {
    format!("{{\"command\":\"VERIFY\",\"entity\":\"{name}\"}}\n")
}

/// A VERIFY of many names on a line.
pub fn bulk_line(names: &[String]) -> String {
    format!("{{\"command\":\"VERIFY\",\"entities\":[\"{}\"]}}\n", names.join("\",\""))
}

/// A REGISTER on a line, with attributes, `ts` and `nonce`.
pub fn register_line(number: u64, name: &str) -> String {
    let Once { made, nonce } = once(number);
    format!(
        "{{\"command\":\"REGISTER\",\"entity\":\"{name}\",\"type\":\"domain\",\"attributes\":{ATTRIBUTES},\
         \"ts\":{},\"nonce\":\"{}\"}}\n",
        made.unix_s(),
        nonce.as_str()
    )
}

/// The first `count` changes of a real list, one message a line: 138 bytes each on average.
pub fn change_lines(count: usize) -> Vec<&'static str> {
    CHANGES.lines().take(count).collect()
}

/// What makes a repetition of the command with this number recognizable.
pub fn once(number: u64) -> Once {
    let nonce = Nonce::parse(&format!("nonce-{number:016x}")).expect("a nonce");
    Once { made: Timestamp::from_unix_s(BEGAN_S), nonce }
}

/// The principal of all events.
pub fn principal() -> Principal {
    Principal::from_name("lists.example.net")
}

/// The time of the event at this place: a millisecond after the one before.
pub fn time_of(sequence: u64) -> Timestamp {
    Timestamp::from_unix_ms(BEGAN_S * 1000 + sequence)
}

/// The event at this place: the entity begins a life, as its command with nonce and attributes asked.
pub fn registered(sequence: u64, name: &str) -> Event {
    event(sequence, name, Change::Registered { attributes: Attributes::from_canonical(ATTRIBUTES) })
}

/// The event at this place: the life of the entity ends.
pub fn removed(sequence: u64, name: &str) -> Event {
    event(sequence, name, Change::Removed)
}

fn event(sequence: u64, name: &str, change: Change) -> Event {
    Event {
        sequence: Sequence::new(sequence),
        time: time_of(sequence),
        principal: principal(),
        once: Some(once(sequence)),
        entity: Entity::from_canonical(Kind::Domain, name),
        change,
    }
}

/// The names from number 0 on, registered in their order from place 1 on.
pub fn registrations(names: &Names, count: u64) -> impl Iterator<Item = Event> + '_ {
    (0..count).map(|number| registered(number + 1, &names.at(number)))
}

/// A table under [`KEY`] in which the first `count` names are registered.
pub fn table(names: &Names, count: u64) -> Current {
    let mut table = Current::new(KEY);
    for event in registrations(names, count) {
        let name = event.entity.as_str();
        table.put(KEY.hash(name), name, &apply(&event, KEY));
    }
    table
}
