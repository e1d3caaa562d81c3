//! libbpf, as iproute2 has it, attaches the objects that `okoc` writes to a device, and so the kernel's verifier accepts them. Skipped, with a
//! note, where devices cannot be made or `ip` has no libbpf.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ip(args: &[&str]) -> std::io::Result<Output> {
    Command::new("ip").args(args).output()
}

/// A pair of devices that goes with this value.
struct Veth(String);

impl Veth {
    /// None, with a note, where none can be made.
    fn new() -> Option<Veth> {
        let name = format!("oko{}", std::process::id());
        let made = ip(&["link", "add", &name, "type", "veth", "peer", "name", &format!("{name}p")]);
        match made {
            Ok(output) if output.status.success() => Some(Veth(name)),
            Ok(output) => {
                eprintln!("SKIPPED: no veth devices here: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: ip cannot be run: {error}");
                None
            }
        }
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.0]);
    }
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "oko"))
        .collect();
    found.sort();
    assert!(found.len() >= 3, "the examples are gone");
    found
}

#[test]
fn libbpf_attaches_every_example() {
    let version =
        ip(&["-V"]).map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if !version.contains("libbpf") {
        eprintln!("SKIPPED: no ip with libbpf here: {version}");
        return;
    }
    let Some(veth) = Veth::new() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    for example in examples() {
        let object = folder.path().join("example.o");
        let built = Command::new(env!("CARGO_BIN_EXE_okoc"))
            .arg("build")
            .arg(&example)
            .arg("-o")
            .arg(&object)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let object = object.display().to_string();
        let attached = ip(&["link", "set", "dev", &veth.0, "xdp", "obj", &object, "sec", "xdp"]).unwrap();
        let said = String::from_utf8_lossy(&attached.stderr).into_owned();
        assert!(attached.status.success(), "{}: {said}", example.display());
        let shown = ip(&["link", "show", "dev", &veth.0]).unwrap();
        assert!(String::from_utf8_lossy(&shown.stdout).contains("prog/xdp"), "{}", example.display());
        assert!(ip(&["link", "set", "dev", &veth.0, "xdp", "off"]).unwrap().status.success());
    }
}
