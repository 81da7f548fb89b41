//! Reading the fields of stored bytes one after another, and the seal that ends every stored value.
//!
//! A reader never panics and never reads beyond its bytes: whatever does not fit is [`Malformed`]. Integers of fixed
//! width are little-endian; integers that are mostly small are LEB128.

/// Why bytes are not what they should be. The text completes the sentence "it is damaged: ...".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

/// Length of the seal: a BLAKE3 digest.
pub const SEAL_BYTES: usize = 32;

/// Bytes of which a front part has been read.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields { rest: bytes }
    }

    /// Whether everything was read.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that was not read.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (front, rest) = self.rest.split_at_checked(len).ok_or(Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(front)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (front, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(*front)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// An integer in LEB128. Only the shortest form is read, so that equal values are equal bytes.
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(Malformed("an integer is padded")) } else { Ok(value) };
            }
        }
        Err(Malformed("an integer is too long"))
    }

    /// A text with its length before it, in LEB128.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| Malformed("a length is out of range"))?;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// Demands that everything was read.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("bytes follow its end")) }
    }
}

/// Appends an integer in LEB128.
#[allow(clippy::cast_possible_truncation, reason = "seven bits at a time are meant")]
pub(super) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Appends a text with its length before it.
pub(super) fn put_text(into: &mut Vec<u8>, text: &str) {
    put_varint(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

/// Appends the digest of what stands in `bytes` from `start` on, and returns it.
pub(super) fn seal(bytes: &mut Vec<u8>, start: usize) -> [u8; SEAL_BYTES] {
    let digest = *blake3::hash(bytes.get(start..).unwrap_or_default()).as_bytes();
    bytes.extend_from_slice(&digest);
    digest
}

/// Checks the seal and returns what it covers, and the digest.
pub(super) fn unseal(bytes: &[u8]) -> Result<(&[u8], [u8; SEAL_BYTES]), Malformed> {
    let (covered, digest) =
        bytes.split_last_chunk::<SEAL_BYTES>().ok_or(Malformed("it is shorter than its checksum"))?;
    if blake3::hash(covered).as_bytes() == digest {
        Ok((covered, *digest))
    } else {
        Err(Malformed("its checksum does not match"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_integer_comes_back_and_nothing_follows(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut fields = Fields::of(&bytes);
            prop_assert_eq!(fields.varint(), Ok(value));
            prop_assert_eq!(fields.end(), Ok(()));
        }

        #[test]
        fn an_integer_has_one_form(go_on in proptest::collection::vec(0x80..=0xff_u8, 0..11), last in prop_oneof![0..4_u8, any::<u8>()]) {
            let bytes = [&go_on[..], &[last]].concat();
            let mut fields = Fields::of(&bytes);
            if let Ok(value) = fields.varint() {
                let read = bytes.len() - fields.rest().len();
                let mut again = Vec::new();
                put_varint(&mut again, value);
                prop_assert_eq!(&again[..], &bytes[..read]);
            }
        }

        #[test]
        fn a_flipped_bit_breaks_the_seal(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), at: prop::sample::Index, bit in 0..8_u32) {
            seal(&mut bytes, 0);
            prop_assert!(unseal(&bytes).is_ok());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(unseal(&bytes).err(), Some(Malformed("its checksum does not match")));
        }
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        assert!(Fields::of(&[1, 2]).u32().is_err());
        assert!(Fields::of(&[5, b'a']).text().is_err());
        assert!(Fields::of(&[1, 0xff]).text().is_err());
        assert!(Fields::of(&[0x80, 0x00]).varint().is_err());
        assert!(Fields::of(&[0xff; 10]).varint().is_err());
        assert!(Fields::of(&[1]).end().is_err());
        assert!(unseal(&[0; 31]).is_err());
    }
}
