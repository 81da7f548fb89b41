//! Tests of `batch`.

use proptest::prelude::*;

use super::*;
use crate::log::Encoded;
use crate::log::arbitrary::{KEY, encoded, histories};

fn head(first: u64) -> BatchHead {
    BatchHead {
        log_id: LogId([9; 16]),
        first: Sequence::new(first),
        committed: Timestamp::from_unix_ms(1_756_807_200_500),
        previous: BatchDigest([3; 32]),
    }
}

/// Appends a batch of all these.
fn encode(first: u64, events: &[Event], into: &mut Vec<u8>) -> Result<BatchDigest, Malformed> {
    let events = encoded(&KEY, events);
    encode_batch(&head(first), events.parts(usize::MAX).next().unwrap(), into)
}

fn stored(first: u64, events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(first, events, &mut bytes).unwrap();
    bytes
}

/// A batch made of these parts, with a checksum that holds: what a forger could write.
fn forged(change: impl FnOnce(&mut Vec<u8>), events: &[Event]) -> Result<(), Malformed> {
    let mut bytes = stored(1, events);
    bytes.truncate(bytes.len() - SEAL_BYTES);
    change(&mut bytes);
    seal(&mut bytes, 0);
    Batch::read(&bytes).and_then(|batch| batch.events().try_for_each(|event| event.map(drop)))
}

proptest! {
    #[test]
    fn reading_is_the_inverse_of_encoding(events in histories(1..20), before in 0..20_usize) {
        let mut bytes = vec![1; before];
        let digest = encode(1, &events, &mut bytes).unwrap();
        let batch = Batch::read(&bytes[before..]).unwrap();
        prop_assert_eq!(batch.head(), &head(1));
        prop_assert_eq!(batch.digest(), digest);
        prop_assert_eq!(digest_of(&bytes), Ok(digest));
        prop_assert_eq!(batch.last().value(), events.len() as u64);
        prop_assert_eq!(batch.events().collect::<Result<Vec<_>, _>>().unwrap(), events);
    }

    #[test]
    fn one_event_is_read_without_the_others(events in histories(2..20), at: prop::sample::Index) {
        let wanted = at.get(&events);
        let bytes = stored(1, &events);
        let batch = Batch::read(&bytes).unwrap();
        prop_assert_eq!(&batch.event(wanted.sequence).unwrap(), wanted);
        prop_assert!(batch.event(Sequence::ZERO).is_err());
        prop_assert!(batch.event(batch.last().next()).is_err());
    }

    #[test]
    fn any_flipped_bit_is_detected(events in histories(1..6), at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = stored(1, &events);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Batch::read(&bytes).is_err());
    }

    #[test]
    fn any_other_length_is_detected(events in histories(1..6), cut: prop::sample::Index, extra in proptest::collection::vec(any::<u8>(), 1..40)) {
        let bytes = stored(1, &events);
        prop_assert!(Batch::read(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(Batch::read(&[&bytes[..], &extra[..]].concat()).is_err());
        prop_assert!(forged(|bytes| bytes.extend_from_slice(&extra), &events).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Batch::read(&bytes).is_err());
    }

    #[test]
    fn a_forger_who_mends_the_checksum_never_causes_a_panic(events in histories(1..6), at: prop::sample::Index, value: u8) {
        let _ = forged(|bytes| { let at = at.index(bytes.len()); bytes[at] = value; }, &events);
    }
}

#[test]
fn broken_structure_is_refused_even_under_a_checksum_that_holds() {
    let events = crate::log::arbitrary::plain_history(3);
    let put = |at: usize, value: &'static [u8]| {
        forged(move |bytes| bytes[at..at + value.len()].copy_from_slice(value), &events).err().map(|why| why.0)
    };
    assert_eq!(forged(|_| (), &events), Ok(()));
    for (at, value, expected) in [
        (0, &b"RSLA"[..], "it does not begin as a batch does"),
        (4, &[2, 0], "its version is unknown"),
        (6, &[1, 0], "its version is unknown"),
        (24, &[0, 0, 0, 0], "it has no events or too many"),
        (24, &[0xff, 0xff, 0, 0], "it has no events or too many"),
        (24, &[2, 0, 0, 0], "its events do not fill it"),
        (24, &[0, 4, 0, 0], "it ends too early"),
        (28, &[0; 8], "its first sequence is out of range"),
        (28, &[0xff; 8], "its first sequence is out of range"),
        (28, &[2, 0, 0, 0, 0, 0, 0, 0], "an event stands in a wrong place"),
        (76, &[0, 0, 0, 0], "its length does not match"),
        (80, &[0, 0, 0, 0], "its events overlap or are empty"),
        (80, &[0xff, 0xff, 0xff, 0xff], "its events overlap or are empty"),
        (88, &[0xff, 0xff, 0xff, 0xff], "its events do not fill it"),
    ] {
        assert_eq!(put(at, value), Some(expected), "{value:?} at {at}");
    }
}

#[test]
fn only_dense_events_make_a_batch() {
    let events = crate::log::arbitrary::plain_history(3);
    let mut into = Vec::new();
    assert!(Encoded::default().parts(1).next().is_none());
    assert!(encode(2, &events, &mut into).is_err());
    assert!(encode(1, &[events[0].clone(), events[2].clone()], &mut into).is_err());
}

/// The form is pinned: the header byte by byte, and the digest over all of it.
#[test]
fn stored_form_is_pinned() {
    let bytes = stored(1, &crate::log::arbitrary::plain_history(2));
    let mut header = Vec::new();
    header.extend_from_slice(b"RSLB\x01\x00\x00\x00");
    header.extend_from_slice(&[9; 16]);
    header.extend_from_slice(&[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    header.extend_from_slice(&1_756_807_200_500_u64.to_le_bytes());
    header.extend_from_slice(&[3; 32]);
    header.extend_from_slice(&u32::try_from(bytes.len() - 80 - 32).unwrap().to_le_bytes());
    assert_eq!(bytes[..80], header);
    assert_eq!(digest_of(&bytes).unwrap().to_string(), PINNED_DIGEST);
}

const PINNED_DIGEST: &str = "0240565f662eb3b213b249bce57252308a1b17147172816b9f2343e29e2275c2";
