//! Why a text names no entity.

use std::fmt;

use crate::types::limits::ENTITY_BYTES_MAX;

/// Why a text names no entity. It says which rule was broken and repeats nothing of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntityError {
    /// No characters at all.
    Empty,
    /// More than 1,024 octets, as sent or in canonical form.
    TooLong,
    /// A control character, or a separator of lines or paragraphs.
    ControlCharacter,
    /// A character that changes the direction of the text (`repsec:O20`).
    Bidi,
    /// White space at the beginning or at the end.
    EdgeWhiteSpace,
    /// Has a full stop inside and is not a domain name (RFC 1123 section 2.1, UTS 46).
    BadDomain,
    /// A label of a domain is longer than 63 octets (RFC 1035 section 2.3.4).
    LongLabel,
    /// A domain is longer than 253 octets (RFC 1035 section 2.3.4, without the final dot).
    LongDomain,
    /// Imitates an IP address, or ends in a number as only IPv4 addresses do, and is none.
    BadAddress,
    /// Begins like a network, and the length of its prefix is missing or too large.
    BadNetwork,
    /// A network whose address has bits behind the prefix.
    HostBits,
    /// A number behind `AS` that no autonomous system can have (RFC 6793).
    BadAsn,
    /// Has an `@` and is not an e-mail address (RFC 5321 dot-string, RFC 6531).
    BadEmail,
    /// Has `://` and is not a URL with a host.
    BadUrl,
    /// The type that came with the text contradicts its syntax.
    KindMismatch {
        /// The kind that the syntax has.
        inferred: &'static str,
    },
}

/// A part of a sentence for people, to stand behind the name of the member: "entity: ...".
impl fmt::Display for EntityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntityError::Empty => "must not be empty",
            EntityError::TooLong => return write!(f, "must not be longer than {ENTITY_BYTES_MAX} octets"),
            EntityError::ControlCharacter => "must not contain control characters",
            EntityError::Bidi => "must not contain characters that change the direction of text",
            EntityError::EdgeWhiteSpace => "must not begin or end with white space",
            EntityError::BadDomain => "is not a domain name: a label is empty or has a character that no host name has",
            EntityError::LongLabel => "is not a domain name: a label is longer than 63 octets",
            EntityError::LongDomain => "is not a domain name: longer than 253 octets",
            EntityError::BadAddress => {
                "is not an IP address: four decimal numbers up to 255, or IPv6 without brackets and zone"
            }
            EntityError::BadNetwork => "is not a network: an IP address, a slash, and the number of prefix bits",
            EntityError::HostBits => "is not a network: the address has bits set behind the prefix",
            EntityError::BadAsn => "is not an AS number: AS and a number up to 4294967295",
            EntityError::BadEmail => {
                "is not an e-mail address: a local part of up to 64 octets without quotes, one @, and a domain name"
            }
            EntityError::BadUrl => "is not a URL: a scheme, ://, a host, and no white space",
            EntityError::KindMismatch { inferred } => {
                return write!(f, "has the syntax of the type \"{inferred}\", which contradicts the type given");
            }
        })
    }
}

impl std::error::Error for EntityError {}
