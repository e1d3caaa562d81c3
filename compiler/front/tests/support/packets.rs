//! Packets by hand, byte by byte where it matters.

/// IP addresses.
pub(crate) const A: [u8; 4] = [10, 0, 0, 1];
pub(crate) const B: [u8; 4] = [192, 0, 2, 7];

/// TCP flags.
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// An Ethernet header.
pub(crate) fn ethernet(ethertype: u16) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend(ethertype.to_be_bytes());
    bytes
}

/// An IPv4 packet as it stands behind its EtherType.
#[derive(Clone)]
pub(crate) struct Ipv4 {
    pub(crate) src: [u8; 4],
    pub(crate) dst: [u8; 4],
    pub(crate) protocol: u8,
    pub(crate) fragment: u16,
    /// In units of four bytes.
    pub(crate) options: u8,
    pub(crate) payload: Vec<u8>,
}

impl Ipv4 {
    pub(crate) fn tcp(src: [u8; 4], dst: [u8; 4], payload: Vec<u8>) -> Ipv4 {
        Ipv4 { src, dst, protocol: 6, fragment: 0, options: 0, payload }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = 20 + usize::from(self.options) * 4;
        let total = u16::try_from(header + self.payload.len()).expect("short");
        let mut bytes = vec![0x45 + self.options, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(self.src);
        bytes.extend(self.dst);
        bytes.extend(std::iter::repeat_n(1, usize::from(self.options) * 4));
        bytes.extend(&self.payload);
        bytes
    }

    /// Behind Ethernet and this many VLAN tags.
    pub(crate) fn frame(&self, tags: usize) -> Vec<u8> {
        let mut frame = ethernet(if tags == 0 { 0x0800 } else { 0x8100 });
        for tag in 0..tags {
            frame.extend([0, 10]);
            frame.extend(if tag + 1 == tags { 0x0800u16 } else { 0x8100 }.to_be_bytes());
        }
        frame.extend(self.bytes());
        frame
    }
}

/// A TCP header without options.
pub(crate) fn tcp(src_port: u16, dst_port: u16, flags: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(src_port.to_be_bytes());
    bytes.extend(dst_port.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}

/// A TCP segment over IPv4 over Ethernet.
pub(crate) fn segment(src: [u8; 4], src_port: u16, dst: [u8; 4], dst_port: u16, flags: u8) -> Vec<u8> {
    Ipv4::tcp(src, dst, tcp(src_port, dst_port, flags)).frame(0)
}

/// A TCP segment over IPv6 over Ethernet.
pub(crate) fn segment6(src: u128, dst: u128, dst_port: u16, flags: u8) -> Vec<u8> {
    let tcp = tcp(4000, dst_port, flags);
    let mut frame = ethernet(0x86dd);
    frame.extend([0x60, 0, 0, 0, 0, tcp.len() as u8, 6, 64]);
    frame.extend(src.to_be_bytes());
    frame.extend(dst.to_be_bytes());
    frame.extend(tcp);
    frame
}
