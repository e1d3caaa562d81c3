//! What a rewrite does to a frame that it fits is what an editor does to it, step by step.

use proptest::prelude::*;

use super::tests::{ROOM, ip_frame, transport};
use super::*;
use crate::proto::*;

/// A step, as both can be told.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// A field, the bits that change, their values.
    Set(Field, u128, u128),
    PushVlan(u16),
    PopVlan,
    SetTtl(u8),
    DecTtl,
}

/// The fields that a rewrite can set, and what packets must be for it.
const SETTABLE: [(Field, Kinds); 13] = [
    (Field::ETH_DST, Kinds::ALL),
    (Field::ETH_SRC, Kinds::ALL),
    (Field::VLAN_VID, Kinds::ALL),
    (Field::VLAN_PCP, Kinds::ALL),
    (Field::IPV4_SRC, Kinds::of_eth_type(ETH_IPV4)),
    (Field::IPV4_DST, Kinds::of_eth_type(ETH_IPV4)),
    (Field::IPV6_SRC, Kinds::of_eth_type(ETH_IPV6)),
    (Field::IPV6_DST, Kinds::of_eth_type(ETH_IPV6)),
    (Field::IPV6_FLABEL, Kinds::of_eth_type(ETH_IPV6)),
    (Field::IP_DSCP, Kinds::of_eth_type(ETH_IPV4)),
    (Field::IP_ECN, Kinds::of_eth_type(ETH_IPV6)),
    (Field::L4_SRC, Kinds::of_proto(IP_TCP).or(Kinds::of_proto(IP_UDP))),
    (Field::L4_DST, Kinds::of_proto(IP_UDP)),
];

fn change() -> impl Strategy<Value = Change> {
    let field = (prop::sample::select(&SETTABLE[..]), any::<u128>(), any::<bool>(), any::<u128>());
    prop_oneof![
        6 => field.prop_map(|((field, _), value, whole, mask)| {
            let mask = if whole { field.max() } else { mask & field.max() };
            Change::Set(field, mask, value & mask)
        }),
        1 => prop::sample::select(vec![ETH_VLAN, ETH_QINQ]).prop_map(Change::PushVlan),
        1 => Just(Change::PopVlan),
        1 => any::<u8>().prop_map(Change::SetTtl),
        2 => Just(Change::DecTtl),
    ]
}

fn list(changes: &[Change]) -> Option<Rewrite> {
    let mut rewrite = Rewrite::default();
    for change in changes {
        match *change {
            Change::Set(field, mask, value) => {
                let kinds = SETTABLE.iter().find(|(other, _)| *other == field)?.1;
                rewrite.set(field, mask, value, kinds)?;
            }
            Change::PushVlan(eth_type) => rewrite.push_vlan(eth_type)?,
            Change::PopVlan => rewrite.pop_vlan()?,
            Change::SetTtl(ttl) => rewrite.set_ttl(ttl)?,
            Change::DecTtl => rewrite.dec_ttl()?,
        }
    }
    Some(rewrite)
}

fn in_buffer(frame: &[u8]) -> Vec<u8> {
    [vec![0xaa; ROOM], frame.to_vec(), vec![0xaa; ROOM]].concat()
}

/// What an editor makes of a frame; none if the time to live is over.
fn edited(frame: &[u8], changes: &[Change]) -> Option<Vec<u8>> {
    let mut buffer = in_buffer(frame);
    let mut editor = Editor::new(FrameBuf::new(&mut buffer, ROOM, ROOM + frame.len()), 7);
    for change in changes {
        match *change {
            Change::Set(field, mask, value) => {
                let value = editor.key().get(field) & !mask | value;
                editor.set(field, value);
            }
            Change::PushVlan(eth_type) => editor.push_vlan(eth_type).ok()?,
            Change::PopVlan => editor.pop_vlan(),
            Change::SetTtl(ttl) => editor.set_nw_ttl(ttl),
            Change::DecTtl => editor.dec_nw_ttl().ok()?,
        }
    }
    Some(editor.bytes().to_vec())
}

fn rewritten(frame: &[u8], rewrite: &Rewrite) -> Option<Vec<u8>> {
    let shape = rewrite.fits(frame)?;
    let mut buffer = in_buffer(frame);
    let mut buf = FrameBuf::new(&mut buffer, ROOM, ROOM + frame.len());
    rewrite.apply(shape, &mut buf).ok()?;
    Some(buf.bytes().to_vec())
}

