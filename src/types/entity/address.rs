//! IP addresses, networks and the numbers of autonomous systems.

use std::net::IpAddr;

use ipnet::IpNet;
use wide::u8x16;

use super::EntityError;

/// Bits of the prefix under which IPv6 holds the IPv4 addresses (RFC 4291 section 2.5.5.2).
const MAPPED_PREFIX_BITS: u8 = 96;

const SHORTEST_V4: &[u8] = b"0.0.0.0";
const LONGEST_V4: &[u8] = b"255.255.255.255";

/// Whether the text is an IPv4 address in its one canonical spelling, the only one that the standard library reads. Here
/// it is asked for every lookup, which that library's parser is slow for.
///
/// Nothing in it branches on digits, which a processor could not foresee.
pub(super) fn is_canonical_v4(text: &[u8]) -> bool {
    if !(SHORTEST_V4.len()..=LONGEST_V4.len()).contains(&text.len()) {
        return false;
    }
    // At least one dot stands behind, and ends the last number.
    let mut padded = [b'.'; 16];
    padded[..text.len()].copy_from_slice(text);
    let lane = u8x16::new(padded);
    let dots = lane.simd_eq(u8x16::splat(b'.'));
    let digits = (lane - u8x16::splat(b'0')).simd_lt(u8x16::splat(10));
    let (mut ends, mut well) = (dots.to_bitmask(), (dots | digits).to_bitmask() == 0xffff);
    let mut begin = 0;
    for _ in 0..4 {
        let end = ends.trailing_zeros() as usize;
        ends &= ends.wrapping_sub(1);
        let length = end.wrapping_sub(begin);
        // A digit so many places before the end of its number; 0 where the number is shorter.
        let digit = |back: usize| {
            let digit = u32::from(padded[end.wrapping_sub(back) % padded.len()].wrapping_sub(b'0'));
            if length >= back { digit } else { 0 }
        };
        let leading_zero = length > 1 && padded[begin % padded.len()] == b'0';
        let value = digit(3) * 100 + digit(2) * 10 + digit(1);
        well &= (1..=3).contains(&length) & !leading_zero & (value <= 255);
        begin = end + 1;
    }
    well && begin == text.len() + 1
}

/// Whether the text is meant as an address: digits with dots between, or IPv6's hex digits with at least two
/// colons, in brackets or with a zone though they may be. (A dotted name that only ends in a number is found out by
/// `domain`.)
pub(super) fn resembles_address(text: &str) -> bool {
    let v4 = text.contains('.')
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let bare = text.strip_prefix('[').unwrap_or(text);
    let bare = bare.split(['%', ']']).next().unwrap_or_default();
    let colons = bare.bytes().filter(|b| *b == b':').count();
    let v6 = colons >= 2 && bare.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    v4 || v6
}

/// The canonical form of an address. A zone is refused since it means something on one machine only, and short and
/// octal IPv4 forms since readers disagree about them.
///
/// # Errors
/// [`EntityError::BadAddress`].
pub(super) fn canonical_address(text: &str) -> Result<Box<str>, EntityError> {
    let address: IpAddr = text.parse().map_err(|_| EntityError::BadAddress)?;
    Ok(address.to_canonical().to_string().into())
}

/// The two sides of the first slash, if the text is meant as a network: an address before it, or at least digits
/// with digits behind (`10/8`), which is refused because it is a short form.
pub(super) fn split_network(text: &str) -> Option<(&str, &str)> {
    let (address, length) = text.split_once('/')?;
    let digits = |side: &str| !side.is_empty() && side.bytes().all(|b| b.is_ascii_digit());
    (resembles_address(address) || (digits(address) && digits(length))).then_some((address, length))
}

/// The canonical form of a network. One of IPv4-mapped addresses becomes a network of IPv4.
///
/// # Errors
/// [`EntityError::BadAddress`], [`EntityError::BadNetwork`] or [`EntityError::HostBits`].
pub(super) fn canonical_network(address: &str, length: &str) -> Result<Box<str>, EntityError> {
    let leading_zero = length.len() > 1 && length.starts_with('0');
    if leading_zero || length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EntityError::BadNetwork);
    }
    let address: IpAddr = address.parse().map_err(|_| EntityError::BadAddress)?;
    let length: u8 = length.parse().map_err(|_| EntityError::BadNetwork)?;
    let network = IpNet::new(address, length).map_err(|_| EntityError::BadNetwork)?;
    if network.network() != address {
        return Err(EntityError::HostBits);
    }
    // A mapped address with a shorter prefix has host bits, since the bits before the 96th are all ones.
    let folded = match address {
        IpAddr::V6(v6) if length >= MAPPED_PREFIX_BITS => {
            v6.to_ipv4_mapped().zip(length.checked_sub(MAPPED_PREFIX_BITS))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    Ok(match folded {
        Some((v4, length)) => format!("{v4}/{length}").into(),
        None => format!("{address}/{length}").into(),
    })
}

/// The digits behind `AS` (in either case), if that is all there is.
pub(super) fn split_asn(text: &str) -> Option<&str> {
    let (letters, digits) = text.split_at_checked(2)?;
    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (letters.eq_ignore_ascii_case("AS") && number).then_some(digits)
}

/// The canonical form of an AS number (RFC 5396 asplain). Leading zeros are dropped.
///
/// # Errors
/// [`EntityError::BadAsn`] above 2^32 - 1.
pub(super) fn canonical_asn(digits: &str) -> Result<Box<str>, EntityError> {
    let number: u32 = digits.parse().map_err(|_| EntityError::BadAsn)?;
    Ok(format!("AS{number}").into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn canonical_is_what_the_standard_library_reads(text in "[0-9.]{0,16}|[0-9]{1,3}(\\.[0-9]{1,3}){2,4}|.{0,9}", address: [u8; 4]) {
            prop_assert_eq!(is_canonical_v4(text.as_bytes()), text.parse::<Ipv4Addr>().is_ok(), "{}", text);
            prop_assert!(is_canonical_v4(Ipv4Addr::from(address).to_string().as_bytes()));
        }
    }
}
