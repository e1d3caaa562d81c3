//! `match pkt`: the way through the headers of a packet, shared by all arms.
//!
//! # Meaning
//!
//! A packet has a chain of headers: it begins with the root header, and each header's `next by` says which one follows. The
//! chain ends where the packet is too short for a header's fields, where a header's rules do not hold, where nothing follows, and before a
//! header that can lead to itself would come for the third time ([`MAX_REPEAT`]). A region is skipped by its length; the packet need
//! not be long enough for it unless a header behind it is looked for.
//!
//! An arm matches if its layers stand directly behind one another somewhere in the chain; of several places the first one counts.
//! Then its condition decides. Of the arms that match, the first one answers.
//!
//! # How it is done
//!
//! The arms are looked for at once. A [`State`] of the search is the header that comes next and what is known about each arm;
//! its block is given where that header begins and the windows of the headers that arms have found so far, so the
//! blocks behind IPv4 exist once, however many tags stand in front. The search ends as soon as no arm can change the
//! answer any more; what it found is a list of arms, in order, whose conditions are then tried.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use oko_ir::{BinaryOp, Block, BlockCall, TerminatorKind, Type, Value};

use super::body::{Frame, Lowering};
use crate::hir::{HeaderId, KeyPattern, LayerId, NextArm, PacketArm};
use crate::packets::graph::{MAX_REPEAT, followers, reachable};
use crate::types::Ty;

/// A header that was passed: which one, and for the how-many-th time.
type Slot = (HeaderId, u8);

/// An arm and the headers found for it so far.
type Found = (usize, Vec<Slot>);

/// Where the search is: before a header.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    /// The header that comes.
    header: HeaderId,
    /// How often the headers that can repeat were passed.
    passed: BTreeMap<HeaderId, u8>,
    /// Arms of which some layers were found, and the header that comes would be the next one.
    partial: Vec<Found>,
    /// Arms that match, in order, none behind one without condition.
    matched: Vec<Found>,
}

impl State {
    fn slots(&self) -> BTreeSet<Slot> {
        slots(&self.partial).union(&slots(&self.matched)).copied().collect()
    }
}

fn slots(found: &[Found]) -> BTreeSet<Slot> {
    found.iter().flat_map(|(_, slots)| slots.iter().copied()).collect()
}

/// The windows of headers that were passed.
type Windows = BTreeMap<Slot, Value>;

/// The search of one `match pkt`.
struct Search<'a> {
    arms: &'a [PacketArm],
    states: HashMap<State, Block>,
    open_states: VecDeque<(State, Block, Vec<Value>)>,
    lists: HashMap<Vec<Found>, Block>,
    open_lists: VecDeque<(Vec<Found>, Block, Vec<Value>)>,
    /// The block of each arm's answer, and its windows.
    bodies: Vec<Option<(Block, Vec<Value>)>>,
}

