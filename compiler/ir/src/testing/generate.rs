//! Random modules that verify, and random traffic for them.
//!
//! Both are made from a list of numbers, the choices: the same list gives the same module, a shorter one or smaller numbers a
//! simpler one. So property tests shrink what fails, and fuzzers can feed bytes.
//!
//! What the IR leaves to engines cannot be observed in these modules: whether a dead entry is found or not leads to the same
//! place. With [`Options::roomy`] no state ever fills up, for engines whose eviction is not exact.

use crate::build::FilterBuilder;
use crate::entities::{Block, Event, Field, Param, State, Value};
use crate::interp::{Packet, Store, TableKey};
use crate::module::{
    BinaryOp, BlockCall, BoolOp, CompareOp, EventDecl, EventField, FieldDecl, FilterResult, KeyPart, Loc,
    Match, Merge, Module, Op, ParamDecl, StateDecl, StateKind, TerminatorKind, Type, Unlock, WhenFull, Width,
};
use crate::seed::SEED_WORDS;

/// What kind of module is wanted. By default, one with nothing but hash tables and arrays of entries, and straight ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// States are so large that no test fills them.
    pub roomy: bool,
    /// There are loops.
    pub loops: bool,
    /// Fields may have several scalars.
    pub indexed: bool,
    /// There are states of words.
    pub words: bool,
    /// There are tables.
    pub tables: bool,
    /// There are events.
    pub events: bool,
    /// Filters ask for the seed.
    pub seed: bool,
    /// Workers may have copies of states for themselves.
    pub per_core: bool,
}

impl Options {
    /// A module with everything in it.
    pub const ALL: Options = Options {
        roomy: false,
        loops: true,
        indexed: true,
        words: true,
        tables: true,
        events: true,
        seed: true,
        per_core: true,
    };

    /// The same kind of module with states that no test fills.
    #[must_use]
    pub fn roomy(self) -> Options {
        Options { roomy: true, ..self }
    }
}

/// A packet that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The bytes that are there.
    pub bytes: Vec<u8>,
    /// The length on the wire.
    pub wire_len: u32,
    /// The port.
    pub in_port: u32,
    /// The instant in nanoseconds; never less than that of the packet before.
    pub now: u64,
}

impl Arrival {
    /// The packet as the interpreter takes it.
    pub fn packet(&self) -> Packet<'_> {
        Packet { bytes: &self.bytes, wire_len: self.wire_len, in_port: self.in_port }
    }
}

/// Choices that look random and are the same for the same seed.
pub fn numbers(seed: u64, count: usize) -> Vec<u32> {
    let states = std::iter::successors(Some(seed), |state| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    });
    states.skip(1).map(|state| (state >> 32) as u32).take(count).collect()
}

/// A module of one to three filters.
pub fn module(choices: &[u32], options: Options) -> Module {
    let mut choices = Choices { rest: choices };
    let mut module =
        Module { files: vec!["a.oko".to_owned(), "b \"c\".oko".to_owned()], ..Module::default() };
    for index in 0..choices.below(3) {
        module.params.push(param(index, &mut choices));
    }
    for index in 0..1 + choices.below(3) {
        module.states.push(state(index, &mut choices, options));
    }
    if options.events {
        for index in 0..1 + choices.below(2) {
            let fields = (0..choices.below(4))
                .map(|field| EventField { name: format!("value {field}"), width: choices.of(&WIDTHS) })
                .collect();
            module.events.push(EventDecl { name: format!("event{index}"), fields });
        }
    }
    for index in 0..1 + choices.below(3) {
        let result = match choices.below(3) {
            0 => FilterResult::Bool,
            _ => FilterResult::Classes(1 + choices.below(7)),
        };
        let filter = FilterWriter {
            module: &module,
            choices: &mut choices,
            builder: FilterBuilder::new(format!("filter{index}"), result),
            result,
            slots: vec![0; module.states.len()],
            budget: 60,
            loops: 0,
            options,
        }
        .write();
        module.filters.push(filter);
    }
    module
}

