//! Tests of `schema`.

use proptest::prelude::*;

use super::*;
use crate::domain::{Change, apply};
use crate::log::arbitrary::{KEY, events};
use crate::types::{Attributes, Entity, Kind, Nonce, Once, Principal, Sequence, Timestamp};

fn encoded(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(&event.into(), &mut bytes).unwrap();
    bytes
}

fn decode_event(bytes: &[u8]) -> Result<Event, Malformed> {
    read_event(bytes)?.into_event()
}

proptest! {
    /// What is written by place is what rkyv writes.
    #[test]
    fn writing_agrees_with_rkyv(event in events()) {
        prop_assert_eq!(encoded(&event), v1::encode_by_rkyv(&EventRef::from(&event)));
    }

    /// What is read by place is what rkyv reads, and rkyv refuses nothing of it.
    #[test]
    fn reading_agrees_with_rkyv(event in events(), at: prop::sample::Index, bit in 0..9_u32) {
        let mut bytes = encoded(&event);
        let at = at.index(bytes.len());
        bytes[at] ^= u8::try_from(1 << bit & 0xff).unwrap();
        let Ok(read) = read_event(&bytes) else { return Ok(()) };
        let ms = |ms| Timestamp::from_unix_ms(ms).unix_ms();
        let by_rkyv = v1::read_by_rkyv(&bytes)
            .map(|(sequence, time, change, kind, texts, made)| (sequence, ms(time), change, kind, texts, ms(made)));
        let (change, attributes) = read.attributes.map_or((2, ""), |text| (1, text));
        let extension = if let Kind::Extension(name) = &read.kind { name } else { "" };
        let texts = [read.entity, extension, read.actor, attributes, read.nonce].map(str::to_owned);
        let (sequence, time, made) = (read.sequence.value(), read.time.unix_ms(), read.made.unix_ms());
        prop_assert_eq!(by_rkyv, Some((sequence, time, change, read.kind.code(), texts, made)));
    }

    /// What is true after an event does not depend on how it is read.
    #[test]
    fn a_stored_event_leaves_the_standing_of_the_event(event in events()) {
        let bytes = encoded(&event);
        let read = read_event(&bytes).unwrap();
        prop_assert_eq!(read.check(), Ok(()));
        let without_nonce = StoredEvent { nonce: "short", ..read.clone() };
        prop_assert!(without_nonce.check().is_err());
        prop_assert_eq!(read.standing(KEY), apply(&event, KEY));
    }

    #[test]
    fn decoding_is_the_inverse_of_encoding(event in events()) {
        prop_assert_eq!(decode_event(&encoded(&event)), Ok(event));
    }

    #[test]
    fn place_in_the_buffer_does_not_matter(event in events(), before in 0..40_usize) {
        let mut bytes = vec![7; before];
        encode_event(&EventRef::from(&event), &mut bytes).unwrap();
        prop_assert_eq!(&bytes[before..], &encoded(&event)[..]);
    }

    #[test]
    fn bytes_before_or_behind_are_refused(event in events(), extra in proptest::collection::vec(any::<u8>(), 1..30)) {
        let bytes = encoded(&event);
        prop_assert!(decode_event(&[&extra[..], &bytes[..]].concat()).is_err());
        let behind = [&bytes[..], &extra[..]].concat();
        // Bytes behind move the root; should they make a root of their own, its lengths do not add up.
        prop_assert!(decode_event(&behind).is_err());
        prop_assert!(decode_event(&bytes[1..]).is_err());
        prop_assert!(decode_event(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_event(&bytes);
    }

    #[test]
    fn a_flipped_bit_never_panics(event in events(), at: prop::sample::Index, bit in 0..8_u32) {
        // That it is noticed is the batch's duty: a flipped bit in a name makes another name.
        let mut bytes = encoded(&event);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = decode_event(&bytes);
    }
}

/// Every stored form is pinned: these bytes stand in stores. A new form is a new version, not a change here.
#[test]
fn stored_forms_are_pinned() {
    let registered = Event {
        sequence: Sequence::new(7),
        time: Timestamp::from_unix_ms(1_756_807_200_120),
        principal: Principal::from_name("alice"),
        once: Some(Once {
            made: Timestamp::from_unix_s(1_756_807_200),
            nonce: Nonce::parse("abcdefghijklmnopqrstuv").unwrap(),
        }),
        entity: Entity::from_canonical(Kind::Domain, "example.com"),
        change: Change::Registered { attributes: Attributes::from_canonical(r#"{"a":1}"#) },
    };
    let removed = Event {
        sequence: Sequence::new(8),
        time: Timestamp::from_unix_ms(1_756_807_200_121),
        principal: Principal::Anonymous,
        once: None,
        entity: Entity::from_canonical(Kind::extension("x-vat"), "DE123"),
        change: Change::Removed,
    };
    assert_eq!(hex(&encoded(&registered)), REGISTERED_HEX);
    assert_eq!(hex(&encoded(&removed)), REMOVED_HEX);
}

const REGISTERED_HEX: &str = concat!(
    // example.com, alice, {"a":1}, nonce
    "6578616d706c652e636f6d",
    "616c696365",
    "7b2261223a317d",
    "6162636465666768696a6b6c6d6e6f707172737475",
    "76",
    // the subject: where and how long each text is; when the nonce was made
    "d3ffffff0b000000",
    "d6ffffff00000000",
    "ceffffff05000000",
    "cbffffff07000000",
    "caffffff16000000",
    "007dde0999010000",
    // the root: sequence, time, change, kind, where the subject is
    "0700000000000000",
    "787dde0999010000",
    "01",
    "01",
    "beffffff",
);
const REMOVED_HEX: &str = concat!(
    "4445313233",
    "782d766174",
    "f6ffffff05000000",
    "f3ffffff05000000",
    "f0ffffff00000000",
    "e8ffffff00000000",
    "e0ffffff00000000",
    "0000000000000000",
    "0800000000000000",
    "797dde0999010000",
    "02",
    "ff",
    "beffffff",
);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
