//! How fast could a VERIFY be answered at all?
//!
//! Workload: the bytes of `face`, answered with the same bytes, by a program that knows beforehand how each message is
//! spelled: it cuts the name out, looks it up in a hash map of the standard library that holds the changing part of the
//! answer as text, and copies the rest. No JSON, no canonical form, no order, no limits, no journal.
//!
//! What the numbers are not: something to be reached. The distance from `face` to this is what the protocol and its
//! promises cost; what lies below this is the memory's, not ours.

use std::cell::LazyCell;
use std::collections::HashMap;

use criterion::Criterion;

use crate::face::{Answerer, Conversation, Reads, measure_reads};
use crate::workload::{self, Names};

const ONE: &[u8] = br#"{"command":"VERIFY","entity":""#;
const MANY: &[u8] = br#"{"command":"VERIFY","entities":[""#;
const ONE_ANSWERED: &[u8] =
    br#"{"status":200,"message":"Entity is registered","verified":true,"type":"domain","last_updated":""#;
const MANY_ANSWERED: &[u8] = br#"{"status":200,"message":"Entities looked up","results":["#;
const NAME_ANSWERED: &[u8] = br#"{"status":200,"verified":true,"last_updated":""#;

/// Names, and when each changed, in the spelling of the answer.
struct Bare {
    map: HashMap<Vec<u8>, [u8; 20]>,
    out: Vec<u8>,
}

impl Bare {
    fn new(names: &Names) -> Bare {
        let entry = |number| (names.at(number).into_bytes(), workload::time_of(number + 1).rfc3339_s());
        Bare { map: (0..workload::entities()).map(entry).collect(), out: Vec::new() }
    }

    /// Writes the answer to the name that ends before the next quote, and says where that is.
    fn name(&mut self, text: &[u8], before: &[u8]) -> usize {
        let end = memchr::memchr(b'"', text).expect("a name that ends");
        let updated = self.map.get(&text[..end]).expect("a name that is registered");
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(updated);
        end
    }
}

impl Answerer for Bare {
    fn answer(&mut self, read: &[u8]) -> &[u8] {
        self.out.clear();
        let mut rest = read;
        while !rest.is_empty() {
            if let Some(text) = rest.strip_prefix(ONE) {
                let end = self.name(text, ONE_ANSWERED);
                self.out.extend_from_slice(b"\"}\n");
                rest = &text[end + "\"}\n".len()..];
                continue;
            }
            let mut text = rest.strip_prefix(MANY).expect("a VERIFY");
            self.out.extend_from_slice(MANY_ANSWERED);
            loop {
                let end = self.name(text, NAME_ANSWERED);
                let Some(more) = text[end..].strip_prefix(b"\",\"") else { break };
                self.out.extend_from_slice(b"\"},");
                text = more;
            }
            self.out.extend_from_slice(b"\"}]}\n");
            let end = memchr::memchr(b'\n', text).expect("a line that ends");
            rest = &text[end + 1..];
        }
        &self.out
    }
}

/// A bare hash map.
pub fn measure(criterion: &mut Criterion) {
    let names = Names::new();
    let store = LazyCell::new(|| std::cell::RefCell::new(Conversation::new(&names)));
    let check = |reads: &Reads, bare: &mut Bare| {
        let read = &reads.reads[0];
        assert!(bare.answer(read) == store.borrow_mut().answer(read), "the same bytes in, the same bytes out");
    };
    let mut group = criterion.benchmark_group("floor");
    measure_reads(&mut group, &names, LazyCell::new(|| Bare::new(&names)), check);
    group.finish();
}
