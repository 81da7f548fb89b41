//! Damaged stores: recovery gives the state that was, or says what is wrong; it never gives another state.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use repsec::domain::{Change, Event, apply};
use repsec::log::memory::MemoryLog;
use repsec::log::{
    AccessBlock, AccessRecord, Append, Area, CommitSink, Committer, CommitterOptions, Identity, Log, LogError, LogId,
    Recovered, Scan, SnapshotEntry, SnapshotWriter, Store, Visit, Writes,
};
use repsec::types::{Attributes, Entity, HashKey, Principal, Sequence, Timestamp};

use super::batch::sealed;

const KEY: HashKey = HashKey::new([5; 16]);
const START: Timestamp = Timestamp::from_unix_s(1_756_807_200);
const EVENTS: u64 = 12;
/// The snapshot was begun behind this event.
const SNAPSHOT_AT: u64 = 6;
const SEAL_BYTES: usize = 32;

type Rows = Vec<(Area, Vec<u8>, Vec<u8>)>;
/// Of each name: whether it is registered, and since which event.
type State = BTreeMap<String, (bool, u64)>;

/// A log in memory that can be looked into from beside its store.
struct Shared(Arc<MemoryLog>);

impl Log for Shared {
    fn write(&self, writes: &Writes) -> Result<(), LogError> {
        self.0.write(writes)
    }

    fn ingest<'a>(&self, area: Area, rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), LogError> {
        self.0.ingest(area, rows)
    }

    fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError> {
        self.0.drop_range(area, from, to)
    }

    fn read(&self, area: Area, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<(), LogError> {
        self.0.read(area, key, found)
    }

    fn scan(&self, scan: &Scan, visit: Visit<'_>) -> Result<(), LogError> {
        self.0.scan(scan, visit)
    }

    fn size_bytes(&self, area: Area) -> Result<u64, LogError> {
        self.0.size_bytes(area)
    }
}

/// Nobody waits for these commits but the end of the committer.
struct Nobody;

impl CommitSink for Nobody {
    fn durable(&self, _: Sequence) {}

    fn failed(&self, error: &LogError) {
        panic!("{error}");
    }
}

fn events() -> Vec<Event> {
    let event = |number: u64| Event {
        sequence: Sequence::new(number),
        time: Timestamp::from_unix_ms(START.unix_ms() + number),
        principal: Principal::from_name(if number.is_multiple_of(2) { "bob" } else { "" }),
        once: None,
        entity: Entity::parse(&format!("{}.example", number % 4)).expect("a name"),
        change: match number / 4 % 2 {
            0 => Change::Registered { attributes: Attributes::from_canonical(r#"{"a":1}"#) },
            _ => Change::Removed,
        },
    };
    (1..=EVENTS).map(event).collect()
}

/// What a sound store holds: events in batches of two, their index, a snapshot, a block of the access journal.
fn sound() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| {
        let log = Arc::new(MemoryLog::new());
        let mut writes = Writes::new();
        writes.put(Area::Meta, b"identity", &Identity { log_id: LogId([1; 16]), hash_key: KEY }.encode());
        log.write(&writes).expect("memory");
        let store = Store::with_log(Box::new(Shared(Arc::clone(&log)))).expect("memory");
        let options =
            CommitterOptions { batch_events_max: 2, index_rows: 7, now: || START, ..CommitterOptions::default() };
        let committer = Committer::start(store, options, Nobody).expect("a thread");
        let encoded = events().iter().map(|event| (KEY.hash(event.entity.as_str()), event)).collect();
        committer.try_send(Append::Events(encoded)).expect("room");
        let mut writer = SnapshotWriter::new(1, 0);
        let early = events();
        let early = &early[..usize::try_from(SNAPSHOT_AT).expect("small")];
        let last: BTreeMap<&str, &Event> = early.iter().map(|event| (event.entity.as_str(), event)).collect();
        for (text, event) in last {
            let standing = apply(event, KEY);
            writer.entry(&SnapshotEntry {
                hash: KEY.hash(text),
                kind: standing.kind,
                text,
                registered: standing.registered,
                sequence: standing.sequence,
                time: standing.updated,
                registrant: standing.registrant,
                attributes: standing.attributes,
            });
        }
        let chunk = writer.take_chunk().expect("a snapshot has entries");
        committer.try_send(Append::Snapshot(chunk)).expect("room");
        committer.try_send(Append::SnapshotEnd(writer.end(1, Sequence::new(SNAPSHOT_AT)))).expect("room");
        let mut block = AccessBlock::new(0, START);
        block.push(&AccessRecord { time: START, command: 1, status: 200, entity: 7, peer: 8 });
        committer.try_send(Append::Access(block)).expect("room");
        committer.stop().expect("a commit to memory");
        content(&log)
    })
}

