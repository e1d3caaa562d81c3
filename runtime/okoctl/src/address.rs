//! Where a switch listens.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The socket of a switch that was started for all users of a machine.
const SYSTEM_SOCKET: &str = "/run/okod.sock";

/// Where a switch listens: `unix:PATH` or a path, or `tcp:HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String),
}

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no address of a switch; expected a path, or tcp:HOST:PORT")]
pub struct AddressError {
    /// The text.
    pub found: String,
}

impl Default for Address {
    /// `okod.sock` in `$XDG_RUNTIME_DIR` if it is there, otherwise `/run/okod.sock`.
    fn default() -> Self {
        let own = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(|dir| {
            let mut path = PathBuf::from(dir);
            path.push("okod.sock");
            path
        });
        match own {
            Some(path) if path.exists() || !Path::new(SYSTEM_SOCKET).exists() => Address::Unix(path),
            _ => Address::Unix(PathBuf::from(SYSTEM_SOCKET)),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError { found: text.to_owned() };
        if let Some(host) = text.strip_prefix("tcp:") {
            let (name, port) = host.rsplit_once(':').ok_or_else(wrong)?;
            let port_fits = port.parse::<u16>().is_ok_and(|port| port != 0);
            return if name.is_empty() || !port_fits {
                Err(wrong())
            } else {
                Ok(Address::Tcp(host.to_owned()))
            };
        }
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.is_empty() { Err(wrong()) } else { Ok(Address::Unix(PathBuf::from(path))) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "{}", path.display()),
            Address::Tcp(host) => write!(f, "tcp:{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_or_hosts_with_a_port() {
        let cases: &[(&str, Option<Address>)] = &[
            ("/run/okod.sock", Some(Address::Unix("/run/okod.sock".into()))),
            ("unix:a.sock", Some(Address::Unix("a.sock".into()))),
            ("tcp:127.0.0.1:6653", Some(Address::Tcp("127.0.0.1:6653".to_owned()))),
            ("tcp:[::1]:6653", Some(Address::Tcp("[::1]:6653".to_owned()))),
            ("tcp:127.0.0.1", None),
            ("tcp::6653", None),
            ("tcp:host:70000", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Address>().ok(), *expected, "{text}");
        }
    }
}
