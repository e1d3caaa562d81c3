//! Packets that are built are those of the network: real captures, taken apart and built again with lengths and checksums left
//! to the builder, come out byte for byte.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::Path;

use oko_compiler::{NoFiles, Source, parse};
use oko_front::hir::Fill;
use oko_front::wire::{Layer, decode, encode};
use pcap_file::pcap::PcapReader;

#[test]
fn captured_packets_are_built_again_byte_for_byte() {
    let names = "ethernet, vlan, arp, ipv4, ipv6, icmp, icmp6, tcp, udp";
    let text = format!("use std.net.{{{names}}};\nfilter f -> bool {{ true }}\n");
    let checked = parse(Source::new("f.oko", text), &NoFiles).check().unwrap();
    let program = checked.program();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/captures");
    let (mut same, mut other, mut filled, mut fragments) = (0, 0, 0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // That of all headers was put together by hand, with source routes and the like that change what checksums cover.
        let is_by_hand = path.file_stem().is_some_and(|stem| stem == "headers");
        if is_by_hand || path.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        let mut reader = PcapReader::new(fs::File::open(&path).unwrap()).unwrap();
        while let Some(packet) = reader.next_raw_packet() {
            let packet = packet.unwrap();
            if packet.orig_len > packet.incl_len {
                // Of a packet that was cut off, the lengths and checksums cannot be known.
                continue;
            }
            let bytes = packet.data.into_owned();
            let (found, rest) = decode(program, &bytes);
            // Checksums of a fragment cover what is in the other fragments.
            let is_fragment = found.iter().any(|found| {
                let def = &program.headers[found.header.index()];
                let field = |name| def.fields.iter().position(|field| field.name == name);
                match (def.name.as_str(), field("flags"), field("frag_offset")) {
                    ("ipv4", Some(flags), Some(offset)) => {
                        found.fields[flags] & 1 == 1 || found.fields[offset] != 0
                    }
                    _ => false,
                }
            });
            if is_fragment {
                fragments += 1;
                continue;
            }
            let layers: Vec<Layer> = found
                .iter()
                .map(|found| {
                    let def = &program.headers[found.header.index()];
                    let mut layer = Layer::new(program, found.header);
                    for (at, field) in def.fields.iter().enumerate() {
                        if matches!(field.fill, Fill::Length { .. } | Fill::Checksum { .. }) {
                            filled += 1;
                        } else {
                            layer.fields[at] = Some(found.fields[at]);
                        }
                    }
                    let start = found.start + def.size as usize;
                    layer.region = Some(bytes[start..start + found.region].to_vec());
                    layer
                })
                .collect();
            let built = encode(program, &layers, &bytes[rest..]);
            if built == bytes {
                same += 1;
            } else {
                // Padding behind a short packet counts as payload here.
                other += 1;
                let length = layers.iter().zip(&found).any(|(layer, found)| {
                    let def = &program.headers[layer.header.index()];
                    def.fields.iter().enumerate().any(|(at, field)| {
                        matches!(field.fill, Fill::Length { .. })
                            && (found.fields[at] as usize) < bytes.len() - found.start
                    })
                });
                assert!(length, "{}: {bytes:02x?}\nbuilt {built:02x?}", path.display());
            }
        }
    }
    println!(
        "{same} packets built again, {other} with padding, {fragments} fragments left out, {filled} fields filled in"
    );
    assert!(same > 1000 && same > 10 * other, "{same} the same, {other} not");
}
