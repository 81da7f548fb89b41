//! What happened in a world, in lines for people. It belongs to the thread, so that a panic leaves it behind.

use std::cell::RefCell;

thread_local! {
    static STORY: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From now on everything is told.
pub fn begin() {
    STORY.replace(Some(Vec::new()));
}

/// Tells something, if anybody listens.
pub fn tell(line: impl FnOnce() -> String) {
    STORY.with_borrow_mut(|story| {
        if let Some(story) = story {
            story.push(line());
        }
    });
}

/// What was told.
pub fn end() -> Vec<String> {
    STORY.take().unwrap_or_default()
}
