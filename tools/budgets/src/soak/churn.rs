//! Connections that come and go while a server works.
//!
//! Never: measures. What a handshake costs is in the server's time all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::ask::Asker;
use crate::failure::Failure;
use crate::peer::Peer;

/// Between one connection and the next.
const PAUSE: Duration = Duration::from_millis(20);
/// One of so many is left without a farewell, in the middle of a message.
const RUDE: u64 = 3;

/// Opens connections one after the other until told to stop. Each asks one thing; a part of them leaves in the middle of
/// the next. How many there were.
///
/// # Errors
/// When one cannot be opened, or is not answered.
pub fn until(stop: &AtomicBool, peer: &Peer) -> Result<u64, Failure> {
    let mut connections = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut asker = Asker::new(peer)?;
        asker.must(&json!({"command": "PING"}))?;
        if connections % RUDE == 0 {
            asker.leave_unfinished();
        }
        connections += 1;
        thread::sleep(PAUSE);
    }
    Ok(connections)
}
