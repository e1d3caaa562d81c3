//! The bodies of replies. Each part of a reply can be read by itself.

use super::records::{Event, StateEntry, StateInfo, Store};
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
    /// To FILTER_UNLOAD, STATE_CLEAR, TABLE_CLEAR, EVENT_SUBSCRIBE, EVENT_UNSUBSCRIBE, PORT_ADD and PORT_REMOVE: done. Body:
    /// empty.
    Done {
        /// The operation that is done.
        operation: Operation,
    },
    /// To FILTER_SCHEMA: the JSON of the artifact's schema section. Parts are cut anywhere; join them before reading.
    Schema(Vec<u8>),
    /// To STATE_LIST: the states and tables of a filter's artifact.
    ///
    /// Each: u32 bytes of the record without these four, u8 0 for a state and 1 for a table, 3 bytes of zero, u32 entries that it can hold,
    /// u32 that it holds, u64 keys that it had no room for, u64 live entries that made room, u64 bytes in memory, text name.
    States(Vec<StateInfo>),
    /// To the READ and GET of states and tables: live entries, all or those that were asked for.
    ///
    /// Body: u64 the switch's monotonic time in nanoseconds; then for each entry: u64 nanoseconds since it was written,
    /// u64 nanoseconds until it expires or all ones for never, u16 number of key scalars, u16 number of value scalars,
    /// u32 zero, and the scalars, key first, each as a u64. Scalars stand in the order of the artifact's schema; its
    /// types say how many each part has and how they are shown. A key that ends in a prefix has the prefix's length as one more scalar.
    Entries {
        /// STATE_READ, STATE_GET, TABLE_READ or TABLE_GET.
        operation: Operation,
        /// The switch's monotonic time in nanoseconds at which the entries were read.
        now: u64,
        /// The entries.
        entries: Vec<StateEntry>,
    },
    /// To STATE_WRITE and TABLE_WRITE. Body: u32 written, u32 refused.
    Written {
        /// What was written to.
        store: Store,
        /// Entries that were written.
        written: u32,
        /// Entries that there was no room for.
        refused: u32,
    },
    /// To STATE_DELETE and TABLE_DELETE. Body: u32 deleted.
    Deleted {
        /// What was deleted from.
        store: Store,
        /// Entries that were there and are no more.
        deleted: u32,
    },
    /// EVENT, which the switch sends to subscribers by itself, with transaction id 0.
    ///
    /// Body: u64 the switch's monotonic time in nanoseconds, u64 events that were lost on their way to this subscriber since the last message;
    /// then for each event: u64 time of its packet, u32 id of the filter, u16 number of scalars, u16 zero, the scalars as u64, text name of the filter,
    /// text name of the event.
    Events {
        /// The switch's monotonic time in nanoseconds.
        now: u64,
        /// Events that were lost before these.
        lost: u64,
        /// The events, oldest first.
        events: Vec<Event>,
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

/// A param's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParamValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: u64,
}

impl Reply {
    /// The operation that this answers.
    pub fn operation(&self) -> Operation {
        match self {
            Reply::Filters { operation, .. }
            | Reply::Done { operation }
            | Reply::Entries { operation, .. }
            | Reply::Params { operation, .. } => *operation,
            Reply::States(_) => Operation::StateList,
            Reply::Written { store, .. } => store.write(),
            Reply::Deleted { store, .. } => store.delete(),
            Reply::Events { .. } => Operation::Event,
            Reply::Replaced(_) => Operation::FilterReplace,
            Reply::Schema(_) => Operation::FilterSchema,
        }
    }

    /// Reads one part of a reply.
    pub fn decode(part: &OkoPart) -> Result<Reply, DecodeError> {
        let mut r = Reader::new(&part.body, 20, "reply", ErrorCode::RequestBadLen);
        let operation = part.operation;
        let reply = match operation {
            Operation::FilterLoad | Operation::FilterList => {
                Reply::Filters { operation, filters: r.all(FilterInfo::decode)? }
            }
            Operation::FilterReplace => Reply::Replaced(r.all(Replaced::decode)?),
            Operation::FilterSchema => Reply::Schema(r.rest().to_vec()),
            Operation::StateList => Reply::States(r.all(StateInfo::decode)?),
            Operation::StateRead | Operation::StateGet | Operation::TableRead | Operation::TableGet => {
                Reply::Entries { operation, now: r.u64()?, entries: r.all(StateEntry::decode)? }
            }
            Operation::StateWrite => {
                Reply::Written { store: Store::State, written: r.u32()?, refused: r.u32()? }
            }
            Operation::TableWrite => {
                Reply::Written { store: Store::Table, written: r.u32()?, refused: r.u32()? }
            }
            Operation::StateDelete => Reply::Deleted { store: Store::State, deleted: r.u32()? },
            Operation::TableDelete => Reply::Deleted { store: Store::Table, deleted: r.u32()? },
            Operation::Event => {
                Reply::Events { now: r.u64()?, lost: r.u64()?, events: r.all(Event::decode)? }
            }
            Operation::ParamGet | Operation::ParamSet => {
                let param =
                    |r: &mut Reader<'_>| Ok(ParamValue { name: read_text(r, "param")?, value: r.u64()? });
                Reply::Params { operation, params: r.all(param)? }
            }
            Operation::FilterUnload
            | Operation::StateClear
            | Operation::TableClear
            | Operation::EventSubscribe
            | Operation::EventUnsubscribe
            | Operation::PortAdd
            | Operation::PortRemove => Reply::Done { operation },
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
            Reply::States(all) => pack(&[], all, StateInfo::encode),
            Reply::Entries { now, entries, .. } => pack(&now.to_be_bytes(), entries, StateEntry::encode),
            Reply::Written { written, refused, .. } => {
                vec![[written.to_be_bytes(), refused.to_be_bytes()].concat()]
            }
            Reply::Deleted { deleted, .. } => vec![deleted.to_be_bytes().to_vec()],
            Reply::Events { now, lost, events } => {
                let head = [now.to_be_bytes(), lost.to_be_bytes()].concat();
                pack(&head, events, Event::encode)
            }
            Reply::Params { params, .. } => pack(&[], params, |p, w| {
                write_text(&p.name, w);
                w.u64(p.value);
            }),
        };
        let mut messages = messages_of(self.operation(), true, bodies);
        if let Reply::Events { .. } = self {
            // They belong to no request: each is complete, and only the first tells what was lost before it.
            for (i, message) in messages.iter_mut().enumerate() {
                let Message::Oko(part) = message else { continue };
                part.more = false;
                if i > 0 {
                    part.body[8..16].fill(0);
                }
            }
        }
        messages
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
