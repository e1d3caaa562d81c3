//! Packets of a test while it runs, and how they are shown.

use std::fmt::Write as _;

use oko_front::hir::Program;
use oko_front::types::Ty;
use oko_front::wire::{self, Layer};

use crate::show::show;

/// A packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) content: Content,
    pub(crate) in_port: u32,
}

/// What a packet consists of.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Headers and a payload.
    Layers(Vec<Layer>, Vec<u8>),
    /// Bytes, and how many there were on the wire.
    Bytes(Vec<u8>, u32),
}

impl Packet {
    /// Its bytes, and how many there were on the wire.
    pub(crate) fn bytes(&self, program: &Program) -> (Vec<u8>, u32) {
        match &self.content {
            Content::Layers(layers, payload) => {
                let bytes = wire::encode(program, layers, payload);
                let length = bytes.len() as u32;
                (bytes, length)
            }
            Content::Bytes(bytes, wire_len) => (bytes.clone(), *wire_len),
        }
    }
}

/// A packet decoded by the declarations of its headers, and in hexadecimal.
pub fn show_packet(program: &Program, bytes: &[u8], in_port: u32) -> String {
    let (found, rest) = wire::decode(program, bytes);
    let mut text = String::new();
    for layer in &found {
        let def = &program.headers[layer.header.index()];
        let fields: Vec<String> = (def.fields.iter().zip(&layer.fields))
            .map(|(field, value)| {
                let words = match &field.ty {
                    Ty::Ip6 | Ty::Wide(_) => vec![(value >> 64) as u64, *value as u64],
                    _ => vec![*value as u64],
                };
                format!("{}: {}", field.name, show(&field.ty, &words, program))
            })
            .collect();
        let region = match &def.region {
            Some(region) if layer.region > 0 => format!(", {}: {} bytes", region.name, layer.region),
            _ => String::new(),
        };
        let _ = writeln!(text, "    {}({}{region})", def.name, fields.join(", "));
    }
    let payload = bytes.len().saturating_sub(rest);
    let _ = writeln!(text, "    {payload} bytes behind the last header; port {in_port}");
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let pairs: Vec<String> = chunk
            .chunks(2)
            .map(|pair| pair.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            .collect();
        let letters: String = (chunk.iter())
            .map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' })
            .collect();
        let _ = writeln!(text, "    {:04x}  {:<39}  {letters}", row * 16, pairs.join(" "));
        if row == 15 && bytes.len() > 256 {
            let _ = writeln!(text, "    … {} bytes more", bytes.len() - 256);
            break;
        }
    }
    text
}
