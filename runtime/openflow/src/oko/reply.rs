//! The bodies of replies. Each part of a reply can be read by itself.

use super::{OkoPart, Operation, PART_ROOM, cut, messages_of, read_text, write_text};
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::ids::FilterId;
use crate::message::Message;
use crate::wire::{Reader, Writer};

/// What the switch answers, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// To FILTER_LOAD and FILTER_LIST: the records of filters.
    ///
    /// Each: u32 bytes of the record without these four, u32 id, u8 1 if it answers true or false and 0 if it answers
    /// classes, u8 zero, u16 number of classes, u64 packets that it was asked about, u64 bytes of its state, u64
    /// nanoseconds since it was loaded, u32 flow entries that name it, u32 zero, text name, then for each class: u32
    /// number, u64 packets that got it, text name.
    Filters {
        /// FILTER_LOAD or FILTER_LIST.
        operation: Operation,
        /// The filters.
        filters: Vec<FilterInfo>,
    },
    /// To FILTER_REPLACE: what became of each state and param.
    ///
    /// Each: u16 what became of it ([`Fate`]), text name, text why (empty if it goes on).
    Replaced(Vec<Replaced>),
    /// To FILTER_UNLOAD: done. Body: empty.
    Done {
        /// The operation that is done.
        operation: Operation,
    },
    /// To FILTER_SCHEMA: the JSON of the artifact's schema section. Parts are cut anywhere; join them before reading.
    Schema(Vec<u8>),
    /// To STATE_READ: the live entries.
    ///
    /// Body: u64 the switch's monotonic time in nanoseconds; then for each entry: u64 nanoseconds since it was written,
    /// u64 nanoseconds until it expires or all ones for never, u16 number of key scalars, u16 number of value scalars,
    /// u32 zero, and the scalars, key first, each as a u64. Scalars stand in the order of the artifact's schema; its
    /// types say how many each part has and how they are shown.
    State {
        /// The switch's monotonic time in nanoseconds at which the entries were read.
        now: u64,
        /// The entries.
        entries: Vec<StateEntry>,
    },
    /// To PARAM_GET and PARAM_SET: all params of the filter.
    ///
    /// Each: text name, u64 value.
    Params {
        /// PARAM_GET or PARAM_SET.
        operation: Operation,
        /// The params.
        params: Vec<ParamValue>,
    },
}

/// What became of a state or param when a filter was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replaced {
    /// What became of it.
    pub fate: Fate,
    /// The state or param.
    pub name: String,
    /// Why it does not go on; empty if it does, or if the old or the new version does not have it.
    pub why: String,
}

macro_rules! fates {
    ($( $(#[$doc:meta])* $variant:ident = $number:literal; )*) => {
        /// What became of a state or param.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Fate { $( $(#[$doc])* $variant = $number, )* }

        impl Fate {
            /// Every fate.
            pub const ALL: &'static [Fate] = &[$( Fate::$variant, )*];

            fn from_wire(number: u16) -> Option<Fate> {
                Fate::ALL.iter().copied().find(|fate| *fate as u16 == number)
            }
        }
    };
}

fates! {
    /// A state goes on with what it holds.
    StateKept = 0;
    /// A state is new, and empty.
    StateNew = 1;
    /// A state starts empty, for the old one does not fit.
    StateReset = 2;
    /// A state is gone, for the new version has none of its name.
    StateGone = 3;
    /// A param keeps the value that it was set to.
    ParamKept = 4;
    /// A param that was set is at its default, or gone.
    ParamReset = 5;
}

impl Replaced {
    fn decode(r: &mut Reader<'_>) -> Result<Replaced, DecodeError> {
        let number = r.u16()?;
        let Some(fate) = Fate::from_wire(number) else {
            let problem =
                Problem::Value { field: "fate", found: number.into(), expected: "a number from 0 to 5" };
            return Err(r.error(ErrorCode::RequestBadLen, problem));
        };
        Ok(Replaced { fate, name: read_text(r, "name")?, why: read_text(r, "why")? })
    }

    fn encode(&self, w: &mut Writer) {
        w.u16(self.fate as u16);
        write_text(&self.name, w);
        write_text(&self.why, w);
    }
}

/// A loaded filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilterInfo {
    /// Its number, for matches.
    pub id: FilterId,
    /// Its name.
    pub name: String,
    /// It answers true or false.
    pub boolean: bool,
    /// Its answers; for a boolean filter `false` (0) and `true` (1).
    pub classes: Vec<ClassInfo>,
    /// Packets that it was asked about.
    pub packets: u64,
    /// Bytes of its state when full.
    pub state_bytes: u64,
    /// Nanoseconds since it was loaded.
    pub age: u64,
    /// Flow entries that name it.
    pub flows: u32,
}

impl FilterInfo {
    /// The class with this name.
    pub fn class(&self, name: &str) -> Option<&ClassInfo> {
        self.classes.iter().find(|c| c.name == name)
    }
}

/// One of a filter's answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClassInfo {
    /// Its number, for matches.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Packets that got it.
    pub packets: u64,
}

/// An entry of a state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateEntry {
    /// Nanoseconds since it was last written.
    pub age: u64,
    /// Nanoseconds until it expires; none for never.
    pub expires_in: Option<u64>,
    /// The scalars of its key.
    pub key: Vec<u64>,
    /// The scalars of its value.
    pub value: Vec<u64>,
}

/// A param's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParamValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// The wire form of "never expires".
const NEVER: u64 = u64::MAX;

