//! Leads common packets straight to where they go.
//!
//! Filters begin with a dozen branches that find out which headers there are, of which packets of one kind take the same. The filter's blocks are
//! followed for a few kinds of frames of which some bytes are known. As long as these bytes decide, nothing has to be looked at again: where
//! that ends, it has been found out which bytes decided, how long the packet has to be, and which lengths of headers have to suffice. The filter
//! asks for that first then, bytes four at a time, and goes there; any other packet goes to what was the first block. On the way nothing is changed and
//! no state is read, so it makes no difference that it is left out. Which frames are common is a guess about traffic. Nothing but speed depends on it.

mod behind;
mod known;
mod opening;

use std::collections::HashMap;

use self::behind::Behind;
use self::known::{Given, Known, Length, Sample, What};
use super::forward_arguments::forward_arguments;
use super::merge_common::merge_common;
use super::remove_dead::remove_dead;
use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::cost::cost_of;
use crate::entities::{Block, Value};
use crate::limits::{MAX_STEPS, MAX_WINDOW};
use crate::loops::definitions;
use crate::module::{BlockCall, Filter, Module, Op, TerminatorKind, Type};

/// A way is followed through so many blocks.
const MOST_BLOCKS: usize = 64;
/// Packets that go straight bring along so many values that are no constants; the examples have 9 at most.
const MOST_SHARED: usize = 32;
/// Filters of more blocks or values have no straight way: each block behind it may need all that is brought along.
const LARGEST_BLOCKS: usize = 1_024;
const LARGEST_VALUES: usize = 16_384;
/// The bytes of a word.
const WORD: usize = 4;

/// Frames as they are seen most: Ethernet without a tag, network headers without options, no fragments.
const SAMPLES: [Sample; 7] = [
    // IPv4 with TCP, UDP, ICMP.
    &[(12, 0xff, 0x08), (13, 0xff, 0), (14, 0xff, 0x45), (20, 0x3f, 0), (21, 0xff, 0), (23, 0xff, 6)],
    &[(12, 0xff, 0x08), (13, 0xff, 0), (14, 0xff, 0x45), (20, 0x3f, 0), (21, 0xff, 0), (23, 0xff, 17)],
    &[(12, 0xff, 0x08), (13, 0xff, 0), (14, 0xff, 0x45), (20, 0x3f, 0), (21, 0xff, 0), (23, 0xff, 1)],
    // IPv6 with TCP, UDP, ICMPv6.
    &[(12, 0xff, 0x86), (13, 0xff, 0xdd), (14, 0xf0, 0x60), (20, 0xff, 6)],
    &[(12, 0xff, 0x86), (13, 0xff, 0xdd), (14, 0xf0, 0x60), (20, 0xff, 17)],
    &[(12, 0xff, 0x86), (13, 0xff, 0xdd), (14, 0xf0, 0x60), (20, 0xff, 58)],
    // ARP.
    &[(12, 0xff, 0x08), (13, 0xff, 0x06)],
];

/// Asks at the filter's beginning whether a packet is of the first kind of frames about which the filter has more to say than a constant, and if so, goes straight
/// to where that ends. A filter that begins so already has no other straight way, nor have large ones.
///
/// It comes once, behind all other passes: where ways meet, less is known than on each of them.
pub fn go_straight(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    if is_large(filter, &cfg) {
        return;
    }
    let Some(way) = find(filter, &cfg) else { return };
    opening::open(filter, &cfg, &way);
    renumber(module, filter);
    forward_arguments(module, filter);
    merge_common(module, filter);
    remove_dead(module, filter);
}

/// A way, and what a packet has to be to take it.
#[derive(Clone, Debug)]
struct Straight {
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

impl Straight {
    /// Whether no more than two adjacent bytes decide: then a single branch of the filter tells such packets from all others, which would be asked twice.
    fn is_told_by_one_number(&self) -> bool {
        self.decisive.checked_shr(self.decisive.trailing_zeros()).unwrap_or(0) <= 0b11
    }

    /// How often a packet is asked whether it can go straight.
    fn tests(&self, filter: &Filter) -> usize {
        1 + self.words().len() + self.lengths.len() + self.windows(filter).len()
    }

    /// The windows that it brings along, by their offsets and lengths.
    fn windows(&self, filter: &Filter) -> Vec<(u64, u32)> {
        let params = filter.blocks[self.target.index()].params.iter().copied().zip(self.args.iter().copied());
        let values = params.chain(self.behind.iter().copied());
        let mut windows: Vec<(u64, u32)> = values
            .filter_map(|(value, given)| match (filter.values[value.index()], given) {
                (Type::Window(len), Given::Constant(offset)) => Some((offset, len)),
                _ => None,
            })
            .collect();
        windows.sort_unstable();
        windows.dedup();
        windows
    }

