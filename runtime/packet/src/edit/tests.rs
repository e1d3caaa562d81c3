//! Two facts of every operation: the key is what extraction says of the new frame, and checksums that were right stay right. The
//! checksums are computed anew here, from the RFCs, not by differences.

use proptest::prelude::*;

use super::*;
use crate::proto::*;
use crate::{FIELDS, extract};

pub(super) const ROOM: usize = 128;

/// Runs operations on a frame with room around it; gives the frame and the key that the editor has of it.
fn edited(frame: &[u8], operations: impl FnOnce(&mut Editor<'_>)) -> (Vec<u8>, FlowKey) {
    let mut buffer = vec![0xaa; ROOM + frame.len() + ROOM];
    buffer[ROOM..ROOM + frame.len()].copy_from_slice(frame);
    let mut editor = Editor::new(FrameBuf::new(&mut buffer, ROOM, ROOM + frame.len()), 7);
    operations(&mut editor);
    let key = *editor.key();
    (editor.bytes().to_vec(), key)
}

fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// Where the checksum of a transport header is, and how many bytes it has.
fn checksum_place(proto: u8) -> Option<(usize, usize)> {
    match proto {
        IP_TCP => Some((16, 2)),
        IP_UDP => Some((6, 2)),
        IP_ICMP | IP_ICMPV6 => Some((2, 2)),
        IP_SCTP => Some((8, 4)),
        _ => None,
    }
}

/// The right transport checksum of an IP packet whose payload is `payload`.
fn transport_checksum(ip: &[u8], proto: u8, payload: &[u8]) -> Vec<u8> {
    let (at, len) = checksum_place(proto).unwrap();
    let mut blank = payload.to_vec();
    blank[at..at + len].fill(0);
    let addresses = if ip[0] >> 4 == 4 { &ip[12..20] } else { &ip[8..40] };
    let pseudo = [0, proto, (payload.len() >> 8) as u8, payload.len() as u8];
    match proto {
        IP_SCTP => crc32c(&blank).to_le_bytes().to_vec(),
        IP_ICMP => sum(&[&blank]).to_be_bytes().to_vec(),
        _ => match sum(&[addresses, &pseudo, &blank]) {
            0 if proto == IP_UDP => vec![0xff, 0xff],
            sum => sum.to_be_bytes().to_vec(),
        },
    }
}

/// A frame without tags: IPv4 or IPv6 with a transport header and right checksums.
pub(super) fn ip_frame(v6: bool, proto: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    let mut ip = if v6 {
        let mut ip = vec![0x6a, 0xbc, 0xde, 0xf0];
        ip.extend((payload.len() as u16).to_be_bytes());
        ip.extend([proto, 64]);
        ip.extend((0..32).map(|i| i * 7 + 1));
        ip
    } else {
        let mut ip = vec![0x45, 0x20];
        ip.extend((20 + payload.len() as u16).to_be_bytes());
        ip.extend([0x12, 0x34, 0x40, 0, 64, proto, 0, 0, 10, 1, 2, 3, 192, 168, 9, 8]);
        let checksum = sum(&[&ip]);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        ip
    };
    frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    let mut payload = payload.to_vec();
    if let Some((at, len)) = checksum_place(proto) {
        let checksum = transport_checksum(&ip, proto, &payload);
        payload[at..at + len].copy_from_slice(&checksum);
    }
    frame.append(&mut ip);
    frame.append(&mut payload);
    frame
}

pub(super) fn transport(proto: u8, fill: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..41).map(|i: u8| i.wrapping_mul(31) ^ fill).collect();
    match proto {
        IP_TCP => bytes[12] = 0x50,
        IP_UDP => bytes[4..6].copy_from_slice(&41_u16.to_be_bytes()),
        IP_ICMPV6 => {
            // A solicitation with a source link-layer address.
            bytes[..2].copy_from_slice(&[135, 0]);
            bytes[24..26].copy_from_slice(&[1, 1]);
        }
        _ => {}
    }
    bytes
}

/// Fails unless all checksums of an IP frame without tags are right.
fn check(frame: &[u8]) {
    let v6 = frame[12..14] == [0x86, 0xdd];
    let (ip, payload) = if v6 { frame[14..].split_at(40) } else { frame[14..].split_at(20) };
    if !v6 {
        assert_eq!(sum(&[ip]), 0, "IPv4 header checksum");
    }
    let proto = if v6 { ip[6] } else { ip[9] };
    if let Some((at, len)) = checksum_place(proto) {
        assert_eq!(
            payload[at..at + len],
            transport_checksum(ip, proto, payload),
            "checksum of protocol {proto}"
        );
    }
}

const PROTOS: [u8; 5] = [IP_TCP, IP_UDP, IP_ICMP, IP_ICMPV6, IP_SCTP];

