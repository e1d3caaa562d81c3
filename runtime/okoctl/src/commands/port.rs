//! `okoctl port`.

use clap::Subcommand;
use oko_openflow::port::{PortConfig, PortFeatures, PortMod, PortState};
use oko_openflow::{Port, PortNo, PortStats};
use okoctl::{Address, Client};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, table};
use crate::typed::bytes;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the ports and their counters.
    List,
    /// Let a port carry packets.
    Up {
        /// Its name or number.
        port: String,
    },
    /// Let a port carry no packets.
    Down {
        /// Its name or number.
        port: String,
    },
    /// Open a device and add it as a port.
    Add {
        /// The port's name, 1 to 15 bytes.
        name: String,
        /// The DPDK device: `net_af_packet0,iface=eth1`.
        device: String,
        /// Its OpenFlow number; the lowest free one by default.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        number: Option<u32>,
        /// Let it carry no packets until `okoctl port up`.
        #[arg(long)]
        down: bool,
    },
    /// Remove a port and close its device. Flow entries that name it stay, and drop their packets.
    Remove {
        /// Its name or number.
        port: String,
    },
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    let mut client = Client::connect(address)?;
    match command {
        Command::List => {
            let ports = client.ports()?;
            let stats = client.port_stats()?;
            let of = |port: &Port| stats.iter().find(|stats| stats.number == port.number);
            let rows: Vec<Vec<String>> = ports.iter().map(|port| row(port, of(port))).collect();
            let text = if rows.is_empty() {
                "the switch has no ports".to_owned()
            } else {
                let header = [
                    "port",
                    "name",
                    "address",
                    "state",
                    "received",
                    "",
                    "sent",
                    "",
                    "rx dropped",
                    "tx dropped",
                ];
                table(&header, &[0, 4, 5, 6, 7, 8, 9], &rows)
            };
            Ok(Output { text, json: ports.iter().map(|port| one_json(port, of(port))).collect() })
        }
        Command::Up { port } => change(&mut client, &port, PortConfig::empty(), "up"),
        Command::Down { port } => change(&mut client, &port, PortConfig::PORT_DOWN, "down"),
        Command::Add { name, device, number, down } => {
            client.add_port(number.unwrap_or(0), !down, &name, &device)?;
            let number = find(&mut client, &name)?.number;
            let configuration = configuration(number, &name, &device, down);
            let text = format!(
                "port {name} is added, with the number {number}, until the switch ends; to have it for good, put this into its configuration:\n\n{}",
                configuration.trim_end()
            );
            let json =
                json!({ "port": number.0, "name": name, "state": "added", "configuration": configuration });
            Ok(Output { text, json })
        }
        Command::Remove { port } => {
            let port = find(&mut client, &port)?;
            client.remove_port(port.number.0)?;
            let json = json!({ "port": port.number.0, "name": port.name, "state": "removed" });
            Ok(Output { text: format!("port {} is removed", port.name), json })
        }
    }
}

/// The port of a name or number.
fn find(client: &mut Client, wanted: &str) -> Result<Port, Failure> {
    let ports = client.ports()?;
    let found = ports.iter().find(|port| port.name == wanted || port.number.to_string() == wanted);
    found.cloned().ok_or_else(|| {
        let known = ports.iter().map(|port| format!("{} ({})", port.name, port.number)).collect();
        Failure::NoPort { found: wanted.to_owned(), known }
    })
}

fn change(client: &mut Client, wanted: &str, config: PortConfig, word: &str) -> Result<Output, Failure> {
    let port = find(client, wanted)?;
    client.change_port(PortMod {
        number: port.number,
        hw_addr: port.hw_addr,
        config,
        mask: PortConfig::PORT_DOWN,
        advertise: PortFeatures::empty(),
    })?;
    let json = json!({ "port": port.number.0, "name": port.name, "state": word });
    Ok(Output { text: format!("port {} is {word}", port.name), json })
}

/// A port in the configuration of `okod`, in TOML.
fn configuration(number: PortNo, name: &str, device: &str, down: bool) -> String {
    let (name, device) = (quoted(name), quoted(device));
    let up = if down { "up = false\n" } else { "" };
    format!("[[port]]\nnumber = {number}\nname = {name}\ndevice = {device}\n{up}")
}

/// Text as a basic string of TOML 1.0.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted += &format!("\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn state(port: &Port) -> &'static str {
    if port.config.contains(PortConfig::PORT_DOWN) {
        "down (by configuration)"
    } else if port.state.contains(PortState::LINK_DOWN) {
        "no link"
    } else {
        "up"
    }
}

fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

/// A counter, or nothing where the port does not count it.
fn counted(counter: u64) -> Option<u64> {
    (counter != PortStats::UNSUPPORTED).then_some(counter)
}

fn row(port: &Port, stats: Option<&PortStats>) -> Vec<String> {
    let number = |get: fn(&PortStats) -> u64| {
        stats.and_then(|s| counted(get(s))).map_or_else(|| "?".to_owned(), |n| n.to_string())
    };
    let size =
        |get: fn(&PortStats) -> u64| stats.and_then(|s| counted(get(s))).map_or_else(String::new, bytes);
    vec![
        port.number.to_string(),
        port.name.clone(),
        mac(port.hw_addr),
        state(port).to_owned(),
        number(|s| s.rx_packets),
        size(|s| s.rx_bytes),
        number(|s| s.tx_packets),
        size(|s| s.tx_bytes),
        number(|s| s.rx_dropped),
        number(|s| s.tx_dropped),
    ]
}

fn one_json(port: &Port, stats: Option<&PortStats>) -> Value {
    let number = |get: fn(&PortStats) -> u64| stats.and_then(|s| counted(get(s)));
    json!({
        "port": port.number.0,
        "name": port.name,
        "address": mac(port.hw_addr),
        "up": state(port) == "up",
        "configured_down": port.config.contains(PortConfig::PORT_DOWN),
        "rx_packets": number(|s| s.rx_packets),
        "rx_bytes": number(|s| s.rx_bytes),
        "rx_dropped": number(|s| s.rx_dropped),
        "rx_errors": number(|s| s.rx_errors),
        "tx_packets": number(|s| s.tx_packets),
        "tx_bytes": number(|s| s.tx_bytes),
        "tx_dropped": number(|s| s.tx_dropped),
        "tx_errors": number(|s| s.tx_errors),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_a_port_says_what_the_port_is() {
        for (name, device, down) in [
            ("third", "net_af_packet2,iface=eth3", false),
            ("a \"b\" \\c", "net_pcap0,rx_pcap=C:\\in\t\u{7f}.pcap", true),
            ("größe", "net_null0", false),
        ] {
            let text = configuration(PortNo(3), name, device, down);
            let config: toml::Table = text.parse().expect("TOML");
            let port = &config["port"][0];
            assert_eq!(port["number"].as_integer(), Some(3));
            assert_eq!((port["name"].as_str(), port["device"].as_str()), (Some(name), Some(device)));
            assert_eq!(port.get("up").and_then(toml::Value::as_bool), down.then_some(false));
        }
    }
}
