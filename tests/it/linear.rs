//! Whether what clients saw of one name fits any order in which its commands can have taken effect, one at a time.
//!
//! The search is that of Wing and Gong with Lowe's memory of what was tried. A history is judged name by name, which
//! is enough: a history of many objects is linearizable if that of each of them is.

use std::collections::HashSet;

/// What is asked of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// To be there from now on.
    Register,
    /// To be there no more.
    Remove,
    /// Whether it is there.
    Verify,
}

/// A command of one client about one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// What was asked.
    pub asked: Asked,
    /// When, before the first byte was sent.
    pub invoked: u64,
    /// When the answer was there, and whether it was a 200. Without an answer the command took effect before the crash
    /// or never did.
    pub answered: Option<(u64, bool)>,
}

impl Operation {
    /// The state behind it, if it can have been done in this state with the answer that it got.
    fn step(&self, registered: bool) -> Option<bool> {
        let (granted, after) = match self.asked {
            Asked::Register => (!registered, true),
            Asked::Remove => (registered, false),
            Asked::Verify => (registered, registered),
        };
        self.answered.is_none_or(|(_, yes)| yes == granted).then_some(after)
    }
}

/// Whether the operations fit an order that ends with the name registered, or not, as it was found behind the crash.
///
/// `clients` has the operations of each client in the order in which it sent them, which is the order in which they take
/// effect; nothing of a client takes effect behind one of its commands that did not.
pub fn is_linearizable(clients: &[Vec<Operation>], starts: bool, ends: bool) -> bool {
    let mut tried = HashSet::new();
    let mut open = vec![(vec![0; clients.len()], starts)];
    while let Some((places, registered)) = open.pop() {
        if !tried.insert((places.clone(), registered)) {
            continue;
        }
        // Whatever is next must have been asked before the first answer that is still to be explained.
        let waiting = || clients.iter().zip(&places).flat_map(|(client, place)| &client[*place..]);
        let first_answer = waiting().filter_map(|operation| operation.answered).map(|(at, _)| at).min();
        if first_answer.is_none() && registered == ends {
            return true;
        }
        for (number, client) in clients.iter().enumerate() {
            let Some(operation) = client.get(places[number]) else { continue };
            if first_answer.is_some_and(|at| operation.invoked > at) {
                continue;
            }
            if let Some(after) = operation.step(registered) {
                let mut next = places.clone();
                next[number] += 1;
                open.push((next, after));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Clients whose commands really take effect one at a time: each roll says whose turn it is, what is asked, how long
    /// before and behind its effect question and answer lie, and where the crash comes.
    fn history(rolls: &[(usize, u8, u64, u64)], crash: u64) -> (Vec<Vec<Operation>>, bool) {
        let mut clients: Vec<Vec<Operation>> = vec![Vec::new(); 3];
        let (mut registered, mut at_the_crash) = (false, false);
        let mut lost = [false; 3];
        for (turn, (client, what, before, behind)) in (0..).zip(rolls) {
            let effect = 10 * turn + 100;
            let asked = [Asked::Register, Asked::Remove, Asked::Verify][usize::from(*what) % 3];
            let mut operation = Operation { asked, invoked: effect - before, answered: None };
            let granted = registered != (asked == Asked::Register);
            if operation.invoked >= crash {
                continue;
            }
            // Answers of a client come in order.
            let earliest = clients[*client].last().and_then(|last| last.answered).map_or(0, |(at, _)| at);
            let answer = earliest.max(effect + behind);
            lost[*client] |= answer >= crash;
            if !lost[*client] {
                operation.answered = Some((answer, granted));
            }
            if effect < crash {
                registered = operation.step(registered).unwrap();
                at_the_crash = registered;
            }
            clients[*client].push(operation);
        }
        (clients, at_the_crash)
    }

    fn rolls() -> impl Strategy<Value = Vec<(usize, u8, u64, u64)>> {
        prop::collection::vec((0..3_usize, 0..3_u8, 0..40_u64, 0..40_u64), 1..40)
    }

    proptest! {
        #[test]
        fn what_really_happened_in_some_order_is_linearizable(rolls in rolls(), crash in 100..500_u64) {
            let (clients, ends) = history(&rolls, crash);
            prop_assert!(is_linearizable(&clients, false, ends), "{clients:?}");
        }

        #[test]
        fn without_overlap_one_wrong_answer_is_found(rolls in rolls(), at: prop::sample::Index) {
            // Question and answer close to the effect: then there is one order only.
            let close: Vec<_> = rolls.iter().map(|(client, what, ..)| (*client, *what, 1, 1)).collect();
            let (mut clients, ends) = history(&close, u64::MAX);
            prop_assert!(!is_linearizable(&clients, false, !ends));
            let places: Vec<(usize, usize)> =
                (0..3).flat_map(|client| (0..clients[client].len()).map(move |place| (client, place))).collect();
            let (client, place) = *at.get(&places);
            let operation = &mut clients[client][place];
            operation.answered = operation.answered.map(|(at, yes)| (at, !yes));
            prop_assert!(!is_linearizable(&clients, false, ends), "{clients:?}");
        }
    }

    fn operation(asked: Asked, invoked: u64, answered: Option<(u64, bool)>) -> Operation {
        Operation { asked, invoked, answered }
    }

    #[test]
    fn commands_without_an_answer_happened_or_did_not() {
        use Asked::{Register, Verify};
        let lost = vec![operation(Register, 1, None)];
        assert!(is_linearizable(std::slice::from_ref(&lost), false, true));
        assert!(is_linearizable(std::slice::from_ref(&lost), false, false));
        // Somebody saw it: then it has happened.
        let seen = vec![operation(Verify, 2, Some((3, true)))];
        assert!(is_linearizable(&[lost.clone(), seen.clone()], false, true));
        assert!(!is_linearizable(&[lost.clone(), seen], false, false));
        // Somebody saw it before it was asked.
        let early = vec![operation(Verify, 0, Some((0, true)))];
        assert!(!is_linearizable(&[lost, early], false, true));
    }

    #[test]
    fn what_was_answered_is_not_lost_and_nothing_old_is_shown() {
        use Asked::{Register, Remove, Verify};
        let answered = vec![operation(Register, 1, Some((2, true)))];
        assert!(is_linearizable(std::slice::from_ref(&answered), false, true));
        assert!(!is_linearizable(std::slice::from_ref(&answered), false, false), "lost");
        let old = vec![operation(Verify, 3, Some((4, false)))];
        assert!(!is_linearizable(&[answered.clone(), old], false, true), "stale");
        let twice = vec![operation(Register, 1, Some((4, true)))];
        assert!(!is_linearizable(&[answered.clone(), twice], false, true), "two births and no death");
        // A client's own order holds although both were under way together.
        let own = vec![operation(Register, 1, Some((9, true))), operation(Remove, 1, Some((9, true)))];
        assert!(is_linearizable(std::slice::from_ref(&own), false, false));
        assert!(!is_linearizable(&[own.into_iter().rev().collect()], false, false));
    }
}