/// Fields that leave the packet what it is.
fn plain_field() -> impl Strategy<Value = Field> {
    let no = [Field::ETH_TYPE, Field::IP_PROTO];
    prop::sample::select(FIELDS.iter().copied().filter(|f| !no.contains(f)).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn fields_keep_key_and_checksums_true(
        v6: bool, proto in prop::sample::select(&PROTOS[..]), fill: u8, sets in prop::collection::vec((plain_field(), any::<u128>()), 1..6)
    ) {
        let frame = ip_frame(v6, proto, &transport(proto, fill));
        check(&frame);
        let (out, key) = edited(&frame, |editor| for (field, value) in sets {
            editor.set(field, value);
        });
        check(&out);
        prop_assert_eq!(out.len(), frame.len());
        let mut again = extract(&out, 7).key;
        for field in Field::PIPELINE.iter().chain(&[Field::IN_PORT]) {
            again.set(*field, key.get(*field));
        }
        prop_assert_eq!(key, again);
    }

    #[test]
    fn no_frame_and_no_order_of_operations_panics(
        frame in prop::collection::vec(any::<u8>(), 0..120),
        eth_type in prop::sample::select(vec![ETH_IPV4, ETH_IPV6, ETH_ARP, ETH_VLAN, ETH_QINQ, ETH_MPLS, ETH_PBB]),
        operations in prop::collection::vec((0_u8..16, 0..FIELDS.len(), any::<u128>()), 0..12),
    ) {
        let mut frame = frame;
        if frame.len() > 14 {
            frame[12..14].copy_from_slice(&eth_type.to_be_bytes());
        }
        let (out, key) = edited(&frame, |editor| for (operation, field, value) in operations {
            match operation {
                0 => { let _ = editor.push_vlan(ETH_VLAN); }
                1 => editor.pop_vlan(),
                2 => { let _ = editor.push_mpls(ETH_MPLS); }
                3 => editor.pop_mpls(value as u16),
                4 => { let _ = editor.push_pbb(ETH_PBB); }
                5 => editor.pop_pbb(),
                6 => editor.set_nw_ttl(value as u8),
                7 => { let _ = editor.dec_nw_ttl(); }
                8 => editor.set_mpls_ttl(value as u8),
                9 => { let _ = editor.dec_mpls_ttl(); }
                10 => editor.copy_ttl_in(),
                11 => editor.copy_ttl_out(),
                _ => editor.set(FIELDS[field], value),
            }
        });
        let mut again = extract(&out, 7).key;
        for field in Field::PIPELINE.iter().chain(&[Field::IN_PORT]) {
            again.set(*field, key.get(*field));
        }
        prop_assert_eq!(key, again);
    }
}

#[test]
fn what_is_pushed_and_popped_again_leaves_the_frame_as_it_was() {
    let frame = ip_frame(false, IP_UDP, &transport(IP_UDP, 3));
    let (out, _) = edited(&frame, |editor| {
        editor.push_vlan(ETH_VLAN).unwrap();
        editor.set(Field::VLAN_VID, 0x1064);
        editor.set(Field::VLAN_PCP, 5);
        editor.push_mpls(ETH_MPLS).unwrap();
        editor.push_pbb(ETH_PBB).unwrap();
        editor.pop_pbb();
        editor.pop_mpls(ETH_VLAN);
        assert_eq!(editor.key().get(Field::VLAN_VID), 0x1064);
        assert_eq!(editor.bytes()[12..18], [0x81, 0, 0xa0, 0x64, 8, 0]);
        editor.pop_vlan();
    });
    assert_eq!(out, frame);
}

#[test]
fn new_tags_start_with_the_values_of_the_old_ones() {
    let frame = ip_frame(true, IP_TCP, &transport(IP_TCP, 3));
    let (out, key) = edited(&frame, |editor| {
        editor.push_vlan(ETH_VLAN).unwrap();
        editor.set(Field::VLAN_VID, 0x1064);
        editor.push_vlan(ETH_QINQ).unwrap();
    });
    assert_eq!(out[12..22], [0x88, 0xa8, 0, 0x64, 0x81, 0, 0, 0x64, 0x86, 0xdd]);
    assert_eq!(key.get(Field::VLAN_VID), 0x1064);
    let (out, _) = edited(&frame, |editor| {
        editor.push_mpls(ETH_MPLS).unwrap();
        editor.set(Field::MPLS_LABEL, 100);
        editor.set_mpls_ttl(9);
        editor.push_mpls(ETH_MPLS).unwrap();
    });
    // The inner entry is the last one; the first had the hop limit of the packet.
    assert_eq!(out[12..22], [0x88, 0x47, 0, 6, 0x40, 9, 0, 6, 0x41, 9]);
    let (out, key) = edited(&frame, |editor| {
        editor.push_pbb(ETH_PBB).unwrap();
        editor.set(Field::PBB_ISID, 0xabcdef);
        editor.push_pbb(ETH_PBB).unwrap();
    });
    assert_eq!(key.get(Field::PBB_ISID), 0xabcdef);
    assert_eq!(out.len(), frame.len() + 36);
    assert_eq!(out[36..], frame);
}

#[test]
fn time_to_live_goes_down_to_one_and_no_further() {
    let frame = ip_frame(false, IP_UDP, &transport(IP_UDP, 3));
    let (out, _) = edited(&frame, |editor| {
        editor.set_nw_ttl(2);
        assert_eq!(editor.dec_nw_ttl(), Ok(()));
        assert_eq!(editor.dec_nw_ttl(), Err(TtlExpired));
        // There is no MPLS entry whose time could be over.
        assert_eq!(editor.dec_mpls_ttl(), Ok(()));
    });
    assert_eq!(out[22], 1);
    check(&out);
    let (out, _) = edited(&frame, |editor| {
        editor.push_mpls(ETH_MPLS).unwrap();
        editor.set_mpls_ttl(33);
        editor.copy_ttl_in();
        editor.pop_mpls(ETH_IPV4);
    });
    assert_eq!(out[22], 33);
    check(&out);
}

#[test]
fn another_protocol_keeps_the_transport_header_and_mends_its_checksum() {
    for v6 in [false, true] {
        let frame = ip_frame(v6, IP_TCP, &transport(IP_TCP, 9));
        let (out, key) = edited(&frame, |editor| editor.set(Field::IP_PROTO, 17));
        assert_eq!(key.get(Field::IP_PROTO), 17);
        let (ip, payload) = out[14..].split_at(if v6 { 40 } else { 20 });
        let mut blank = payload.to_vec();
        blank[16..18].fill(0);
        let addresses = if v6 { &ip[8..40] } else { &ip[12..20] };
        let right = sum(&[addresses, &[0, 17, 0, 41], &blank]);
        assert_eq!(payload[16..18], right.to_be_bytes());
    }
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    for proto in PROTOS {
        let mut frame = ip_frame(false, proto, &transport(proto, 5));
        let last = frame.len() - 1;
        frame[last] ^= 0x10;
        let (mut out, _) = edited(&frame, |editor| {
            editor.set(Field::L4_DST, 77);
            editor.set(Field::IPV4_SRC, 0x0a0a_0a0a);
        });
        out[last] ^= 0x10;
        check(&out);
    }
}

#[test]
fn a_udp_datagram_without_checksum_gets_none() {
    let mut frame = ip_frame(false, IP_UDP, &transport(IP_UDP, 5));
    frame[40..42].fill(0);
    let (out, _) = edited(&frame, |editor| editor.set(Field::IPV4_DST, 1));
    assert_eq!(out[40..42], [0, 0]);
}

#[test]
fn without_room_nothing_changes() {
    let frame = ip_frame(false, IP_UDP, &transport(IP_UDP, 5));
    let mut buffer = frame.clone();
    let len = buffer.len();
    let mut editor = Editor::new(FrameBuf::new(&mut buffer, 0, len), 7);
    assert_eq!(editor.push_vlan(ETH_VLAN), Err(NoRoom { needed: 4, before: 0, behind: 0 }));
    assert_eq!(editor.bytes(), frame);
    let mut buffer = [frame.clone(), vec![0; 4]].concat();
    let mut editor = Editor::new(FrameBuf::new(&mut buffer, 0, len), 7);
    editor.push_vlan(ETH_VLAN).unwrap();
    editor.pop_vlan();
    assert_eq!(editor.bytes(), frame);
}

#[test]
fn a_field_is_there_if_its_header_is() {
    let has = |frame: &[u8], field| {
        let mut there = false;
        edited(frame, |editor| there = editor.has(field));
        there
    };
    let frame = ip_frame(false, IP_UDP, &transport(IP_UDP, 5));
    for (field, len) in [(Field::ETH_DST, 14), (Field::IPV4_SRC, 34), (Field::L4_DST, 42)] {
        assert!(has(&frame[..len], field) && !has(&frame[..len - 1], field), "{field:?}");
    }
    for field in [Field::VLAN_VID, Field::ARP_OP, Field::IPV6_SRC, Field::TCP_FLAGS, Field::ND_TARGET] {
        assert!(!has(&frame, field), "{field:?}");
    }
    assert!(has(&frame, Field::REG0));
    // A solicitation with the address of who asks.
    let mut solicitation = vec![0; 32];
    (solicitation[0], solicitation[24], solicitation[25]) = (135, 1, 1);
    let frame = ip_frame(true, IP_ICMPV6, &solicitation);
    assert!(has(&frame, Field::ND_TARGET) && has(&frame, Field::ND_SLL) && !has(&frame, Field::ND_TLL));
}
