//! Huge pages for the tables, made beside the cores.
//!
//! A table grows in small pages (`projection::Region`). One thread, which gives way to all others, makes huge pages; a
//! core that has a part of its table to move asks for one, copies that part in a fraction of a millisecond, and hands
//! what it leaves to the same thread, which gives it back to the system. So no core ever waits for a huge page. While a
//! table grows fast nothing moves: then the processors have more to do than to make lookups quicker.

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
    Make(usize),
    /// What a core has left goes back to the system.
    Release(Region),
}

/// Where a core orders pages and gets them.
pub(super) struct Pages {
    orders: Sender<Order>,
    made: Receiver<Region>,
    ordered: bool,
    growth: Growth,
}

impl Pages {
    /// Moves a part of the core's table if a page has been made for it, and orders the next if there is more to move.
    pub(super) fn move_table(&mut self, core: &Core) {
        let mut brain = core.brain.borrow_mut();
        let Some(engine) = brain.as_mut().map(|brain| &mut brain.engine) else { return };
        if self.ordered
            && let Ok(page) = self.made.try_recv()
        {
            self.ordered = false;
            let left = engine.move_table_to(page);
            // Without the thread that has ended this one gives it back.
            let _ = self.orders.send(Order::Release(left));
        }
        if !self.ordered && engine.table().may_move() && !self.growth.is_fast(Instant::now(), engine.table().len()) {
            self.ordered = self.orders.send(Order::Make(core.index)).is_ok();
        }
    }
}

/// Whether a table grows fast.
struct Growth {
    /// When that was last found out, and how many entities there were.
    seen: (Instant, usize),
    fast: bool,
}

impl Growth {
    fn new() -> Growth {
        Growth { seen: (Instant::now(), 0), fast: true }
    }

    /// Given how many entities the table has now.
    fn is_fast(&mut self, now: Instant, entities: usize) -> bool {
        let (many, time) = FAST;
        let (since, before) = self.seen;
        if now.duration_since(since) >= time {
            self.fast = entities - before >= many;
            self.seen = (now, entities);
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
            (made, Some(Pages { orders: orders.clone(), made: arriving, ordered: false, growth: Growth::new() }))
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

fn work(orders: &Receiver<Order>, made: &[Sender<Region>], shared: &Shared) -> io::Result<()> {
    for order in orders {
        match order {
            Order::Make(core) => {
                let page = Region::huge()?;
                // A core that has ended needs none.
                if made.get(core).is_some_and(|made| made.send(page).is_ok()) {
                    shared.mesh.inbox(core).ring();
                }
            }
            Order::Release(left) => drop(left),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_fast_until_few_have_come_for_a_while() {
        let mut growth = Growth::new();
        let (begin, (many, time)) = (growth.seen.0, FAST);
        let mut at = |turn: u32, entities| growth.is_fast(begin + turn * time / 2, entities);
        assert!(at(1, 0), "not known yet");
        assert!(at(2, 3 * many), "a table that was filled before the server was ready");
        assert!(at(3, 3 * many));
        assert!(!at(4, 4 * many - 1));
        assert!(!at(5, 5 * many), "looked at once in a while");
        assert!(at(6, 5 * many));
        assert!(!at(60, 5 * many));
    }
}
