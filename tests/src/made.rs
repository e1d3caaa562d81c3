//! Traffic that no capture here has, made as it is needed: neighbour discovery, DNS, QUIC, WireGuard, a VXLAN overlay, flows of different sizes. In each there are those
//! who behave and those whom an example is there to find.
//!
//! The same packets come out each time. What nobody looks at is 0: checksums, and most of the data.

use crate::captures::Recorded;
use crate::random::Random;

/// What there is.
pub const NAMES: [&str; 6] = ["neighbors", "dns", "quic", "wireguard", "vxlan", "flows"];

/// When traffic begins, in nanoseconds.
const BEGIN: u64 = 1_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const MICROSECOND: u64 = 1_000;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// The traffic of a name of [`NAMES`].
///
/// # Panics
///
/// If there is none of this name.
pub fn traffic(name: &str) -> Vec<Recorded> {
    let mut random = Random(7);
    match name {
        "neighbors" => each(1_024, MILLISECOND, |_| neighbors(&mut random)),
        "dns" => {
            let mut open = Vec::new();
            each(1_024, MILLISECOND, |_| dns(&mut random, &mut open))
        }
        "quic" => each(1_024, MILLISECOND, |_| quic(&mut random)),
        "wireguard" => each(1_024, MILLISECOND, |_| wireguard(&mut random)),
        "vxlan" => each(1_024, 4 * MICROSECOND, |_| vxlan(&mut random)),
        "flows" => each(2_048, 10 * MICROSECOND, |_| flows(&mut random)),
        _ => panic!("there is no traffic `{name}`: expected one of {}", NAMES.join(", ")),
    }
}

/// So many packets, one in so many nanoseconds.
fn each(count: u64, gap: u64, mut make: impl FnMut(u64) -> Vec<u8>) -> Vec<Recorded> {
    (0..count).map(|number| Recorded { now: BEGIN + number * gap, bytes: make(number) }).collect()
}

/// Two ends of a conversation: addresses.
#[derive(Clone, Copy)]
enum Ends {
    V4(u32, u32),
    V6(u128, u128),
}

impl Ends {
    /// A client, the one of a number, and a server; one client in four speaks IPv6.
    fn of_client(number: u64) -> Ends {
        if number.is_multiple_of(4) {
            Ends::V6((0x2001_0db8_0001 << 80) | u128::from(number), (0x2001_0db8_0002 << 80) | 10)
        } else {
            Ends::V4(0xc633_6400 + number as u32, 0xc000_020a)
        }
    }

    fn back(self) -> Ends {
        match self {
            Ends::V4(src, dst) => Ends::V4(dst, src),
            Ends::V6(src, dst) => Ends::V6(dst, src),
        }
    }
}

/// A frame with these bytes above IP.
fn frame(station: u64, ends: Ends, hop_limit: u8, protocol: u8, above: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 0xfe];
    bytes.extend(&mac(station));
    let len = above.len() as u16;
    match ends {
        Ends::V4(src, dst) => {
            bytes.extend([8, 0, 0x45, 0]);
            bytes.extend((20 + len).to_be_bytes());
            bytes.extend([0, 0, 0, 0, hop_limit, protocol, 0, 0]);
            bytes.extend(src.to_be_bytes());
            bytes.extend(dst.to_be_bytes());
        }
        Ends::V6(src, dst) => {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(len.to_be_bytes());
            bytes.extend([protocol, hop_limit]);
            bytes.extend(src.to_be_bytes());
            bytes.extend(dst.to_be_bytes());
        }
    }
    bytes.extend(above);
    bytes
}

/// A datagram of UDP: data, and so many zeroes.
fn udp(ends: Ends, ports: (u16, u16), data: &[u8], zeroes: usize) -> Vec<u8> {
    let mut above = Vec::new();
    above.extend(ports.0.to_be_bytes());
    above.extend(ports.1.to_be_bytes());
    above.extend(((8 + data.len() + zeroes) as u16).to_be_bytes());
    above.extend([0, 0]);
    above.extend(data);
    above.resize(above.len() + zeroes, 0);
    frame(1, ends, 64, UDP, &above)
}

fn mac(station: u64) -> [u8; 6] {
    let [.., high, low] = station.to_be_bytes();
    [2, 0, 0, 0, high, low]
}

