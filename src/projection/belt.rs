//! Work on many entities at a time, which waits for memory as if it were on few.
//!
//! A processor waits for many places of memory at once as long as none depends on another. So entities go through the
//! table as on a belt: the index is asked for that of one, the record for that of another some places ahead of it, and
//! on a third, as far ahead again, the work is done.

use crate::types::EntityHash;

use super::Current;

/// How many entities are on the way between two steps: enough for their memory to come, and no more than a processor
/// can wait for.
pub const AHEAD: usize = 16;

/// Does the work on each item, in order. `owner` says which table holds the entity of an item, and under which hash.
pub fn on_belt<C, T>(
    context: &mut C,
    items: &[T],
    owner: impl for<'a> Fn(&'a C, &T) -> (&'a Current, EntityHash),
    mut work: impl FnMut(&mut C, &T),
) {
    let ahead = AHEAD.min(items.len());
    for step in 0..items.len() + 2 * ahead {
        let at = |late: usize| step.checked_sub(late).and_then(|at| items.get(at));
        if let Some(item) = at(0) {
            let (table, hash) = owner(context, item);
            table.ask_for_index(hash);
        }
        if let Some(item) = at(ahead) {
            let (table, hash) = owner(context, item);
            table.ask_for_record(hash);
        }
        if let Some(item) = at(2 * ahead) {
            work(context, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::HashKey;
    use proptest::prelude::*;

    proptest! {
        /// However many there are.
        #[test]
        fn each_has_its_turn_in_order(items in 0..5 * AHEAD) {
            let items: Vec<usize> = (0..items).collect();
            let mut context = (Current::new(HashKey::new([7; 16])), Vec::new());
            on_belt(&mut context, &items, |(table, _), item| (table, table.key().hash(&item.to_string())), |(_, done), item| {
                done.push(*item);
            });
            prop_assert_eq!(context.1, items);
        }
    }
}