fn tagged(mut frame: Vec<u8>, tags: usize) -> Vec<u8> {
    for tag in 0..tags as u8 {
        frame.splice(12..12, [0x81, 0, 0x60 | tag, 0x12 + tag]);
    }
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn a_rewrite_does_what_an_editor_does(
        (v6, proto, fill) in (any::<bool>(), prop::sample::select(vec![IP_TCP, IP_UDP, IP_ICMP, IP_ICMPV6, IP_SCTP, 47]), any::<u8>()),
        tags in 0..3_usize,
        changes in prop::collection::vec(change(), 0..6),
        cut in prop::option::weighted(0.2, 0..120_usize),
        // What makes the packet another: options, a fragment, another length, an extension header, no checksum.
        damage in prop::collection::vec((12..60_usize, any::<u8>()), 0..3),
        damaged in prop::bool::weighted(0.3),
        blank in prop::bool::weighted(0.1),
    ) {
        let Some(rewrite) = list(&changes) else { return Ok(()) };
        let mut frame = ip_frame(v6, proto, &transport(proto, fill));
        if blank && !v6 && proto == IP_UDP {
            frame[40..42].fill(0);
        }
        let mut frame = tagged(frame, tags);
        if damaged {
            for (at, byte) in damage {
                frame[at] = byte;
            }
        }
        if let Some(cut) = cut {
            frame.truncate(cut);
        }
        if let Some(out) = rewritten(&frame, &rewrite) {
            prop_assert_eq!(Some(out), edited(&frame, &changes), "{:?} on {:02x?}", changes, frame);
        }
    }

    #[test]
    fn any_bytes_are_taken(
        bytes in prop::collection::vec(any::<u8>(), 0..90),
        eth_type in prop::sample::select(vec![ETH_IPV4, ETH_IPV6, ETH_VLAN]),
        changes in prop::collection::vec(change(), 0..6),
    ) {
        let mut frame = bytes;
        if frame.len() >= 14 {
            frame[12..14].copy_from_slice(&eth_type.to_be_bytes());
        }
        if let Some(out) = list(&changes).and_then(|rewrite| rewritten(&frame, &rewrite)) {
            prop_assert_eq!(Some(out), edited(&frame, &changes), "{:?} on {:02x?}", changes, frame);
        }
    }
}

/// Ordinary packets are those that rewrites are for.
#[test]
fn ordinary_packets_fit() {
    for (v6, proto, tags) in [(false, IP_TCP, 0), (false, IP_UDP, 1), (true, IP_TCP, 1), (true, IP_UDP, 0)] {
        let frame = tagged(ip_frame(v6, proto, &transport(proto, 9)), tags);
        let address = if v6 { Field::IPV6_DST } else { Field::IPV4_DST };
        let changes = [
            Change::Set(Field::ETH_DST, Field::ETH_DST.max(), 0x0200_0000_0009),
            Change::Set(address, address.max(), 0x0102_0304),
            Change::Set(Field::L4_SRC, 0xffff, 53),
            Change::DecTtl,
            Change::PushVlan(ETH_VLAN),
            Change::Set(Field::VLAN_VID, 0x1fff, 0x1005),
        ];
        let rewrite = list(&changes).unwrap();
        assert_eq!(rewritten(&frame, &rewrite).unwrap(), edited(&frame, &changes).unwrap());
    }
}

#[test]
fn what_depends_on_more_than_the_shape_is_left_to_an_editor() {
    let frame = ip_frame(false, IP_UDP, &transport(IP_UDP, 9));
    let fits = |change, frame: &[u8]| list(&[change]).unwrap().fits(frame).is_some();
    let port = Change::Set(Field::L4_SRC, 0xffff, 53);
    assert!(fits(port, &frame) && fits(Change::DecTtl, &frame));
    let with = |at: usize, byte: u8| {
        let mut frame = frame.clone();
        frame[at] = byte;
        frame
    };
    // A fragment, options, SCTP, a time to live that is over, no tag.
    assert!(!fits(port, &with(20, 0x20)) && !fits(port, &with(14, 0x46)) && !fits(port, &with(23, 132)));
    assert!(!fits(Change::DecTtl, &with(22, 1)) && fits(Change::DecTtl, &with(22, 2)));
    assert!(!fits(Change::PopVlan, &frame) && fits(Change::PopVlan, &tagged(frame, 1)));
    // Fields of two kinds of packets, what a written time to live becomes, the tag below the one that is gone.
    let v6 = Change::Set(Field::IPV6_SRC, u128::MAX, 1);
    assert!(list(&[Change::Set(Field::IPV4_SRC, 0xff, 1), v6]).is_none());
    assert!(list(&[Change::SetTtl(9), Change::DecTtl]).is_none());
    assert!(list(&[Change::PopVlan, Change::PopVlan]).is_none());
}

#[test]
fn without_room_for_a_tag_it_says_so() {
    let mut frame = ip_frame(false, IP_UDP, &transport(IP_UDP, 9));
    let rewrite = list(&[Change::PushVlan(ETH_VLAN)]).unwrap();
    let shape = rewrite.fits(&frame).unwrap();
    let len = frame.len();
    assert!(rewrite.apply(shape, &mut FrameBuf::new(&mut frame, 0, len)).is_err());
}
