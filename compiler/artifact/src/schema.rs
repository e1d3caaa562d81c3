//! What an artifact says about itself for people and tools: section `.oko.schema`, as JSON.
//!
//! States and their scalars stand in the same order as in the IR module; the layout is derived from there
//! ([`oko_ir::layout`]). The schema adds what the IR does not know: how values look to a person.

use serde::{Deserialize, Serialize};

/// The version of the format; readers refuse others.
pub const FORMAT: u32 = 1;

/// Section `.oko.schema`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// [`FORMAT`].
    pub format: u32,
    /// Who made it, such as `okoc 0.1.0`.
    pub compiler: String,
    /// SHA-256 over the sources, in lower-case hex.
    pub source_hash: String,
    /// The filters, in the module's order.
    pub filters: Vec<FilterSchema>,
    /// The params, in the module's order.
    pub params: Vec<ParamSchema>,
    /// The states, in the module's order.
    pub states: Vec<StateSchema>,
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSchema {
    /// Its name.
    pub name: String,
    /// What it answers: the names of its classes; empty for `bool`, whose classes are 0 and 1.
    pub classes: Vec<String>,
    /// Its documentation comment.
    #[serde(default)]
    pub doc: String,
}

/// A param.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSchema {
    /// Its name.
    pub name: String,
    /// How its values look.
    #[serde(rename = "type")]
    pub ty: ScalarType,
    /// The least value.
    pub min: u64,
    /// The greatest value.
    pub max: u64,
    /// The value at load.
    pub default: u64,
    /// Its documentation comment.
    #[serde(default)]
    pub doc: String,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateSchema {
    /// Its name.
    pub name: String,
    /// The parts of its key: one scalar or two (see [`ScalarType::scalars`]) each.
    pub key: Vec<NamedType>,
    /// The parts of its value, cells included.
    pub value: Vec<NamedType>,
    /// How many entries it holds.
    pub capacity: u32,
    /// `evict_oldest` or `refuse`, as in the source.
    pub when_full: String,
    /// How long after its last write an entry lives, in nanoseconds; absent for `never` and for functions of the value.
    #[serde(default)]
    pub expire: Option<u64>,
    /// What it takes in memory, in bytes, when full.
    pub bytes: u64,
    /// Its documentation comment.
    #[serde(default)]
    pub doc: String,
}

/// A part of a key or of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedType {
    /// Its name; empty where there is only one.
    pub name: String,
    /// How its values look.
    #[serde(rename = "type")]
    pub ty: ScalarType,
}

/// How a value looks to a person, and how many scalars of the IR it consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScalarType {
    /// An unsigned number.
    Uint,
    /// `true` or `false`.
    Bool,
    /// An IPv4 address.
    Ip4,
    /// An IPv6 address: two scalars, the more significant half first.
    Ip6,
    /// A MAC address.
    Mac,
    /// Nanoseconds.
    Duration,
    /// Nanoseconds on the switch's monotonic clock.
    Instant,
    /// Events per second.
    Rate,
    /// One of these names, by value.
    Enum(Vec<(String, u64)>),
    /// A set of these named bits: name and mask.
    Bits(Vec<(String, u64)>),
    /// A counter cell: one scalar.
    Counter,
    /// A sliding-window cell of this length in nanoseconds: three scalars, the number of the current bucket, the count in it, the count in the one before.
    Window(u64),
    /// A token-bucket cell: two scalars, its level in billionths of a token and the time of the last take (0: never, so the bucket is full).
    Tokens,
}

impl ScalarType {
    /// How many scalars of the IR a value of this type takes.
    pub fn scalars(&self) -> usize {
        match self {
            ScalarType::Ip6 | ScalarType::Tokens => 2,
            ScalarType::Window(_) => 3,
            _ => 1,
        }
    }
}
