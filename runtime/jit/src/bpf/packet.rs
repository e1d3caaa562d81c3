//! What is known of numbers that have to do with the packet: pointers into it, where it ends, and bytes of it that are put together.
//!
//! Compilers for BPF know nothing of alignment, so they read numbers of packets byte by byte, shift these and join them; here such a number becomes
//! one load again. And they compare pointers with the end of the packet, where a comparison of its length with a constant does.
//!
//! All of it is about values, which do not change, so it holds wherever they can be seen. Bytes of packets do not change during a burst either, and
//! each that is part of a number was read on the way to it: so all of them may be read once more, together.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::types::{I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, InstructionData, Value};
use oko_bpf::isa::{AluOp, Operand, Reg, Size, Width};

use super::Translator;
use crate::burst::packet_memory;
use crate::tidy;

/// Bits of a byte.
const BYTE: u32 = 8;

/// What is known of values.
#[derive(Default)]
pub(super) struct Facts {
    /// Pointers, as another pointer and the distance from it.
    places: HashMap<Value, (Value, i64)>,
    /// Those that point behind the last byte of the packet.
    ends: HashSet<Value>,
    numbers: HashMap<Value, Number>,
}

/// Which of the bytes of a number comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The highest.
    Network,
    /// The lowest: code is made for such hosts only.
    Host,
}

/// Adjacent bytes of the packet as a number, shifted to the left; all other bits are 0.
#[derive(Clone, Copy)]
struct Number {
    /// The first byte is `at` bytes from here.
    base: Value,
    at: i64,
    bytes: u32,
    /// None of a single byte.
    order: Option<Order>,
    /// In bits.
    shift: u32,
}

impl Number {
    /// Behind its highest bit.
    fn end(&self) -> u32 {
        self.shift + BYTE * self.bytes
    }

    /// The number of which one is the upper and one the lower part, with bytes in this order.
    fn joined(upper: Number, lower: Number, order: Order) -> Option<Number> {
        let (first, last) = match order {
            Order::Network => (upper, lower),
            Order::Host => (lower, upper),
        };
        let ordered = [upper, lower].iter().all(|part| part.order.is_none_or(|of_part| of_part == order));
        let adjacent = first.base == last.base
            && first.at + i64::from(first.bytes) == last.at
            && upper.shift == lower.end();
        (ordered && adjacent).then(|| Number {
            at: first.at,
            bytes: upper.bytes + lower.bytes,
            order: Some(order),
            shift: lower.shift,
            ..first
        })
    }
}

impl Translator<'_, '_> {
    /// The value that this one is, by its first name: what is known of it is kept by that.
    pub(super) fn resolved(&self, value: Value) -> Value {
        self.builder.func.dfg.resolve_aliases(value)
    }

    fn place(&self, pointer: Value) -> (Value, i64) {
        let pointer = self.resolved(pointer);
        self.facts.places.get(&pointer).copied().unwrap_or((pointer, 0))
    }

    fn number_in(&self, value: Value) -> Option<Number> {
        self.facts.numbers.get(&self.resolved(value)).copied()
    }

    /// Whether a value is a number from the packet with no more bits than so many.
    pub(super) fn is_of_bits(&self, value: Value, bits: u32) -> bool {
        self.number_in(value).is_some_and(|number| number.end() <= bits)
    }

    /// Notes that a value points behind the packet.
    pub(super) fn note_end(&mut self, value: Value) {
        self.facts.ends.insert(value);
    }

    /// Notes that a pointer is so far from another value.
    pub(super) fn note_moved(&mut self, from: Value, by: i32, to: Value) {
        let (base, distance) = self.place(from);
        self.facts.places.insert(to, (base, distance + i64::from(by)));
    }

    /// Notes that a value was loaded from the packet, unsigned.
    pub(super) fn note_load(&mut self, value: Value, pointer: Value, off: i16, size: Size) {
        let (base, distance) = self.place(pointer);
        let order = (size != Size::B).then_some(Order::Host);
        let number = Number { base, at: distance + i64::from(off), bytes: size.bytes(), order, shift: 0 };
        self.facts.numbers.insert(value, number);
    }

    /// Notes that the lowest bits of a value were swapped.
    pub(super) fn note_swapped(&mut self, value: Value, bits: u32, swapped: Value) {
        if let Some(number) = self.number_in(value)
            && (number.order, number.shift, number.end()) == (Some(Order::Host), 0, bits)
        {
            self.facts.numbers.insert(swapped, Number { order: Some(Order::Network), ..number });
        }
    }

