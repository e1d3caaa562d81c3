//! Goes through the steps of a test on each machine, and compares what came of it.

use std::collections::HashMap;
use std::rc::Rc;

use oko_compiler::{Checked, TestObject};
use oko_diagnostics::codes::tests;
use oko_diagnostics::{Diagnostic, Span};
use oko_filter::Engine;
use oko_front::hir::{EventId, LocalId, Program, Shape, StateId, scalars};
use oko_front::plan::{self, Build, Change, Expect, PacketId, Payload, Plan, Step, StepKind, ValueId};
use oko_front::types::{NOW_MAX, Ty};
use oko_front::wire::{self, Layer};
use oko_front::{Origin, PIECES_OF_SCALAR};
use oko_ir::interp::TableKey;

use crate::machine::{Entries, Machine};
use crate::packets::{Content, Packet, show_packet};
use crate::show::show;
use crate::{BEGIN, Captured, Captures, Failure, Report};

/// The most steps of a test, those in loops counted each time.
const MAX_STEPS: u64 = 5_000_000;

/// The longest packet.
const MAX_FRAME: usize = 65_535;

/// The most expectations of a test that are shown as failed.
const MAX_FAILURES: usize = 8;

pub(crate) fn run(checked: &Checked, test: usize, engines: &[Engine], captures: &dyn Captures) -> Report {
    let plan = &checked.tests()[test];
    let mut report = Report {
        name: plan.name.clone(),
        span: plan.span,
        failures: Vec::new(),
        expectations: 0,
        asked: 0,
        arms: Vec::new(),
    };
    let object = match checked.test(plan) {
        Ok(object) => object,
        Err(failure) => {
            report.failures.push(stopped(plan.span, &failure.to_string()));
            return report;
        }
    };
    let mut machines = vec![Ok(Machine::marked(&object))];
    machines.extend(engines.iter().map(|engine| Machine::engine(&object, *engine)));
    let mut cache = Cache { captures, known: HashMap::new() };
    let mut first: Option<Run<'_>> = None;
    for machine in machines {
        let machine = match machine {
            Ok(machine) => machine,
            Err(reason) => {
                report.failures.push(stopped(plan.span, &reason));
                continue;
            }
        };
        let mut run = Run {
            program: checked.program(),
            plan,
            object: &object,
            machine,
            now: BEGIN,
            turns: Vec::new(),
            again: Vec::new(),
            locals: vec![None; plan.locals.len()],
            packets: vec![None; plan.packets.len()],
            log: Vec::new(),
            failures: Vec::new(),
            steps: 0,
            expectations: 0,
            asked: 0,
            events: Vec::new(),
        };
        if let Err(stop) = run.steps(&plan.steps, &mut cache) {
            let mut failure = stopped(stop.span, &stop.reason);
            failure.diagnostic = run.in_turn(failure.diagnostic);
            run.failures.push(failure);
        }
        run.count_repeated();
        run.take_events();
        match &first {
            None => first = Some(run),
            Some(first) => report.failures.extend(first.difference(&run)),
        }
    }
    if let Some(mut first) = first {
        report.failures.splice(0..0, std::mem::take(&mut first.failures));
        report.expectations = first.expectations;
        report.asked = first.asked;
        if let Machine::Marked { marks, .. } = &first.machine {
            report.arms = object.arms.iter().map(|arm| (arm.span, marks.contains(&arm.mark))).collect();
        }
    }
    report
}

fn stopped(span: Span, reason: &str) -> Failure {
    let diagnostic =
        Diagnostic::error(tests::STOPPED, "this test could not be run to its end").label(span, reason);
    Failure { diagnostic, packets: String::new() }
}

/// Captures that were read.
struct Cache<'c> {
    captures: &'c dyn Captures,
    known: HashMap<String, Rc<Vec<Captured>>>,
}

/// Why a test does not go on.
struct Stop {
    span: Span,
    reason: String,
}

/// Something that all machines must agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    span: Span,
    /// The type's local, for showing; `None` for truth values and numbers without one.
    local: Option<LocalId>,
    words: Vec<u64>,
}

/// The turn of a loop that is run.
enum Turn<'t> {
    /// The loop's name for the number, which it has in its local.
    Number(LocalId),
    /// The packet, its number from 1 on, how many there are, and the capture that they are of.
    Packet(PacketId, usize, usize, &'t str),
}

