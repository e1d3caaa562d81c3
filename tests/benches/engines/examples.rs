//! The example filters: as artifacts, as C, and with the captures that exercise them.

use std::path::Path;

use anyhow::{Result, bail};
use oko_compiler::Clock;
use oko_tests::examples::{compile, folder};

use crate::peer::Peer;
use crate::traffic::Traffic;

/// An example and what is needed to run it.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    /// What `okoc build` makes.
    pub(crate) object: Vec<u8>,
    /// The same with the clock in a variable, so that the kernel can be run with the clock of a capture.
    pub(crate) object_with_clock: Vec<u8>,
    /// The name of its filter.
    pub(crate) filter: String,
    /// The same in C, for one core.
    pub(crate) peer: Peer,
    /// The same in C, with locked entries.
    pub(crate) locked_peer: Peer,
    /// The same in C, with locked entries and the hash function of the engines.
    pub(crate) mixed_peer: Peer,
    pub(crate) captures: Vec<(&'static str, Traffic)>,
}

/// Which captures exercise which example: first the one that was recorded for it, then a mixture or another attack.
const EXAMPLES: [(&str, &[&str]); 9] = [
    ("telnet", &["scan", "mixed"]),
    ("blocklist", &["mixed"]),
    ("syn_flood", &["syn_flood", "scan"]),
    ("rate_limit", &["rate_limit", "mixed"]),
    ("firewall", &["firewall", "scan"]),
    ("arp_guard", &["mixed"]),
    ("icmp_flood", &["rate_limit"]),
    ("port_knock", &["scan"]),
    ("traffic_class", &["firewall"]),
];

/// The examples of these names, or all if there are none, compiled; what clang makes goes to a folder.
pub(crate) fn all(out: &Path, only: &[String]) -> Result<Vec<Example>> {
    if let Some(unknown) = only.iter().find(|only| EXAMPLES.iter().all(|(name, _)| name != only)) {
        let names: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        bail!("there is no example `{unknown}` here: expected one of {}", names.join(", "));
    }
    let wanted = EXAMPLES.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|only| only == name));
    wanted.map(|(name, captures)| example(name, captures, out)).collect()
}

fn example(name: &'static str, captures: &[&'static str], out: &Path) -> Result<Example> {
    let artifact = |clock| compile(&folder().join(format!("{name}.oko")), clock);
    let built = artifact(Clock::default());
    let [filter] = built.schema.filters.as_slice() else {
        bail!("{name}.oko has {} filters: expected one", built.schema.filters.len());
    };
    let source = folder().join("c").join(format!("{name}.c"));
    let captures = captures.iter().map(|capture| {
        let file = folder().join("captures").join(format!("{capture}.pcap"));
        Ok((*capture, Traffic::read(&file)?))
    });
    Ok(Example {
        name,
        filter: filter.name.clone(),
        object_with_clock: artifact(Clock::Injected).bytes,
        peer: Peer::compile(&source, &[], &out.join(format!("{name}.so")))?,
        locked_peer: Peer::compile(&source, &["-DLOCKED"], &out.join(format!("{name}-locked.so")))?,
        mixed_peer: Peer::compile(&source, &["-DLOCKED", "-DMIXED"], &out.join(format!("{name}-mixed.so")))?,
        captures: captures.collect::<Result<_>>()?,
        object: built.bytes,
    })
}