impl Lowering<'_> {
    /// `match pkt { arms }`
    pub(super) fn match_packet(&mut self, arms: &[PacketArm], ty: &Ty) -> Option<Vec<Value>> {
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let mut search = Search {
            arms,
            states: HashMap::new(),
            open_states: VecDeque::new(),
            lists: HashMap::new(),
            open_lists: VecDeque::new(),
            bodies: arms.iter().map(|_| None).collect(),
        };
        let mut matched: Vec<Found> = Vec::new();
        for (at, arm) in arms.iter().enumerate() {
            if arm.layers.is_empty() {
                matched.push((at, Vec::new()));
                if arm.guard.is_none() {
                    break;
                }
            }
        }
        let none = Windows::new();
        match self.program.root.filter(|root| self.useful(arms, &matched, &[], *root)) {
            Some(header) => {
                let state = State { header, passed: BTreeMap::new(), partial: Vec::new(), matched };
                let start = self.int(0);
                let call = self.state_call(&mut search, state, start, &none);
                self.builder.end(TerminatorKind::Jump(call));
            }
            None => {
                let call = self.list_call(&mut search, &matched, &none);
                self.builder.end(TerminatorKind::Jump(call));
            }
        }
        while let Some((state, block, params)) = search.open_states.pop_front() {
            if self.overflow {
                return self.give_up();
            }
            self.builder.switch_to(block);
            self.header(&mut search, &state, &params);
        }
        while let Some((list, block, params)) = search.open_lists.pop_front() {
            if self.overflow {
                return self.give_up();
            }
            self.builder.switch_to(block);
            self.list(&mut search, &list, &params);
        }
        let mut comes_back = false;
        for (arm, body) in arms.iter().zip(std::mem::take(&mut search.bodies)) {
            let Some((block, windows)) = body else { continue };
            self.builder.switch_to(block);
            self.bind_layers(arm, &windows);
            if let Some(mut value) = self.expr(&arm.value) {
                value.truncate(types.len());
                self.builder.jump(join, value);
                comes_back = true;
            }
        }
        self.builder.switch_to(join);
        if !comes_back {
            self.dead_end();
            return None;
        }
        Some(results)
    }

    fn give_up(&mut self) -> Option<Vec<Value>> {
        self.dead_end();
        None
    }

    fn bind_layers(&mut self, arm: &PacketArm, windows: &[Value]) {
        for ((_, layer), window) in arm.layers.iter().zip(windows) {
            self.set_layer(*layer, *window);
        }
    }

    /// Whether looking at `header` could still change the answer: an arm in front of all that match without condition might be
    /// found.
    fn useful(&self, arms: &[PacketArm], matched: &[Found], partial: &[Found], header: HeaderId) -> bool {
        let ahead = reachable(self.program, header);
        undecided(arms, matched).any(|at| {
            let first = arms[at].layers.first().is_some_and(|(first, _)| ahead.contains(first));
            first || partial.iter().any(|(arm, slots)| *arm == at && arms[at].layers[slots.len()].0 == header)
        })
    }

    fn windows_of(&mut self, slots: &BTreeSet<Slot>, params: &[Value]) -> Windows {
        slots.iter().copied().zip(params.iter().copied()).collect()
    }

    fn window_types(&self, slots: &BTreeSet<Slot>) -> Vec<Type> {
        slots.iter().map(|(header, _)| Type::Window(self.program.headers[header.index()].size)).collect()
    }

    fn state_call(
        &mut self,
        search: &mut Search<'_>,
        state: State,
        offset: Value,
        windows: &Windows,
    ) -> BlockCall {
        let slots = state.slots();
        let block = match search.states.get(&state) {
            Some(block) => *block,
            None => {
                let mut types = vec![Type::Int];
                types.extend(self.window_types(&slots));
                let (block, params) = self.block_of(&types);
                search.states.insert(state.clone(), block);
                search.open_states.push_back((state, block, params));
                block
            }
        };
        let mut args = vec![offset];
        args.extend(slots.iter().filter_map(|slot| windows.get(slot)));
        BlockCall { block, args }
    }

    fn list_call(&mut self, search: &mut Search<'_>, matched: &[Found], windows: &Windows) -> BlockCall {
        let slots = slots(matched);
        let block = match search.lists.get(matched) {
            Some(block) => *block,
            None => {
                let types = self.window_types(&slots);
                let (block, params) = self.block_of(&types);
                search.lists.insert(matched.to_vec(), block);
                search.open_lists.push_back((matched.to_vec(), block, params));
                block
            }
        };
        BlockCall { block, args: slots.iter().filter_map(|slot| windows.get(slot).copied()).collect() }
    }

    /// Looks at the header of a state.
    fn header(&mut self, search: &mut Search<'_>, state: &State, params: &[Value]) {
        let program = self.program;
        let def = &program.headers[state.header.index()];
        let Some((&offset, rest)) = params.split_first() else { return };
        let mut windows = self.windows_of(&state.slots(), rest);
        self.at(def.span);
        // Not there: what matches so far is all.
        let short = self.list_call(search, &state.matched, &windows);
        let (ok, given) = self.block_of(&[Type::Window(def.size)]);
        self.builder.end(TerminatorKind::Window {
            offset,
            len: def.size,
            ok: BlockCall { block: ok, args: Vec::new() },
            short: short.clone(),
        });
        self.builder.switch_to(ok);
        let Some(&window) = given.first() else { return };
        let mut frame = Frame::new(0, &[state.header], None);
        frame.set_layer(LayerId(0), window);
        self.in_frame(frame, |lowering| {
            for rule in &def.rules {
                let Some(holds) = lowering.one(&rule.condition) else { return };
                let next = lowering.block();
                lowering.builder.end(TerminatorKind::Branch {
                    cond: holds,
                    then: BlockCall { block: next, args: Vec::new() },
                    other: short.clone(),
                });
                lowering.builder.switch_to(next);
            }
            lowering.follow(search, state, window, offset, &mut windows);
        });
    }

    /// The header of a state is there: what it means for the arms, and what follows.
    fn follow(
        &mut self,
        search: &mut Search<'_>,
        state: &State,
        window: Value,
        offset: Value,
        windows: &mut Windows,
    ) {
        let program = self.program;
        let def = &program.headers[state.header.index()];
        let arms = search.arms;
        let mut passed = state.passed.clone();
        let times = passed.get(&state.header).copied().unwrap_or(0);
        if followers(program, state.header).contains(&state.header) {
            passed.insert(state.header, times + 1);
        }
        let slot = (state.header, times);
        windows.insert(slot, window);
        let (partial, matched) = advance(arms, state, slot);
        let done = self.list_call(search, &matched, windows);
        // The arms of `next by` that lead somewhere; those that do not matter only if they take values from one that does.
        let leads = |arm: &NextArm| {
            passed.get(&arm.header).copied().unwrap_or(0) < MAX_REPEAT
                && self.useful(arms, &matched, &partial, arm.header)
        };
        let next = def.next.as_ref();
        let steps: Vec<(&NextArm, bool)> =
            next.iter().flat_map(|next| next.arms.iter()).map(|arm| (arm, leads(arm))).collect();
        let last = steps.iter().rposition(|(_, leads)| *leads);
        let (Some(next), Some(last)) = (next, last) else {
            self.builder.end(TerminatorKind::Jump(done));
            return;
        };
        let keys: Vec<Value> = next
            .by
            .iter()
            .filter_map(|field| self.header_field(def, window, *field).first().copied())
            .collect();
        let mut behind: Option<Value> = None;
        for (at, (arm, leads)) in steps.iter().enumerate().take(last + 1) {
            let matters =
                *leads || steps[at + 1..=last].iter().any(|(other, leads)| *leads && overlap(arm, other));
            if !matters {
                continue;
            }
            let call = if *leads {
                let end = match behind {
                    Some(end) => end,
                    None => match self.end_of_header(state.header, offset) {
                        Some(end) => end,
                        None => return,
                    },
                };
                behind = Some(end);
                let partial = (partial.iter())
                    .filter(|(at, slots)| {
                        arms[*at].layers.get(slots.len()).is_some_and(|(next, _)| *next == arm.header)
                    })
                    .cloned()
                    .collect();
                // What cannot come again need not be remembered, and so tagged and plain packets meet.
                let ahead = reachable(program, arm.header);
                let passed = passed
                    .iter()
                    .filter(|(header, _)| ahead.contains(header))
                    .map(|(h, n)| (*h, *n))
                    .collect();
                let state = State { header: arm.header, passed, partial, matched: matched.clone() };
                self.state_call(search, state, end, windows)
            } else {
                done.clone()
            };
            match self.key_test(&keys, &arm.keys) {
                Some(hit) => {
                    let miss = self.block();
                    self.builder.end(TerminatorKind::Branch {
                        cond: hit,
                        then: call,
                        other: BlockCall { block: miss, args: Vec::new() },
                    });
                    self.builder.switch_to(miss);
                }
                None => {
                    self.builder.end(TerminatorKind::Jump(call));
                    return;
                }
            }
        }
        self.builder.end(TerminatorKind::Jump(done));
    }

    /// Where the header behind the one at `offset` begins.
    fn end_of_header(&mut self, header: HeaderId, offset: Value) -> Option<Value> {
        let def = &self.program.headers[header.index()];
        let size = self.int(u64::from(def.size));
        let end = self.binary(BinaryOp::Add, offset, size);
        let Some(region) = &def.region else { return Some(end) };
        let bytes = self.one(&region.bytes)?;
        Some(self.binary(BinaryOp::Add, end, bytes))
    }

    /// Whether the deciding fields have the values of an arm; `None` if they always have.
    fn key_test(&mut self, fields: &[Value], keys: &[KeyPattern]) -> Option<Value> {
        let mut all: Option<Value> = None;
        for (field, key) in fields.iter().zip(keys) {
            let KeyPattern::OneOf(ranges) = key else { continue };
            let mut any: Option<Value> = None;
            let mut always = false;
            for (low, high) in ranges {
                match self.in_range(*field, *low, *high) {
                    Some(one) => {
                        any = Some(match any {
                            Some(before) => self.ins(oko_ir::Op::Bool(oko_ir::BoolOp::Or, before, one)),
                            None => one,
                        });
                    }
                    None => always = true,
                }
            }
            let (Some(any), false) = (any, always) else { continue };
            all = Some(match all {
                Some(before) => self.ins(oko_ir::Op::Bool(oko_ir::BoolOp::And, before, any)),
                None => any,
            });
        }
        all
    }

    /// Tries the conditions of the arms that match, in order.
    fn list(&mut self, search: &mut Search<'_>, list: &[Found], params: &[Value]) {
        let windows = self.windows_of(&slots(list), params);
        let Some(((at, own), rest)) = list.split_first() else {
            // There is an arm without condition for every packet.
            return self.dead_end();
        };
        let arm = &search.arms[*at];
        let own: Vec<Value> = own.iter().filter_map(|slot| windows.get(slot).copied()).collect();
        let body = match &search.bodies[*at] {
            Some((block, _)) => *block,
            None => {
                let types: Vec<Type> = arm
                    .layers
                    .iter()
                    .map(|(id, _)| Type::Window(self.program.headers[id.index()].size))
                    .collect();
                let (block, params) = self.block_of(&types);
                search.bodies[*at] = Some((block, params));
                block
            }
        };
        if let Some(guard) = &arm.guard {
            self.bind_layers(arm, &own);
            let (hit, miss) = (self.block(), self.block());
            if self.condition(guard, hit, miss).is_none() {
                return;
            }
            self.builder.switch_to(miss);
            let call = self.list_call(search, rest, &windows);
            self.builder.end(TerminatorKind::Jump(call));
            self.builder.switch_to(hit);
        }
        self.builder.jump(body, own);
    }
}

