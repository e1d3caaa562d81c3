//! `match pkt`: the way through the headers of a packet, shared by all arms.
//!
//! # Meaning
//!
//! A packet has a chain of headers: it begins with the root header, and each header's `next by` says which one follows. The
//! chain ends where the packet is too short for a header's fields, where a header's rules do not hold, where nothing follows, and before one
//! more header of a circle (see [`graph`](crate::packets::graph)) would come than are passed in a row. A region is skipped by its length; the
//! packet need not be long enough for it unless a header behind it is looked for.
//!
//! An arm matches if the headers of one of its alternatives stand behind one another somewhere in the chain, with nothing but extension
//! headers between them, and no tunnel in front of the first. Of several such places the one that ends first counts, and of alternatives that end
//! there the first. Then the arm's condition decides. Of the arms that match, the first one answers.
//!
//! # How it is done
//!
//! The alternatives of all arms are looked for at once. A [`State`] of the search is the header that comes next and what is known about each
//! of them; its block is given where that header begins and the windows of the headers that were found so far, so the
//! blocks behind IPv4 exist once, however many tags stand in front. The search ends as soon as no arm can change the
//! answer any more; what it found is a list of alternatives, in order, whose conditions are then tried. The answer of an arm exists once, too:
//! see [`layers`](super::layers).
//!
//! A long circle of headers that no arm names becomes a loop, whose head is given which of the headers comes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use oko_ir::{BinaryOp, Block, BlockCall, TerminatorKind, Type, Value};

use super::body::{Frame, Lowering};
use super::layers::{At, Source};
use crate::hir::{HeaderId, KeyPattern, LayerId, NextArm, PacketArm};
use crate::packets::graph::Graph;
use crate::types::Ty;

/// A header that was found: which one, and a number that no other header of this kind has that is remembered at the same time.
type Slot = (HeaderId, u8);

/// A chain, by its place in [`Search::chains`], and the headers found for it so far.
type Found = (usize, Vec<Slot>);

/// An alternative of an arm.
struct Chain<'a> {
    /// The place of its arm.
    arm: usize,
    headers: Vec<HeaderId>,
    layers: &'a [(HeaderId, Option<LayerId>)],
    /// Whether the arm has a condition.
    guarded: bool,
}

/// Circles of more headers than this, each counted as often as it is passed, become loops.
const MAX_UNROLLED: usize = 4;

/// Instead of a number of passed headers: a loop counts them.
const LOOPED: u8 = u8::MAX;

/// A loop over the headers of a circle.
struct Round<'s> {
    /// Where the search is at its head.
    state: &'s State,
    /// How many were passed.
    counter: Value,
    members: &'s [HeaderId],
}

/// Where the search is: before a header.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    /// The header that comes.
    header: HeaderId,
    /// How many headers of its circle were passed in a row; [`LOOPED`] where a loop counts them, and `header` stands for any of them.
    passed: u8,
    /// Whether a tunnel was entered: no chain begins any more.
    inside: bool,
    /// Chains that were begun, and the header that comes is the next one or an extension in front of it.
    partial: Vec<Found>,
    /// Chains that are complete, in order, none behind one of an arm without condition.
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

/// Where the headers are that were found.
type Windows = BTreeMap<Slot, At>;

/// The search of one `match pkt`.
struct Search<'a> {
    arms: &'a [PacketArm],
    /// The alternatives of all arms, in order.
    chains: Vec<Chain<'a>>,
    /// For each header of a circle that is gone through by a loop, the headers of the circle.
    circles: HashMap<HeaderId, Vec<HeaderId>>,
    states: HashMap<State, Block>,
    open_states: VecDeque<(State, Block, Vec<Value>)>,
    lists: HashMap<Vec<Found>, Block>,
    open_lists: VecDeque<(Vec<Found>, Block, Vec<Value>)>,
    /// The answer of each arm, if it is wanted.
    bodies: Vec<Option<ArmBody>>,
    /// Blocks that go to an answer: the block, the chain that was found, its windows.
    arrivals: Vec<(Block, usize, Vec<At>)>,
}

/// The block of an arm's answer.
struct ArmBody {
    /// Its number among the blocks that are given what they read.
    shared: usize,
    /// The layers that are always the same header, and their windows.
    windows: Vec<(LayerId, HeaderId, At)>,
}

