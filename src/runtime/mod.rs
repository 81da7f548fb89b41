//! Floor 2, machine: event loops, buffers for sockets, mailboxes between cores, clocks. No meaning.
//!
//! May use: `types`. Never: `domain`, `log`, faces. monoio is named in `uring.rs` only, so that another
//! runtime costs one file.

pub mod buffer;
pub mod clock;
pub mod mailbox;
pub mod notify;
pub mod progress;
pub mod topology;
pub mod uring;

pub use buffer::Buffer;
pub use clock::now;
pub use mailbox::{Inbox, Mesh};
pub use notify::Notify;
pub use progress::Progress;