/// The arms in front of all that match without condition, and that are not found yet.
fn undecided<'a>(arms: &'a [PacketArm], matched: &'a [Found]) -> impl Iterator<Item = usize> + 'a {
    let end = matched.iter().map(|(at, _)| *at).find(|at| arms[*at].guard.is_none()).unwrap_or(arms.len());
    (0..end).filter(|at| !matched.iter().any(|(found, _)| found == at))
}

/// What the header of a state, which is there, means for the arms: those of which more layers were found, and those that match.
fn advance(arms: &[PacketArm], state: &State, slot: Slot) -> (Vec<Found>, Vec<Found>) {
    let mut matched = state.matched.clone();
    let mut partial: Vec<Found> = Vec::new();
    for at in undecided(arms, &state.matched) {
        let layers = &arms[at].layers;
        let going_on = state.partial.iter().filter(|(arm, _)| *arm == at).map(|(_, slots)| slots.clone());
        let begun = std::iter::once(Vec::new());
        // What began first is in front, so the first place counts.
        for mut slots in going_on.chain(begun) {
            if layers.get(slots.len()).is_none_or(|(header, _)| *header != slot.0) {
                continue;
            }
            slots.push(slot);
            if slots.len() == layers.len() {
                matched.push((at, slots));
                partial.retain(|(arm, _)| *arm != at);
                break;
            }
            partial.push((at, slots));
        }
    }
    matched.sort();
    if let Some(end) = matched.iter().position(|(at, _)| arms[*at].guard.is_none()) {
        matched.truncate(end + 1);
    }
    let kept: Vec<Found> = undecided(arms, &matched)
        .flat_map(|at| partial.iter().filter(move |(arm, _)| *arm == at).cloned())
        .collect();
    (kept, matched)
}

/// Whether two arms of a `next by` can take the same values.
fn overlap(a: &NextArm, b: &NextArm) -> bool {
    a.keys.iter().zip(&b.keys).all(|(a, b)| match (a, b) {
        (KeyPattern::OneOf(a), KeyPattern::OneOf(b)) => {
            a.iter().any(|(low, high)| b.iter().any(|(first, last)| low <= last && first <= high))
        }
        _ => true,
    })
}
