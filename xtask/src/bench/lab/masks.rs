//! Rules whose masks differ, and traffic that meets them evenly.
//!
//! Classes of traffic are numbered by two digits `(i, j)`. A packet of the class has `i` zeroes and then a one at the top of the low 40 bits of its
//! destination MAC address, and `j` zeroes and then a one at the top of the low 25 bits of its source address. The rule of a class looks at these bits
//! only. Rules come in the order of their classes by priority, so that whoever looks a packet up in that order has looked at no
//! more than the bits of its own class when it meets it: an un-wildcarding cache ends with one megaflow, and one mask, for each class.

use std::fmt::Write;

use super::traffic::Frame;

/// The low bits of a destination MAC address, and of an IPv4 source address, that rules look at.
const ETH_BITS: u32 = 40;
const IP_BITS: u32 = 25;

/// A number of masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Masks {
    /// Values of the first digit, up to 40, and of the second, up to 25.
    eth: u32,
    ip: u32,
}

impl Masks {
    /// So many masks.
    ///
    /// # Panics
    /// If there is no such set: 1, 10, 100 and 1000 there are.
    pub(crate) fn new(count: u32) -> Masks {
        let (eth, ip) = match count {
            1 => (1, 1),
            10 => (10, 1),
            100 => (20, 5),
            1000 => (40, 25),
            other => panic!("no set of {other} masks"),
        };
        Masks { eth, ip }
    }

    pub(crate) fn count(self) -> u32 {
        self.eth * self.ip
    }

    /// The digits of a class.
    fn class(self, number: u32) -> (u32, u32) {
        (number / self.ip % self.eth, number % self.ip)
    }

    /// The packet of a flow; neighbours are in different classes.
    pub(crate) fn frame(self, flow: usize) -> Frame {
        let mut frame = Frame::of_flow(flow);
        let (i, j) = self.class(flow as u32 % self.count());
        frame.eth.1 = 0x02 << ETH_BITS | one(ETH_BITS, i);
        // What the class takes from the source address, ports give back: flows stay different.
        let high = frame.ip.0 & 0xffff;
        frame.ip.0 = 0x0a00_0000 | (one(IP_BITS, j) as u32);
        frame.ports = (frame.ports.0.wrapping_add(1), high as u16);
        frame.ip.1 = 0x0a80_0000 | (flow as u32 >> 16);
        frame
    }

    /// The rules, one a line: all packets go to a port.
    pub(crate) fn flows(self, output: u32) -> String {
        let mut text = String::new();
        for number in 0..self.count() {
            let (i, j) = self.class(number);
            let (eth, eth_mask) = (one(ETH_BITS, i), prefix(ETH_BITS, i + 1));
            let (ip, ip_mask) = (one(IP_BITS, j) | 0x0a00_0000, prefix(IP_BITS, j + 1) | 0xfe00_0000);
            let priority = 20_000 - number;
            writeln!(
                text,
                "priority={priority},ip,dl_dst={}/{},nw_src={}/{},actions=output:{output}",
                mac(eth),
                mac(eth_mask),
                std::net::Ipv4Addr::from(ip as u32),
                std::net::Ipv4Addr::from(ip_mask as u32),
            )
            .expect("strings take everything");
        }
        text
    }
}

/// `zeroes` zeroes and then a one at the top of the low bits.
fn one(bits: u32, zeroes: u32) -> u64 {
    1 << (bits - 1 - zeroes)
}

/// The mask of the first of the low bits.
fn prefix(bits: u32, length: u32) -> u64 {
    (1 << bits) - (1 << (bits - length))
}

fn mac(address: u64) -> String {
    let bytes: Vec<String> = address.to_be_bytes()[2..].iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_set_has_as_many_masks_as_it_says_and_flows_that_differ() {
        for count in [1, 10, 100, 1000] {
            let masks = Masks::new(count);
            let text = masks.flows(2);
            let field = |line: &str, name: &str| -> String {
                let (_, rest) = line.split_once(name).expect("the field is there");
                rest.split(['/', ',']).nth(1).expect("a mask").to_owned()
            };
            let seen: HashSet<_> =
                text.lines().map(|line| (field(line, "dl_dst="), field(line, "nw_src="))).collect();
            assert_eq!(seen.len(), count as usize);
            let flows: HashSet<_> = (0..200_000)
                .map(|flow| masks.frame(flow))
                .map(|frame| (frame.eth, frame.ip, frame.ports))
                .collect();
            assert_eq!(flows.len(), 200_000);
        }
    }

    #[test]
    fn a_packet_meets_the_rule_of_its_class_first() {
        let masks = Masks::new(1000);
        for flow in 0..2000 {
            let frame = masks.frame(flow);
            let first = (0..masks.count()).find(|&number| {
                let (i, j) = masks.class(number);
                frame.eth.1 & prefix(ETH_BITS, i + 1) == one(ETH_BITS, i)
                    && u64::from(frame.ip.0) & prefix(IP_BITS, j + 1) == one(IP_BITS, j)
            });
            assert_eq!(first, Some(flow as u32 % 1000));
        }
    }
}