/// Packets for a random module, with few enough keys that they meet.
pub fn traffic(choices: &[u32]) -> Vec<Arrival> {
    let mut choices = Choices { rest: choices };
    let mut now = 1;
    let mut arrivals = Vec::new();
    while !choices.rest.is_empty() {
        now += match choices.below(4) {
            0 => 0,
            1 => u64::from(choices.below(1000)),
            _ => u64::from(choices.below(20_000)) * 1_000_000,
        };
        let len = choices.below(80);
        let bytes: Vec<u8> = (0..len)
            .map(|_| match choices.below(2) {
                0 => choices.below(4) as u8,
                _ => choices.next() as u8,
            })
            .collect();
        let wire_len = len + if choices.below(4) == 3 { choices.below(2000) } else { 0 };
        let in_port = if choices.below(8) == 7 { choices.next() } else { choices.below(4) };
        arrivals.push(Arrival { bytes, wire_len, in_port, now });
    }
    arrivals
}

/// Entries for the tables of a module: state, key and scalars. Some will not find room.
pub fn table_entries(module: &Module, choices: &[u32]) -> Vec<(State, TableKey, Vec<u64>)> {
    let mut choices = Choices { rest: choices };
    let mut entries = Vec::new();
    for (index, decl) in module.states.iter().enumerate() {
        let StateKind::Table(by) = decl.kind else { continue };
        for _ in 0..choices.below(8) {
            let all = decl.key_bits();
            let bits = if by == Match::Exact { all } else { choices.below(all + 1) };
            let mut rest = bits;
            let parts = decl.key.iter().map(|part| {
                let width = part.width.bits();
                let kept = rest.min(width);
                rest -= kept;
                let value = if choices.below(4) == 3 { choices.int() } else { u64::from(choices.below(4)) };
                value & part.width.max() & part.width.max().checked_shl(width - kept).unwrap_or(0)
            });
            let parts = parts.collect();
            let mut fields = Vec::new();
            for field in &decl.fields {
                for _ in 0..field.count {
                    fields.push(choices.int() & field.width.max());
                }
            }
            entries.push((State::from_index(index), TableKey { parts, bits }, fields));
        }
    }
    entries
}

/// Writes these entries as far as there is room.
pub fn fill(store: &mut Store, entries: &[(State, TableKey, Vec<u64>)]) {
    for (state, key, fields) in entries {
        // A table that is full stays as it is.
        let _ = store.put(*state, key.clone(), fields);
    }
}

struct Choices<'a> {
    rest: &'a [u32],
}

impl Choices<'_> {
    /// The next choice; 0 when there are no more.
    fn next(&mut self) -> u32 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, count: u32) -> u32 {
        self.next() % count.max(1)
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }

    /// Any int, but more often one at which something happens.
    fn int(&mut self) -> u64 {
        let small = u64::from(self.below(70));
        match self.below(8) {
            0..=3 => small,
            4 => 1u64.checked_shl(small as u32).unwrap_or(0),
            5 => u64::MAX.checked_shr(small as u32).unwrap_or(0),
            6 => small.wrapping_neg(),
            _ => u64::from(self.next()) << 32 | u64::from(self.next()),
        }
    }
}

const WIDTHS: [Width; 4] = [Width::W8, Width::W16, Width::W32, Width::W64];

fn param(index: u32, choices: &mut Choices<'_>) -> ParamDecl {
    let mut bounds = [choices.int(), choices.int(), choices.int()];
    bounds.sort_unstable();
    let [min, default, max] = bounds;
    ParamDecl { name: format!("param{index}"), min, max, default }
}

fn state(index: u32, choices: &mut Choices<'_>, options: Options) -> StateDecl {
    let capacity = if options.roomy { 4096 } else { 1 + choices.below(4) };
    let mut kinds =
        vec![StateKind::Hash(WhenFull::EvictOldest), StateKind::Hash(WhenFull::Refuse), StateKind::Array];
    if options.words {
        kinds.push(StateKind::Words);
    }
    if options.tables {
        kinds.extend([StateKind::Table(Match::Exact), StateKind::Table(Match::Prefix)]);
    }
    let kind = choices.of(&kinds);
    let parts = match kind {
        StateKind::Array => 1,
        StateKind::Words => 0,
        StateKind::Hash(_) | StateKind::Table(_) => 1 + choices.below(3),
    };
    let key = (0..parts).map(|part| KeyPart { name: part.to_string(), width: choices.of(&WIDTHS) }).collect();
    let name = |field| if field == 1 { "with space".to_owned() } else { format!("cell.{field}") };
    let fields = if kind == StateKind::Words { 0 } else { choices.below(4) };
    let fields = (0..fields)
        .map(|field| {
            let several = options.indexed && choices.below(3) == 2;
            let count = if several { 1 + choices.below(6) } else { 1 };
            FieldDecl { name: name(field), width: choices.of(&WIDTHS), count }
        })
        .collect();
    let apart = options.per_core && !matches!(kind, StateKind::Table(_)) && choices.below(5) == 4;
    let per_core = apart.then(|| choices.of(Merge::ALL));
    StateDecl { name: format!("state{index}"), kind, key, capacity, fields, per_core }
}