impl Lowering<'_> {
    /// `match pkt { arms }`
    pub(super) fn match_packet(&mut self, arms: &[PacketArm], ty: &Ty) -> Option<Vec<Value>> {
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let chains: Vec<Chain<'_>> = (arms.iter().enumerate())
            .flat_map(|(at, arm)| arm.chains.iter().map(move |chain| (at, arm, chain)))
            .map(|(arm, of, layers)| Chain {
                arm,
                headers: layers.iter().map(|(header, _)| *header).collect(),
                layers,
                guarded: of.guard.is_some(),
            })
            .collect();
        let mut matched: Vec<Found> = Vec::new();
        for (at, chain) in chains.iter().enumerate() {
            if chain.headers.is_empty() {
                matched.push((at, Vec::new()));
                if !chain.guarded {
                    break;
                }
            }
        }
        let circles = self.looped_circles(&chains);
        let mut search = Search {
            arms,
            chains,
            circles,
            states: HashMap::new(),
            open_states: VecDeque::new(),
            lists: HashMap::new(),
            open_lists: VecDeque::new(),
            bodies: arms.iter().map(|_| None).collect(),
            arrivals: Vec::new(),
        };
        let none = Windows::new();
        match self.program.root.filter(|root| self.useful(&search.chains, &matched, &[], *root, false)) {
            Some(header) => {
                let state = State { header, passed: 0, inside: false, partial: Vec::new(), matched };
                let start = self.int(0);
                let call = self.next_call(&mut search, state, start, None, &none);
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
            if state.passed == LOOPED {
                self.round(&mut search, &state, &params);
            } else {
                self.header(&mut search, &state, &params, None);
            }
        }
        while let Some((list, block, params)) = search.open_lists.pop_front() {
            if self.overflow {
                return self.give_up();
            }
            self.builder.switch_to(block);
            self.list(&mut search, &list, &params);
        }
        let mut comes_back = false;
        for (arm, body) in arms.iter().zip(&search.bodies) {
            let Some(body) = body else { continue };
            self.builder.switch_to(self.shared[body.shared].block);
            for (_, layer) in arm.chains.iter().flatten() {
                if let Some(layer) = layer {
                    let window = body.windows.iter().find(|(known, ..)| known == layer);
                    let source = match window {
                        Some((_, header, window)) => Source::Window(*header, *window),
                        None => Source::Shared(body.shared, *layer),
                    };
                    self.set_layer(*layer, source);
                }
            }
            self.arm(arm.value.span);
            if let Some(mut value) = self.expr(&arm.value) {
                value.truncate(types.len());
                self.builder.jump(join, value);
                comes_back = true;
            }
        }
        // Now it is known what each answer reads.
        for (block, chain, windows) in std::mem::take(&mut search.arrivals) {
            let chain = &search.chains[chain];
            let Some(body) = &search.bodies[chain.arm] else { continue };
            let source = |layer: LayerId| {
                let found = chain.layers.iter().zip(&windows).find(|((_, known), _)| *known == Some(layer));
                found.map(|((header, _), window)| Source::Window(*header, *window))
            };
            let mut given = Vec::new();
            for (layer, header, _) in &body.windows {
                if let Some(Source::Window(_, at)) = source(*layer) {
                    self.push_place(*header, at, &mut given);
                }
            }
            self.builder.switch_to(block);
            self.jump_shared(body.shared, given, source);
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

    /// Whether looking at `header` could still change the answer: a chain of an arm in front of all that match without condition might
    /// be found.
    fn useful(
        &self,
        chains: &[Chain<'_>],
        matched: &[Found],
        partial: &[Found],
        header: HeaderId,
        inside: bool,
    ) -> bool {
        let ahead = self.graph.reachable(header);
        undecided(chains, matched).any(|at| {
            let begins = !inside && chains[at].headers.first().is_some_and(|first| ahead.contains(first));
            begins || partial.iter().any(|found| found.0 == at && goes_on(self.graph, chains, found, header))
        })
    }

    /// The places of headers from the parameters that they are given by.
    fn windows_of(&mut self, slots: &BTreeSet<Slot>, params: &[Value]) -> Windows {
        let mut rest = params.iter().copied();
        let mut windows = Windows::new();
        for slot in slots {
            let Some(at) = self.next_place(slot.0, &mut rest) else { break };
            windows.insert(*slot, at);
        }
        windows
    }

    fn next_place(&self, header: HeaderId, params: &mut impl Iterator<Item = Value>) -> Option<At> {
        let window = params.next()?;
        let offset = if self.placed.contains(&header) { Some(params.next()?) } else { None };
        Some(At { window, offset })
    }

    fn push_place(&self, header: HeaderId, at: At, args: &mut Vec<Value>) {
        args.push(at.window);
        if self.placed.contains(&header) {
            args.extend(at.offset);
        }
    }

    fn window_types<'s>(&self, headers: impl Iterator<Item = &'s HeaderId>) -> Vec<Type> {
        let mut types = Vec::new();
        for header in headers {
            types.push(Type::Window(self.program.headers[header.index()].size));
            if self.placed.contains(header) {
                types.push(Type::Int);
            }
        }
        types
    }

    fn window_args(&self, slots: &BTreeSet<Slot>, windows: &Windows) -> Vec<Value> {
        let mut args = Vec::new();
        for slot in slots {
            if let Some(at) = windows.get(slot) {
                self.push_place(slot.0, *at, &mut args);
            }
        }
        args
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
                let mut types = vec![Type::Int; if state.passed == LOOPED { 3 } else { 1 }];
                types.extend(self.window_types(slots.iter().map(|(header, _)| header)));
                let (block, params) = self.block_of(&types);
                search.states.insert(state.clone(), block);
                search.open_states.push_back((state, block, params));
                block
            }
        };
        let mut args = vec![offset];
        args.extend(self.window_args(&slots, windows));
        BlockCall { block, args }
    }

    /// The circles that become loops: those of many headers, none of which an arm names, so that nothing but the place in the
    /// packet changes from one to the next.
    fn looped_circles(&self, chains: &[Chain<'_>]) -> HashMap<HeaderId, Vec<HeaderId>> {
        let mut circles = HashMap::new();
        let ids = || (0..self.program.headers.len()).map(HeaderId::from_index);
        let named = |id: &HeaderId| chains.iter().any(|chain| chain.headers.contains(id));
        for id in ids() {
            let members: Vec<HeaderId> = ids().filter(|other| self.graph.in_circle(id, *other)).collect();
            let extensions =
                members.iter().filter(|member| self.program.headers[member.index()].extension).count();
            let long = members.len() * usize::from(self.graph.limit(id)) > MAX_UNROLLED;
            let returns = members.len() > 1 || self.graph.leads_back(id);
            let alike = extensions == 0 || extensions == members.len();
            if long && returns && alike && !members.iter().any(named) {
                circles.insert(id, members);
            }
        }
        circles
    }

    /// A call of the block that goes on with `state`, which may be a loop; `round` is the loop that the search is in.
    fn next_call(
        &mut self,
        search: &mut Search<'_>,
        mut state: State,
        offset: Value,
        round: Option<&Round<'_>>,
        windows: &Windows,
    ) -> BlockCall {
        let Some(members) = search.circles.get(&state.header) else {
            return self.state_call(search, state, offset, windows);
        };
        let which = members.iter().position(|member| *member == state.header).unwrap_or(0) as u64;
        let Some(first) = members.first() else { return self.state_call(search, state, offset, windows) };
        state.header = *first;
        state.passed = LOOPED;
        let which = self.int(which);
        let counter = match round {
            Some(round) if *round.state == state => {
                let one = self.int(1);
                self.binary(BinaryOp::Add, round.counter, one)
            }
            _ => self.int(0),
        };
        let mut call = self.state_call(search, state, offset, windows);
        call.args.splice(0..0, [which, counter]);
        call
    }

    /// The loop over the headers of a circle.
    fn round(&mut self, search: &mut Search<'_>, state: &State, params: &[Value]) {
        let [which, counter, rest @ ..] = params else { return };
        let (which, counter) = (*which, *counter);
        let members = search.circles.get(&state.header).cloned().unwrap_or_default();
        let windows = self.windows_of(&state.slots(), rest.get(1..).unwrap_or_default());
        let done = self.list_call(search, &state.matched, &windows);
        let body = self.block();
        self.builder.end(TerminatorKind::Repeat {
            counter,
            count: u32::from(self.graph.limit(state.header)),
            body: BlockCall { block: body, args: Vec::new() },
            done,
        });
        self.builder.switch_to(body);
        let round = Round { state, counter, members: &members };
        for (at, member) in members.iter().enumerate() {
            let (hit, next) = (self.block(), self.block());
            if at + 1 == members.len() {
                self.builder.jump(hit, Vec::new());
            } else {
                let number = self.int(at as u64);
                let is = self.compare(oko_ir::CompareOp::Eq, which, number);
                self.branch(is, hit, next);
            }
            self.builder.switch_to(hit);
            let state = State { header: *member, ..state.clone() };
            self.header(search, &state, rest, Some(&round));
            self.builder.switch_to(next);
        }
        // Behind the last one: no packet comes here.
        self.dead_end();
    }

    fn list_call(&mut self, search: &mut Search<'_>, matched: &[Found], windows: &Windows) -> BlockCall {
        let slots = slots(matched);
        let block = match search.lists.get(matched) {
            Some(block) => *block,
            None => {
                let types = self.window_types(slots.iter().map(|(header, _)| header));
                let (block, params) = self.block_of(&types);
                search.lists.insert(matched.to_vec(), block);
                search.open_lists.push_back((matched.to_vec(), block, params));
                block
            }
        };
        BlockCall { block, args: self.window_args(&slots, windows) }
    }

    /// Looks at the header of a state.
    fn header(
        &mut self,
        search: &mut Search<'_>,
        state: &State,
        params: &[Value],
        round: Option<&Round<'_>>,
    ) {
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
        let at = At { window, offset: Some(offset) };
        let frame = Frame::of_header(state.header, at);
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
            lowering.follow(search, state, at, offset, round, &mut windows);
        });
    }

    /// The header of a state is there: what it means for the arms, and what follows.
    fn follow(
        &mut self,
        search: &mut Search<'_>,
        state: &State,
        at: At,
        offset: Value,
        round: Option<&Round<'_>>,
        windows: &mut Windows,
    ) {
        let program = self.program;
        let def = &program.headers[state.header.index()];
        let graph = self.graph;
        let used = state.slots();
        let free = (0..=u8::MAX).find(|number| !used.contains(&(state.header, *number))).unwrap_or(0);
        let slot = (state.header, free);
        windows.insert(slot, at);
        let window = at.window;
        let (partial, matched) = advance(&search.chains, state, slot, def.extension);
        let done = self.list_call(search, &matched, windows);
        let step = |arm: &NextArm| {
            let in_circle = !arm.tunnel && graph.in_circle(state.header, arm.header);
            let passed = if in_circle { state.passed.saturating_add(1) } else { 0 };
            (passed, state.inside || arm.tunnel)
        };
        // The arms of `next by` that lead somewhere; those that do not matter only if they take values from one that does.
        let leads = |lowering: &Self, arm: &NextArm| {
            let (passed, inside) = step(arm);
            (passed < graph.limit(arm.header)
                || round.is_some_and(|round| round.members.contains(&arm.header)))
                && lowering.useful(&search.chains, &matched, &partial, arm.header, inside)
        };
        let next = def.next.as_ref();
        let steps: Vec<(&NextArm, bool)> =
            next.iter().flat_map(|next| next.arms.iter()).map(|arm| (arm, leads(self, arm))).collect();
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
                *leads || steps[at + 1..=last].iter().any(|(other, leads)| *leads && arm.overlaps(other));
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
                    .filter(|found| goes_on(graph, &search.chains, found, arm.header))
                    .cloned()
                    .collect();
                let (passed, inside) = step(arm);
                let state = State { header: arm.header, passed, inside, partial, matched: matched.clone() };
                self.next_call(search, state, end, round, windows)
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
        if def.peek {
            return Some(offset);
        }
        let size = self.int(u64::from(def.size));
        let end = self.binary(BinaryOp::Add, offset, size);
        let Some(region) = &def.region else { return Some(end) };
        let bytes = self.one(&region.bytes)?;
        Some(self.binary(BinaryOp::Add, end, bytes))
    }

    /// Whether the deciding fields have the values of an arm; `None` if they always have.
    pub(super) fn key_test(&mut self, fields: &[Value], keys: &[KeyPattern]) -> Option<Value> {
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
        let (at, arm) = (*at, &search.arms[search.chains[*at].arm]);
        let own: Vec<At> = own.iter().filter_map(|slot| windows.get(slot).copied()).collect();
        self.want_body(search, search.chains[at].arm);
        if let Some(guard) = &arm.guard {
            for ((header, layer), window) in search.chains[at].layers.iter().zip(&own) {
                if let Some(layer) = layer {
                    self.set_layer(*layer, Source::Window(*header, *window));
                }
            }
            let (hit, miss) = (self.block(), self.block());
            if self.condition(guard, hit, miss).is_none() {
                for block in [hit, miss] {
                    self.builder.switch_to(block);
                    self.dead_end();
                }
                return;
            }
            self.builder.switch_to(miss);
            let call = self.list_call(search, rest, &windows);
            self.builder.end(TerminatorKind::Jump(call));
            self.builder.switch_to(hit);
        }
        search.arrivals.push((self.builder.current(), at, own));
    }

    /// Sees to it that there is a block for the answer of an arm.
    fn want_body(&mut self, search: &mut Search<'_>, arm: usize) {
        if search.bodies[arm].is_some() {
            return;
        }
        let chains = &search.arms[arm].chains;
        let mut same: Vec<(LayerId, HeaderId)> = Vec::new();
        for (header, layer) in chains.first().into_iter().flatten() {
            let Some(layer) = layer else { continue };
            if chains.iter().flatten().all(|(other, of)| *of != Some(*layer) || other == header) {
                same.push((*layer, *header));
            }
        }
        let types = self.window_types(same.iter().map(|(_, header)| header));
        let (block, params) = self.block_of(&types);
        let mut params = params.into_iter();
        let windows = (same.into_iter())
            .filter_map(|(layer, header)| Some((layer, header, self.next_place(header, &mut params)?)))
            .collect();
        search.bodies[arm] = Some(ArmBody { shared: self.share(block), windows });
    }
}

