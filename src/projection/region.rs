//! Memory for what is looked up at random: regions as long as a huge page, and what is in one may move to another.
//!
//! Where a region is a huge page, a processor need not look for each small page of it first: among ten million entities a
//! lookup takes half as long. But the system takes long to make a huge page, milliseconds where it is the guest of a
//! machine that has to find the memory. So a table grows in small pages, and what it has filled moves to huge ones that
//! were made elsewhere. The small ones may have been touched elsewhere too, so that those who fill them need not wait for
//! the system to clear each.
//!
//! May use: the system's mappings. Never: a change of what any code computes.

use std::io;

use bytemuck::Pod;
use memmap2::{Advice, MmapMut};

/// Bytes of a region: those of a huge page on most processors.
pub const REGION_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of a small page.
const SMALL_BYTES: usize = 4096;

/// So much memory, zero at first.
pub struct Region(MmapMut);

impl Region {
    /// A region in small pages, each of which takes memory once it is written to.
    ///
    /// # Panics
    /// When the system has no memory to give, or the process has as many mappings as it may have.
    pub(super) fn small() -> Region {
        match Region::map(Advice::NoHugePage) {
            Ok(region) => region,
            Err(error) => panic!("no memory for the table: {error}"),
        }
    }

    /// A region in small pages, all of which have their memory.
    ///
    /// # Errors
    /// When the system has no memory to give, or the process has as many mappings as it may have.
    pub fn touched() -> io::Result<Region> {
        Ok(Region::map(Advice::NoHugePage)?.touch())
    }

    /// A region in a huge page, which takes its memory at once; in small ones where the system has no other. Linux puts
    /// mappings of this length where a huge page can be, from version 6.7 on.
    ///
    /// # Errors
    /// When the system has no memory to give, or the process has as many mappings as it may have.
    pub fn huge() -> io::Result<Region> {
        Ok(Region::map(Advice::HugePage)?.touch())
    }

    fn touch(mut self) -> Region {
        self.0.iter_mut().step_by(SMALL_BYTES).for_each(|byte| *byte = 0);
        self
    }

    fn map(advice: Advice) -> io::Result<Region> {
        let map = MmapMut::map_anon(REGION_BYTES)?;
        // A system that has no huge pages takes no advice on them; Miri takes none at all.
        let _ = cfg!(not(miri)).then(|| map.advise(advice));
        Ok(Region(map))
    }

    /// The memory as a value of this type.
    ///
    /// # Panics
    /// When the type is not as long as a region.
    #[inline]
    pub(super) fn content<T: Pod>(&self) -> &T {
        bytemuck::from_bytes(&self.0)
    }

    /// Likewise, to write.
    #[inline]
    pub(super) fn content_mut<T: Pod>(&mut self) -> &mut T {
        bytemuck::from_bytes_mut(&mut self.0)
    }
}

/// Regions that are filled one after the other. The filled ones move, in that order.
#[derive(Default)]
pub(super) struct Regions {
    regions: Vec<Region>,
    /// So many of the first have moved.
    moved: usize,
    /// The next one, if somebody has given it.
    next: Option<Region>,
}

impl Regions {
    pub(super) fn len(&self) -> usize {
        self.regions.len()
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&Region> {
        self.regions.get(number)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Region> {
        self.regions.get_mut(number)
    }

    /// Adds a region, in small pages.
    pub(super) fn grow(&mut self) {
        let next = self.next.take().unwrap_or_else(Region::small);
        self.regions.push(next);
    }

    /// Whether nobody has given the region that will be added next.
    pub(super) fn wants_next(&self) -> bool {
        self.next.is_none()
    }

    /// Gives the region that will be added next. Its bytes MUST be zero.
    pub(super) fn give_next(&mut self, next: Region) {
        self.next = Some(next);
    }

    /// Bytes of memory, also where nothing was written yet.
    pub(super) fn bytes(&self) -> usize {
        (self.regions.len() + usize::from(self.next.is_some())) * REGION_BYTES
    }

    /// Whether one of the first `filled` regions has not moved.
    pub(super) fn may_move(&self, filled: usize) -> bool {
        self.moved < filled
    }

    /// Moves the first that has not moved, and returns the region where it was.
    pub(super) fn move_one(&mut self, mut to: Region) -> Region {
        if let Some(from) = self.regions.get_mut(self.moved) {
            to.0.copy_from_slice(&from.0);
            std::mem::swap(from, &mut to);
            self.moved += 1;
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Bytes = [u8; REGION_BYTES];

    #[test]
    fn regions_move_in_the_order_in_which_they_were_filled() {
        let mut regions = Regions::default();
        for number in 1..=3 {
            regions.grow();
            regions.get_mut(usize::from(number) - 1).unwrap().content_mut::<Bytes>().fill(number);
        }
        let last = |region: &Region| region.content::<Bytes>()[REGION_BYTES - 1];
        assert_eq!((regions.bytes(), regions.may_move(0)), (3 * REGION_BYTES, false));
        for number in 1..=2 {
            assert!(regions.may_move(2));
            let huge = Region::huge().unwrap();
            assert!(huge.content::<Bytes>().iter().all(|byte| *byte == 0));
            let address = huge.content::<Bytes>().as_ptr().addr();
            assert_eq!(last(&regions.move_one(huge)), number);
            let moved = regions.get(usize::from(number) - 1).unwrap();
            assert_eq!((moved.content::<Bytes>().as_ptr().addr(), last(moved)), (address, number));
        }
        assert!(!regions.may_move(2));
        assert_eq!(last(regions.get(2).unwrap()), 3);
        // One that was given is the next.
        let given = Region::touched().unwrap();
        let address = given.content::<Bytes>().as_ptr().addr();
        assert!(regions.wants_next());
        regions.give_next(given);
        assert_eq!((regions.wants_next(), regions.bytes()), (false, 4 * REGION_BYTES));
        regions.grow();
        assert_eq!(regions.get(3).unwrap().content::<Bytes>().as_ptr().addr(), address);
        assert_eq!((regions.wants_next(), regions.bytes()), (true, 4 * REGION_BYTES));
        // What is given when all have moved comes back.
        assert!(regions.may_move(3));
        regions.move_one(Region::small());
        assert_eq!(last(&regions.move_one(Region::small())), 0);
    }
}