/// What can be used at a place.
#[derive(Clone, Default)]
struct Scope {
    ints: Vec<Value>,
    bools: Vec<Value>,
    windows: Vec<(Value, u32)>,
    /// With the number of slots that its state had seen when it was found.
    entries: Vec<(Value, State, u32)>,
    /// Entries of tables.
    rows: Vec<(Value, State)>,
}

struct FilterWriter<'a, 'c> {
    module: &'a Module,
    choices: &'a mut Choices<'c>,
    builder: FilterBuilder,
    result: FilterResult,
    /// How many `slot`s of each state have been written. Blocks are written in topological order, so any slot between two places
    /// on a path has been written between them.
    slots: Vec<u32>,
    /// How many more statements may be written.
    budget: u32,
    /// How many loops there are around the place where statements are written.
    loops: u32,
    options: Options,
}

impl FilterWriter<'_, '_> {
    fn write(mut self) -> crate::Filter {
        let mut scope = Scope::default();
        let zero = self.builder.ins(Op::Const(0));
        scope.ints.push(zero);
        let truth = self.builder.ins(Op::ConstBool(true));
        scope.bools.push(truth);
        self.statements(&mut scope, 0);
        self.finish(&scope);
        self.builder.finish().expect("every block is ended")
    }

    /// Writes statements that start in the current block and end in an open one.
    fn statements(&mut self, scope: &mut Scope, depth: u32) {
        while self.budget > 0 {
            self.budget -= 1;
            let kind = self.choices.below(14);
            match kind {
                0 => return,
                1..=4 => self.compute(scope),
                _ if depth > 4 => self.compute(scope),
                5 | 6 => self.branch(scope, depth),
                7 | 8 => self.window(scope, depth),
                9 => self.find(scope),
                10 => self.slot(scope, depth),
                11 if self.options.loops && self.loops < 2 => self.repeat(scope, depth),
                12 if !self.module.events.is_empty() => self.emit(scope),
                _ => self.lock_again(scope),
            }
        }
    }

    fn pick_int(&mut self, scope: &Scope) -> Value {
        // Recent ones more often: 0, the simplest choice, is the last.
        let back = self.choices.below(scope.ints.len().min(6) as u32) as usize;
        let back = if self.choices.below(5) == 4 { scope.ints.len() - 1 - back } else { back };
        scope.ints[scope.ints.len() - 1 - back]
    }

    fn pick_bool(&mut self, scope: &Scope) -> Value {
        let back = self.choices.below(scope.bools.len().min(6) as u32) as usize;
        scope.bools[scope.bools.len() - 1 - back]
    }

    fn set_loc(&mut self) {
        let file = self.choices.below(3);
        let line = 1 + self.choices.below(100);
        self.builder.set_loc((file < 2).then_some(Loc { file, line }));
    }

