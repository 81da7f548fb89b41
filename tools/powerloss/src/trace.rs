//! The record of what was done to a directory, in the order in which it was done.
//!
//! A record is a length (4 bytes, little-endian, of what follows), a kind, and its fields: numbers of 8 bytes, paths
//! and data with a length of 4 bytes before them. Paths are relative to the directory. The last one may be torn.

/// Something that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Done<'a> {
    /// A process began; the directory itself has this inode.
    Began {
        /// Of the directory.
        inode: u64,
    },
    /// A file was made.
    Created {
        /// Its inode.
        inode: u64,
        /// Its name.
        path: &'a [u8],
    },
    /// A directory was made.
    MadeDirectory {
        /// Its inode.
        inode: u64,
        /// Its name.
        path: &'a [u8],
    },
    /// Bytes were written.
    Wrote {
        /// To this file.
        inode: u64,
        /// From this place on.
        offset: u64,
        /// These.
        data: &'a [u8],
    },
    /// A file was given a length.
    Resized {
        /// The file.
        inode: u64,
        /// Its length.
        length: u64,
    },
    /// A name was changed; what had the new one before is gone.
    Renamed {
        /// The old name.
        from: &'a [u8],
        /// The new one.
        to: &'a [u8],
    },
    /// A file was given one more name.
    Linked {
        /// A name that it had.
        from: &'a [u8],
        /// The new one.
        to: &'a [u8],
    },
    /// A name was removed, of a file or of a directory.
    Removed {
        /// The name.
        path: &'a [u8],
    },
    /// A sync began: what was done to this file or directory before will be on disk when it ends.
    SyncBegan {
        /// Of what is synced.
        inode: u64,
        /// Tells this sync from others.
        number: u64,
    },
    /// A sync ended well.
    SyncEnded {
        /// As it began.
        number: u64,
    },
}

impl Done<'_> {
    /// Appends the record of it.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend([0; 4]);
        let (kind, numbers, texts): (u8, &[u64], &[&[u8]]) = match self {
            Done::Began { inode } => (0, &[*inode], &[]),
            Done::Created { inode, path } => (1, &[*inode], &[path]),
            Done::MadeDirectory { inode, path } => (2, &[*inode], &[path]),
            Done::Wrote { inode, offset, data } => (3, &[*inode, *offset], &[data]),
            Done::Resized { inode, length } => (4, &[*inode, *length], &[]),
            Done::Renamed { from, to } => (5, &[], &[from, to]),
            Done::Linked { from, to } => (6, &[], &[from, to]),
            Done::Removed { path } => (7, &[], &[path]),
            Done::SyncBegan { inode, number } => (8, &[*inode, *number], &[]),
            Done::SyncEnded { number } => (9, &[*number], &[]),
        };
        bytes.push(kind);
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        for text in texts {
            bytes.extend(length_of(text));
            bytes.extend_from_slice(text);
        }
        let length = length_of(&bytes[start + 4..]);
        bytes[start..start + 4].copy_from_slice(&length);
    }
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// Reads a trace record by record, each with the place where it ends.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The records of these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (u64, Done<'a>);

    fn next(&mut self) -> Option<(u64, Done<'a>)> {
        let mut rest = self.bytes.get(self.at..)?;
        let record = text(&mut rest)?;
        self.at += 4 + record.len();
        Some((self.at as u64, read(record)?))
    }
}

fn read(mut rest: &[u8]) -> Option<Done<'_>> {
    let kind = *rest.split_off_first()?;
    let rest = &mut rest;
    let done = match kind {
        0 => Done::Began { inode: number(rest)? },
        1 => Done::Created { inode: number(rest)?, path: text(rest)? },
        2 => Done::MadeDirectory { inode: number(rest)?, path: text(rest)? },
        3 => Done::Wrote { inode: number(rest)?, offset: number(rest)?, data: text(rest)? },
        4 => Done::Resized { inode: number(rest)?, length: number(rest)? },
        5 => Done::Renamed { from: text(rest)?, to: text(rest)? },
        6 => Done::Linked { from: text(rest)?, to: text(rest)? },
        7 => Done::Removed { path: text(rest)? },
        8 => Done::SyncBegan { inode: number(rest)?, number: number(rest)? },
        9 => Done::SyncEnded { number: number(rest)? },
        _ => return None,
    };
    rest.is_empty().then_some(done)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_le_bytes(*bytes))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    struct Draft(u8, u64, u64, Vec<u8>, Vec<u8>);

    impl Draft {
        fn done(&self) -> Done<'_> {
            let Draft(kind, one, two, first, second) = self;
            let (inode, number) = (*one, *two);
            match kind {
                0 => Done::Began { inode },
                1 => Done::Created { inode, path: first },
                2 => Done::MadeDirectory { inode, path: first },
                3 => Done::Wrote { inode, offset: number, data: first },
                4 => Done::Resized { inode, length: number },
                5 => Done::Renamed { from: first, to: second },
                6 => Done::Linked { from: first, to: second },
                7 => Done::Removed { path: first },
                8 => Done::SyncBegan { inode, number },
                _ => Done::SyncEnded { number },
            }
        }
    }

    fn drafts() -> impl Strategy<Value = Vec<Draft>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let draft = (0..10_u8, any::<u64>(), any::<u64>(), bytes(), bytes());
        prop::collection::vec(draft.prop_map(|(a, b, c, d, e)| Draft(a, b, c, d, e)), 0..20)
    }

    proptest! {
        #[test]
        fn a_trace_is_read_as_it_was_written_and_a_torn_end_is_no_record(drafts in drafts(), cut: prop::sample::Index) {
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for draft in &drafts {
                draft.done().encode(&mut bytes);
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let read: Vec<(u64, Done<'_>)> = Reader::new(&bytes[..cut]).collect();
            let expected: Vec<(u64, Done<'_>)> =
                ends.iter().zip(&drafts).take(whole).map(|(end, draft)| (*end as u64, draft.done())).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
