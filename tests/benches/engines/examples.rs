//! The example filters: as artifacts, as C, and with the captures that exercise them.

use std::path::Path;

use anyhow::{Result, bail};
use oko_ir::interp::TableKey;
use oko_tests::examples::{Build, compile, folder, table_entries};
use oko_tests::made;
use oko_tests::peer::{Peer, VARIANTS};

use crate::traffic::Traffic;

/// An example and what is needed to run it.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    /// What `okoc build` makes.
    pub(crate) object: Vec<u8>,
    /// The same with the clock in a variable, so that the kernel can be run with the clock of a capture.
    pub(crate) object_for_kernel: Vec<u8>,
    /// The name of its filter.
    pub(crate) filter: String,
    /// The same in C, in all variants.
    pub(crate) peers: [Peer; 3],
    /// Its table that is a set, and what the control plane writes to it.
    pub(crate) table: (&'static str, Vec<TableKey>),
    /// By name: a capture, or made traffic.
    pub(crate) captures: Vec<(&'static str, Traffic)>,
}

/// Which captures or made traffic exercise which example: first what was recorded or made for it, then a mixture or another attack.
const EXAMPLES: [(&str, &[&str]); 23] = [
    ("telnet", &["scan", "mixed"]),
    ("blocklist", &["mixed"]),
    ("syn_flood", &["syn_flood", "scan"]),
    ("rate_limit", &["rate_limit", "mixed"]),
    ("firewall", &["firewall", "scan"]),
    ("arp_guard", &["mixed"]),
    ("icmp_flood", &["rate_limit"]),
    ("port_knock", &["scan"]),
    ("traffic_class", &["firewall"]),
    ("ra_guard", &["neighbors"]),
    ("nd_guard", &["neighbors"]),
    ("ttl_anomaly", &["syn_flood", "mixed"]),
    ("dns_amp", &["dns"]),
    ("tcp_rtt", &["syn_flood", "scan"]),
    ("retransmission", &["firewall", "flows"]),
    ("scan", &["scan"]),
    ("tenant_meter", &["vxlan"]),
    ("quic_limit", &["quic"]),
    ("dns_tunnel", &["dns"]),
    ("elephant", &["flows"]),
    ("heavy_hitter", &["flows"]),
    ("perimeter", &["firewall", "mixed"]),
    ("wireguard", &["wireguard"]),
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
    let artifact = |build| compile(&folder().join(format!("{name}.oko")), build);
    let built = artifact(Build::Switch);
    let [filter] = built.schema.filters.as_slice() else {
        bail!("{name}.oko has {} filters: expected one", built.schema.filters.len());
    };
    let source = folder().join("c").join(format!("{name}.c"));
    let captures = captures.iter().map(|capture| {
        let file = folder().join("captures").join(format!("{capture}.pcap"));
        let traffic =
            if made::NAMES.contains(capture) { Traffic::made(capture) } else { Traffic::read(&file)? };
        Ok((*capture, traffic))
    });
    let peer = |number: usize| {
        let object = out.join(format!("{name}-{number}.so"));
        Peer::compile(&source, VARIANTS[number].1, &object)
    };
    Ok(Example {
        name,
        filter: filter.name.clone(),
        object_for_kernel: artifact(Build::Kernel).bytes,
        peers: [peer(0)?, peer(1)?, peer(2)?],
        table: table_entries(name),
        captures: captures.collect::<Result<_>>()?,
        object: built.bytes,
    })
}