/// Whether a chain that was begun can go on with `header`: it is the next one, or an extension in front of it.
fn goes_on(graph: &Graph, chains: &[Chain<'_>], (at, slots): &Found, header: HeaderId) -> bool {
    let next = chains[*at].headers.get(slots.len());
    next.is_some_and(|next| *next == header || graph.extends_to(header, *next))
}

/// The chains of arms in front of all that match without condition, and of arms that are not found yet.
fn undecided<'a>(chains: &'a [Chain<'a>], matched: &'a [Found]) -> impl Iterator<Item = usize> + 'a {
    let taken = |at: usize| matched.iter().any(|(found, _)| chains[*found].arm == chains[at].arm);
    let end = matched.iter().map(|(at, _)| *at).find(|at| !chains[*at].guarded).unwrap_or(chains.len());
    (0..end).filter(move |at| !taken(*at))
}

/// What the header of a state, which is there, means for the chains: those of which some headers were found, and those that are complete.
fn advance(chains: &[Chain<'_>], state: &State, slot: Slot, extension: bool) -> (Vec<Found>, Vec<Found>) {
    let mut matched = state.matched.clone();
    let mut partial: Vec<Found> = Vec::new();
    for at in undecided(chains, &state.matched) {
        if matched.iter().any(|(found, _)| chains[*found].arm == chains[at].arm) {
            // Another alternative of the arm is complete here.
            continue;
        }
        let headers = &chains[at].headers;
        let going_on = state.partial.iter().filter(|(chain, _)| *chain == at).map(|(_, slots)| slots.clone());
        let begun = (!state.inside).then(Vec::new);
        // What began first is in front, so the first place counts.
        for mut slots in going_on.chain(begun) {
            if headers.get(slots.len()).is_none_or(|header| *header != slot.0) {
                if extension && !slots.is_empty() {
                    partial.push((at, slots));
                }
                continue;
            }
            slots.push(slot);
            if slots.len() == headers.len() {
                matched.push((at, slots));
                break;
            }
            partial.push((at, slots));
        }
    }
    matched.sort();
    if let Some(end) = matched.iter().position(|(at, _)| !chains[*at].guarded) {
        matched.truncate(end + 1);
    }
    let kept: Vec<Found> = undecided(chains, &matched)
        .flat_map(|at| partial.iter().filter(move |(chain, _)| *chain == at).cloned())
        .collect();
    (kept, matched)
}
