//! Stored batches and the events in them: refused, or they come back from what is written of them.

use repsec::domain::Event;
use repsec::log::Encoded;
use repsec::log::batch::{Batch, encode_batch};
use repsec::types::EntityHash;

const HEADER_BYTES: usize = 80;

/// The first byte says how much of the stored form is made here: nothing, the seal, or the seal and a header for one
/// event that is the rest.
pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let bytes = match mode % 3 {
        0 => rest.to_vec(),
        1 => sealed(rest.to_vec()),
        _ => sealed(one_event(rest)),
    };
    let Ok(batch) = Batch::read(&bytes) else { return };
    assert_eq!(batch.last().value() - batch.head().first.value() + 1, batch.count());
    let Ok(events) = batch.events().collect::<Result<Vec<Event>, _>>() else { return };
    for event in &events {
        let stored = batch.stored(event.sequence).expect("what is an event is stored");
        assert!(stored.check().is_ok());
        assert_eq!(stored.into_event().as_ref(), Ok(event));
    }
    let mut written = Vec::new();
    // The hash is for the index, of which a batch holds nothing.
    let hash = EntityHash::from_be_bytes([0; 16]);
    let encoded: Encoded = events.iter().map(|event| (hash, event)).collect();
    let all = encoded.parts(usize::MAX).next().expect("a batch has an event");
    let digest = encode_batch(batch.head(), all, &mut written).expect("what was read can be written");
    let again = Batch::read(&written).expect("what was written can be read");
    assert_eq!((again.head(), again.digest(), again.count()), (batch.head(), digest, batch.count()));
    assert!(again.events().eq(events.iter().cloned().map(Ok)));
}

/// Appends the checksum.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let seal = *blake3::hash(&bytes).as_bytes();
    bytes.extend_from_slice(&seal);
    bytes
}

fn one_event(event: &[u8]) -> Vec<u8> {
    let end = u32::try_from(event.len()).unwrap_or(u32::MAX);
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..6].copy_from_slice(b"RSLB\x01\x00");
    bytes[24] = 1;
    bytes[28] = 1;
    bytes[76..].copy_from_slice(&end.saturating_add(4).to_le_bytes());
    bytes.extend_from_slice(&end.to_le_bytes());
    bytes.extend_from_slice(event);
    bytes
}
