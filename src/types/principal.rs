//! Who asks.

use std::fmt;
use std::sync::Arc;

/// The identity on whose behalf a command is asked; every command and every event carries one.
///
/// Authentication is a later capability: until then every peer is [`Principal::Anonymous`], and the server
/// refuses addresses that are not loopback. The seam is here so that nothing above must change when names arrive.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Principal {
    /// A peer that has not said who it is.
    Anonymous,
    /// A peer that has proved its name, by whatever means its face offers.
    Named(Arc<str>),
}

impl Principal {
    /// The name under which events record this principal. The empty string stands for the anonymous one, since
    /// no proved name is empty.
    pub fn name(&self) -> &str {
        match self {
            Principal::Anonymous => "",
            Principal::Named(name) => name,
        }
    }

    /// The name under which answers tell this principal.
    pub fn shown(&self) -> &str {
        match self {
            Principal::Anonymous => "anonymous",
            Principal::Named(name) => name,
        }
    }

    /// The principal that [`Principal::name`] came from.
    pub fn from_name(name: &str) -> Principal {
        if name.is_empty() { Principal::Anonymous } else { Principal::Named(Arc::from(name)) }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}
