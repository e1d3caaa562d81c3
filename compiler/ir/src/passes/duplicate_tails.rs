//! Keeps apart what ways know of the keys of look-ups, where they would meet.
//!
//! Behind `match pkt { ip => … }` there is one body for IPv4 and IPv6. In a key, an address of either is its family, its high and its low word. On the
//! way from IPv4 two of the three are constants, and where the ways meet nobody knows them any more. So the body is there once more.

use super::copies::{copy_blocks, edges_to, new_like};
use super::renumber::renumber;
use super::sources::sources;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{Filter, Inst, Module, Op, Type};

/// A way has to bring along so many constants that go into keys, and that other ways do not bring. One alone, a protocol say, is not worth it.
const LEAST_CONSTANTS: usize = 2;
/// So many instructions and ends of blocks are copied in a filter, for all that comes behind takes longer. Of the examples, `dns_tunnel` and `elephant` have most: 300, behind the
/// first round.
const MOST_COPIED: usize = 320;

/// Where ways meet of which some give constants to parameters that keys of look-ups follow from, leads those that give most of them to a copy of all
/// that is dominated by the place where they meet. There, and in what is left for the others, parameters that are always given the same constant are replaced by it.
///
/// Hashes of sketches are not asked about: there, a word that is constant saves one multiplication of many. It does not look at loops, folds nothing, and makes one copy of a block at most: what is copied and what is left are not parted again.
pub fn duplicate_tails(module: &Module, filter: &mut Filter) {
    let in_keys = in_keys(filter);
    duplicate_where(module, filter, &in_keys, LEAST_CONSTANTS);
}

/// Does it where ways give so many constants to parameters that count, a bool by value.
fn duplicate_where(module: &Module, filter: &mut Filter, counts: &[bool], least: usize) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    if !counts.contains(&true) {
        return;
    }
    let mut constants = filter.constants();
    let blocks = filter.blocks.len();
    let mut copied = 0;
    let mut parted = 0;
    for &block in cfg.order() {
        if cfg.place(block) < parted || cfg.loop_of(block).is_some() {
            continue;
        }
        let Some(ways) = ways(filter, &cfg, block, blocks, (counts, &constants), least) else { continue };
        let tail = &cfg.order()[cfg.place(block) as usize..=cfg.last_dominated(block) as usize];
        let size: usize = tail.iter().map(|block| filter.blocks[block.index()].insts.len() + 1).sum();
        if copied + size > MOST_COPIED {
            continue;
        }
        copied += size;
        parted = cfg.last_dominated(block) + 1;
        let copy = duplicate(filter, tail, &mut constants);
        let (first, others): (Vec<Way>, Vec<Way>) = ways.into_iter().partition(|way| way.is_first);
        for way in &first {
            let call = filter.blocks[way.from.index()].term.kind.calls_mut().nth(way.edge);
            call.expect("the edge was found in this block").block = copy;
        }
        write_down(filter, copy, &first, &mut constants);
        write_down(filter, block, &others, &mut constants);
    }
    if copied > 0 {
        renumber(module, filter);
    }
}

/// An edge into a block where ways meet.
struct Way {
    from: Block,
    /// Which edge of that block.
    edge: usize,
    /// For each parameter the constant that is given for it, if it is one.
    gives: Vec<Option<u64>>,
    /// Whether it goes to the copy.
    is_first: bool,
}

/// The ways into a block, if it is worth while to keep some of them apart. `blocks` are those that the graph knows, the others are copies.
fn ways(
    filter: &Filter,
    cfg: &Cfg,
    block: Block,
    blocks: usize,
    (counts, constants): (&[bool], &[Option<u64>]),
    least: usize,
) -> Option<Vec<Way>> {
    let params = &filter.blocks[block.index()].params;
    if params.iter().filter(|param| counts[param.index()]).count() < least || cfg.preds(block).len() < 2 {
        return None;
    }
    let copies = (blocks..filter.blocks.len()).map(Block::from_index);
    let from = cfg.preds(block).iter().copied().chain(copies).collect();
    let ways = edges_to(filter, from, block).map(|(from, edge, to)| {
        let gives = to.call.args.iter().map(|arg| constants[arg.index()]).collect();
        to.gives.is_none().then_some(Way { from, edge, gives, is_first: false })
    });
    let mut ways: Vec<Way> = ways.collect::<Option<_>>()?;
    // Which parameters tell the ways apart.
    let tells: Vec<bool> = (params.iter().enumerate())
        .map(|(index, param)| {
            counts[param.index()] && ways.iter().any(|way| way.gives[index] != ways[0].gives[index])
        })
        .collect();
    let told = |way: &Way| -> Vec<Option<u64>> {
        let gives = way.gives.iter().zip(&tells);
        gives.map(|(constant, tells)| constant.filter(|_| *tells)).collect()
    };
    let constants = |told: &Vec<Option<u64>>| told.iter().flatten().count();
    // Of several with as many the first one.
    let most = ways.iter().map(told).rev().max_by_key(constants).filter(|most| constants(most) >= least)?;
    for way in &mut ways {
        way.is_first = told(way) == most;
    }
    Some(ways)
}

