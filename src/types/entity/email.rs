//! E-mail addresses: a local part that belongs to its host, and a domain.

use super::{EntityError, domain};

/// Longest local part, in octets (RFC 5321 section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// The canonical form of a text (in NFC) that has an `@`.
///
/// The local part keeps its case: only the receiving host may interpret it (RFC 5321 section 2.4). Quoted local
/// parts are refused because one mailbox can be quoted in many ways, address literals because an address is
/// something else than a domain.
///
/// # Errors
/// [`EntityError::BadEmail`], or what is wrong with the domain.
pub(super) fn canonical(text: &str) -> Result<Box<str>, EntityError> {
    let (local, host) = text.split_once('@').ok_or(EntityError::BadEmail)?;
    let is_dot_string = local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_character));
    let has_domain = !host.is_empty() && domain::resembles_domain(host);
    if !is_dot_string || local.len() > LOCAL_BYTES_MAX || !has_domain {
        return Err(EntityError::BadEmail);
    }
    let host = domain::canonical(host)?;
    Ok(format!("{local}@{host}").into())
}

/// `atext` of RFC 5322 section 3.2.3, and all of Unicode beyond ASCII (RFC 6531 section 3.3) but white space.
fn is_atom_character(character: char) -> bool {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if character.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(character),
        _ => !character.is_whitespace(),
    }
}
