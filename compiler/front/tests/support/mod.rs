//! Compiles a source with the standard library at hand.

#![allow(dead_code, reason = "every test file uses a part of it")]

use oko_diagnostics::{Diagnostic, Sink, SourceMap};
use oko_front::Output;
use oko_ir::Checked;

/// What came of a source.
pub(crate) struct Compiled {
    /// The texts of all files.
    pub(crate) sources: SourceMap,
    /// Errors and warnings of all phases, by place.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The program, if there are no errors.
    pub(crate) output: Option<Output>,
}

/// Parses, checks and lowers a source with the standard library.
pub(crate) fn compile(name: &str, text: &str) -> Compiled {
    let mut sources = SourceMap::new();
    let root = sources.add(name, text).expect("tests are shorter than 4 GiB");
    let files = oko_front::load(&mut sources, root, &mut |module| {
        Some((oko_stdlib::file_name(module)?.to_owned(), oko_stdlib::source(module)?.to_owned()))
    });
    let analysis = oko_front::analyze(&files.units(), &sources);
    let mut sink = Sink::new();
    sink.extend(files.diagnostics);
    sink.extend(analysis.diagnostics);
    Compiled {
        output: if sink.has_errors() { None } else { analysis.output },
        sources,
        diagnostics: sink.finish(),
    }
}

/// The verified IR of a source without errors.
pub(crate) fn verified(text: &str) -> Checked {
    let compiled = compile("test.oko", text);
    let messages =
        oko_diagnostics::render_all(&compiled.diagnostics, &compiled.sources, oko_diagnostics::Colour::None);
    let output = compiled.output.unwrap_or_else(|| panic!("{text}\n{messages}"));
    let printed = output.module.to_string();
    match oko_ir::verify(output.module) {
        Ok(checked) => checked,
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{printed}\n{}", errors.join("\n"))
        }
    }
}

pub(crate) mod numbers;
pub(crate) mod packets;

/// A filter and what it remembers, on the checking interpreter, before and after the IR's passes: both must agree.
pub(crate) struct Machine {
    plain: (Checked, oko_ir::interp::Store),
    better: (Checked, oko_ir::interp::Store),
}

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

impl Machine {
    pub(crate) fn new(text: &str) -> Machine {
        let plain = verified(text);
        let better = oko_ir::passes::optimize(plain.clone());
        let (first, second) = (oko_ir::interp::Store::new(&plain), oko_ir::interp::Store::new(&better));
        Machine { plain: (plain, first), better: (better, second) }
    }

    /// The class of the answer of the first filter to a packet at an instant in nanoseconds.
    pub(crate) fn class(&mut self, packet: &[u8], now: u64) -> u32 {
        let mut classes = Vec::new();
        for (checked, store) in [&mut self.plain, &mut self.better] {
            let packet = oko_ir::interp::Packet::whole(packet, 3);
            let outcome = oko_ir::interp::run(checked, 0, store, packet, now).expect("verified filters run");
            classes.push(outcome.class);
        }
        assert_eq!(classes[0], classes[1], "the passes change the answer");
        assert_eq!(self.plain.1.dump(), self.better.1.dump(), "the passes change what is remembered");
        classes[0]
    }

    /// Whether the first filter matches a packet at an instant in nanoseconds.
    pub(crate) fn matches(&mut self, packet: &[u8], now: u64) -> bool {
        self.class(packet, now) == 1
    }

    /// The entries of a state that are live at an instant, keys and fields.
    pub(crate) fn entries(&self, state: usize, now: u64) -> Vec<(Vec<u64>, Vec<u64>)> {
        let dump = self.plain.1.dump().swap_remove(state).live(now);
        dump.entries.into_iter().map(|entry| (entry.key, entry.fields)).collect()
    }

    pub(crate) fn set_param(&mut self, param: u32, value: u64) {
        for (_, store) in [&mut self.plain, &mut self.better] {
            store.set_param(oko_ir::Param(param), value).expect("within its range");
        }
    }
}

/// A filter on the checking interpreter, without its passes and without comparing what it remembers after every packet: for many packets.
pub(crate) struct Fast {
    checked: Checked,
    pub(crate) store: oko_ir::interp::Store,
}

impl Fast {
    pub(crate) fn new(text: &str, seed: u64) -> Fast {
        let checked = oko_ir::passes::optimize(verified(text));
        let mut store = oko_ir::interp::Store::new(&checked);
        store.set_seed(seed);
        Fast { checked, store }
    }

    /// The class of the answer of the first filter to an empty packet, with the first params set.
    pub(crate) fn class(&mut self, params: &[u64], now: u64) -> u32 {
        for (at, value) in params.iter().enumerate() {
            self.store.set_param(oko_ir::Param(at as u32), *value).expect("within its range");
        }
        self.run(&[], now)
    }

    pub(crate) fn run(&mut self, packet: &[u8], now: u64) -> u32 {
        let packet = oko_ir::interp::Packet::whole(packet, 3);
        oko_ir::interp::run(&self.checked, 0, &mut self.store, packet, now)
            .expect("verified filters run")
            .class
    }

    /// The live entries of a state: keys and fields.
    pub(crate) fn entries(&self, state: usize, now: u64) -> Vec<(Vec<u64>, Vec<u64>)> {
        let dump = self.store.dump().swap_remove(state).live(now);
        dump.entries.into_iter().map(|entry| (entry.key, entry.fields)).collect()
    }

    /// The words of a state.
    pub(crate) fn words(&self, state: usize) -> std::collections::HashMap<u32, u64> {
        self.entries(state, 0).into_iter().map(|(key, fields)| (key[0] as u32, fields[0])).collect()
    }
}
