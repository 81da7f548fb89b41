//! Tests of `snapshot`.

use proptest::prelude::*;

use super::*;
use crate::domain::apply;
use crate::log::arbitrary::{KEY, histories, plain_history};

/// The entries that a shard would hold if each event concerned an entity of its own.
fn written(events: &[crate::domain::Event]) -> (SnapshotWriter, SnapshotChunk) {
    let mut writer = SnapshotWriter::new(5, 2);
    for event in events {
        let standing = apply(event, KEY);
        writer.entry(&SnapshotEntry {
            hash: KEY.hash(event.entity.as_str()),
            kind: standing.kind,
            text: event.entity.as_str(),
            registered: standing.registered,
            sequence: standing.sequence,
            time: standing.updated,
            registrant: standing.registrant,
            attributes: standing.attributes,
        });
        if let Some(once) = &event.once {
            writer.nonce(&nonce_of(event, once));
        }
    }
    let chunk = writer.take_chunk().unwrap();
    (writer, chunk)
}

/// An entry that says all that one can say.
fn entry() -> SnapshotEntry<'static> {
    SnapshotEntry {
        hash: EntityHash::from_be_bytes([0xaa; 16]),
        kind: Kind::extension("x-a"),
        text: "t",
        registered: true,
        sequence: Sequence::new(300),
        time: Timestamp::from_unix_ms(1),
        registrant: "r",
        attributes: Some(Fingerprint::from_le_bytes([0xbb; 8])),
    }
}

fn nonce_of(event: &crate::domain::Event, once: &crate::types::Once) -> SnapshotNonce {
    SnapshotNonce {
        nonce: u128::from(once.made.unix_ms()) << 40 | 1,
        fingerprint: u64::MAX - event.sequence.value(),
        sequence: event.sequence,
        time: event.time,
    }
}

proptest! {
    #[test]
    fn records_come_back_in_order(events in histories(1..12)) {
        let (writer, chunk) = written(&events);
        let mut entries = events.iter();
        let mut nonces = events.iter().filter_map(|event| Some((event, event.once.as_ref()?)));
        let mut wrong = 0;
        let count = read_chunk(5, &chunk.bytes, &mut |record| match record {
            Record::Entry(entry) => {
                let event = entries.next().unwrap();
                let standing = apply(event, KEY);
                let same = entry.text == event.entity.as_str()
                    && entry.hash == KEY.hash(entry.text)
                    && entry.kind == standing.kind
                    && entry.registered == standing.registered
                    && entry.sequence == standing.sequence
                    && entry.time == standing.updated
                    && entry.registrant == standing.registrant
                    && entry.attributes == standing.attributes;
                wrong += u32::from(!same);
            }
            Record::Nonce(nonce) => {
                let (event, once) = nonces.next().unwrap();
                wrong += u32::from(nonce != nonce_of(event, once));
            }
        });
        prop_assert_eq!(wrong, 0);
        prop_assert_eq!((entries.next(), nonces.next()), (None, None));
        let end = writer.end(4, Sequence::new(1));
        prop_assert_eq!(count, Ok(end.records));
        prop_assert_eq!(end.highest, events.last().unwrap().sequence);
        prop_assert_eq!((end.snapshot, end.shard, end.shards, end.chunks), (5, 2, 4, 1));
    }

    #[test]
    fn damage_is_detected(events in histories(1..6), at: prop::sample::Index, bit in 0..8_u32) {
        let (_, mut chunk) = written(&events);
        let at = at.index(chunk.bytes.len());
        chunk.bytes[at] ^= 1 << bit;
        prop_assert!(read_chunk(5, &chunk.bytes, &mut |_| ()).is_err());
    }

    /// Whatever follows a code that no version has written, it is not taken for the name of a kind.
    #[test]
    fn only_the_code_of_an_extension_has_a_name_behind_it(code: u8) {
        let mut writer = SnapshotWriter::new(5, 2);
        writer.entry(&entry());
        let mut bytes = writer.take_chunk().unwrap().bytes;
        bytes[HEADER_BYTES + 1 + 16] = code;
        bytes.truncate(bytes.len() - 32);
        seal(&mut bytes, 0);
        prop_assert_eq!(read_chunk(5, &bytes, &mut |_| ()).is_ok(), code == u8::MAX);
    }

    #[test]
    fn a_forger_never_causes_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut chunk = vec![2, 0, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
        chunk.append(&mut bytes);
        seal(&mut chunk, 0);
        let _ = read_chunk(5, &chunk, &mut |_| ());
    }
}

#[test]
fn chunks_of_another_snapshot_are_refused_and_empty_ones_not_made() {
    let (mut writer, chunk) = written(&plain_history(3));
    assert!(read_chunk(6, &chunk.bytes, &mut |_| ()).is_err());
    assert_eq!(writer.take_chunk(), None);
}

#[test]
fn the_marker_comes_back() {
    let marker = Marker { snapshot: 5, start: Sequence::new(77), chunks: 3, records: 1_000 };
    let mut writes = Writes::new();
    marker.put(&mut writes);
    let Some((Area::Meta, crate::log::Write::Put { key, value })) = writes.iter().next() else { panic!("not put") };
    assert_eq!(key, b"snapshot");
    assert_eq!(Marker::read(value), Ok(marker));
    assert!(Marker::read(&value[1..]).is_err());
}

/// The bytes of a chunk stand in stores.
#[test]
fn stored_form_is_pinned() {
    let mut writer = SnapshotWriter::new(5, 2);
    writer.entry(&entry());
    let bytes = writer.take_chunk().unwrap().bytes;
    let mut expected = vec![2, 0, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    expected.extend_from_slice(&[0xaa; 16]);
    expected.extend_from_slice(&[255, 3, 0xac, 2, 1, 1, b't', 1, b'r']);
    expected.extend_from_slice(&[0xbb; 8]);
    expected.extend_from_slice(&[3, b'x', b'-', b'a']);
    assert_eq!(bytes[..bytes.len() - 32], expected);
}
