//! Canonical names: a canonical name is its own canonical form, and what is seen at a glance is what is found with care.

use repsec::types::limits::ENTITY_BYTES_MAX;
use repsec::types::{Entity, Kind};

/// Reads the bytes as a name, under every kind.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = Entity::parse(text);
    if let Some(kind) = Entity::plain_kind(data) {
        let parsed = parsed.as_ref().map(|entity| (entity.kind(), entity.as_str()));
        assert_eq!(parsed, Ok((kind, text)), "not canonical after all");
    }
    let Ok(entity) = parsed else { return };
    let canonical = entity.as_str();
    assert!(!canonical.is_empty() && canonical.len() <= ENTITY_BYTES_MAX, "{} bytes", canonical.len());
    assert!(!canonical.chars().any(char::is_control), "{canonical:?}");
    assert_eq!(Entity::parse(canonical).as_ref(), Ok(&entity), "canonical of the canonical form");
    for name in ["domain", "ip", "network", "asn", "email", "url", "userid", "organization", "x-own"] {
        let kind = Kind::parse(name).expect("a kind");
        match Entity::parse_as(text, kind.clone()) {
            Ok(labelled) => assert_eq!((labelled.as_str(), labelled.kind()), (canonical, &kind)),
            Err(_) => assert!(kind != *entity.kind() && name != "x-own", "{name} may not label {entity:?}"),
        }
    }
}
