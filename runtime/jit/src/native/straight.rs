//! The straight way to where a common packet goes: filters begin with a dozen branches that find out which headers there are, of which packets of one
//! kind take the same.
//!
//! The filter's blocks are followed for a few kinds of frames of which some bytes are known. As long as these bytes decide, nothing has to be looked at again: where
//! that ends, it has been found out which bytes decided, how long the packet has to be, and which lengths of headers have to suffice. Code asks for
//! that first, bytes eight at a time, and goes there; any other packet goes to the filter's first block. On the way nothing is changed and no state is read,
//! so it makes no difference that it is left out. Which frames are common is a guess about traffic. Nothing but speed depends on it.
//!
//! Whoever loads a filter waits for this, and the filter may be anybody's: it takes time in proportion to the code, however long the way is.

mod behind;
mod known;

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I64};
use cranelift_codegen::ir::{self, BlockArg, InstBuilder};
use cranelift_frontend::Variable;
use oko_ir::{Block, BlockCall, Op, TerminatorKind, Type, Value};

use self::behind::Behind;
use self::known::{Given, Known, Length, Number, Sample, What};
use super::ahead::is_harmless;
use super::{FULL_EFFORT_UP_TO, Source, Translator, int, operations};
use crate::burst::packet_memory;
use crate::probe::go_on_if;

/// A way that leaves out fewer branches is not worth the test.
const FEWEST: usize = 3;
/// A way is followed through so many blocks.
const MOST_BLOCKS: usize = 64;
/// Packets that go straight bring along so many values that are no constants; the examples have 9 at most. Each may have to be looked for in each block.
const MOST_SHARED: usize = 32;
/// The bytes of a word.
const WORD: usize = 8;

/// Frames as they are seen most: Ethernet without a tag, network headers without options, no fragments.
const SAMPLES: [Sample; 6] = [
    // IPv4 with TCP, UDP, ICMP.
    &[(12, 0xff, 0x08), (13, 0xff, 0), (14, 0xff, 0x45), (20, 0x3f, 0), (21, 0xff, 0), (23, 0xff, 6)],
    &[(12, 0xff, 0x08), (13, 0xff, 0), (14, 0xff, 0x45), (20, 0x3f, 0), (21, 0xff, 0), (23, 0xff, 17)],
    &[(12, 0xff, 0x08), (13, 0xff, 0), (14, 0xff, 0x45), (20, 0x3f, 0), (21, 0xff, 0), (23, 0xff, 1)],
    // IPv6 with TCP, UDP.
    &[(12, 0xff, 0x86), (13, 0xff, 0xdd), (14, 0xf0, 0x60), (20, 0xff, 6)],
    &[(12, 0xff, 0x86), (13, 0xff, 0xdd), (14, 0xf0, 0x60), (20, 0xff, 17)],
    // ARP.
    &[(12, 0xff, 0x08), (13, 0xff, 0x06)],
];

/// A way, and what a packet has to be to take it.
#[derive(Clone, Debug)]
pub(super) struct Straight {
    /// How many bytes have to be there.
    least: u32,
    /// Which bytes have to be what is known of them, a bit each.
    decisive: u64,
    sample: Sample,
    /// Numbers of the packet that have to be large enough.
    lengths: Vec<Length>,
    /// Branches that are left out.
    branches: usize,
    /// Where it leads to, with what.
    target: Block,
    args: Vec<Given>,
    /// What may be used from there on and is defined on the way.
    behind: Vec<(Value, Given)>,
}

/// Values that are defined on the way and, for packets that went straight, before it.
#[derive(Default)]
pub(super) struct Shared {
    /// Each with the block on the way that defines it.
    variables: HashMap<Value, (Variable, Block)>,
    /// Those that a block defines.
    of_block: HashMap<Block, Vec<(Value, Variable)>>,
}

impl Straight {
    /// Whether no more than two adjacent bytes decide: then a single branch of the filter tells such packets from all others, which would be asked twice.
    fn is_told_by_one_number(&self) -> bool {
        self.decisive.checked_shr(self.decisive.trailing_zeros()).unwrap_or(0) <= 0b11
    }
}

/// A walk along the filter's blocks.
struct Walk<'a> {
    source: &'a Source<'a>,
    known: HashMap<Value, Known>,
    way: Straight,
}