    /// One instruction without effect.
    fn compute(&mut self, scope: &mut Scope) {
        self.set_loc();
        let (a, b) = (self.pick_int(scope), self.pick_int(scope));
        let (c, d) = (self.pick_bool(scope), self.pick_bool(scope));
        if self.choices.below(5) == 4 {
            match self.choices.below(3) {
                0 if self.options.seed => {
                    let word = self.choices.below(SEED_WORDS as u32);
                    scope.ints.push(self.builder.ins(Op::Seed(word)));
                    return;
                }
                1 if self.options.words => return self.word(scope),
                2 if !scope.rows.is_empty() => return self.read_row(scope),
                _ => {}
            }
        }
        let op = match self.choices.below(14) {
            0 => Op::Const(self.choices.int()),
            1..=4 => Op::Binary(self.choices.of(BinaryOp::ALL), a, b),
            5 | 6 => Op::Compare(self.choices.of(CompareOp::ALL), a, b),
            7 => Op::Bool(self.choices.of(BoolOp::ALL), c, d),
            8 => Op::Not(c),
            9 if self.choices.below(2) == 0 => Op::Select(c, a, b),
            9 => Op::Select(c, d, scope.bools[0]),
            10 => Op::IntOfBool(c),
            11 => [Op::PacketLen, Op::InPort, Op::Now][self.choices.below(3) as usize].clone(),
            12 if !self.module.params.is_empty() => {
                Op::Param(Param(self.choices.below(self.module.params.len() as u32)))
            }
            12 => Op::ConstBool(self.choices.below(2) == 1),
            _ => match scope.windows.len() {
                0 => Op::PacketLen,
                count => {
                    let (window, len) = scope.windows[self.choices.below(count as u32) as usize];
                    let fitting: Vec<Width> =
                        WIDTHS.into_iter().filter(|width| width.bytes() <= len).collect();
                    let width = self.choices.of(&fitting);
                    Op::Load(width, window, self.choices.below(len - width.bytes() + 1))
                }
            },
        };
        let value = self.builder.ins(op);
        match self.builder.type_of(value) {
            Type::Bool => scope.bools.push(value),
            _ => scope.ints.push(value),
        }
    }

    fn call(block: Block) -> BlockCall {
        BlockCall { block, args: Vec::new() }
    }

    /// Two ways that meet again, or of which one returns.
    fn branch(&mut self, scope: &mut Scope, depth: u32) {
        let cond = self.pick_bool(scope);
        let (then, other) = (self.builder.block(), self.builder.block());
        let (then_call, other_call) = (Self::call(then), Self::call(other));
        self.set_loc();
        self.builder.end(TerminatorKind::Branch { cond, then: then_call, other: other_call });
        self.ways(scope, scope.clone(), then, other, depth);
    }

    fn window(&mut self, scope: &mut Scope, depth: u32) {
        let offset = match self.choices.below(4) {
            0 => self.builder.ins(Op::Const(0)),
            1 => self.pick_int(scope),
            2 => {
                let (int, mask) = (self.pick_int(scope), self.builder.ins(Op::Const(31)));
                self.builder.ins(Op::Binary(BinaryOp::And, int, mask))
            }
            _ => {
                let offset = u64::from(self.choices.below(40));
                self.builder.ins(Op::Const(offset))
            }
        };
        let len = 1 + self.choices.below(20);
        let (ok, short) = (self.builder.block(), self.builder.block());
        let window = self.builder.block_param(ok, Type::Window(len));
        let (ok_call, short_call) = (Self::call(ok), Self::call(short));
        self.set_loc();
        self.builder.end(TerminatorKind::Window { offset, len, ok: ok_call, short: short_call });
        let mut with = scope.clone();
        with.windows.push((window, len));
        self.ways(scope, with, ok, short, depth);
    }

    /// Goes on behind a terminator with two targets: `first` with the scope `with`, `second` with `scope`. Afterwards the current
    /// block is open and `scope` is what holds there.
    fn ways(&mut self, scope: &mut Scope, mut with: Scope, first: Block, second: Block, depth: u32) {
        match self.choices.below(3) {
            0 => {
                self.builder.switch_to(second);
                self.finish(scope);
                self.builder.switch_to(first);
                *scope = with;
            }
            1 => {
                self.builder.switch_to(first);
                self.statements(&mut with, depth + 1);
                self.finish(&with);
                self.builder.switch_to(second);
            }
            _ => {
                let join = self.builder.block();
                let int = self.builder.block_param(join, Type::Int);
                let bool = self.builder.block_param(join, Type::Bool);
                for (block, mut scope) in [(first, with), (second, scope.clone())] {
                    self.builder.switch_to(block);
                    self.statements(&mut scope, depth + 1);
                    let args = vec![self.pick_int(&scope), self.pick_bool(&scope)];
                    self.set_loc();
                    self.builder.jump(join, args);
                }
                self.builder.switch_to(join);
                scope.ints.push(int);
                scope.bools.push(bool);
            }
        }
    }

