//! Domain names: UTS 46, the lengths of RFC 1035, and the shape of RFC 1123 with underscores.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::EntityError;

/// The full stops that UTS 46 maps to a dot, the dot included.
const FULL_STOPS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Longest label, in octets (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Longest name without its final dot, in octets: 255 on the wire less the first length and the root.
const NAME_BYTES_MAX: usize = 253;

/// Everything in ASCII but letters, digits, the hyphen, the dot and the underscore. The underscore stays because
/// names such as `_dmarc.example.com` are real (RFC 8552). The star goes, since a pattern is not a name.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// Whether the text has a full stop anywhere but at its end, or is nothing else.
pub(super) fn resembles_domain(text: &str) -> bool {
    let inner = without_final_dot(text);
    inner.is_empty() || inner.contains(FULL_STOPS)
}

/// The canonical form of a text that resembles a domain.
///
/// # Errors
/// The rule that the text breaks; [`EntityError::BadAddress`] where it ends in a number.
pub(super) fn canonical(text: &str) -> Result<Box<str>, EntityError> {
    let name = without_final_dot(text);
    // The lengths are checked here, so that the error can say which one it is.
    let ascii = Uts46::new()
        .to_ascii(name.as_bytes(), DENIED, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .map_err(|_| EntityError::BadDomain)?;
    if !ascii.contains('.') || ascii.split('.').any(str::is_empty) {
        return Err(EntityError::BadDomain);
    }
    if ascii.split('.').any(|label| label.len() > LABEL_BYTES_MAX) {
        return Err(EntityError::LongLabel);
    }
    if ascii.len() > NAME_BYTES_MAX {
        return Err(EntityError::LongDomain);
    }
    if ends_in_number(&ascii) {
        return Err(EntityError::BadAddress);
    }
    Ok(ascii.into())
}

fn without_final_dot(text: &str) -> &str {
    text.strip_suffix(FULL_STOPS).unwrap_or(text)
}

/// Whether the last label is a number, decimal or after `0x`. No top-level domain is one (RFC 1123 section 2.1),
/// and software that follows the URL Standard reads such a name as an IPv4 address.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    match last.strip_prefix("0x") {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => last.bytes().all(|b| b.is_ascii_digit()),
    }
}