impl Walk<'_> {
    fn of(&self, value: Value) -> Known {
        self.known.get(&value).copied().unwrap_or(Known::NOTHING)
    }

    /// Takes down what decided something.
    fn rely(&mut self, known: Known) {
        self.way.decisive |= known.from;
    }

    /// Goes through a block to its end; where it goes on, with the window that this gives, if that is known.
    fn block(&mut self, block: Block) -> Option<(&BlockCall, Option<Known>)> {
        let source = self.source;
        let data = &source.filter.blocks[block.index()];
        for inst in &data.insts {
            if !is_harmless(&inst.op) {
                return None;
            }
            let known = Known::result(&inst.op, self.way.sample, |value| self.of(value));
            self.known.extend(inst.result.map(|value| (value, known)));
        }
        match &data.term.kind {
            TerminatorKind::Jump(call) => Some((call, None)),
            TerminatorKind::Branch { cond, then, other } => {
                self.way.branches += 1;
                let cond = self.of(*cond);
                self.rely(cond);
                if let Some(bit) = cond.constant() {
                    return Some((if bit != 0 { then } else { other }, None));
                }
                let What::IsAtLeast { length, is_so } = cond.what else { return None };
                // What tells a length is large enough.
                self.way.lengths.push(length);
                Some((if is_so { then } else { other }, None))
            }
            TerminatorKind::Window { offset, len, ok, .. } => {
                self.way.branches += 1;
                let offset = self.of(*offset);
                let end = u32::try_from(offset.constant()?).ok()?.checked_add(*len)?;
                self.rely(offset);
                self.way.least = self.way.least.max(end);
                Some((ok, Some(offset)))
            }
            _ => None,
        }
    }

    /// Goes to a block with what it is called with.
    fn enter(&mut self, call: &BlockCall, window: Option<Known>) {
        let args = window.into_iter().chain(call.args.iter().map(|&arg| self.of(arg)));
        let params = &self.source.filter.blocks[call.block.index()].params;
        let params: Vec<(Value, Known)> = params.iter().copied().zip(args).collect();
        self.known.extend(params);
        self.way.target = call.block;
    }

    /// Goes as far as it is known where, but [`MOST_BLOCKS`] at most. Gives the ways to the blocks that are worth a test, with what they need there left open.
    fn ways(&mut self) -> Vec<Straight> {
        let mut ways = Vec::new();
        for _ in 0..MOST_BLOCKS {
            let Some((call, window)) = self.block(self.way.target) else { break };
            let call = call.clone();
            // Blocks of a loop come again with other numbers.
            if self.source.cfg.loop_of(call.block).is_some() {
                break;
            }
            self.enter(&call, window);
            if self.way.branches >= FEWEST && !self.way.is_told_by_one_number() {
                ways.push(self.way.clone());
            }
        }
        ways
    }

    /// A way with what is needed where it leads to, if all of that is known.
    fn complete(&self, mut way: Straight, behind: impl Iterator<Item = Value>) -> Option<Straight> {
        let mut give = |value| {
            let known = self.of(value);
            let given = known.given()?;
            if let Given::Constant(_) = given {
                way.decisive |= known.from;
            }
            Some(given)
        };
        let params = &self.source.filter.blocks[way.target.index()].params;
        let args = params.iter().map(|&param| give(param)).collect::<Option<_>>()?;
        let behind = behind.map(|value| Some((value, give(value)?))).collect::<Option<_>>()?;
        (way.args, way.behind) = (args, behind);
        Some(way)
    }
}