    /// An int that is provably below `count`.
    fn index(&mut self, scope: &Scope, count: u32) -> Value {
        let int = self.pick_int(scope);
        let (op, bound) = match self.choices.below(3) {
            0 => (BinaryOp::URem, count),
            1 => (BinaryOp::UMin, count - 1),
            _ => return self.builder.ins(Op::Const(self.choices.below(count).into())),
        };
        let bound = self.builder.ins(Op::Const(bound.into()));
        self.builder.ins(Op::Binary(op, int, bound))
    }

    /// One operation on a word, if there are any.
    fn word(&mut self, scope: &mut Scope) {
        let words = (0..).zip(&self.module.states).filter(|(_, decl)| decl.kind == StateKind::Words);
        let words: Vec<(State, u32)> = words.map(|(state, decl)| (State(state), decl.capacity)).collect();
        if words.is_empty() {
            return;
        }
        let (state, capacity) = self.choices.of(&words);
        let index = self.index(scope, capacity.min(6));
        let (a, b) = (self.pick_int(scope), self.pick_int(scope));
        let value = self.builder.ins(match self.choices.below(4) {
            0 => Op::WordGet(state, index),
            1 => Op::WordAdd(state, index, a),
            2 => Op::WordOr(state, index, a),
            _ => Op::WordCas(state, index, a, b),
        });
        scope.ints.push(value);
    }

    /// Reads a scalar of a table's entry, if it has any.
    fn read_row(&mut self, scope: &mut Scope) {
        let (entry, state) = self.choices.of(&scope.rows);
        if let Some((field, index)) = self.field(scope, state) {
            scope.ints.push(self.get(entry, field, index));
        }
    }

    /// A field of an entry, with an index if it needs one.
    fn field(&mut self, scope: &Scope, state: State) -> Option<(Field, Option<Value>)> {
        let fields = &self.module.states[state.index()].fields;
        if fields.is_empty() {
            return None;
        }
        let field = self.choices.below(fields.len() as u32);
        let count = fields[field as usize].count;
        let index = (count > 1 || self.options.indexed && self.choices.below(8) == 7)
            .then(|| self.index(scope, count));
        Some((Field(field), index))
    }

    fn get(&mut self, entry: Value, field: Field, index: Option<Value>) -> Value {
        self.builder.ins(match index {
            Some(index) => Op::GetAt(entry, field, index),
            None => Op::Get(entry, field),
        })
    }

    fn emit(&mut self, scope: &Scope) {
        let event = self.choices.below(self.module.events.len() as u32);
        let fields = self.module.events[event as usize].fields.len();
        let values = (0..fields).map(|_| self.pick_int(scope)).collect();
        self.set_loc();
        self.builder.effect(Op::Emit(Event(event), values));
    }

    /// A loop with an int and a bool that come round, and perhaps a way out of its middle.
    fn repeat(&mut self, scope: &mut Scope, depth: u32) {
        let (header, body, done) = (self.builder.block(), self.builder.block(), self.builder.block());
        let counter = self.builder.block_param(header, Type::Int);
        let int = self.builder.block_param(header, Type::Int);
        let bool = self.builder.block_param(header, Type::Bool);
        let start = match self.choices.below(4) {
            3 => self.pick_int(scope),
            _ => self.builder.ins(Op::Const(0)),
        };
        let args = vec![start, self.pick_int(scope), self.pick_bool(scope)];
        self.set_loc();
        self.builder.jump(header, args);
        self.builder.switch_to(header);
        scope.ints.extend([int, counter]);
        scope.bools.push(bool);
        for _ in 0..self.choices.below(3) {
            self.compute(scope);
        }
        let count = 1 + self.choices.below(4);
        let (body_call, done_call) = (Self::call(body), Self::call(done));
        self.builder.end(TerminatorKind::Repeat { counter, count, body: body_call, done: done_call });

        self.builder.switch_to(body);
        let mut inner = scope.clone();
        // The second time round they may have made room for what a slot in here made.
        let states = &self.module.states;
        inner.entries.retain(|(_, state, _)| states[state.index()].kind == StateKind::Array);
        self.loops += 1;
        self.statements(&mut inner, depth + 1);
        self.loops -= 1;
        if self.choices.below(3) == 2 {
            let cond = self.pick_bool(&inner);
            let on = self.builder.block();
            let (on_call, done_call) = (Self::call(on), Self::call(done));
            self.builder.end(TerminatorKind::Branch { cond, then: done_call, other: on_call });
            self.builder.switch_to(on);
        }
        let step = 1 + u64::from(self.choices.below(2));
        let step = self.builder.ins(Op::Const(step));
        let next = self.builder.ins(Op::Binary(BinaryOp::Add, counter, step));
        let args = vec![next, self.pick_int(&inner), self.pick_bool(&inner)];
        self.builder.jump(header, args);
        self.builder.switch_to(done);
    }

