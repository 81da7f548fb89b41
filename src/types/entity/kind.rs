//! Kinds of entities.

use crate::types::limits::KIND_BYTES_MAX;

/// What sort of thing an entity is (`repsec:O8`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A domain name: `example.com`.
    Domain,
    /// An IP address: `192.0.2.1`, `2001:db8::1`.
    Ip,
    /// A block of IP addresses: `192.0.2.0/24`.
    Network,
    /// The number of an autonomous system: `AS64500`.
    Asn,
    /// An e-mail address: `postmaster@example.com`.
    Email,
    /// A URL with a host: `https://example.com/path`.
    Url,
    /// The name of a user, in whatever form the registrant has.
    Userid,
    /// The name of an organization.
    Organization,
    /// A kind that peers have agreed on among themselves, by its whole name: `x-campaign`. Seldom, so its name lies
    /// further away, and every entity is smaller.
    Extension(Box<Box<str>>),
}

/// The kinds that are not extensions, with their names on the wire and their codes on disk. Codes are never reused.
static CLOSED: [(Kind, &str, u8); 8] = [
    (Kind::Domain, "domain", 1),
    (Kind::Ip, "ip", 2),
    (Kind::Network, "network", 3),
    (Kind::Asn, "asn", 4),
    (Kind::Email, "email", 5),
    (Kind::Url, "url", 6),
    (Kind::Userid, "userid", 7),
    (Kind::Organization, "organization", 8),
];

/// What [`Kind::code`] gives for every extension; its name is stored beside it.
const EXTENSION_CODE: u8 = 255;

/// A kind in one byte, the same as on disk. Of an extension it says only that it is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindCode(u8);

impl KindCode {
    /// The code of every extension.
    pub const EXTENSION: KindCode = KindCode(EXTENSION_CODE);

    /// The code with this number on disk.
    pub const fn new(code: u8) -> KindCode {
        KindCode(code)
    }

    /// The number on disk.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name on the wire; `None` for an extension, whose name is kept elsewhere, and for unknown numbers.
    pub fn name(self) -> Option<&'static str> {
        closed(self.0).map(|(_, name, _)| *name)
    }
}

/// The kind with this number that is not an extension.
fn closed(code: u8) -> Option<&'static (Kind, &'static str, u8)> {
    // The codes of the table count from 1; a test holds it to that.
    CLOSED.get(usize::from(code).checked_sub(1)?)
}

impl Kind {
    /// The name on the wire: `domain`, `ip`, ..., or the name of the extension.
    pub fn name(&self) -> &str {
        match self {
            Kind::Extension(name) => name,
            closed => closed.closed_name(),
        }
    }

    /// Reads a name. Those of the draft are compared without case, since it writes `userID`; the name of an
    /// extension is `x-` and 1 to 30 of `a-z 0-9 -`. `None` for anything else.
    pub fn parse(name: &str) -> Option<Kind> {
        if let Some((kind, ..)) = CLOSED.iter().find(|(_, closed, _)| closed.eq_ignore_ascii_case(name)) {
            return Some(kind.clone());
        }
        let own = name.strip_prefix("x-")?;
        let fits = !own.is_empty() && name.len() <= KIND_BYTES_MAX;
        let plain = own.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (fits && plain).then(|| Kind::extension(name))
    }

    /// The extension of this name, which is not checked.
    pub fn extension(name: impl Into<Box<str>>) -> Kind {
        Kind::Extension(Box::new(name.into()))
    }

    /// The number on disk: 1 to 8, and 255 for every extension.
    pub fn code(&self) -> u8 {
        match self {
            Kind::Domain => 1,
            Kind::Ip => 2,
            Kind::Network => 3,
            Kind::Asn => 4,
            Kind::Email => 5,
            Kind::Url => 6,
            Kind::Userid => 7,
            Kind::Organization => 8,
            Kind::Extension(_) => EXTENSION_CODE,
        }
    }

    /// The kind with this number; `None` for 255, which needs the extension's name, and for unknown numbers.
    pub fn from_code(code: u8) -> Option<Kind> {
        closed(code).map(|(kind, ..)| kind.clone())
    }

    /// The same kind, which lives as long as the program; `None` for an extension.
    pub fn to_static(&self) -> Option<&'static Kind> {
        closed(self.code()).map(|(kind, ..)| kind)
    }

    /// The name of a kind that is not an extension; `extension` for those.
    pub(super) fn closed_name(&self) -> &'static str {
        match self {
            Kind::Domain => "domain",
            Kind::Ip => "ip",
            Kind::Network => "network",
            Kind::Asn => "asn",
            Kind::Email => "email",
            Kind::Url => "url",
            Kind::Userid => "userid",
            Kind::Organization => "organization",
            Kind::Extension(_) => "extension",
        }
    }

    /// Whether a registrant may give this kind to a text whose syntax is of the kind `inferred`.
    pub(super) fn may_label(&self, inferred: &Kind) -> bool {
        match self {
            Kind::Domain | Kind::Ip | Kind::Network | Kind::Asn | Kind::Email | Kind::Url => self == inferred,
            Kind::Userid => matches!(inferred, Kind::Domain | Kind::Email | Kind::Userid),
            Kind::Organization => matches!(inferred, Kind::Domain | Kind::Userid | Kind::Organization),
            Kind::Extension(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_pinned_and_lead_back() {
        for (kind, name, code) in CLOSED.iter().cloned() {
            assert_eq!((kind.name(), kind.code()), (name, code));
            assert_eq!(KindCode::new(code).name(), Some(name));
            assert_eq!(Kind::parse(name), Some(kind.clone()));
            assert_eq!(Kind::parse(&name.to_uppercase()), Some(kind.clone()));
            assert_eq!(Kind::from_code(code), Some(kind));
        }
        for code in [0, 9, 100, EXTENSION_CODE] {
            assert_eq!(Kind::from_code(code), None, "{code}");
            assert_eq!(KindCode::new(code).name(), None, "{code}");
        }
        assert_eq!(Kind::parse("userID"), Some(Kind::Userid));
    }

    #[test]
    fn extensions_keep_to_their_alphabet_and_length() {
        let longest = format!("x-{}", "a".repeat(KIND_BYTES_MAX - 2));
        for name in ["x-a", "x-campaign-2", "x--", longest.as_str()] {
            let kind = Kind::parse(name).unwrap();
            assert_eq!((kind.name(), kind.code()), (name, EXTENSION_CODE));
        }
        let too_long = format!("{longest}a");
        for name in ["", "x", "x-", "X-a", "x-A", "x-\u{e4}", "x-a b", "y-a", "extension", "domains", too_long.as_str()]
        {
            assert_eq!(Kind::parse(name), None, "{name}");
        }
    }
}
