//! The allocator of the program, and how long it keeps memory that is free.
//!
//! May use: mimalloc. Never: anything of the library.

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_eager_commit_delay, mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The option behind that one in version 2: after how many milliseconds memory that is free is given back to the system.
/// The binding has no name for it.
const PURGE_DELAY: mi_option_t = mi_option_eager_commit_delay + 1;
/// Ten seconds in place of the 10 ms that are usual. What commands are made of comes and goes more slowly than that when
/// they wait for the disk; what was given back must be cleared by the system before it is there again, and a virtual
/// machine may have to ask its host for it, which takes milliseconds for each 2 MiB.
const FREE_FOR_MS: c_long = 10_000;

/// Has the allocator keep memory that is free for [`FREE_FOR_MS`], unless the environment says otherwise
/// (`MIMALLOC_PURGE_DELAY`). MUST be called before there is a second thread.
#[allow(unsafe_code, reason = "the allocator's options are set by a function of C")]
pub fn keep_what_is_free() {
    // SAFETY: the function stores a number, in memory that is there from the start. It must not run beside another use of
    // an option, and there is no second thread.
    unsafe { mi_option_set_default(PURGE_DELAY, FREE_FOR_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 is built with 10 ms for this option and no other.
    #[test]
    #[allow(unsafe_code, reason = "as above")]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: the function reads a number, and nothing sets one meanwhile.
        let before = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(before, 10);
        keep_what_is_free();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, FREE_FOR_MS);
    }
}