    /// The words that hold the decisive bytes: offset, mask and value in network byte order.
    fn words(&self) -> Vec<(u32, u32, u32)> {
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
            words.push((offset as u32, u32::from_be_bytes(mask), u32::from_be_bytes(value)));
        }
        words
    }
}

/// A walk along the filter's blocks.
struct Walk<'a> {
    filter: &'a Filter,
    cfg: &'a Cfg,
    /// By value: whether it is the same number or bool wherever it is made.
    constants: &'a [Option<u64>],
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
        let data = &self.filter.blocks[block.index()];
        for inst in &data.insts {
            if !inst.op.is_pure() {
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
                if end > MAX_WINDOW {
                    return None;
                }
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
        let params = &self.filter.blocks[call.block.index()].params;
        let params: Vec<(Value, Known)> = params.iter().copied().zip(args).collect();
        self.known.extend(params);
        self.way.target = call.block;
    }

    /// Goes as far as it is known where, but [`MOST_BLOCKS`] at most. Gives the ways to the blocks on it, with what they need there left open.
    fn ways(&mut self) -> Vec<Straight> {
        let mut ways = Vec::new();
        for _ in 0..MOST_BLOCKS {
            let Some((call, window)) = self.block(self.way.target) else { break };
            let call = call.clone();
            // Blocks of a loop come again with other numbers.
            if self.cfg.loop_of(call.block).is_some() {
                break;
            }
            self.enter(&call, window);
            if !self.way.is_told_by_one_number() {
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
        let params = &self.filter.blocks[way.target.index()].params;
        let args = params.iter().map(|&param| give(param)).collect::<Option<_>>()?;
        let behind = behind.map(|value| Some((value, give(value)?))).collect::<Option<_>>()?;
        (way.args, way.behind) = (args, behind);
        Some(way)
    }
}

/// Whether there might be no room for a straight way.
fn is_large(filter: &Filter, cfg: &Cfg) -> bool {
    filter.blocks.len() > LARGEST_BLOCKS
        || filter.values.len() > LARGEST_VALUES
        || cost_of(filter, cfg).steps > MAX_STEPS / 2
}

/// The straight way of the first kind of frames about which the filter has more to say than a constant, if it leaves out more branches than it
/// takes.
fn find(filter: &Filter, cfg: &Cfg) -> Option<Straight> {
    let constants = filter.constants();
    let definitions = definitions(filter);
    let mut ways = SAMPLES.into_iter().filter_map(|sample| straight_of(filter, cfg, &constants, sample));
    let way = ways.find(|way| has_more_to_say(filter, &definitions, way.target))?;
    (way.branches > way.tests(filter)).then_some(way)
}

/// The longest way of one kind of frames.
fn straight_of(filter: &Filter, cfg: &Cfg, constants: &[Option<u64>], sample: Sample) -> Option<Straight> {
    let mut walk = walk(filter, cfg, constants, sample);
    let ways = walk.ways();
    let mut behind = Behind::of(&walk);
    // Backwards, because behind each block is what is behind the next one, and more.
    ways.into_iter().rev().find_map(|way| {
        behind.extend(way.target);
        if behind.can_be_given() { walk.complete(way, behind.values()) } else { None }
    })
}

/// A walk that is at the filter's first block.
fn walk<'a>(filter: &'a Filter, cfg: &'a Cfg, constants: &'a [Option<u64>], sample: Sample) -> Walk<'a> {
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
    Walk { filter, cfg, constants, known: HashMap::new(), way }
}

/// Whether what a filter does from a block on is more than to answer a constant, the same one whatever the packet is.
fn has_more_to_say(filter: &Filter, definitions: &[Option<&Op>], from: Block) -> bool {
    let mut answer = None;
    reach(filter, from, &mut vec![false; filter.blocks.len()]).iter().any(|block| {
        let data = &filter.blocks[block.index()];
        let answers_otherwise = match data.term.kind {
            TerminatorKind::Return(value) => match definitions[value.index()] {
                Some(constant) if constant.is_constant() => *answer.get_or_insert(constant) != constant,
                _ => true,
            },
            _ => false,
        };
        answers_otherwise
            || data.term.kind.lookup().is_some()
            || data.insts.iter().any(|inst| inst.op.has_effect())
    })
}

