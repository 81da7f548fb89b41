//! What a store holds, in numbers.

use std::ops::ControlFlow;

use crate::types::{Sequence, Timestamp};

use super::identity::FORMAT_VERSION;
use super::replay::Span;
use super::store::Head;
use super::writes::Area;
use super::{LogError, LogId, Store};

/// The numbers of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// The format of the store.
    pub format_version: u32,
    /// The name of the log.
    pub log_id: LogId,
    /// Where the log ends. Since places are dense from 1, the last one is also the number of events.
    pub head: Head,
    /// The time of the first event.
    pub first_time: Option<Timestamp>,
    /// The event behind which the tail of the newest snapshot begins, and how many records the snapshot has.
    pub snapshot: Option<(Sequence, u64)>,
    /// Bytes of each area, roughly.
    pub sizes_bytes: [(Area, u64); Area::ALL.len()],
}

impl Store {
    /// Reads the numbers. Cheap: nothing is scanned.
    ///
    /// # Errors
    /// `Corrupt` or `Io`.
    pub fn stat(&self) -> Result<Stat, LogError> {
        let mut first_time = None;
        let first = Span { from: Sequence::new(1), to: Some(Sequence::new(1)) };
        self.replay(first, &mut |_, _| (), |_, event| {
            first_time = Some(event.time);
            ControlFlow::Break(())
        })?;
        let mut sizes_bytes = Area::ALL.map(|area| (area, 0));
        for (area, bytes) in &mut sizes_bytes {
            *bytes = self.size_bytes(*area)?;
        }
        Ok(Stat {
            format_version: FORMAT_VERSION,
            log_id: self.identity().log_id,
            head: self.head()?,
            first_time,
            snapshot: self.marker()?.map(|marker| (marker.start, marker.records)),
            sizes_bytes,
        })
    }
}
