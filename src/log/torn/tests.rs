//! The laws of where a file ends.

use super::*;
use proptest::prelude::*;

/// No header fits into the last bytes of a block; they are zeros.
fn fill_block(bytes: &mut Vec<u8>) {
    while bytes.len() % BLOCK_BYTES > BLOCK_BYTES - HEADER_BYTES {
        bytes.push(0);
    }
}

fn push_part(bytes: &mut Vec<u8>, kind: u8, part: &[u8]) {
    let covered = [&[kind][..], part].concat();
    bytes.extend(masked_crc(&covered).to_le_bytes());
    bytes.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
    bytes.extend(covered);
}

/// The file that holds these logical records, and where each begins.
fn file(records: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut begins) = (Vec::new(), Vec::new());
    for record in records {
        let (mut rest, mut is_first) = (&record[..], true);
        fill_block(&mut bytes);
        begins.push(bytes.len());
        loop {
            fill_block(&mut bytes);
            let room = BLOCK_BYTES - bytes.len() % BLOCK_BYTES - HEADER_BYTES;
            let (part, behind) = rest.split_at(rest.len().min(room));
            rest = behind;
            let kind = match (is_first, rest.is_empty()) {
                (true, true) => WHOLE,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            push_part(&mut bytes, kind, part);
            is_first = false;
            if rest.is_empty() {
                break;
            }
        }
    }
    (bytes, begins)
}

/// Records without zeros, as texts are.
fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let nearly_a_block = BLOCK_BYTES - 3 * HEADER_BYTES..BLOCK_BYTES;
    let length = prop_oneof![1..40_usize, 1..3000_usize, 1..100_000_usize, nearly_a_block];
    prop::collection::vec((length, 1..=255_u8).prop_map(|(length, byte)| vec![byte; length]), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_whole_or_ends_early_is_sound(records in records(), cut: prop::sample::Index, zeros in 0..2000_usize) {
        let (mut bytes, _) = file(&records);
        prop_assert_eq!(end_of(&bytes, 0), End::Sound);
        prop_assert_eq!(end_of(&bytes[..cut.index(bytes.len())], 0), End::Sound);
        bytes.resize(bytes.len() + zeros, 0);
        prop_assert_eq!(end_of(&bytes, 0), End::Sound);
    }

    #[test]
    fn a_last_write_that_lacks_sectors_is_torn(records in records(), lost in prop::collection::vec(any::<bool>(), 1..300)) {
        let (mut bytes, begins) = file(&records);
        let whole = bytes.clone();
        let from = *begins.last().unwrap();
        let mut at = from;
        for lost in lost.iter().cycle() {
            let end = bytes.len().min(at - at % SECTOR_BYTES + SECTOR_BYTES);
            if *lost {
                bytes[at..end].fill(0);
            }
            at = end;
            if at == bytes.len() {
                break;
            }
        }
        let all_lost = bytes[from..].iter().all(|byte| *byte == 0);
        let expected = if bytes == whole || all_lost { End::Sound } else { End::Torn(from) };
        prop_assert_eq!(end_of(&bytes, 0), expected);
        // What was written behind it says that it had been synced.
        let behind = [&bytes[..], &vec![0; start(bytes.len()) - bytes.len()], &file(&[vec![7; 60]]).0].concat();
        if expected != End::Sound && start(bytes.len()) % BLOCK_BYTES < BLOCK_BYTES - 100 {
            prop_assert_eq!(end_of(&behind, 0), End::Damaged);
        }
    }

    #[test]
    fn a_wrong_bit_is_damage_wherever_it_is(records in records(), at: prop::sample::Index, bit in 0..8_u32) {
        let (mut bytes, _) = file(&records);
        let at = at.index(bytes.len());
        let was = bytes[at];
        bytes[at] ^= 1 << bit;
        // A length that leads behind the end of the file, or a trailer of a block, is taken for a file that ends early.
        prop_assert!(matches!(end_of(&bytes, 0), End::Damaged | End::Sound), "{was} at {at}");
        prop_assert!(end_of(&bytes, 0) == End::Damaged || was < 255, "{was} at {at}");
    }
}

