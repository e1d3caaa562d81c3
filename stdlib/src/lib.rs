//! The sources of Oko's standard library, as they are in the files beside this crate.
//!
//! A module is one file: `std.net` is `net.oko`, `std.net.link` is `net/link.oko`. They are ordinary source; the compiler knows nothing of what is in them.

/// The modules: path, name of the file, text.
const MODULES: &[(&str, &str, &str)] = &[
    ("std.net", "std/net.oko", include_str!("../net.oko")),
    ("std.net.link", "std/net/link.oko", include_str!("../net/link.oko")),
    ("std.net.internet", "std/net/internet.oko", include_str!("../net/internet.oko")),
    ("std.net.transport", "std/net/transport.oko", include_str!("../net/transport.oko")),
    ("std.net.tunnel", "std/net/tunnel.oko", include_str!("../net/tunnel.oko")),
    ("std.net.dns", "std/net/dns.oko", include_str!("../net/dns.oko")),
    ("std.net.quic", "std/net/quic.oko", include_str!("../net/quic.oko")),
];

/// The text of a module such as `std.net`; `None` where there is no such module.
pub fn source(module_path: &str) -> Option<&'static str> {
    MODULES.iter().find(|(path, ..)| *path == module_path).map(|(_, _, text)| *text)
}

/// The name under which messages show a module: `std/net.oko`.
pub fn file_name(module_path: &str) -> Option<&'static str> {
    MODULES.iter().find(|(path, ..)| *path == module_path).map(|(_, name, _)| *name)
}

/// The paths of all modules.
pub fn modules() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(path, ..)| *path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_by_its_path_only() {
        assert!(source("std.net.internet").is_some_and(|text| text.contains("header ipv4 {")));
        assert_eq!(source("std"), None);
        assert_eq!(source("std.net.ipv4"), None);
        assert!(modules().all(|path| file_name(path).is_some()));
    }
}
