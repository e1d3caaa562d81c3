//! The code of an instance: what the engine made of the filters, and how it is run.

use oko_bpf::program::Program;
use oko_ir::Checked;
use oko_jit::abi::Packet;

use crate::error::LoadError;
use crate::instance::{Engine, FilterInfo, Verdict};
use crate::params::Params;
use crate::state::States;

/// Code for all filters of an instance.
#[derive(Debug)]
pub(crate) enum Code {}

impl Code {
    pub(crate) fn compile(
        engine: Engine,
        _filters: &[FilterInfo],
        _ir: Option<Checked>,
        _programs: Vec<Program>,
    ) -> Result<Code, LoadError> {
        Err(LoadError::EngineUnavailable { engine, needs: "an engine of this build" })
    }

    /// Bytes of machine code.
    pub(crate) fn bytes(&self) -> usize {
        match *self {}
    }

    /// Asks a filter about a burst; gives how many runs ended in a fault.
    pub(crate) fn run(
        &self,
        _filter: usize,
        _packets: &[Packet<'_>],
        _now: u64,
        _params: &Params,
        _states: &States,
        _verdicts: &mut [Verdict],
    ) -> u64 {
        match *self {}
    }
}