/// A test on one machine.
struct Run<'t> {
    program: &'t Program,
    plan: &'t Plan,
    object: &'t TestObject,
    machine: Machine<'t>,
    now: u64,
    /// The turns that are run of the loops around the step, the outermost first.
    turns: Vec<Turn<'t>>,
    /// How often failed what had failed before, by its place.
    again: Vec<(Span, u64)>,
    locals: Vec<Option<Vec<u64>>>,
    packets: Vec<Option<Packet>>,
    log: Vec<Seen>,
    failures: Vec<Failure>,
    steps: u64,
    expectations: u64,
    asked: u64,
    /// Events that were emitted and that no `expect` has taken.
    events: Vec<(usize, Vec<u64>)>,
}

impl<'t> Run<'t> {
    fn steps(&mut self, steps: &'t [Step], cache: &mut Cache<'_>) -> Result<(), Stop> {
        for step in steps {
            self.count(step.span)?;
            self.step(step, cache)?;
        }
        Ok(())
    }

    fn count(&mut self, span: Span) -> Result<(), Stop> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Stop { span, reason: format!("more than {MAX_STEPS} steps") });
        }
        Ok(())
    }

    /// Adds which turn of the loops around it a failure is in.
    fn in_turn(&self, diagnostic: Diagnostic) -> Diagnostic {
        let parts = self.turns.iter().map(|turn| match turn {
            Turn::Number(local) => {
                let Some(def) = self.plan.locals.get(local.index()) else { return String::new() };
                let words = self.locals.get(local.index()).and_then(Option::as_deref).unwrap_or_default();
                format!("`{}` is {}", def.name, show(&def.ty, words, self.program))
            }
            Turn::Packet(packet, number, count, file) => {
                let name = self.plan.packets.get(packet.0).map_or("", |packet| packet.name.as_str());
                format!("`{name}` is packet {number} of {count} in {file:?}")
            }
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() {
            diagnostic
        } else {
            diagnostic.note(format!("in the turn where {}", parts.join(" and ")))
        }
    }

    /// Keeps a failure; in a loop, the first turn where it happens says it all.
    fn fail(&mut self, diagnostic: Diagnostic, packets: String) {
        let place = diagnostic.span();
        if self.failures.iter().any(|known| known.diagnostic.span() == place) {
            let Some(place) = place else { return };
            match self.again.iter_mut().find(|(known, _)| *known == place) {
                Some((_, times)) => *times += 1,
                None => self.again.push((place, 1)),
            }
        } else if self.failures.len() < MAX_FAILURES {
            let diagnostic = self.in_turn(diagnostic);
            self.failures.push(Failure { diagnostic, packets });
        }
    }

    /// Adds to each failure in how many further turns it happened.
    fn count_repeated(&mut self) {
        for failure in &mut self.failures {
            let place = failure.diagnostic.span();
            let Some((_, times)) = self.again.iter().find(|(known, _)| Some(*known) == place) else {
                continue;
            };
            let turns = if *times == 1 { "turn" } else { "turns" };
            failure.diagnostic.notes.push(format!("the same fails in {times} more {turns}"));
        }
    }

    fn step(&mut self, step: &'t Step, cache: &mut Cache<'_>) -> Result<(), Stop> {
        let span = step.span;
        match &step.kind {
            StepKind::Let(local, value) => {
                let words = self.value(*value, span)?;
                self.log.push(Seen { span, local: Some(*local), words: words.clone() });
                self.set_local(*local, words);
            }
            StepKind::Build(packet, build) => {
                let made = self.build(build, span)?;
                self.set_packet(*packet, made);
            }
            StepKind::Ask(filter, packet, answer) => {
                let packet = self.packet(*packet, span)?;
                let (bytes, wire_len) = packet.bytes(self.program);
                let class = self.ask(*filter, &bytes, wire_len, packet.in_port, span)?;
                self.log.push(Seen { span, local: Some(*answer), words: vec![class.into()] });
                self.set_local(*answer, vec![class.into()]);
            }
            StepKind::Replay(filter, file, count) => {
                let capture = capture(cache, file, span)?;
                let mut matches = 0;
                let begin = self.now;
                for packet in capture.iter() {
                    self.count(span)?;
                    self.now = at(begin, &capture, packet);
                    matches += u64::from(self.ask(*filter, &packet.bytes, packet.wire_len, 1, span)?);
                }
                self.log.push(Seen { span, local: Some(*count), words: vec![matches] });
                self.set_local(*count, vec![matches]);
            }
            StepKind::ForPackets(file, packet, body) => {
                let capture = capture(cache, file, span)?;
                let begin = self.now;
                for (at_turn, captured) in capture.iter().enumerate() {
                    self.now = at(begin, &capture, captured);
                    let content = Content::Bytes(captured.bytes.clone(), captured.wire_len);
                    self.set_packet(*packet, Packet { content, in_port: 1 });
                    self.turns.push(Turn::Packet(*packet, at_turn + 1, capture.len(), file));
                    self.steps(body, cache)?;
                    self.turns.pop();
                }
            }
            StepKind::For(local, start, end, body) => {
                let (start, end) = (self.number(*start, span)?, self.number(*end, span)?);
                for turn in start..end {
                    self.count(span)?;
                    self.set_local(*local, vec![turn]);
                    self.turns.push(Turn::Number(*local));
                    self.steps(body, cache)?;
                    self.turns.pop();
                }
            }
            StepKind::If(condition, then, otherwise) => {
                let branch = if self.number(*condition, span)? != 0 { then } else { otherwise };
                self.steps(branch, cache)?;
            }
            StepKind::Advance(value) => {
                let later = self.now.checked_add(self.number(*value, span)?);
                self.now = later.filter(|now| *now <= NOW_MAX).ok_or_else(|| Stop {
                    span,
                    reason: "the clock does not go so far: its end is 146 years from its beginning".into(),
                })?;
            }
            StepKind::Expect(expect) => self.expect(expect, span)?,
            StepKind::TablePut(table, key, value) => {
                let key = self.table_key(*table, *key, span)?;
                let fields = match value {
                    Some(value) => self.value(*value, span)?,
                    None => Vec::new(),
                };
                let name = &self.program.states[table.index()].name;
                let put = self.machine.table_put(name, table.0, key, &fields);
                put.map_err(|reason| Stop { span, reason })?;
            }
            StepKind::TableRemove(table, key) => {
                let key = self.table_key(*table, *key, span)?;
                let name = &self.program.states[table.index()].name;
                let removed = self.machine.table_remove(name, table.0, &key);
                removed.map_err(|reason| Stop { span, reason })?;
            }
            StepKind::Emitted(local) => {
                self.take_events();
                let count = self.events.len() as u64;
                self.log.push(Seen { span, local: Some(*local), words: vec![count] });
                self.set_local(*local, vec![count]);
            }
            StepKind::ExpectEmitted(event, fields) => self.expect_emitted(*event, fields, true, span)?,
            StepKind::ExpectNotEmitted(event, fields) => self.expect_emitted(*event, fields, false, span)?,
            StepKind::LetOf(local, value, packet) => {
                let (bytes, _) = self.packet(*packet, span)?.bytes(self.program);
                let words = self.value_of(*value, &bytes, span)?;
                let Some((1.., rest)) = words.split_first() else {
                    return Err(Stop {
                        span,
                        reason: "the packet has not the headers that this needs".into(),
                    });
                };
                self.set_local(*local, rest.to_vec());
            }
            StepKind::SetParam(param, value) => {
                let value = self.number(*value, span)?;
                let name = &self.program.params[param.index()].name;
                self.machine.set_param(name, param.0, value).map_err(|reason| Stop { span, reason })?;
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        filter: usize,
        bytes: &[u8],
        wire_len: u32,
        in_port: u32,
        span: Span,
    ) -> Result<u32, Stop> {
        self.asked += 1;
        self.machine
            .ask(filter, bytes, wire_len, in_port, self.now)
            .map_err(|reason| Stop { span, reason: format!("{}: {reason}", self.machine.name()) })
    }

    fn set_local(&mut self, local: LocalId, words: Vec<u64>) {
        if let Some(slot) = self.locals.get_mut(local.index()) {
            *slot = Some(words);
        }
    }

    fn set_packet(&mut self, id: PacketId, packet: Packet) {
        if let Some(slot) = self.packets.get_mut(id.0) {
            *slot = Some(packet);
        }
    }

    fn packet(&self, id: PacketId, span: Span) -> Result<Packet, Stop> {
        let packet = self.packets.get(id.0).cloned().flatten();
        packet.ok_or_else(|| Stop { span, reason: "the packet was not made".into() })
    }

    fn local(&self, id: LocalId, span: Span) -> Result<Vec<u64>, Stop> {
        let local = self.locals.get(id.index()).cloned().flatten();
        local.ok_or_else(|| Stop { span, reason: "the value was not computed".into() })
    }

    /// The scalars of a value.
    fn value(&mut self, id: ValueId, span: Span) -> Result<Vec<u64>, Stop> {
        self.value_of(id, &[], span)
    }

    /// The scalars of a value over a packet.
    fn value_of(&mut self, id: ValueId, packet: &[u8], span: Span) -> Result<Vec<u64>, Stop> {
        match self.object.origins.get(id.0) {
            Some(Origin::Const(words)) => Ok(words.clone()),
            Some(Origin::Local(local)) => self.local(*local, span),
            Some(Origin::Probe { filter, args, scalars }) => {
                let mut number = 0;
                for arg in args {
                    for word in self.local(*arg, span)? {
                        let param = self.object.first_param + number;
                        self.machine
                            .set_param(&format!("test.local.{number}"), param, word)
                            .map_err(|reason| Stop { span, reason })?;
                        number += 1;
                    }
                }
                let mut words = Vec::new();
                for scalar in 0..*scalars {
                    let mut word = 0;
                    for piece in 0..PIECES_OF_SCALAR {
                        let port = scalar * PIECES_OF_SCALAR + piece;
                        let class = self.machine.ask(*filter, packet, packet.len() as u32, port, self.now);
                        let class = class.map_err(|reason| Stop { span, reason })?;
                        word |= u64::from(class) << (8 * piece);
                    }
                    words.push(word);
                }
                Ok(words)
            }
            None => Err(Stop { span, reason: "the value is not in the object".into() }),
        }
    }

    /// A value of one scalar.
    fn number(&mut self, id: ValueId, span: Span) -> Result<u64, Stop> {
        Ok(self.value(id, span)?.first().copied().unwrap_or(0))
    }

    /// A key of a table as the control plane gives it.
    fn table_key(&mut self, table: StateId, key: ValueId, span: Span) -> Result<TableKey, Stop> {
        let words = self.value(key, span)?;
        let decl = self.object.marked.module().states.get(table.index());
        let widths: Vec<u32> =
            decl.map(|decl| decl.key.iter().map(|part| part.width.bits()).collect()).unwrap_or_default();
        let ends_in_prefix = match &self.program.states[table.index()].shape {
            Shape::Table { key: Ty::Prefix, .. } => true,
            Shape::Table { key: Ty::Tuple(parts), .. } => parts.last() == Some(&Ty::Prefix),
            _ => false,
        };
        let exact = words.len().saturating_sub(4);
        match words.get(exact..) {
            Some([family, high, low, length]) if ends_in_prefix => {
                let before: u32 = widths.iter().take(exact).sum();
                let mut parts = words[..exact].to_vec();
                // The address stands at the most significant end.
                parts.extend(if *family == 4 { [4, low << 32, 0] } else { [6, *high, *low] });
                Ok(TableKey { parts, bits: before + 8 + *length as u32 })
            }
            _ => Ok(TableKey { parts: words, bits: widths.iter().sum() }),
        }
    }

    fn take_events(&mut self) {
        let events = self.machine.take_events();
        for (event, values) in &events {
            // The engines must agree on events, too.
            let mut words = vec![*event as u64];
            words.extend(values);
            self.log.push(Seen { span: self.plan.span, local: None, words });
        }
        self.events.extend(events);
    }

    fn expect_emitted(
        &mut self,
        event: EventId,
        fields: &[(usize, ValueId)],
        emitted: bool,
        span: Span,
    ) -> Result<(), Stop> {
        self.take_events();
        self.expectations += 1;
        let def = &self.program.events[event.index()];
        let mut wanted: Vec<(usize, Vec<u64>)> = Vec::new();
        let mut text: Vec<String> = Vec::new();
        for (field, value) in fields {
            let words = self.value(*value, span)?;
            let start: usize = def.fields.iter().take(*field).map(|(_, ty)| scalars(ty, self.program)).sum();
            if let Some((name, ty)) = def.fields.get(*field) {
                text.push(format!("{name}: {}", show(ty, &words, self.program)));
            }
            wanted.push((start, words));
        }
        let fits = |(kind, values): &(usize, Vec<u64>)| {
            *kind == event.index()
                && wanted.iter().all(|(start, words)| values.get(*start..start + words.len()) == Some(words))
        };
        match self.events.iter().position(fits) {
            Some(at) if emitted => {
                self.events.remove(at);
            }
            Some(at) => {
                let found = self.show_event(&self.events[at]);
                let diagnostic = Diagnostic::error(tests::EXPECTATION, "this event was emitted")
                    .label(span, format!("`{found}` waits here"));
                self.fail(diagnostic, String::new());
            }
            None if !emitted => {}
            None => {
                let mut diagnostic = Diagnostic::error(tests::EXPECTATION, "this event was not emitted")
                    .label(span, format!("no `{} {{ {} }}` waits here", def.name, text.join(", ")));
                for event in self.events.iter().take(4) {
                    diagnostic = diagnostic.note(format!("emitted was `{}`", self.show_event(event)));
                }
                self.fail(diagnostic, String::new());
            }
        }
        Ok(())
    }

    fn show_event(&self, (event, values): &(usize, Vec<u64>)) -> String {
        let Some(def) = self.program.events.get(*event) else { return format!("event {event}") };
        let mut rest = values.as_slice();
        let mut fields = Vec::new();
        for (name, ty) in &def.fields {
            let (own, more) = rest.split_at(scalars(ty, self.program).min(rest.len()));
            rest = more;
            fields.push(format!("{name}: {}", show(ty, own, self.program)));
        }
        format!("{} {{ {} }}", def.name, fields.join(", "))
    }

    fn build(&mut self, build: &Build, span: Span) -> Result<Packet, Stop> {
        match build {
            Build::Bytes(bytes) => {
                let content = Content::Bytes(bytes.clone(), bytes.len() as u32);
                Ok(Packet { content, in_port: 1 })
            }
            Build::Layers(layers, payload) => {
                let built = self.layers(layers, span)?;
                let payload = self.payload(payload, span)?;
                Ok(Packet { content: Content::Layers(built, payload), in_port: 1 })
            }
            Build::Upon(from, layers, payload) => {
                let mut packet = self.packet(*from, span)?;
                let above = self.layers(layers, span)?;
                let bytes = self.payload(payload, span)?;
                if let Content::Layers(layers, payload) = &mut packet.content {
                    layers.extend(above);
                    *payload = bytes;
                }
                Ok(packet)
            }
            Build::Reply(from) => {
                let mut packet = self.packet(*from, span)?;
                if let Content::Layers(layers, _) = &mut packet.content {
                    wire::answer(layers, self.program);
                }
                Ok(packet)
            }
            Build::With(from, changes) => {
                let mut packet = self.packet(*from, span)?;
                for change in changes {
                    match change {
                        Change::InPort(value) => packet.in_port = self.number(*value, span)? as u32,
                        Change::Payload(payload) => {
                            let bytes = self.payload(payload, span)?;
                            if let Content::Layers(_, payload) = &mut packet.content {
                                *payload = bytes;
                            }
                        }
                        Change::Field(layer, field, value) => {
                            let value = self.wide(*value, span)?;
                            if let Content::Layers(layers, _) = &mut packet.content
                                && let Some(layer) = layers.get_mut(*layer)
                                && let Some(slot) = layer.fields.get_mut(*field)
                            {
                                *slot = Some(value);
                            }
                        }
                    }
                }
                Ok(packet)
            }
        }
    }

    fn layers(&mut self, layers: &[plan::Layer], span: Span) -> Result<Vec<Layer>, Stop> {
        let mut built = Vec::new();
        for layer in layers {
            let mut made = Layer::new(self.program, layer.header);
            made.region.clone_from(&layer.region);
            for (field, value) in &layer.fields {
                let value = self.wide(*value, span)?;
                if let Some(slot) = made.fields.get_mut(*field) {
                    *slot = Some(value);
                }
            }
            built.push(made);
        }
        Ok(built)
    }

    fn payload(&mut self, payload: &Payload, span: Span) -> Result<Vec<u8>, Stop> {
        match payload {
            Payload::Bytes(bytes) => Ok(bytes.clone()),
            Payload::Zeros(count) => Ok(vec![0; self.number(*count, span)? as usize & 0xffff]),
        }
    }

    /// A value of up to 128 bits.
    fn wide(&mut self, id: ValueId, span: Span) -> Result<u128, Stop> {
        Ok(self.value(id, span)?.iter().fold(0, |value, word| value << 64 | u128::from(*word)))
    }

    fn expect(&mut self, expect: &Expect, span: Span) -> Result<(), Stop> {
        let holds = self.number(expect.holds, span)?;
        self.expectations += 1;
        self.log.push(Seen { span, local: None, words: vec![holds] });
        if holds != 0 {
            return Ok(());
        }
        let mut diagnostic = Diagnostic::error(tests::EXPECTATION, "this test does not find what it expects");
        match expect.sides {
            Some((left, right)) => {
                for side in [left, right] {
                    let Some(expr) = self.plan.values.get(side.0) else { continue };
                    let words = self.value(side, span)?;
                    diagnostic = diagnostic
                        .label(expr.span, format!("this is `{}`", show(&expr.ty, &words, self.program)));
                }
            }
            None => {
                let at = self.plan.values.get(expect.holds.0).map_or(span, |value| value.span);
                diagnostic = diagnostic.label(at, "this is `false`");
            }
        }
        let since = self.now - BEGIN;
        diagnostic = diagnostic.note(format!(
            "test \"{}\", {} after its begin",
            self.plan.name,
            show(&Ty::duration(), &[since], self.program)
        ));
        let mut packets = String::new();
        for id in &expect.packets {
            let packet = self.packet(*id, span)?;
            let (bytes, _) = packet.bytes(self.program);
            let name = self.plan.packets.get(id.0).map_or("", |packet| packet.name.as_str());
            packets += &format!("  packet `{name}`:\n{}", show_packet(self.program, &bytes, packet.in_port));
        }
        self.fail(diagnostic, packets);
        Ok(())
    }

    /// What another machine found otherwise, if it did.
    fn difference(&self, other: &Run<'_>) -> Option<Failure> {
        let (this, that) = (self.machine.name(), other.machine.name());
        let differ = |span: Span, here: String, there: String| Failure {
            diagnostic: Diagnostic::error(tests::ENGINES_DIFFER, "the engines do not agree on this test")
                .label(span, format!("{this}: {here}; {that}: {there}"))
                .note("this is a defect of Oko: please report it with the program"),
            packets: String::new(),
        };
        let pairs = self.log.iter().zip(&other.log);
        if let Some((here, there)) = pairs.into_iter().find(|(here, there)| here != there) {
            let text = |seen: &Seen| match seen.local.and_then(|id| self.plan.locals.get(id.index())) {
                Some(local) => show(&local.ty, &seen.words, self.program),
                None => show(&Ty::Bool, &seen.words, self.program),
            };
            return Some(differ(here.span, text(here), text(there)));
        }
        if self.log.len() != other.log.len() {
            let failure = if self.log.len() < other.log.len() { &self.failures } else { &other.failures };
            return failure.first().cloned().or_else(|| {
                Some(differ(
                    self.plan.span,
                    format!("{} answers", self.log.len()),
                    format!("{}", other.log.len()),
                ))
            });
        }
        let (here, there) = match (self.machine.entries(self.now), other.machine.entries(other.now)) {
            (Ok(here), Ok(there)) => (here, there),
            (Err(reason), _) | (_, Err(reason)) => return Some(stopped(self.plan.span, &reason)),
        };
        let unlike = here.iter().zip(&there).find(|(here, there)| here != there)?;
        let ((name, here), (_, there)) = unlike;
        let only = |a: &Entries, b: &Entries| {
            a.iter().find(|entry| !b.contains(entry)).map(|entry| format!("{entry:?}"))
        };
        let none = || "nothing that the other has not".to_owned();
        Some(differ(
            self.plan.span,
            format!(
                "`{name}` has {} entries, among them {}",
                here.len(),
                only(here, there).unwrap_or_else(none)
            ),
            format!("{}, among them {}", there.len(), only(there, here).unwrap_or_else(none)),
        ))
    }
}

fn capture(cache: &mut Cache<'_>, file: &str, span: Span) -> Result<Rc<Vec<Captured>>, Stop> {
    if let Some(known) = cache.known.get(file) {
        return Ok(Rc::clone(known));
    }
    let mut read = cache.captures.capture(file).map_err(|reason| Stop { span, reason })?;
    // Engines differ in what they know of the bytes that a capture left out: here they are zeros.
    for packet in &mut read {
        let whole = (packet.wire_len as usize).min(MAX_FRAME).max(packet.bytes.len());
        packet.bytes.resize(whole, 0);
        packet.wire_len = whole as u32;
    }
    let read = Rc::new(read);
    cache.known.insert(file.to_owned(), Rc::clone(&read));
    Ok(read)
}

/// When a packet of a capture comes that is replayed from `begin` on.
fn at(begin: u64, capture: &[Captured], packet: &Captured) -> u64 {
    let first = capture.first().map_or(0, |first| first.time);
    begin.saturating_add(packet.time.saturating_sub(first)).min(NOW_MAX)
}
