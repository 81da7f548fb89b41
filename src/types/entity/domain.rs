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

/// Whether the text is a canonical domain of plain labels, found out in one pass over its bytes. `false` only says
/// that [`canonical`] must decide: names with `xn--` labels, and those whose last label begins with a digit.
pub(super) fn is_plainly_canonical(text: &str) -> bool {
    if text.len() > NAME_BYTES_MAX {
        return false;
    }
    let (mut label_bytes, mut dots, mut before, mut first) = (0_usize, 0_usize, b'.', b'.');
    // How much of "xn--" the label has matched so far, while it has matched nothing else.
    let mut ace = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => {}
            b'-' if label_bytes > 0 => {}
            b'.' if label_bytes > 0 && before != b'-' => {
                (label_bytes, dots, before, ace) = (0, dots + 1, b'.', 0);
                continue;
            }
            _ => return false,
        }
        if label_bytes == 0 {
            first = byte;
        }
        if ace == label_bytes && b"xn--".get(ace) == Some(&byte) {
            ace += 1;
        }
        label_bytes += 1;
        if label_bytes > LABEL_BYTES_MAX || ace == 4 {
            return false;
        }
        before = byte;
    }
    dots > 0 && label_bytes > 0 && before != b'-' && !first.is_ascii_digit()
}
