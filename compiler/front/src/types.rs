//! The types of Oko as the checker knows them.
//!
//! Numbers carry their range: two expressions of "the same type" differ in what they can be. The type [`Ty::Error`]
//! stands for whatever was already reported; it goes with every other type, so one mistake is one message.

pub mod range;
pub mod wide;

pub use range::Range;
pub use wide::{Wide, WideRange};

use crate::hir::{BitsId, EnumId, Program, StructId};

/// A type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ty {
    /// Something that was reported already.
    Error,
    /// Of an expression that never has a value, such as `return`.
    Never,
    /// Of a block without a value.
    Unit,
    /// `bool`
    Bool,
    /// Numbers of a kind.
    Num(Num),
    /// An unsigned integer of 65 to 128 bits: two scalars, the high one first.
    Wide(Wide),
    /// A TCP sequence number: 32 bits in serial-number order (RFC 1982).
    Seq,
    /// An IPv4 address.
    Ip4,
    /// An IPv6 address: two scalars.
    Ip6,
    /// An IPv4 or IPv6 address: three scalars, which of both it is (4 or 6) and the address (high and low half).
    Addr,
    /// A MAC address.
    Mac,
    /// An address prefix; only constants have this type, as four words: 4 or 6, the address (high and low half), the length.
    Prefix,
    /// An `enum`.
    Enum(EnumId),
    /// A `bits` type.
    Bits(BitsId),
    /// A `struct` of values.
    Struct(StructId),
    /// Several values.
    Tuple(Vec<Ty>),
    /// So many values of one type.
    Array(Box<Ty>, u32),
    /// A value or `none`; never directly optional again.
    Option(Box<Ty>),
}

/// What a number counts, how wide it was declared and what it can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Num {
    /// What it counts.
    pub kind: NumKind,
    /// Its width in bits, 1 to 64: as declared, or what its greatest value needs. `+|` and its like work at this width.
    pub bits: u8,
    /// What it can be.
    pub range: Range,
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NumKind {
    /// Anything.
    Int,
    /// Nanoseconds.
    Duration,
    /// Nanoseconds on the switch's monotonic clock.
    Instant,
    /// Something a second.
    Rate,
}

/// The longest `duration`: 2^62 - 1 nanoseconds, 146 years, so that an instant and a duration add up without loss.
pub const DURATION_MAX: u64 = (1 << 62) - 1;
/// The latest `instant`: 2^63 - 1 nanoseconds after the switch's clock began.
pub const INSTANT_MAX: u64 = (1 << 63) - 1;
/// The latest value of `now`: 2^62 - 1 nanoseconds.
pub const NOW_MAX: u64 = (1 << 62) - 1;

impl Num {
    /// An unsigned integer of so many bits.
    pub fn uint(bits: u8) -> Num {
        Num { kind: NumKind::Int, bits, range: Range::of_bits(bits) }
    }

    /// A number that was computed: as wide as it needs to be.
    pub fn computed(kind: NumKind, range: Range) -> Num {
        Num { kind, bits: range.bits().max(1), range }
    }
}

impl Ty {
    /// An unsigned integer of so many bits.
    pub fn uint(bits: u8) -> Ty {
        Ty::Num(Num::uint(bits))
    }

    /// An unsigned integer of so many bits, 65 to 128.
    pub fn wide(bits: u8) -> Ty {
        Ty::Wide(Wide::uint(bits))
    }

    /// `duration`
    pub fn duration() -> Ty {
        Ty::Num(Num { kind: NumKind::Duration, bits: 62, range: Range::new(0, i128::from(DURATION_MAX)) })
    }

    /// `instant`
    pub fn instant() -> Ty {
        Ty::Num(Num { kind: NumKind::Instant, bits: 63, range: Range::new(0, i128::from(INSTANT_MAX)) })
    }

    /// `rate`
    pub fn rate() -> Ty {
        Ty::Num(Num { kind: NumKind::Rate, bits: 64, range: Range::U64 })
    }

    /// The type of `none` before it is known what else it could be.
    pub fn none() -> Ty {
        Ty::Option(Box::new(Ty::Never))
    }

    /// This or `none`.
    #[must_use]
    pub fn optional(self) -> Ty {
        match self {
            Ty::Option(_) | Ty::Error => self,
            other => Ty::Option(Box::new(other)),
        }
    }

    /// True for the type of what was reported already, also inside of others.
    pub fn is_error(&self) -> bool {
        match self {
            Ty::Error => true,
            Ty::Tuple(parts) => parts.iter().any(Ty::is_error),
            Ty::Option(inner) | Ty::Array(inner, _) => inner.is_error(),
            _ => false,
        }
    }

    /// The number it is, if it is one.
    pub fn num(&self) -> Option<Num> {
        match self {
            Ty::Num(num) => Some(*num),
            _ => None,
        }
    }

