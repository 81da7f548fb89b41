//! Where the server is, as typed: `HOST`, `HOST:PORT`, `[::1]`, `[::1]:PORT`.
//!
//! May use: std, and rustls' notion of a name that a certificate can hold. Never: resolves or connects.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use rustls::pki_types::ServerName;

/// The port of RepSec (`repsec:R21`).
pub const PORT: u16 = 4655;

/// A server by name or address, and port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl ServerAddress {
    /// The host part: a name, or an address without brackets. It is also what the certificate must be for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is this machine by its very spelling. No name is looked up for this, since what a name
    /// resolves to must not decide which authority is trusted.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerAddress, String> {
        let (host, port) = split(text)?;
        let port = match port {
            None => PORT,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| format!("'{digits}' is not a port; a port is a number from 1 to 65535"))?,
        };
        if ServerName::try_from(host).is_err() {
            return Err(format!("'{host}' is neither a host name nor an address"));
        }
        Ok(ServerAddress { host: host.to_owned(), port })
    }
}

/// The host and, if there is one, the text of the port.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or_else(|| format!("'{text}' has no closing bracket"))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(format!("'{host}' is not an IPv6 address"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("'{rest}' after the bracket is not a port; write [{host}]:{PORT}")),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => Err(format!("'{text}' has more than one colon; write [ADDRESS]:PORT")),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_can_be_typed(host in "[a-z][a-z0-9]{0,8}(\\.[a-z]{2,5})?|(1[0-9]{0,2}\\.){3}[1-9]|::[1-9a-f]{1,4}", port in 1_u16..) {
            let address = ServerAddress { host, port };
            prop_assert_eq!(address.to_string().parse::<ServerAddress>(), Ok(address));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _: Result<ServerAddress, String> = text.parse();
        }
    }

    #[test]
    fn forms() {
        for (text, shown, loopback) in [
            ("127.0.0.1:4655", "127.0.0.1:4655", true),
            ("127.0.0.1", "127.0.0.1:4655", true),
            ("127.9.9.9:1", "127.9.9.9:1", true),
            ("localhost", "localhost:4655", true),
            ("LOCALHOST:99", "LOCALHOST:99", true),
            ("[::1]:4655", "[::1]:4655", true),
            ("[::1]", "[::1]:4655", true),
            ("::1", "[::1]:4655", true),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:4655", true),
            ("rep.example.org", "rep.example.org:4655", false),
            ("localhost.example.org:77", "localhost.example.org:77", false),
            ("[2001:db8::7]:9", "[2001:db8::7]:9", false),
        ] {
            let address: ServerAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_loopback()), (shown, loopback), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in
            ["", ":4655", "host:", "host:0", "host:65536", "host:x", "a:b:c", "[::1", "[::1]4655", "[host]:1", "a b"]
        {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }
}