/// Copies blocks of which the first dominates the others, and all that it dominates are among them: so what they define is used nowhere else. Gives the
/// copy of the first one.
fn duplicate(filter: &mut Filter, tail: &[Block], constants: &mut Vec<Option<u64>>) -> Block {
    let values: Vec<Value> = tail.iter().flat_map(|block| filter.blocks[block.index()].defined()).collect();
    let instead: Vec<(Value, Value)> =
        values.into_iter().map(|value| (value, new_like(filter, value))).collect();
    for (value, _) in &instead {
        constants.push(constants[value.index()]);
    }
    copy_blocks(filter, tail, &instead)
}

/// Writes down in a block what all ways into it give as the same constant. The parameter stays, without use.
fn write_down(filter: &mut Filter, block: Block, ways: &[Way], constants: &mut Vec<Option<u64>>) {
    let Some((one, others)) = ways.split_first() else { return };
    for (index, constant) in one.gives.iter().enumerate() {
        let Some(constant) = constant.filter(|_| others.iter().all(|way| way.gives[index] == *constant))
        else {
            continue;
        };
        let param = filter.blocks[block.index()].params[index];
        let op = match filter.values[param.index()] {
            Type::Bool => Op::ConstBool(constant != 0),
            _ => Op::Const(constant),
        };
        let unused = new_like(filter, param);
        constants.push(None);
        constants[param.index()] = Some(constant);
        let data = &mut filter.blocks[block.index()];
        data.params[index] = unused;
        data.insts.insert(0, Inst { result: Some(param), op, loc: None });
    }
}

/// By value: whether a part of a key is computed from it.
fn in_keys(filter: &Filter) -> Vec<bool> {
    let looked_up = filter.blocks.iter().filter(|block| block.term.kind.lookup().is_some());
    sources(filter, looked_up.flat_map(|block| block.term.kind.inputs()).copied().collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::interp::{StateDump, Store, run};
    use crate::testing::generate::{self, Options, numbers};
    use crate::{Checked, verify};

    /// What random packets make of a random module.
    pub(in super::super) fn seen(
        checked: &Checked,
        seed: u64,
    ) -> (Vec<u32>, Vec<StateDump>, Vec<crate::interp::EventRecord>) {
        let mut store = Store::new(checked);
        generate::fill(&mut store, &generate::table_entries(checked.module(), &numbers(7, 200)));
        let mut classes = Vec::new();
        for arrival in generate::traffic(&numbers(!seed, 1_000)) {
            for filter in 0..checked.module().filters.len() {
                classes.push(run(checked, filter, &mut store, arrival.packet(), arrival.now).unwrap().class);
            }
        }
        (classes, store.dump(), store.take_events().into_iter().collect())
    }

    /// Random filters seldom give two constants to parts of one key, so any constant of any parameter counts here.
    #[test]
    fn what_is_parted_does_the_same() {
        let mut parted = 0;
        for seed in 0..400 {
            let before = verify(generate::module(&numbers(seed, 1_000), Options::ALL)).unwrap();
            let mut module = before.module().clone();
            for index in 0..module.filters.len() {
                let mut filter = module.filters[index].clone();
                let all = vec![true; filter.values.len()];
                duplicate_where(&module, &mut filter, &all, 1);
                parted += usize::from(filter.blocks.len() > module.filters[index].blocks.len());
                module.filters[index] = filter;
            }
            let after = verify(module).unwrap();
            assert_eq!(seen(&before, seed), seen(&after, seed), "{}", after.module());
        }
        assert!(parted > 100, "{parted} filters are parted");
    }
}