impl Source<'_> {
    /// The straight way of the first kind of frames about which the filter has more to say than a constant, or of the first one. Large filters have none.
    pub(super) fn find_straight(&self) -> Option<Straight> {
        if operations(self.filter) > FULL_EFFORT_UP_TO {
            return None;
        }
        let mut ways: Vec<Straight> =
            SAMPLES.into_iter().filter_map(|sample| self.straight_of(sample)).collect();
        let place = ways.iter().position(|way| self.has_more_to_say(way.target)).unwrap_or(0);
        (place < ways.len()).then(|| ways.swap_remove(place))
    }

    fn has_more_to_say(&self, from: Block) -> bool {
        let mut reached = vec![false; self.filter.blocks.len()];
        self.reach(from, &mut reached).iter().any(|block| {
            let data = &self.filter.blocks[block.index()];
            let is_constant = |op: &Op| matches!(op, Op::Const(_) | Op::ConstBool(_));
            data.insts.iter().any(|inst| !is_constant(&inst.op)) || data.term.kind.lookup().is_some()
        })
    }

    /// The longest way of one kind of frames.
    fn straight_of(&self, sample: Sample) -> Option<Straight> {
        let mut walk = self.walk(sample);
        let ways = walk.ways();
        let mut behind = Behind::of(&walk);
        // Backwards, because behind each block is what is behind the next one, and more.
        ways.into_iter().rev().find_map(|way| {
            behind.extend(way.target);
            if behind.can_be_given() { walk.complete(way, behind.values()) } else { None }
        })
    }

    /// A walk that is at the filter's first block.
    fn walk(&self, sample: Sample) -> Walk<'_> {
        let way = Straight {
            least: WORD as u32,
            decisive: 0,
            sample,
            lengths: Vec::new(),
            branches: 0,
            target: Block(0),
            args: Vec::new(),
            behind: Vec::new(),
        };
        Walk { source: self, known: HashMap::new(), way }
    }

    /// The blocks that can be reached from one, with that, but for those that were reached before.
    fn reach(&self, from: Block, reached: &mut [bool]) -> Vec<Block> {
        let mut found = Vec::new();
        let mut open = vec![from];
        while let Some(block) = open.pop() {
            if !std::mem::replace(&mut reached[block.index()], true) {
                found.push(block);
                open.extend(self.filter.blocks[block.index()].term.kind.edges().map(|edge| edge.call.block));
            }
        }
        found
    }

    /// Whether a value is the same number or bool wherever it is made.
    fn is_constant(&self, value: Value) -> bool {
        matches!(self.definitions[value.index()], Some(Op::Const(_) | Op::ConstBool(_)))
    }
}

impl Straight {
    /// Where it leads to.
    pub(super) fn target(&self) -> Block {
        self.target
    }

    /// The words that hold the decisive bytes: offset, mask and value in the byte order of the host.
    fn words(&self) -> Vec<(i32, u64, u64)> {
        let mut words = Vec::new();
        let mut left = self.decisive;
        while left != 0 {
            // A word lies within what has to be there.
            let offset = (left.trailing_zeros() as usize).min(self.least as usize - WORD);
            let (mut mask, mut value) = ([0; WORD], [0; WORD]);
            for &(place, bits, byte) in self.sample {
                if (offset..offset + WORD).contains(&place) && left >> place & 1 != 0 {
                    (mask[place - offset], value[place - offset]) = (bits, byte);
                    left &= !(1 << place);
                }
            }
            words.push((offset as i32, u64::from_le_bytes(mask), u64::from_le_bytes(value)));
        }
        words
    }
}

impl Shared {
    /// Values in variables, with the blocks that define them.
    fn of(source: &Source<'_>, variables: &HashMap<Value, Variable>) -> Shared {
        let mut shared = Shared::default();
        for (block, data) in (0..).map(Block).zip(&source.filter.blocks) {
            for value in data.params.iter().copied().chain(data.insts.iter().filter_map(|inst| inst.result)) {
                if let Some(&variable) = variables.get(&value) {
                    shared.variables.insert(value, (variable, block));
                    shared.of_block.entry(block).or_default().push((value, variable));
                }
            }
        }
        shared
    }
}

