//! What is known of a filter before it is translated, and the loop over the burst around what it is translated to.

use std::collections::HashMap;

use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{Function, Type};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use oko_ir::cfg::Cfg;
use oko_ir::loops::definitions;
use oko_ir::ranges::Ranges;
use oko_ir::{Block, Filter, Match, Module, Op, State, StateDecl, StateKind, Value};

use super::invariants::Invariants;
use super::lists::Lists;
use super::quotients::Quotients;
use super::repeats::Repeats;
use super::scratch::Scratch;
use super::{Translator, captured, constant};
use crate::abi::{CTX_MAPS, CTX_VALUES};
use crate::burst::{Burst, Kept};
use crate::error::CompileError;
use crate::{host, probe};

/// The addresses of so many states are kept in the frame.
const KEPT_STATES: usize = 4;

/// A filter and what is known of it.
pub(super) struct Source<'a> {
    pub(super) module: &'a Module,
    pub(super) filter: &'a Filter,
    /// Which operation each value is the result of.
    pub(super) definitions: Vec<Option<&'a Op>>,
    pub(super) cfg: Cfg,
    pub(super) ranges: Ranges,
    pub(super) invariants: Invariants,
    pub(super) lists: Lists,
    pub(super) quotients: Quotients,
    pub(super) scratch: Scratch,
    /// How many look-ups there are.
    pub(super) look_ups: usize,
    /// By block: how many bytes the packet has at least.
    pub(super) least_captured: Vec<u64>,
}

impl<'a> Source<'a> {
    /// That of a module's filter.
    pub(super) fn of(module: &'a Module, filter: usize) -> Result<Source<'a>, CompileError> {
        let count = module.filters.len();
        let filter = module.filters.get(filter).ok_or(CompileError::NoSuchFilter { index: filter, count })?;
        let cfg = Cfg::of(filter)
            .map_err(|_| CompileError::Codegen { reason: "the filter has no flow graph".to_owned() })?;
        let ranges = Ranges::of_with(module, filter, &cfg);
        let invariants = Invariants::of(filter, &cfg);
        let definitions = definitions(filter);
        let lists = Lists::of(filter, &definitions);
        let least_captured = captured::least(filter, &cfg, &definitions);
        let scratch = Scratch::of(module);
        let quotients = Quotients::of(filter, &cfg, &ranges, &invariants);
        let look_ups = filter.blocks.iter().filter(|block| block.term.kind.lookup().is_some()).count();
        Ok(Source {
            module,
            filter,
            definitions,
            cfg,
            ranges,
            invariants,
            lists,
            quotients,
            scratch,
            look_ups,
            least_captured,
        })
    }

    /// The number that a value always is.
    pub(super) fn constant(&self, value: Value) -> Option<u64> {
        constant(&self.definitions, value)
    }

    /// Whether keys of a state are looked up inline.
    pub(super) fn probes(&self, state: State) -> bool {
        let decl = &self.module.states[state.index()];
        probe::is_inline(self.look_ups, decl.key_layout().size)
            && matches!(decl.kind, StateKind::Hash(_) | StateKind::Table(Match::Exact))
    }

    /// The code of the filter.
    pub(super) fn translate(&self, isa: &dyn TargetIsa) -> Function {
        let mut function = host::function(0, host::entry_signature(isa.default_call_conv()));
        self.each_packet(isa, &mut function, &[I32], |translator| {
            let probes = |state| self.probes(state);
            translator.repeats = Repeats::of(&mut translator.builder, self.filter, &self.cfg, probes);
            translator.enter();
            for &block in self.cfg.order() {
                translator.block(block);
            }
        });
        function
    }

    /// Whether it pays to keep what a burst has in common in a frame: without states and events little is.
    pub(super) fn has_frame(&self) -> bool {
        !self.module.states.is_empty() || !self.module.events.is_empty()
    }

    /// Opens the loop over the burst.
    fn open(&self, builder: &mut FunctionBuilder<'_>, results: &[Type]) -> Burst {
        if !self.has_frame() {
            return Burst::open(builder, results, &Kept::NONE);
        }
        let table = |decl: &StateDecl| match decl.kind {
            StateKind::Array | StateKind::Words => CTX_VALUES,
            StateKind::Hash(_) | StateKind::Table(_) => CTX_MAPS,
        };
        let tables: Vec<i32> = self.module.states.iter().take(KEPT_STATES).map(table).collect();
        let numbers =
            |builder: &mut FunctionBuilder<'_>, context, now| self.invariants.compute(builder, context, now);
        let scratch = self.scratch.size;
        Burst::open(builder, results, &Kept { tables: &tables, numbers: &numbers, scratch, is_shared: false })
    }

    /// Fills a function with a loop over the burst that gives values of these types for each packet. The body begins before the filter's first block.
    pub(super) fn each_packet(
        &self,
        isa: &dyn TargetIsa,
        function: &mut Function,
        results: &[Type],
        body: impl FnOnce(&mut Translator<'_, '_>),
    ) {
        let mut context = FunctionBuilderContext::new();
        let mut builder = FunctionBuilder::new(function, &mut context);
        let burst = self.open(&mut builder, results);
        let (data, captured) = burst.row.bytes(&mut builder);
        let blocks: Vec<_> = self.filter.blocks.iter().map(|_| builder.create_block()).collect();
        let mut translator = Translator {
            builder,
            convention: isa.default_call_conv(),
            source: self,
            burst,
            data,
            captured,
            blocks,
            values: HashMap::new(),
            entries: HashMap::new(),
            network: HashMap::new(),
            repeats: Repeats::default(),
            place: Block(0),
        };
        body(&mut translator);
        let Translator { mut builder, burst, .. } = translator;
        burst.close(&mut builder);
        builder.seal_all_blocks();
        builder.finalize(isa.frontend_config());
    }
}