    /// A state whose entries can be looked up, if there is one; one that filters can write if wanted.
    fn lookup_state(&mut self, written: bool) -> Option<State> {
        let fits = |kind: StateKind| match kind {
            StateKind::Hash(_) | StateKind::Array => true,
            StateKind::Table(_) => !written,
            StateKind::Words => false,
        };
        let states = (0..).zip(&self.module.states).filter(|(_, decl)| fits(decl.kind));
        let states: Vec<State> = states.map(|(state, _)| State(state)).collect();
        (!states.is_empty()).then(|| self.choices.of(&states))
    }

    fn key(&mut self, scope: &Scope, state: State) -> Vec<Value> {
        let parts = self.module.states[state.index()].key.len();
        (0..parts)
            .map(|_| {
                let int = self.pick_int(scope);
                if self.choices.below(3) == 2 {
                    return int;
                }
                // Few keys, so that they meet.
                let mask = self.builder.ins(Op::Const(3));
                self.builder.ins(Op::Binary(BinaryOp::And, int, mask))
            })
            .collect()
    }

    /// Finds an entry. A dead one is let go and treated like none.
    fn find(&mut self, scope: &mut Scope) {
        let Some(state) = self.lookup_state(false) else { return self.compute(scope) };
        let key = self.key(scope, state);
        let (found, absent, join) = (self.builder.block(), self.builder.block(), self.builder.block());
        let entry = self.builder.block_param(found, Type::Entry(state));
        let (found_call, absent_call) = (Self::call(found), Self::call(absent));
        self.set_loc();
        self.builder.end(TerminatorKind::Find { state, key, found: found_call, absent: absent_call });
        let int = self.builder.block_param(join, Type::Int);

        if let StateKind::Table(_) = self.module.states[state.index()].kind {
            self.builder.switch_to(absent);
            let arg = scope.ints[0];
            self.builder.jump(join, vec![arg]);
            self.builder.switch_to(found);
            let mut inner = scope.clone();
            inner.rows.push((entry, state));
            for _ in 0..1 + self.choices.below(4) {
                self.read_row(&mut inner);
                self.compute(&mut inner);
            }
            let arg = self.pick_int(&inner);
            self.builder.jump(join, vec![arg]);
            self.builder.switch_to(join);
            scope.ints.push(int);
            return;
        }

        self.builder.switch_to(found);
        let live = self.builder.ins(Op::Lock(entry));
        let (then, dead) = (self.builder.block(), self.builder.block());
        let (then_call, dead_call) = (Self::call(then), Self::call(dead));
        self.builder.end(TerminatorKind::Branch { cond: live, then: then_call, other: dead_call });
        self.builder.switch_to(dead);
        let how = if self.choices.below(2) == 0 { Unlock::Keep } else { Unlock::Clear };
        self.builder.effect(Op::Unlock(entry, how));
        self.builder.jump(absent, Vec::new());
        self.builder.switch_to(absent);
        let arg = scope.ints[0];
        self.builder.jump(join, vec![arg]);
        self.builder.switch_to(then);
        let mut inner = scope.clone();
        self.locked(&mut inner, entry, state);
        let arg = self.pick_int(&inner);
        self.builder.jump(join, vec![arg]);
        self.builder.switch_to(join);
        scope.ints.push(int);
    }