/// The blocks that can be reached from one, with that, but for those that were reached before.
fn reach(filter: &Filter, from: Block, reached: &mut [bool]) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open = vec![from];
    while let Some(block) = open.pop() {
        if !std::mem::replace(&mut reached[block.index()], true) {
            found.push(block);
            open.extend(filter.blocks[block.index()].term.kind.edges().map(|edge| edge.call.block));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::known::Number;
    use crate::{text, verify};

    use super::*;

    const UDP: &str = "oko.ir 1
filter f -> bool {
block0:
    v0 = const 0
    v1 = false
    window v0, 14, block1, block9
block1(v2: window 14):
    v3 = load.be16 v2, 12
    v4 = const 2048
    v5 = eq v3, v4
    v6 = const 14
    branch v5, block2, block9
block2:
    window v6, 20, block3, block9
block3(v7: window 20):
    v8 = load.be8 v7, 0
    v9 = const 15
    v10 = and v8, v9
    v11 = const 4
    v12 = ushr v8, v11
    v13 = eq v12, v11
    branch v13, block4, block9
block4:
    v14 = mul v10, v11
    v15 = load.be16 v7, 2
    v16 = ule v14, v15
    branch v16, block5, block9
block5:
    v17 = load.be16 v7, 6
    v18 = const 8191
    v19 = and v17, v18
    v20 = eq v19, v0
    branch v20, block6, block9
block6:
    v21 = load.be8 v7, 9
    v22 = const 17
    v23 = eq v21, v22
    v24 = add v6, v14
    branch v23, block7(v24), block9
block7(v25: int):
    window v25, 8, block8, block9
block8(v26: window 8):
    v27 = load.be16 v26, 0
    v28 = load.be32 v7, 12
    v29 = eq v27, v28
    return v29
block9:
    return v1
}";

    #[test]
    fn no_way_needs_more_bytes_than_a_window_shows() {
        for (offset, target) in [(65_527, 8), (65_528, 7), (70_000, 7)] {
            let far = UDP.replace("v24 = add v6, v14", &format!("v24 = const {offset}"));
            let checked = verify(text::read(&far).unwrap()).unwrap();
            let filter = &checked.module().filters[0];
            assert_eq!(find(filter, &Cfg::of(filter).unwrap()).map(|way| way.target), Some(Block(target)));
            assert!(apply(go_straight, checked).is_ok());
        }
    }

    #[test]
    fn what_is_looked_at_to_answer_the_same_anyway_leads_nowhere() {
        let tcp = UDP.replace("branch v23, block7(v24), block9", "branch v23, block7(v24), block10")
            + "
block10:
    v30 = const 6
    v31 = eq v21, v30
    branch v31, block11, block9
block11:
    v32 = load.be8 v7, 8
    v33 = eq v32, v0
    branch v33, block12, block9
block12:
    v34 = false
    return v34
}";
        let tcp = tcp.replacen("return v1\n}", "return v1", 1);
        for (answer, target) in [("false", 8), ("true", 11)] {
            let text = tcp.replace("v34 = false", &format!("v34 = {answer}"));
            let checked = verify(text::read(&text).unwrap()).unwrap();
            let filter = &checked.module().filters[0];
            let way = find(filter, &Cfg::of(filter).unwrap());
            assert_eq!(way.map(|way| way.target), Some(Block(target)), "{answer}");
        }
    }

    #[test]
    fn a_filter_of_one_transport_goes_straight_to_its_ports() {
        let checked = verify(text::read(UDP).unwrap()).unwrap();
        let filter = &checked.module().filters[0];
        let way = find(filter, &Cfg::of(filter).unwrap()).expect("it has one");
        assert_eq!((way.target, way.least, way.branches), (Block(8), 42, 8));
        assert!(matches!(way.args[..], [Given::Constant(34)]), "{way:?}");
        // The type of the frame, version and length of the header, the fragment's offset and the protocol.
        assert_eq!(way.words(), [(12, 0xffff_ff00, 0x0800_4500), (20, 0x3fff_00ff, 0x11)]);
        assert!(
            matches!(way.lengths[..], [Length { number: Number { offset: 16, .. }, least: 20 }]),
            "{way:?}"
        );
        assert_eq!(way.windows(filter), [(14, 20), (34, 8)]);
        assert!(matches!(way.behind[..], [(Value(7), Given::Constant(14))]), "{way:?}");
        // What begins with a straight way has no other.
        let straight = apply(go_straight, checked).unwrap();
        assert_eq!(apply(go_straight, straight.clone()), Ok(straight));
    }
}