    /// The result of an operation, if it is another number from the packet.
    pub(super) fn number_by(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Option<Value> {
        match (op, src) {
            (AluOp::Mov, Operand::Reg(src)) => {
                let value = self.get(src);
                (self.number_in(value)?.end() <= width.bits()).then_some(value)
            }
            (AluOp::And, Operand::Imm(mask)) => {
                let value = self.get(dst);
                let number = self.number_in(value)?;
                let all = (u64::MAX >> (64 - BYTE * number.bytes)) << number.shift;
                let kept = i64::from(mask).cast_unsigned() & (u64::MAX >> (64 - width.bits()));
                (all & !kept == 0).then_some(value)
            }
            (AluOp::Lsh, Operand::Imm(by)) => {
                let value = self.get(dst);
                let number = self.number_in(value)?;
                let by = u32::try_from(by).ok().filter(|by| number.end() + by <= width.bits())?;
                let result = self.builder.ins().ishl_imm_u(value, i64::from(by));
                self.facts.numbers.insert(result, Number { shift: number.shift + by, ..number });
                Some(result)
            }
            (AluOp::Or | AluOp::Add | AluOp::Xor, Operand::Reg(other)) => {
                let (value, other) = (self.get(dst), self.get(other));
                let (a, b) = (self.number_in(value)?, self.number_in(other)?);
                let (upper, lower) = if a.shift > b.shift { (a, b) } else { (b, a) };
                let joined = Number::joined(upper, lower, Order::Network)
                    .or_else(|| Number::joined(upper, lower, Order::Host))
                    .filter(|joined| joined.end() <= width.bits())?;
                let loaded = self.load_number(&joined);
                let result = loaded.unwrap_or_else(|| self.builder.ins().bor(value, other));
                self.facts.numbers.insert(result, joined);
                Some(result)
            }
            _ => None,
        }
    }

    /// Loads a number at once, if it has as many bytes as can be loaded.
    fn load_number(&mut self, number: &Number) -> Option<Value> {
        let at = i32::try_from(number.at).ok()?;
        let memory = packet_memory();
        let (ty, loaded) = match number.bytes {
            2 => (I16, self.builder.ins().uload16(I64, memory, number.base, at)),
            4 => (I32, self.builder.ins().uload32(memory, number.base, at)),
            8 => (I64, self.builder.ins().load(I64, memory, number.base, at)),
            _ => return None,
        };
        self.facts.numbers.insert(loaded, Number { order: Some(Order::Host), shift: 0, ..*number });
        let value = match number.order {
            Some(Order::Network) => self.swapped(ty, loaded),
            _ => loaded,
        };
        Some(match number.shift {
            0 => value,
            shift => self.builder.ins().ishl_imm_u(value, i64::from(shift)),
        })
    }

    /// How far from the begin of the packet a pointer points, if that is a constant.
    pub(super) fn in_packet(&self, pointer: Value) -> Option<i64> {
        let (base, distance) = self.place(pointer);
        (base == self.data).then_some(distance)
    }

    /// How long the packet is at least where a comparison that was made does not hold, if that is known of it.
    pub(super) fn length_unless(&self, holds: Value) -> Option<i64> {
        let InstructionData::IntCompare { cond, args: [length, limit], .. } =
            tidy::made_by(self.builder.func, holds)?
        else {
            return None;
        };
        let limit = tidy::constant(self.builder.func, limit)?;
        match cond {
            _ if length != self.captured => None,
            IntCC::UnsignedLessThan => Some(limit),
            IntCC::UnsignedLessThanOrEqual => limit.checked_add(1),
            _ => None,
        }
    }

    /// A comparison of pointers, if it is one of a place at a constant distance from the begin of the packet with its end: the other way round,
    /// and of what with what.
    pub(super) fn length_test(&self, code: IntCC, x: Value, y: Value) -> Option<(IntCC, Value, i64)> {
        let is_end = |value: Value| self.facts.ends.contains(&self.resolved(value));
        let (code, place) = match (is_end(x), is_end(y)) {
            (false, true) => (code.swap_args(), x),
            (true, false) => (code, y),
            _ => return None,
        };
        let (base, distance) = self.place(place);
        // No packet is so long that its end wraps, nor is a place so far away.
        (base == self.data && (0..=i64::from(i32::MAX)).contains(&distance)).then_some((
            code,
            self.captured,
            distance,
        ))
    }
}
