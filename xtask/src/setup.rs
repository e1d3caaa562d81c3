//! Installs what Oko needs from the system, on Debian and its relatives.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{self, is_root};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only say what is missing
    #[arg(long)]
    dry_run: bool,
}

/// A system package and what it is for.
struct Package {
    name: &'static str,
    purpose: &'static str,
}

const fn package(name: &'static str, purpose: &'static str) -> Package {
    Package { name, purpose }
}

/// What the switch is built from: the demo needs these.
const BUILD: &[Package] = &[
    package("gcc", "the C shim over DPDK's inline functions"),
    package("libc6-dev", "C headers"),
    package("pkg-config", "finding DPDK"),
    package("libdpdk-dev", "DPDK 22.11 headers and libraries"),
    package("dpdk", "DPDK's drivers (PMDs)"),
    package("libclang-dev", "bindings to DPDK"),
    package("clang", "bindings to DPDK; C filters as peers"),
];

/// What tests, benchmarks and the live demo use beside.
const TOOLS: &[Package] = &[
    package("dpdk-dev", "dpdk-testpmd, the peer of the benchmarks"),
    package("iproute2", "network namespaces and veth pairs"),
    package("iputils-ping", "does one host reach another?"),
    package("openvswitch-common", "ovs-ofctl, a stock OpenFlow client"),
    package("openvswitch-switch", "Open vSwitch, a second opinion on flow tables"),
    package("openvswitch-testcontroller", "a stock OpenFlow controller"),
    package("iperf3", "traffic between hosts"),
    package("python3-venv", "controllers and switch tests in Python"),
    package("curl", "an honest client"),
    package("libbpf-dev", "the usual loader of BPF objects"),
    package("hping3", "a flood"),
    package("tcpdump", "captures"),
    package("ethtool", "veth pairs without offloads"),
    package("python3", "a web server in the live demo"),
];

/// Peers of the benchmarks beside those.
const PEERS: &[Package] = &[package(
    "openvswitch-switch-dpdk",
    "Open vSwitch with DPDK; a private one is started, the system's is left alone",
)];

/// How much a chore needs.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// To build the switch.
    Build,
    /// To try everything.
    Everything,
    /// To compare it with peers, too.
    Peers,
}

pub(crate) fn run_setup(need: Need, dry_run: bool) -> Result<()> {
    let (tools, peers): (&[_], &[_]) = match need {
        Need::Build => (&[], &[]),
        Need::Everything => (TOOLS, &[]),
        Need::Peers => (TOOLS, PEERS),
    };
    let wanted = BUILD.iter().chain(tools).chain(peers);
    let missing: Vec<&Package> = wanted.filter(|package| !is_installed(package.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Missing system packages:");
    for package in &missing {
        println!("  {:<20} {}", package.name, package.purpose);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let install = format!("apt-get update && apt-get install -y --no-install-recommends {}", names.join(" "));
    if dry_run {
        println!("`cargo xtask setup` would run, as root: {install}");
        return Ok(());
    }
    if !has("apt-get") {
        bail!(
            "there is no apt-get here: install DPDK 22.11, libclang and the tools above by your system's means, then run this again"
        );
    }
    let mut command = if is_root() {
        Command::new("sh")
    } else if has("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.arg("sh");
        sudo
    } else {
        bail!("not root, and there is no sudo: run as root: {install}");
    };
    println!("Installing them, as root: {install}");
    run::run(command.args(["-c", &install]).env("DEBIAN_FRONTEND", "noninteractive"))
}

pub(crate) fn run(args: &Args) -> Result<()> {
    run_setup(Need::Everything, args.dry_run)?;
    if !args.dry_run {
        println!("Everything is there.");
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
