//! The names of operations in the text form, one table for the printer and the reader.

use std::fmt;

use crate::entities::{Field, State};
use crate::module::{BinaryOp, BoolOp, CompareOp, Match, Merge, Type, Width};

macro_rules! mnemonics {
    ($ty:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $ty {
            /// All of them.
            pub const ALL: &'static [$ty] = &[$($ty::$variant),*];

            /// Its name in the text form.
            pub fn mnemonic(self) -> &'static str {
                match self {
                    $($ty::$variant => $name),*
                }
            }

            /// The one of this name.
            pub fn from_mnemonic(name: &str) -> Option<$ty> {
                match name {
                    $($name => Some($ty::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.mnemonic())
            }
        }
    };
}

mnemonics!(BinaryOp {
    Add = "add",
    Sub = "sub",
    Mul = "mul",
    UDiv = "udiv",
    URem = "urem",
    And = "and",
    Or = "or",
    Xor = "xor",
    Shl = "shl",
    UShr = "ushr",
    SShr = "sshr",
    UMin = "umin",
    UMax = "umax",
});

mnemonics!(CompareOp {
    Eq = "eq",
    Ne = "ne",
    ULt = "ult",
    ULe = "ule",
    SLt = "slt",
    SLe = "sle",
});

mnemonics!(BoolOp { And = "and_b", Or = "or_b", Xor = "xor_b" });

mnemonics!(Width { W8 = "u8", W16 = "u16", W32 = "u32", W64 = "u64" });

mnemonics!(Match { Exact = "exact", Prefix = "prefix" });

mnemonics!(Merge { Sum = "sum", Max = "max", Min = "min", Latest = "latest" });

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Int => f.write_str("int"),
            Type::Bool => f.write_str("bool"),
            Type::Window(len) => write!(f, "window {len}"),
            Type::Entry(state) => write!(f, "entry {state}"),
        }
    }
}

impl BinaryOp {
    /// What the operation gives for two ints: the semantics that every engine has.
    pub fn eval(self, a: u64, b: u64) -> u64 {
        // The shifts of Rust's wrapping_* take the amount modulo 64, as the IR does.
        let amount = (b & 63) as u32;
        match self {
            BinaryOp::Add => a.wrapping_add(b),
            BinaryOp::Sub => a.wrapping_sub(b),
            BinaryOp::Mul => a.wrapping_mul(b),
            BinaryOp::UDiv => a.checked_div(b).unwrap_or(0),
            BinaryOp::URem => a.checked_rem(b).unwrap_or(a),
            BinaryOp::And => a & b,
            BinaryOp::Or => a | b,
            BinaryOp::Xor => a ^ b,
            BinaryOp::Shl => a << amount,
            BinaryOp::UShr => a >> amount,
            BinaryOp::SShr => (a.cast_signed() >> amount).cast_unsigned(),
            BinaryOp::UMin => a.min(b),
            BinaryOp::UMax => a.max(b),
        }
    }

    /// Whether the operands can be exchanged.
    pub fn is_commutative(self) -> bool {
        use BinaryOp::{Add, And, Mul, Or, UMax, UMin, Xor};
        matches!(self, Add | Mul | And | Or | Xor | UMin | UMax)
    }
}

impl CompareOp {
    /// What the comparison says of two ints.
    pub fn eval(self, a: u64, b: u64) -> bool {
        match self {
            CompareOp::Eq => a == b,
            CompareOp::Ne => a != b,
            CompareOp::ULt => a < b,
            CompareOp::ULe => a <= b,
            CompareOp::SLt => a.cast_signed() < b.cast_signed(),
            CompareOp::SLe => a.cast_signed() <= b.cast_signed(),
        }
    }
}

impl BoolOp {
    /// What the operation gives for two bools.
    pub fn eval(self, a: bool, b: bool) -> bool {
        match self {
            BoolOp::And => a & b,
            BoolOp::Or => a | b,
            BoolOp::Xor => a ^ b,
        }
    }
}

/// Reads a prefixed index such as `v12`: canonical decimal, so that what is read prints the same.
pub(crate) fn index_after(prefix: &str, word: &str) -> Option<u32> {
    let digits = word.strip_prefix(prefix)?;
    let canonical = digits == "0" || !digits.starts_with('0');
    (canonical && digits.bytes().all(|c| c.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Reads `m3`.
pub(crate) fn state_of(word: &str) -> Option<State> {
    index_after("m", word).map(State)
}

/// Reads `f3`.
pub(crate) fn field_of(word: &str) -> Option<Field> {
    index_after("f", word).map(Field)
}