    fn slot(&mut self, scope: &mut Scope, depth: u32) {
        let Some(state) = self.lookup_state(true) else { return self.compute(scope) };
        let key = self.key(scope, state);
        let (found, full) = (self.builder.block(), self.builder.block());
        let entry = self.builder.block_param(found, Type::Entry(state));
        let (found_call, full_call) = (Self::call(found), Self::call(full));
        self.set_loc();
        if self.choices.below(4) == 3 {
            // Perhaps there is one.
            let absent = self.builder.block();
            let (key, found, absent_call) = (key.clone(), Self::call(found), Self::call(absent));
            self.builder.end(TerminatorKind::Find { state, key, found, absent: absent_call });
            self.builder.switch_to(absent);
        }
        self.builder.end(TerminatorKind::Slot { state, key, found: found_call, full: full_call });
        self.slots[state.index()] += 1;
        let count = self.slots[state.index()];
        self.builder.switch_to(found);
        let mut with = scope.clone();
        let live = self.builder.ins(Op::Lock(entry));
        with.bools.push(live);
        self.locked(&mut with, entry, state);
        with.entries.push((entry, state, count));
        // `ways` wants to start in `found`; the locked part may have ended in another block.
        let open = self.builder.current();
        self.ways(scope, with, open, full, depth);
    }

    /// Locks an entry that was found earlier, unless it may be gone.
    fn lock_again(&mut self, scope: &mut Scope) {
        let slots = &self.slots;
        scope.entries.retain(|(_, state, count)| slots[state.index()] == *count);
        if scope.entries.is_empty() {
            return self.compute(scope);
        }
        let (mut entry, state, _) = scope.entries[self.choices.below(scope.entries.len() as u32) as usize];
        if self.choices.below(3) == 2 {
            // Through a block parameter.
            let block = self.builder.block();
            let param = self.builder.block_param(block, Type::Entry(state));
            self.builder.jump(block, vec![entry]);
            self.builder.switch_to(block);
            entry = param;
        }
        let live = self.builder.ins(Op::Lock(entry));
        scope.bools.push(live);
        self.locked(scope, entry, state);
    }

    /// What is done with a locked entry, up to its unlock.
    fn locked(&mut self, scope: &mut Scope, entry: Value, state: State) {
        for _ in 0..self.choices.below(4) {
            self.locked_step(scope, entry, state);
        }
        if self.choices.below(3) == 2 {
            let cond = self.pick_bool(scope);
            let (then, join) = (self.builder.block(), self.builder.block());
            let (then_call, join_call) = (Self::call(then), Self::call(join));
            self.builder.end(TerminatorKind::Branch { cond, then: then_call, other: join_call });
            self.builder.switch_to(then);
            let mut inner = scope.clone();
            self.locked_step(&mut inner, entry, state);
            self.builder.jump(join, Vec::new());
            self.builder.switch_to(join);
        }
        let how = match self.choices.below(6) {
            0 => Unlock::Keep,
            1 => Unlock::Clear,
            2 => Unlock::Touch(self.pick_int(scope)),
            _ => {
                let now = self.builder.ins(Op::Now);
                let time = u64::from(self.choices.below(60_000)) * 1_000_000;
                let time = self.builder.ins(Op::Const(time));
                Unlock::Touch(self.builder.ins(Op::Binary(BinaryOp::Add, now, time)))
            }
        };
        self.set_loc();
        self.builder.effect(Op::Unlock(entry, how));
    }

    fn locked_step(&mut self, scope: &mut Scope, entry: Value, state: State) {
        match self.choices.below(3) {
            0 => match self.field(scope, state) {
                Some((field, index)) => scope.ints.push(self.get(entry, field, index)),
                None => self.compute(scope),
            },
            1 => match self.field(scope, state) {
                Some((field, index)) => {
                    let value = self.pick_int(scope);
                    self.builder.effect(match index {
                        Some(index) => Op::SetAt(entry, field, index, value),
                        None => Op::Set(entry, field, value),
                    });
                }
                None => self.compute(scope),
            },
            _ => self.compute(scope),
        }
    }

    /// Ends the current block with a return.
    fn finish(&mut self, scope: &Scope) {
        let value = match self.result {
            FilterResult::Bool => self.pick_bool(scope),
            FilterResult::Classes(count) => {
                let int = self.pick_int(scope);
                let (op, bound) = match self.choices.below(2) {
                    0 => (BinaryOp::URem, count),
                    _ => (BinaryOp::UMin, count - 1),
                };
                let bound = self.builder.ins(Op::Const(bound.into()));
                self.builder.ins(Op::Binary(op, int, bound))
            }
        };
        self.set_loc();
        self.builder.end(TerminatorKind::Return(value));
    }
}
