//! What is registered: an entity, its kind, and the one canonical form of its name.
//!
//! VERIFY, REMOVE and AUDIT name an entity by a string and carry no type (`repsec:O8`). So there is one namespace,
//! and **the canonical text is a function of the string alone**: a type that comes with it may be refused, and may
//! label the entity, but never changes the text. The syntax decides the kind, by the first of these that applies:
//!
//! | the text | is | canonical form |
//! |---|---|---|
//! | contains `://` | a URL | as the URL Standard serializes it |
//! | contains `@` | an e-mail address | local part in NFC, domain as below |
//! | has `/` behind an address, or behind digits and dots with digits following | a network | address as below, `/`, length; no host bits |
//! | is, or imitates, an address | an IP address | dotted IPv4, or IPv6 as in RFC 5952; IPv4-mapped IPv6 becomes IPv4 |
//! | is `AS` and digits | an AS number | `AS` and the number without leading zeros |
//! | has white space inside | an organization | NFC |
//! | has a full stop anywhere but at its end | a domain | lower-case A-labels (UTS 46, non-transitional), no final dot |
//! | anything else | a user id | NFC |
//!
//! A text that meets the condition on the left and is not valid on the right is an error. It never falls through to
//! a later row: a mistyped address must not become somebody's user id, which would then never be found again.
//! Control characters, bidirectional controls and white space at either end are refused in every row.
//!
//! May use: libraries for canonical text. Never: I/O, and no answer that depends on anything but the text.

mod address;
mod domain;
mod email;
mod error;
mod kind;
mod locator;
mod plain;
#[cfg(test)]
mod tests;

use unicode_normalization::UnicodeNormalization as _;

use super::limits::ENTITY_BYTES_MAX;
pub use error::EntityError;
pub use kind::{Kind, KindCode};

/// A name in canonical form, with its kind. Two entities of the store are one exactly when their texts are equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entity {
    kind: Kind,
    text: Box<str>,
}

impl Entity {
    /// Brings a name into canonical form and infers its kind, as the table of this module says.
    ///
    /// # Errors
    /// When the name is empty, longer than 1,024 octets, holds characters that no name may hold, or begins like one
    /// of the kinds with a syntax and then breaks its rules.
    pub fn parse(text: &str) -> Result<Entity, EntityError> {
        if let Some(kind) = Entity::plain_kind(text.as_bytes()) {
            return Ok(Entity { kind: kind.clone(), text: text.into() });
        }
        let entity = parse_slowly(text)?;
        if entity.text.len() > ENTITY_BYTES_MAX { Err(EntityError::TooLong) } else { Ok(entity) }
    }

    /// Brings a name into canonical form, the same as [`Entity::parse`] gives, and labels it with `kind`.
    ///
    /// A kind with a syntax (domain, ip, network, asn, email, url) must be the inferred one. `userid` may label what
    /// looks like a domain or an e-mail address, `organization` what looks like a domain or a user id, and an
    /// extension anything.
    ///
    /// # Errors
    /// As [`Entity::parse`], and [`EntityError::KindMismatch`] where the kind contradicts the syntax.
    pub fn parse_as(text: &str, kind: Kind) -> Result<Entity, EntityError> {
        let Entity { kind: inferred, text } = Entity::parse(text)?;
        if kind.may_label(&inferred) {
            Ok(Entity { kind, text })
        } else {
            Err(EntityError::KindMismatch { inferred: inferred.closed_name() })
        }
    }

    /// The kind of a text that is seen at a glance to be one that [`Entity::parse`] would give back unchanged, as nearly all
    /// names are: a domain or an IPv4 address, in ASCII. `None` says nothing.
    #[inline]
    pub fn plain_kind(text: &[u8]) -> Option<&'static Kind> {
        match text.last() {
            Some(b'0'..=b'9') => address::is_canonical_v4(text).then_some(&Kind::Ip),
            _ => plain::is_plain_domain(text).then_some(&Kind::Domain),
        }
    }

    /// Takes over a text that was canonical when it was stored. For the log and the tables, which hold what
    /// [`Entity::parse`] once gave; nothing is checked.
    pub fn from_canonical(kind: Kind, text: impl Into<Box<str>>) -> Entity {
        Entity { kind, text: text.into() }
    }

    /// The kind: inferred, or as labelled.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The canonical form of any text. Separate from [`Entity::parse`] so that tests compare the two ways.
fn parse_slowly(text: &str) -> Result<Entity, EntityError> {
    check_characters(text)?;
    if text.contains("://") {
        // A URL is not brought into NFC: the octets of its path belong to its server.
        return Ok(Entity { kind: Kind::Url, text: locator::canonical(text)? });
    }
    if text.is_ascii() {
        return infer(text);
    }
    // Inference looks at the normal form, so that both spellings of a letter take the same way.
    let composed: String = text.nfc().collect();
    infer(&composed)
}

/// Refuses what no kind allows.
fn check_characters(text: &str) -> Result<(), EntityError> {
    if text.is_empty() {
        return Err(EntityError::Empty);
    }
    if text.len() > ENTITY_BYTES_MAX {
        return Err(EntityError::TooLong);
    }
    for character in text.chars() {
        match character {
            // The line and paragraph separators end a line wherever Unicode is honoured.
            '\u{2028}' | '\u{2029}' => return Err(EntityError::ControlCharacter),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                return Err(EntityError::Bidi);
            }
            _ if character.is_control() => return Err(EntityError::ControlCharacter),
            _ => {}
        }
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(EntityError::EdgeWhiteSpace);
    }
    Ok(())
}

/// The rows of the table after the first.
fn infer(text: &str) -> Result<Entity, EntityError> {
    let (kind, text): (Kind, Box<str>) = if text.contains('@') {
        (Kind::Email, email::canonical(text)?)
    } else if let Some((address, length)) = address::split_network(text) {
        (Kind::Network, address::canonical_network(address, length)?)
    } else if address::resembles_address(text) {
        (Kind::Ip, address::canonical_address(text)?)
    } else if let Some(digits) = address::split_asn(text) {
        (Kind::Asn, address::canonical_asn(digits)?)
    } else if text.contains(char::is_whitespace) {
        (Kind::Organization, text.into())
    } else if domain::resembles_domain(text) {
        (Kind::Domain, domain::canonical(text)?)
    } else {
        (Kind::Userid, text.into())
    };
    Ok(Entity { kind, text })
}