fn content(log: &MemoryLog) -> Rows {
    let mut rows = Rows::new();
    for area in Area::ALL {
        let all = log.scan(&Scan::all_from(area, []), &mut |key, value| {
            rows.push((area, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        all.expect("memory");
    }
    rows
}

/// Damages rows as the input says, five bytes at a time: row, how, place (two), value. Says whether a snapshot or its
/// marker was forged, which their checksums do not prevent.
fn damage(rows: &mut Rows, data: &[u8]) -> bool {
    let mut forged = false;
    for [row, how, high, low, value] in data.as_chunks::<5>().0.iter().take(32).copied() {
        let row = usize::from(row) % rows.len().max(1);
        let place = usize::from(u16::from_be_bytes([high, low]));
        let Some((area, key, bytes)) = rows.get_mut(row) else { return forged };
        match how % 8 {
            0 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= value;
                }
            }
            1 => bytes.truncate(place),
            2 => bytes.push(value),
            3 => drop(rows.remove(row)),
            4 => {
                if let Some(byte) = key.get_mut(place) {
                    *byte ^= value;
                }
            }
            5 => {
                // A change below a checksum that holds.
                forged |= matches!(area, Area::State | Area::Meta);
                bytes.truncate(bytes.len().saturating_sub(SEAL_BYTES));
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= value;
                }
                *bytes = sealed(std::mem::take(bytes));
            }
            6 => {
                let other = usize::from(value) % rows.len();
                let moved = rows[other].2.clone();
                rows[row].2 = moved;
            }
            _ => {
                let copy = rows[row].clone();
                rows.push((copy.0, [copy.1, vec![value]].concat(), copy.2));
            }
        }
    }
    forged
}

/// Damages a sound store, and starts from what is left.
pub fn run(data: &[u8]) {
    let mut rows = sound().clone();
    let forged = damage(&mut rows, data);
    let log = MemoryLog::new();
    let mut writes = Writes::new();
    rows.iter().for_each(|(area, key, value)| writes.put(*area, key, value));
    log.write(&writes).expect("memory");
    let Ok(store) = Store::with_log(Box::new(log)) else { return };
    let mut state = State::new();
    let recovery = store.recover(
        &mut |piece| match piece {
            Recovered::Entry(entry) => {
                state.insert(entry.text.to_owned(), (entry.registered, entry.sequence.value()));
            }
            Recovered::Snapshot(_) | Recovered::Nonce(_) => {}
            Recovered::Event(_, event) => {
                let registered = event.attributes.is_some();
                state.insert(event.entity.to_owned(), (registered, event.sequence.value()));
            }
        },
        &mut |_, _| (),
    );
    let verification = store.verify(&mut |_, _| ());
    let _ = (store.stat(), store.accesses(START, |_, _| ControlFlow::Continue(())));
    let recovery = match recovery {
        Ok(recovery) => recovery,
        Err(error) => {
            let sound = verification.is_ok_and(|verified| verified.is_sound());
            return assert!(!sound, "refused, and nothing is wrong: {error}");
        }
    };
    if recovery.last == Sequence::ZERO || forged {
        return;
    }
    let events = events();
    let until = events.iter().take_while(|event| event.sequence <= recovery.last);
    let expected: State = until
        .map(|event| {
            let registered = matches!(event.change, Change::Registered { .. });
            (event.entity.as_str().to_owned(), (registered, event.sequence.value()))
        })
        .collect();
    assert_eq!(recovery.last.value(), EVENTS, "an end that is not the end");
    assert_eq!(state, expected);
}