#[test]
fn a_manifest_may_have_whole_records_of_the_same_sync_behind_a_torn_one() {
    let (mut bytes, begins) = file(&[vec![1; 2000], vec![2; 800], vec![3; 100]]);
    bytes[begins[1] + 20..begins[1] + 700].fill(0);
    assert_eq!(end_of(&bytes, 0), End::Damaged);
    assert_eq!(end_of(&bytes, MANIFEST_GROUP_BYTES_MAX), End::Torn(begins[1]));
}

/// Parts come in the order that they have, and whole records not between them; kinds that we do not know (RocksDB has
/// some for its own ends) are whole.
#[test]
fn parts_are_in_order() {
    let kinds = || 0..=LAST + 2;
    for [one, two, three] in kinds().flat_map(|a| kinds().flat_map(move |b| kinds().map(move |c| [a, b, c]))) {
        let (mut bytes, mut in_parts, mut sound) = (Vec::new(), false, true);
        for kind in [one, two, three] {
            push_part(&mut bytes, kind, &[b'x'; 20]);
            sound &= match kind {
                MIDDLE | LAST => in_parts,
                0 => false,
                _ => !in_parts,
            };
            in_parts = kind == FIRST || kind == MIDDLE;
        }
        let expected = if sound { End::Sound } else { End::Damaged };
        assert_eq!(end_of(&bytes, 0), expected, "{one} {two} {three}");
    }
}

#[test]
fn a_group_of_the_manifest_has_a_longest_length() {
    let (mut bytes, begins) = file(&[vec![1; 2000], vec![2; 800], vec![3; 100]]);
    bytes[begins[1] + 20..begins[1] + 700].fill(0);
    let group = bytes.len() - begins[1];
    assert_eq!(end_of(&bytes, group), End::Torn(begins[1]));
    assert_eq!(end_of(&bytes, group - 1), End::Damaged);
}

#[test]
fn no_record_crosses_a_block() {
    for before in [1, BLOCK_BYTES - 100] {
        let (mut bytes, _) = file(&[vec![1; before]]);
        push_part(&mut bytes, WHOLE, &vec![2; BLOCK_BYTES]);
        push_part(&mut bytes, WHOLE, &[3; 100]);
        assert_eq!(end_of(&bytes, 0), End::Damaged, "{before}");
    }
}

/// A record that is whole where a part was due says that what is before it had been synced.
#[test]
fn a_whole_record_between_parts_is_damage_though_it_holds_zeros() {
    let mut bytes = Vec::new();
    push_part(&mut bytes, FIRST, &[1; 20]);
    push_part(&mut bytes, WHOLE, &[0; 3 * SECTOR_BYTES]);
    assert_eq!(end_of(&bytes, 0), End::Damaged);
}

/// A database of these logs, with a manifest that is whole.
fn database(logs: &[&[u8]]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("CURRENT"), "MANIFEST-000001\n").unwrap();
    fs::write(folder.path().join("MANIFEST-000001"), file(&[vec![1; 100]]).0).unwrap();
    for (number, bytes) in (2..).zip(logs) {
        fs::write(folder.path().join(format!("{number:06}.log")), bytes).unwrap();
    }
    folder
}

#[test]
fn a_torn_log_is_the_last_that_was_written() {
    let (whole, begins) = file(&[vec![1; 100], vec![2; 2000]]);
    let mut torn = whole.clone();
    torn[begins[1] + 500..begins[1] + 1900].fill(0);
    let names = |logs: &[&[u8]]| -> Vec<(String, u64)> {
        let found = find(database(logs).path()).unwrap();
        found.into_iter().map(|(path, at)| (path.file_name().unwrap().to_str().unwrap().to_owned(), at)).collect()
    };
    let at = begins[1] as u64;
    assert_eq!(names(&[&whole, &whole]), []);
    assert_eq!(names(&[&whole, &torn]), [("000003.log".to_owned(), at)]);
    assert_eq!(names(&[&torn, &[]]), [("000002.log".to_owned(), at)]);
    // What is written behind a torn commit says that it had been synced.
    assert_eq!(names(&[&torn, &whole]), []);
    assert_eq!(names(&[&torn, &torn]), []);
}

#[test]
fn the_checksum_is_that_of_rocksdb() {
    // CRC-32C of "123456789" is known; RocksDB's mask on it.
    assert_eq!(masked_crc(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
}
