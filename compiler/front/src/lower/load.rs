//! Loads of header fields: bytes in network order, shifted and masked.

use oko_ir::{BinaryOp, Op, Type, Value, Width};

use super::body::Lowering;
use super::layers::Source;
use crate::hir::{HeaderDef, LayerId};
use crate::types::Ty;

impl Lowering<'_> {
    /// The scalars of a field of a layer.
    pub(super) fn field(&mut self, layer: LayerId, index: usize, ty: &Ty) -> Option<Vec<Value>> {
        let found = self.layer(layer)?;
        let source = found.source?;
        let (name, common) = match found.common {
            [] => match source {
                Source::Window(header, at) => {
                    let def = &self.program.headers[header.index()];
                    return Some(self.header_field(def, at.window, index));
                }
                Source::Given => return self.given_field(index, ty),
                Source::Shared(..) => {
                    let def = &self.program.headers[found.headers.first()?.index()];
                    (&def.fields.get(index)?.name, &def.fields.get(index)?.ty)
                }
            },
            common => (&common.get(index)?.name, &common.get(index)?.ty),
        };
        self.common_field(source, name, common)
    }

    /// A field whose value is given.
    fn given_field(&mut self, index: usize, ty: &Ty) -> Option<Vec<Value>> {
        let value = *self.given.get(index)?;
        Some(match self.types(ty).as_slice() {
            [Type::Bool] => vec![self.bool(value != 0)],
            [_] => vec![self.int(value as u64)],
            _ => vec![self.int((value >> 64) as u64), self.int(value as u64)],
        })
    }

    /// The scalars of a field that several headers have, as a type that holds the values of all.
    pub(super) fn common_field(&mut self, source: Source, name: &str, ty: &Ty) -> Option<Vec<Value>> {
        match source {
            Source::Window(header, at) => {
                let def = &self.program.headers[header.index()];
                let index = def.fields.iter().position(|field| field.name == name)?;
                let scalars = self.header_field(def, at.window, index);
                Some(self.widen(scalars, &def.fields[index].ty, ty))
            }
            Source::Shared(shared, layer) => Some(self.shared_field(shared, layer, name, ty)),
            Source::Given => None,
        }
    }

    /// The scalars of a value as those of a type that holds it.
    pub(super) fn widen(&mut self, scalars: Vec<Value>, from: &Ty, to: &Ty) -> Vec<Value> {
        match (from, to) {
            (Ty::Ip4, Ty::Addr) => [vec![self.int(4), self.int(0)], scalars].concat(),
            (Ty::Ip6, Ty::Addr) => [vec![self.int(6)], scalars].concat(),
            _ => scalars,
        }
    }

    /// The scalars of a field of a header whose bytes are in a window.
    pub(super) fn header_field(&mut self, def: &HeaderDef, window: Value, index: usize) -> Vec<Value> {
        let field = &def.fields[index];
        self.fields_read.insert(format!("{}.{}", def.name, field.name));
        if field.bits > 64 {
            let high = self.bits(def.size, window, field.bit, field.bits - 64);
            let low = self.bits(def.size, window, field.bit + field.bits - 64, 64);
            return vec![high, low];
        }
        let word = self.bits(def.size, window, field.bit, field.bits);
        match field.ty {
            Ty::Bool => {
                let zero = self.int(0);
                vec![self.ins(Op::Compare(oko_ir::CompareOp::Ne, word, zero))]
            }
            _ => vec![word],
        }
    }

    /// The number in `bits` bits (1 to 64) from bit `start` of a window of `size` bytes.
    fn bits(&mut self, size: u32, window: Value, start: u32, bits: u32) -> Value {
        let (first, end) = (start / 8, (start + bits).div_ceil(8));
        let spare = end * 8 - (start + bits);
        match covering(size, first, end) {
            // One load holds all of it; bits in front are masked out, bits behind shifted out.
            Some((width, at)) => {
                let word = self.ins(Op::Load(width, window, at));
                let behind = (at + width.bytes() - end) * 8 + spare;
                let word = self.shifted(BinaryOp::UShr, word, behind);
                let in_front = width.bits() - behind - bits;
                if in_front == 0 { word } else { self.masked(word, bits) }
            }
            None => self.pieces(window, first, end, spare, bits),
        }
    }

    /// The same from several loads: of 9 bytes, or where the header is too short for one wide load.
    fn pieces(&mut self, window: Value, first: u32, end: u32, spare: u32, bits: u32) -> Value {
        let mut at = first;
        let mut whole: Option<Value> = None;
        while at < end {
            let width = match end - at {
                8.. => Width::W64,
                4..8 => Width::W32,
                2..4 => Width::W16,
                _ => Width::W8,
            };
            let piece = self.ins(Op::Load(width, window, at));
            let below = (end - at - width.bytes()) * 8;
            // Where the bits of this piece go once the spare ones behind the field are shifted out.
            let piece = if below >= spare {
                self.shifted(BinaryOp::Shl, piece, below - spare)
            } else {
                self.shifted(BinaryOp::UShr, piece, spare - below)
            };
            whole = Some(match whole {
                Some(before) => self.ins(Op::Binary(BinaryOp::Or, before, piece)),
                None => piece,
            });
            at += width.bytes();
        }
        let word = whole.unwrap_or_else(|| self.int(0));
        self.masked(word, bits)
    }

    fn shifted(&mut self, op: BinaryOp, word: Value, by: u32) -> Value {
        if by == 0 {
            return word;
        }
        let by = self.int(u64::from(by));
        self.ins(Op::Binary(op, word, by))
    }

    pub(super) fn masked(&mut self, word: Value, bits: u32) -> Value {
        if bits >= 64 {
            return word;
        }
        let mask = self.int((1 << bits) - 1);
        self.ins(Op::Binary(BinaryOp::And, word, mask))
    }
}

/// The load that holds the bytes `first..end` of a header of `size` bytes: its width and where it begins.
fn covering(size: u32, first: u32, end: u32) -> Option<(Width, u32)> {
    let width = Width::from_bits((end - first).next_power_of_two() * 8)?;
    let bytes = width.bytes();
    (bytes <= size).then(|| (width, first.min(size - bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_lies_in_its_header_and_holds_the_field() {
        for size in 1..20u32 {
            for first in 0..size {
                for end in first + 1..=size {
                    if let Some((width, at)) = covering(size, first, end) {
                        assert!(at <= first && end <= at + width.bytes() && at + width.bytes() <= size);
                    }
                }
            }
        }
        assert_eq!(covering(14, 6, 12), Some((Width::W64, 6)), "the source address of Ethernet is one load");
        assert_eq!(covering(3, 0, 3), None);
        assert_eq!(covering(20, 0, 9), None);
    }
}