/// Stations of a link ask for each other and answer, RFC 4861; one answer in eight tells another's address for its own. Every fourth packet is a router's.
fn neighbors(random: &mut Random) -> Vec<u8> {
    let address = |station: u64| (0xfe80 << 112) | u128::from(station);
    let (one, other) = (1 + random.below(64), 1 + random.below(64));
    let mut above = Vec::new();
    let (station, ends) = match random.below(4) {
        0 => {
            above.extend([134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
            above.extend(mac(one));
            (one, Ends::V6(address(one), (0xff02 << 112) | 1))
        }
        1 => {
            above.extend([135, 0, 0, 0, 0, 0, 0, 0]);
            above.extend(address(other).to_be_bytes());
            above.extend([1, 1]);
            above.extend(mac(one));
            (one, Ends::V6(address(one), (0xff02 << 112) | 1))
        }
        _ => {
            let claimed = if random.below(8) == 0 { other } else { one };
            above.extend([136, 0, 0, 0, 0x60, 0, 0, 0]);
            above.extend(address(claimed).to_be_bytes());
            above.extend([2, 1]);
            above.extend(mac(one));
            (one, Ends::V6(address(claimed), address(other)))
        }
    };
    frame(station, ends, 255, ICMP6, &above)
}

/// Clients ask a server, which answers; one answer in eight nobody asked for. Two of the 64 clients ask for very long names.
fn dns(random: &mut Random, open: &mut Vec<(u64, u16, u16, usize)>) -> Vec<u8> {
    const PORT: u16 = 53;
    let message = |id: u16, flags: u16| {
        let mut message = id.to_be_bytes().to_vec();
        message.extend(flags.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        message
    };
    if open.len() > 8 {
        let (client, port, id, name) = open.swap_remove(random.below(open.len() as u64) as usize);
        return udp(Ends::of_client(client).back(), (PORT, port), &message(id, 0x8180), name + 16);
    }
    let id = random.word() as u16;
    if random.below(8) == 0 {
        return udp(Ends::of_client(random.below(64)).back(), (PORT, 4_000), &message(id, 0x8180), 3_000);
    }
    // One question in four comes through a tunnel.
    let client = if random.below(4) == 0 { random.below(2) } else { random.below(64) };
    let name = if client < 2 { 180 } else { 20 + random.below(20) as usize };
    let port = 1_024 + random.below(60_000) as u16;
    open.push((client, port, id, name));
    udp(Ends::of_client(client), (port, PORT), &message(id, 0x0100), name)
}

/// Connections of QUIC that are opened, go on and answer, RFC 9000; two of the 32 clients open one after the other.
fn quic(random: &mut Random) -> Vec<u8> {
    const PORT: u16 = 443;
    let mut opening = vec![0xc3, 0, 0, 0, 1, 8];
    opening.extend(random.word().to_be_bytes());
    let client = random.below(32);
    let port = 1_024 + random.below(60_000) as u16;
    match random.below(8) {
        0..=2 => udp(Ends::of_client(random.below(2)), (port, PORT), &opening, 1_186),
        3 => udp(Ends::of_client(client), (port, PORT), &opening, 1_186),
        4 => {
            // A handshake.
            opening[0] = 0xe3;
            udp(Ends::of_client(client), (port, PORT), &opening, 200)
        }
        5 | 6 => udp(Ends::of_client(client), (port, PORT), &[0x41, 1, 2, 3, 4, 5, 6, 7, 8, 9], 60),
        _ => udp(Ends::of_client(client).back(), (PORT, port), &opening, 1_186),
    }
}

/// Peers of WireGuard that send packets and now and then ask for a handshake; two of the 32 ask all the time.
fn wireguard(random: &mut Random) -> Vec<u8> {
    const PORT: u16 = 51_820;
    let mut message = vec![4, 0, 0, 0];
    message.extend(random.word().to_be_bytes());
    message.resize(48, 0x5a);
    let ask = |client: u64, mut message: Vec<u8>| {
        message[0] = 1;
        udp(Ends::of_client(client), (40_000 + client as u16, PORT), &message, 148 - 48)
    };
    match random.below(8) {
        0..=2 => ask(random.below(2), message),
        3 => ask(random.below(32), message),
        _ => {
            let client = random.below(32);
            udp(Ends::of_client(client), (40_000 + client as u16, PORT), &message, 1_000)
        }
    }
}

/// Packets of 16 tenants, three in four of the first one, and others between the same hosts that belong to nobody.
fn vxlan(random: &mut Random) -> Vec<u8> {
    let ends = Ends::of_client(1 + random.below(2));
    let source = 49_152 + random.below(16_000) as u16;
    if random.below(8) == 0 {
        return udp(ends, (source, 5_001), &[0; 32], 1_000);
    }
    let tenant = if random.below(4) > 0 { 0 } else { random.below(16) } as u32;
    let mut data = vec![0x08, 0, 0, 0];
    data.extend((tenant << 8).to_be_bytes());
    data.extend([0; 34]);
    udp(ends, (source, 4_789), &data, 1_400)
}

/// Packets of 512 flows by TCP and UDP, short ones; but half of all are the long ones of two flows, as long as the kernel takes in one piece.
fn flows(random: &mut Random) -> Vec<u8> {
    let (number, length) = match random.below(4) {
        0 => (1, 2_960),
        1 => (4, 2_960),
        _ => (8 + random.below(504), 200),
    };
    let ends = Ends::of_client(number);
    let ports = (1_024 + number as u16, 443_u16);
    if number % 4 < 2 {
        let mut above = Vec::new();
        above.extend(ports.0.to_be_bytes());
        above.extend(ports.1.to_be_bytes());
        above.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        above.resize(length, 0);
        return frame(1, ends, 64, TCP, &above);
    }
    udp(ends, ports, &[], length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_how_long_packets_are() {
        for name in NAMES {
            for Recorded { bytes, .. } in traffic(name) {
                let field = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
                let ip = if bytes[12] == 8 { 14 + field(16) } else { 54 + field(18) };
                assert_eq!(ip, bytes.len(), "{name}: {bytes:02x?}");
            }
            assert_eq!(traffic(name), traffic(name), "the same each time");
        }
    }
}