    /// The smallest type that holds the values of both, if there is one: ranges are joined, `none` makes optional.
    pub fn join(&self, other: &Ty) -> Option<Ty> {
        match (self, other) {
            (Ty::Error, _) | (_, Ty::Error) => Some(Ty::Error),
            (Ty::Never, ty) | (ty, Ty::Never) => Some(ty.clone()),
            (Ty::Num(a), Ty::Num(b)) if a.kind == b.kind => {
                let range = a.range.join(b.range);
                range.fits_word().then_some(Ty::Num(Num { kind: a.kind, bits: a.bits.max(b.bits), range }))
            }
            (Ty::Option(a), Ty::Option(b)) => Some(a.join(b)?.optional()),
            (Ty::Option(a), b) | (b, Ty::Option(a)) => Some(a.join(b)?.optional()),
            (Ty::Tuple(a), Ty::Tuple(b)) if a.len() == b.len() => {
                Some(Ty::Tuple(a.iter().zip(b).map(|(a, b)| a.join(b)).collect::<Option<_>>()?))
            }
            (Ty::Wide(a), Ty::Wide(b)) => {
                Some(Ty::Wide(Wide { bits: a.bits.max(b.bits), range: a.range.join(b.range) }))
            }
            (Ty::Wide(wide), Ty::Num(num)) | (Ty::Num(num), Ty::Wide(wide)) => {
                let range = wide.range.join(num.natural()?);
                Some(Ty::Wide(Wide { range, ..*wide }))
            }
            (Ty::Array(a, n), Ty::Array(b, m)) if n == m => Some(Ty::Array(Box::new(a.join(b)?), *n)),
            (Ty::Addr, Ty::Ip4 | Ty::Ip6) | (Ty::Ip4 | Ty::Ip6, Ty::Addr) => Some(Ty::Addr),
            (Ty::Seq, Ty::Num(num)) | (Ty::Num(num), Ty::Seq) if num.is_seq() => Some(Ty::Seq),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }

    /// The type without what is only known here: numbers get the whole range of their declared width.
    pub fn is_scalar(&self) -> bool {
        matches!(
            self,
            Ty::Bool
                | Ty::Num(_)
                | Ty::Wide(_)
                | Ty::Seq
                | Ty::Ip4
                | Ty::Ip6
                | Ty::Addr
                | Ty::Mac
                | Ty::Enum(_)
                | Ty::Bits(_)
        )
    }

    /// How the type is called in messages (declarations that are still being read have no name yet): `u32`, `duration`, `Conn?`, `a number 0..=15`.
    pub fn describe(&self, program: &Program) -> String {
        match self {
            Ty::Error => "?".into(),
            Ty::Never | Ty::Unit => "no value".into(),
            Ty::Bool => "bool".into(),
            Ty::Num(num) => num.describe(),
            Ty::Wide(wide) if wide.range == wide.all() => format!("u{}", wide.bits),
            Ty::Wide(wide) => match wide.range.single() {
                Some(_) => format!("the number {}", wide.range),
                None => format!("a number in {}", wide.range),
            },
            Ty::Seq => "seq".into(),
            Ty::Ip4 => "ip4".into(),
            Ty::Ip6 => "ip6".into(),
            Ty::Addr => "ip4 | ip6".into(),
            Ty::Mac => "mac".into(),
            Ty::Prefix => "prefix".into(),
            Ty::Enum(id) => {
                program.enums.get(id.index()).map_or_else(|| "an enum".into(), |def| def.name.clone())
            }
            Ty::Bits(id) => {
                program.bits.get(id.index()).map_or_else(|| "a bits type".into(), |def| def.name.clone())
            }
            Ty::Struct(id) => {
                program.structs.get(id.index()).map_or_else(|| "a struct".into(), |def| def.name.clone())
            }
            Ty::Tuple(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| part.describe(program)).collect();
                format!("({})", parts.join(", "))
            }
            Ty::Array(element, count) => format!("[{}; {count}]", element.describe(program)),
            Ty::Option(inner) if **inner == Ty::Never => "none".into(),
            Ty::Option(inner) => format!("{}?", inner.describe(program)),
        }
    }
}

impl Num {
    /// Whether a wide integer can stand for it.
    pub fn widens(self) -> bool {
        self.natural().is_some()
    }

    /// Its range as that of a wide integer, if one can stand for it.
    pub fn natural(self) -> Option<WideRange> {
        WideRange::of(self.range).filter(|_| self.kind == NumKind::Int)
    }

    /// Whether it says a sequence number, as literals do: where a `seq` is needed, a number of 32 bits is the one of that value.
    pub fn is_seq(self) -> bool {
        self.kind == NumKind::Int && self.range.within(Range::of_bits(32))
    }

    /// How the number is called in messages.
    pub fn describe(self) -> String {
        match self.kind {
            NumKind::Duration => "duration".into(),
            NumKind::Instant => "instant".into(),
            NumKind::Rate => "rate".into(),
            NumKind::Int if self.range == Range::of_bits(self.bits) => format!("u{}", self.bits),
            NumKind::Int => match self.range.single() {
                Some(value) => format!("the number {value}"),
                None => format!("a number in {}", self.range),
            },
        }
    }
}