impl Translator<'_, '_> {
    /// Goes the straight way if the packet is of its kind, and else to the filter's first block.
    pub(super) fn enter_straight(&mut self, way: &Straight) {
        let (constants, others): (Vec<_>, Vec<_>) =
            way.behind.iter().partition(|(value, _)| self.source.is_constant(*value));
        for (value, given) in constants {
            let constant = self.give(value, given);
            self.values.insert(value, constant);
        }
        let first = self.blocks[0];
        let is_there = self.builder.ins().icmp_imm_u(
            IntCC::UnsignedGreaterThanOrEqual,
            self.captured,
            i64::from(way.least),
        );
        go_on_if(&mut self.builder, is_there, first);
        let mut differ: Option<ir::Value> = None;
        for (offset, mask, value) in way.words() {
            let word = self.builder.ins().load(I64, packet_memory(), self.data, offset);
            let bits = self.builder.ins().band_imm_u(word, mask.cast_signed());
            let bits = self.builder.ins().bxor_imm_u(bits, value.cast_signed());
            differ = Some(match differ {
                Some(others) => self.builder.ins().bor(others, bits),
                None => bits,
            });
        }
        if let Some(differ) = differ {
            let is_of_kind = self.builder.ins().icmp_imm_u(IntCC::Equal, differ, 0);
            go_on_if(&mut self.builder, is_of_kind, first);
        }
        for length in &way.lengths {
            let found = self.load_number(length.number);
            let least = int(&mut self.builder, length.least);
            let suffices = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, least, found);
            go_on_if(&mut self.builder, suffices, first);
        }
        let mut variables = HashMap::new();
        for (value, given) in others {
            let given = self.give(value, given);
            let variable = self.builder.declare_var(self.builder.func.dfg.value_type(given));
            self.builder.def_var(variable, given);
            variables.insert(value, variable);
        }
        self.shared = Shared::of(self.source, &variables);
        let params = &self.source.filter.blocks[way.target.index()].params;
        let args: Vec<BlockArg> =
            params.iter().zip(&way.args).map(|(&param, &arg)| self.give(param, arg).into()).collect();
        self.builder.ins().jump(self.blocks[way.target.index()], &args);
    }

    fn give(&mut self, value: Value, given: Given) -> ir::Value {
        match (given, self.source.filter.values[value.index()]) {
            (Given::Load(number), _) => self.load_number(number),
            (Given::Constant(offset), Type::Window(_)) => {
                self.builder.ins().iadd_imm_s(self.data, offset.cast_signed())
            }
            (Given::Constant(bit), Type::Bool) => self.builder.ins().iconst(I8, bit.cast_signed()),
            (Given::Constant(number), _) => self.int(number),
        }
    }

    fn load_number(&mut self, Number { offset, width }: Number) -> ir::Value {
        self.load_at(width, self.data, offset)
    }

    /// Tells of what a block has defined that packets may have that went straight.
    pub(super) fn share(&mut self) {
        for &(value, variable) in self.shared.of_block.get(&self.place).into_iter().flatten() {
            if let Some(&found) = self.values.get(&value) {
                self.builder.def_var(variable, found);
            }
        }
    }

    /// A value that was defined in another block than this one, and elsewhere, too.
    pub(super) fn shared(&mut self, value: Value) -> Option<ir::Value> {
        let &(variable, _) = self.shared.variables.get(&value).filter(|(_, block)| *block != self.place)?;
        Some(self.builder.use_var(variable))
    }
}

#[cfg(test)]
mod tests {
    use oko_ir::{text, verify};

    use super::*;

    const UDP: &str = "oko.ir 1
filter f -> bool {
block0:
    v0 = const 14
    v1 = false
    window v0, 20, block1, block5
block1(v2: window 20):
    v3 = load.be8 v2, 0
    v4 = const 15
    v5 = and v3, v4
    v6 = const 4
    v7 = mul v5, v6
    v8 = load.be16 v2, 2
    v9 = ule v7, v8
    branch v9, block2, block5
block2:
    v10 = load.be8 v2, 9
    v11 = const 17
    v12 = eq v10, v11
    v13 = add v0, v7
    branch v12, block3(v13), block5
block3(v14: int):
    window v14, 8, block4, block5
block4(v15: window 8):
    v16 = load.be16 v15, 0
    v17 = load.be32 v2, 12
    v18 = eq v16, v17
    return v18
block5:
    return v1
}";

    #[test]
    fn a_filter_of_one_transport_goes_straight_to_its_ports() {
        let checked = verify(text::read(UDP).unwrap()).unwrap();
        let way = Source::of(checked.module(), 0).unwrap().straight.expect("it has one");
        assert_eq!((way.target, way.least, way.branches), (Block(4), 42, 4));
        assert!(matches!(way.args[..], [Given::Constant(34)]), "{way:?}");
        // The header's length and the protocol, in words of eight bytes.
        assert_eq!(way.words(), [(14, 0xff, 0x45), (23, 0xff, 17)]);
        assert!(
            matches!(way.lengths[..], [Length { number: Number { offset: 16, .. }, least: 20 }]),
            "{way:?}"
        );
        let sources = way.behind.iter().find(|(value, _)| *value == Value(2));
        assert!(matches!(sources, Some((_, Given::Constant(14)))), "{way:?}");
    }
}
