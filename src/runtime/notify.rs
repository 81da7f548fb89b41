//! A signal between two tasks of one core.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Set by any task of the core, awaited by one. A signal that comes before the waiting is kept; many are one.
#[derive(Default)]
pub struct Notify {
    set: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Notify {
    /// Wakes the waiting task, or lets its next wait pass at once.
    pub fn notify(&self) {
        self.set.set(true);
        let waiting = self.waiting.borrow_mut().take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Takes a signal, if one has come.
    pub fn take(&self) -> bool {
        self.set.replace(false)
    }

    /// Waits for a signal and takes it.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.take() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
