//! Huge pages for the tables, made beside the cores.
//!
//! A table grows in small pages (`projection::Region`). One thread, which gives way to all others, makes huge pages; a
//! core that has a part of its table to move asks for one, copies that part in a fraction of a millisecond, and hands
//! what it leaves to the same thread, which gives it back to the system. So no core ever waits for a huge page. While a
//! table grows fast nothing moves: then the processors have more to do than to make lookups quicker, and the thread, where it
//! finds the time, has the system clear the small pages into which the table will grow.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use crate::projection::Region;

use super::core::Core;
use super::shared::Shared;

/// Where Linux says whether it makes huge pages: the word in brackets.
const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// A table that gets as many new entities in such a time grows fast: 40,000 a second.
const FAST: (usize, Duration) = (10_000, Duration::from_millis(250));
/// By how much the thread gives way: as far as it goes.
const NICE: i32 = 19;

enum Order {
    /// A huge page for the core with this index.
    Huge(usize),
    /// Small pages for that core, with their memory.
    Touched(usize),
    /// What a core has left goes back to the system.
    Release(Region),
}

/// Where a core orders pages and gets them.
pub(super) struct Pages {
    orders: Sender<Order>,
    made: Receiver<Made>,
    ordered: bool,
    growth: Growth,
}

/// What the thread has made.
enum Made {
    Huge(Region),
    Touched(Region),
}

impl Pages {
    /// Moves a part of the core's table if a page has been made for it, or gives it memory to grow into, and orders what it
    /// needs next.
    pub(super) fn look_after_table(&mut self, core: &Core) {
        let mut brain = core.brain.borrow_mut();
        let Some(engine) = brain.as_mut().map(|brain| &mut brain.engine) else { return };
        if self.ordered
            && let Ok(made) = self.made.try_recv()
        {
            self.ordered = false;
            match made {
                Made::Huge(page) => {
                    let left = engine.move_table_to(page);
                    // Without the thread that has ended this one gives it back.
                    let _ = self.orders.send(Order::Release(left));
                }
                Made::Touched(next) => engine.give_table_memory(next),
            }
        }
        let (wants_memory, may_move) = (engine.table().wants_memory(), engine.table().may_move());
        if self.ordered || !wants_memory && !may_move {
            return;
        }
        let order = match self.growth.is_fast(Instant::now(), engine.table().len()) {
            Some(true) if wants_memory => Order::Touched(core.index),
            Some(false) if may_move => Order::Huge(core.index),
            _ => return,
        };
        self.ordered = self.orders.send(order).is_ok();
    }
}

/// Whether a table grows fast.
#[derive(Default)]
struct Growth {
    /// When that was last found out, and how many entities there were.
    seen: Option<(Instant, usize)>,
    fast: Option<bool>,
}

impl Growth {
    /// Whether it does, having so many entities now; `None` while that is not known yet.
    fn is_fast(&mut self, now: Instant, entities: usize) -> Option<bool> {
        let (many, time) = FAST;
        let (since, before) = *self.seen.get_or_insert((now, entities));
        if now.duration_since(since) >= time {
            self.fast = Some(entities - before >= many);
            self.seen = Some((now, entities));
        }
        self.fast
    }
}

/// Starts the thread; each core's end of it, none where the system has no huge pages. The thread ends with the cores.
pub(super) fn start(shared: &Arc<Shared>) -> Vec<Option<Pages>> {
    let cores = shared.mesh.cores();
    if !has_huge_pages() {
        return (0..cores).map(|_| None).collect();
    }
    let (orders, ordered) = unbounded();
    let (made, pages): (Vec<_>, Vec<_>) = (0..cores)
        .map(|_| {
            let (made, arriving) = bounded(1);
            (made, Some(Pages { orders: orders.clone(), made: arriving, ordered: false, growth: Growth::default() }))
        })
        .unzip();
    let shared = Arc::clone(shared);
    let body = move || {
        let _ = rustix::process::nice(NICE);
        if let Err(error) = work(&ordered, &made, &shared) {
            tracing::warn!(%error, "no more huge pages: the tables go on in small ones, and are slower");
        }
    };
    // Without the thread orders come to nothing.
    let _ = thread::Builder::new().name("pages".to_owned()).spawn(body);
    pages
}

fn has_huge_pages() -> bool {
    fs::read_to_string(SETTING).is_ok_and(|setting| !setting.contains("[never]"))
}

fn work(orders: &Receiver<Order>, made: &[Sender<Made>], shared: &Shared) -> io::Result<()> {
    for order in orders {
        let (core, region) = match order {
            Order::Huge(core) => (core, Made::Huge(Region::huge()?)),
            Order::Touched(core) => (core, Made::Touched(Region::touched()?)),
            Order::Release(left) => {
                drop(left);
                continue;
            }
        };
        // A core that has ended needs none.
        if made.get(core).is_some_and(|made| made.send(region).is_ok()) {
            shared.mesh.inbox(core).ring();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_fast_when_many_have_come_in_a_short_time() {
        let mut growth = Growth::default();
        let (begin, (many, time)) = (Instant::now(), FAST);
        let mut at = |turn: u32, entities| growth.is_fast(begin + turn * time / 2, entities);
        assert_eq!(at(0, 3 * many), None);
        assert_eq!(at(1, 3 * many), None, "not known yet");
        assert_eq!(at(2, 3 * many), Some(false), "a table that was filled before the server was ready");
        assert_eq!(at(3, 5 * many), Some(false), "looked at once in a while");
        assert_eq!(at(4, 5 * many), Some(true));
        assert_eq!(at(5, 5 * many), Some(true));
        assert_eq!(at(6, 6 * many - 1), Some(false));
        assert_eq!(at(60, 6 * many), Some(false));
    }
}
