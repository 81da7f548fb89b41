//! Where an AUDIT page ended, as an opaque text that the peer sends back (`repsec:O10`).
//!
//! The text is base64url of: version (1 byte), order (1), the last event's sequence (8, big endian), and a check (8)
//! over all of that and the entity. The check finds mistakes, such as a cursor of another entity; it is no signature,
//! and needs to be none: a cursor gives no access that the same AUDIT without it would not give.

use std::hash::Hasher as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip::SipHasher13;

use crate::domain::Order;
use crate::types::Sequence;

const VERSION: u8 = 1;
const BYTES: usize = 18;

/// The cursor behind the event at `after`, when reading the history of `entity` (canonical) in this order.
pub fn encode(entity: &str, order: Order, after: Sequence) -> String {
    let head = head(order, after);
    let mut bytes = [0; BYTES];
    let (first, second) = bytes.split_at_mut(head.len());
    first.copy_from_slice(&head);
    second.copy_from_slice(&check(&head, entity));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The order and the last event that a cursor for `entity` stands for. `None` for what this server has not made, and
/// for cursors of other entities.
pub fn decode(text: &str, entity: &str) -> Option<(Order, Sequence)> {
    let mut bytes = [0; BYTES];
    if text.len() != BYTES * 4 / 3 || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()? != BYTES {
        return None;
    }
    let (head, found) = bytes.split_first_chunk::<10>()?;
    let [version, order, after @ ..] = *head;
    let order = match order {
        0 => Order::Ascending,
        1 => Order::Descending,
        _ => return None,
    };
    let genuine = version == VERSION && *found == check(head, entity);
    genuine.then_some((order, Sequence::new(u64::from_be_bytes(after))))
}

fn head(order: Order, after: Sequence) -> [u8; 10] {
    let order = match order {
        Order::Ascending => 0,
        Order::Descending => 1,
    };
    let mut head = [0; 10];
    head[0] = VERSION;
    head[1] = order;
    head[2..].copy_from_slice(&after.value().to_be_bytes());
    head
}

fn check(head: &[u8; 10], entity: &str) -> [u8; 8] {
    let mut hasher = SipHasher13::new();
    hasher.write(head);
    hasher.write(entity.as_bytes());
    hasher.finish().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_for_its_own_entity_only(
            entity in "[a-z.]{1,40}",
            other in "[a-z.]{1,40}",
            descending in any::<bool>(),
            after in any::<u64>(),
        ) {
            let order = if descending { Order::Descending } else { Order::Ascending };
            let cursor = encode(&entity, order, Sequence::new(after));
            prop_assert_eq!(decode(&cursor, &entity), Some((order, Sequence::new(after))));
            prop_assert_eq!(decode(&cursor, &other).is_some(), entity == other);
        }

        #[test]
        fn a_changed_cursor_is_refused(after in any::<u64>(), at in 0..24_usize, letter in "[A-Za-z0-9_=+/ -]") {
            let cursor = encode("example.com", Order::Ascending, Sequence::new(after));
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &letter);
            prop_assume!(changed != cursor);
            prop_assert_eq!(decode(&changed, "example.com"), None);
        }

        #[test]
        fn any_text_is_judged(text in any::<String>()) {
            prop_assert_eq!(decode(&text, "example.com"), None);
        }
    }

    /// Peers may hold a cursor over an update of the server.
    #[test]
    fn the_form_is_pinned() {
        assert_eq!(encode("example.com", Order::Descending, Sequence::new(258)), "AQEAAAAAAAABAgOlTRO8U7z0");
    }

    #[test]
    fn other_lengths_and_versions_are_refused() {
        let cursor = encode("a", Order::Ascending, Sequence::new(1));
        for bad in ["", "=", &cursor[1..], &format!("{cursor}A"), &format!("{cursor}===="), "AgAAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert_eq!(decode(bad, "a"), None, "{bad}");
        }
    }
}
