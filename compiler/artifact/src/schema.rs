//! What an artifact says about itself for people and tools: section `.oko.schema`, as JSON.
//!
//! States and their scalars stand in the same order as in the IR module; the layout is derived from there
//! ([`oko_ir::layout`]). The schema adds what the IR does not know: how values look to a person.

use serde::{Deserialize, Serialize};

/// The version of the format; readers refuse others. It is another one, too, when what is derived from the IR is: where the parts of keys lie, how sketches and
/// Bloom filters hash, what their words mean.
pub const FORMAT: u32 = 4;

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
    /// The states and tables, in the module's order, those that the compiler made for events among them.
    pub states: Vec<StateSchema>,
    /// The events, in the module's order.
    #[serde(default)]
    pub events: Vec<EventSchema>,
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

/// A state or table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateSchema {
    /// Its name.
    pub name: String,
    /// How its entries are found, and who writes them.
    #[serde(default)]
    pub container: Container,
    /// What is made of the entries that several cores have under one key: `sum`, `max`, `min` or `latest`; absent where all cores share them.
    #[serde(default)]
    pub merge: Option<String>,
    /// Whether the compiler made it for itself, so that only people who ask see it.
    #[serde(default)]
    pub hidden: bool,
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

/// How the entries of a state are found, and who writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Container {
    /// By key; filters write them.
    #[default]
    Keyed,
    /// By index; filters write them.
    Array,
    /// There is one, under index 0; filters write it.
    Single,
    /// By key; the control plane writes them.
    Table,
    /// By the longest prefix; the control plane writes them. The last part of the key is a [`ScalarType::Prefix`].
    PrefixTable,
    /// There are none, but words that estimate counts.
    Sketch(SketchSchema),
    /// There are none, but words that say whether a key came.
    Bloom(BloomSchema),
}

/// A count-min sketch.
///
/// Its counters stand row by row, `width` in each. A counter is a word; with a window it is two, for buckets of even and odd number.
/// A word is a count, with a window the number of its bucket (modulo 2^20) in the high 20 bits and the count in the low 44.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SketchSchema {
    /// How many rows, each with a hash of its own.
    pub rows: u32,
    /// How many counters in a row.
    pub width: u32,
    /// The length of the window in nanoseconds; absent if it counts for ever.
    #[serde(default)]
    pub window: Option<u64>,
    /// The declared error, in millionths of the total.
    pub error: u64,
    /// The declared confidence, in millionths.
    pub confidence: u64,
}

/// A Bloom filter.
///
/// With `expire` there are two blocks of `words` words, for generations of even and odd number; a word then has the number of its
/// generation (modulo 2^16) in its high 16 bits, and 48 bits for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BloomSchema {
    /// How many words a generation has.
    pub words: u32,
    /// How many bits a key sets.
    pub hashes: u32,
    /// How long a generation is, in nanoseconds; absent if nothing is forgotten.
    #[serde(default)]
    pub expire: Option<u64>,
    /// How many keys a generation is made for.
    pub capacity: u32,
    /// The declared rate of false positives, in millionths.
    pub error: u64,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSchema {
    /// Its name.
    pub name: String,
    /// What it tells: the parts, in the order of the record's values.
    pub fields: Vec<NamedType>,
    /// How many are told at most in `each`; absent if a param says so.
    #[serde(default)]
    pub limit: Option<u64>,
    /// In how many nanoseconds; absent if a param says so.
    #[serde(default)]
    pub each: Option<u64>,
    /// For each value of which field; absent if all count together.
    #[serde(default)]
    pub per: Option<String>,
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
    /// An IPv4 or IPv6 address: three scalars, 4 or 6 and the address, the more significant half first.
    Addr,
    /// A MAC address.
    Mac,
    /// An address prefix, as a part of a key: three scalars, 4 or 6 for the family, and the address in 128 bits, the more significant half
    /// first; an IPv4 address is in the most significant 32. The length of the prefix stands beside the key.
    Prefix,
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
    /// A cell that counts distinct values with so many registers (HyperLogLog): the estimate in 65,536ths, the part of the registers'
    /// sum that is gone, and the registers, a scalar each, which are one field with an index.
    Distinct(u32),
    /// A cell with an average: three scalars, the sum and the weight of what was added, in 65,536ths, and the time of the last addition in ticks
    /// of `time_constant * ln(2) / 1024`, all as of then.
    Ewma(Ewma),
}

/// An average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ewma {
    /// After so many nanoseconds, what was added counts 37%.
    pub time_constant: u64,
    /// Whether durations are averaged, else numbers.
    #[serde(default)]
    pub of_durations: bool,
}

impl ScalarType {
    /// How many scalars of the IR a value of this type takes.
    pub fn scalars(&self) -> usize {
        match self {
            ScalarType::Ip6 | ScalarType::Tokens => 2,
            ScalarType::Prefix | ScalarType::Addr | ScalarType::Window(_) | ScalarType::Ewma(_) => 3,
            ScalarType::Distinct(registers) => 2 + *registers as usize,
            _ => 1,
        }
    }
}