impl Reply {
    /// The operation that this answers.
    pub fn operation(&self) -> Operation {
        match self {
            Reply::Filters { operation, .. }
            | Reply::Done { operation }
            | Reply::Params { operation, .. } => *operation,
            Reply::Replaced(_) => Operation::FilterReplace,
            Reply::Schema(_) => Operation::FilterSchema,
            Reply::State { .. } => Operation::StateRead,
        }
    }

    /// Reads one part of a reply.
    pub fn decode(part: &OkoPart) -> Result<Reply, DecodeError> {
        let mut r = Reader::new(&part.body, 20, "reply", ErrorCode::RequestBadLen);
        let operation = part.operation;
        let reply = match operation {
            Operation::FilterLoad | Operation::FilterList => {
                let mut filters = Vec::new();
                while !r.is_empty() {
                    filters.push(FilterInfo::decode(&mut r)?);
                }
                Reply::Filters { operation, filters }
            }
            Operation::FilterReplace => {
                let mut all = Vec::new();
                while !r.is_empty() {
                    all.push(Replaced::decode(&mut r)?);
                }
                Reply::Replaced(all)
            }
            Operation::FilterSchema => Reply::Schema(r.rest().to_vec()),
            Operation::StateRead => {
                let now = r.u64()?;
                let mut entries = Vec::new();
                while !r.is_empty() {
                    entries.push(StateEntry::decode(&mut r)?);
                }
                Reply::State { now, entries }
            }
            Operation::ParamGet | Operation::ParamSet => {
                let mut params = Vec::new();
                while !r.is_empty() {
                    params.push(ParamValue { name: read_text(&mut r, "param")?, value: r.u64()? });
                }
                Reply::Params { operation, params }
            }
            _ => Reply::Done { operation },
        };
        r.end()?;
        Ok(reply)
    }

    /// The messages of this reply, all to be sent with the request's transaction id.
    pub fn to_messages(&self) -> Vec<Message> {
        let bodies = match self {
            Reply::Filters { filters, .. } => pack(&[], filters, FilterInfo::encode),
            Reply::Replaced(all) => pack(&[], all, Replaced::encode),
            Reply::Done { .. } => vec![Vec::new()],
            Reply::Schema(json) => cut(json),
            Reply::State { now, entries } => pack(&now.to_be_bytes(), entries, StateEntry::encode),
            Reply::Params { params, .. } => pack(&[], params, |p, w| {
                write_text(&p.name, w);
                w.u64(p.value);
            }),
        };
        messages_of(self.operation(), true, bodies)
    }
}

/// Records in as few parts as they fit, each part beginning with `head`. A record that fits in no part is left out.
fn pack<T>(head: &[u8], records: &[T], encode: impl Fn(&T, &mut Writer)) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut body = head.to_vec();
    for record in records {
        let mut w = Writer::default();
        encode(record, &mut w);
        if head.len() + w.len() > PART_ROOM {
            continue;
        }
        if body.len() + w.len() > PART_ROOM {
            bodies.push(std::mem::replace(&mut body, head.to_vec()));
        }
        body.extend_from_slice(&w.out);
    }
    bodies.push(body);
    bodies
}

impl FilterInfo {
    fn decode(r: &mut Reader<'_>) -> Result<FilterInfo, DecodeError> {
        let len = r.u32()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut r = r.sub(len, "filter record", ErrorCode::RequestBadLen)?;
        let id = FilterId(r.u32()?);
        let boolean = r.u8()? != 0;
        r.skip(1)?;
        let n_classes = r.u16()?;
        let (packets, state_bytes, age) = (r.u64()?, r.u64()?, r.u64()?);
        let flows = r.u32()?;
        r.skip(4)?;
        let name = read_text(&mut r, "filter name")?;
        let mut classes = Vec::new();
        for _ in 0..n_classes {
            let (number, packets) = (r.u32()?, r.u64()?);
            classes.push(ClassInfo { number, packets, name: read_text(&mut r, "class name")? });
        }
        // Bytes that follow are of a newer switch.
        Ok(FilterInfo { id, name, boolean, classes, packets, state_bytes, age, flows })
    }

    fn encode(&self, w: &mut Writer) {
        let mut body = Writer::default();
        let classes = &self.classes[..self.classes.len().min(usize::from(u16::MAX))];
        body.u32(self.id.0);
        body.u8(u8::from(self.boolean));
        body.u8(0);
        body.u16(classes.len() as u16);
        body.u64(self.packets);
        body.u64(self.state_bytes);
        body.u64(self.age);
        body.u32(self.flows);
        body.u32(0);
        write_text(&self.name, &mut body);
        for class in classes {
            body.u32(class.number);
            body.u64(class.packets);
            write_text(&class.name, &mut body);
        }
        w.u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        w.bytes(&body.out);
    }
}

impl StateEntry {
    fn decode(r: &mut Reader<'_>) -> Result<StateEntry, DecodeError> {
        let (age, expires_in) = (r.u64()?, r.u64()?);
        let (n_key, n_value) = (usize::from(r.u16()?), usize::from(r.u16()?));
        r.skip(4)?;
        let mut scalars = |n: usize| (0..n).map(|_| r.u64()).collect::<Result<Vec<u64>, _>>();
        let (key, value) = (scalars(n_key)?, scalars(n_value)?);
        Ok(StateEntry { age, expires_in: (expires_in != NEVER).then_some(expires_in), key, value })
    }

    fn encode(&self, w: &mut Writer) {
        w.u64(self.age);
        w.u64(self.expires_in.unwrap_or(NEVER));
        // A state's key and value have a handful of scalars each.
        w.u16(self.key.len() as u16);
        w.u16(self.value.len() as u16);
        w.u32(0);
        for scalar in self.key.iter().chain(&self.value) {
            w.u64(*scalar);
        }
    }
}
