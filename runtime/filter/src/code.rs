//! The code of an instance: what the engine made of the filters, and how it is run.

mod interpreted;

use std::sync::atomic::AtomicU64;

use oko_bpf::verified::Verified;
use oko_ir::Checked;
use oko_jit::abi::{Entry, Moment, Packet};
use oko_jit::{Answer, CompileError, compile_bpf, compile_ir};

use crate::error::LoadError;
use crate::info::{FilterInfo, Verdict};
use crate::options::Engine;
use crate::params::{Params, VariablePlace};
use crate::state::States;

pub(crate) use interpreted::Oracle;

/// Code for all filters of an instance, in their order.
#[derive(Debug)]
pub(crate) enum Code {
    /// Native code from the IR: verdicts are classes.
    Native(Vec<oko_jit::Code>),
    /// Native code from BPF: the same.
    BpfJit(Vec<oko_jit::Code>, Returns),
    /// The programs themselves: verdicts are to be made of what they return.
    BpfInterp(Vec<Verified>, Returns),
    /// The module itself, with state of its own.
    IrInterp(Box<Oracle>),
}

/// The thread that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// Its [number](oko_state::worker).
    pub(crate) worker: u32,
    /// Whether it is pinned and [alone](oko_state::Pin::is_alone).
    pub(crate) alone: bool,
}

/// What the return values of BPF programs mean, and what they take for the clock.
#[derive(Clone, Debug)]
pub(crate) struct Returns {
    /// What each program's return values say.
    answers: Vec<Answer>,
    /// The variable that stands for the clock, in objects made for tests.
    clock: Option<VariablePlace>,
}

impl Returns {
    /// Of our compiler's programs: the class, and one more.
    pub(crate) fn of_ours(filters: &[FilterInfo], clock: Option<VariablePlace>) -> Returns {
        let answer = |filter: &FilterInfo| Answer::Class { of: filter.class_count() };
        Returns { answers: filters.iter().map(answer).collect(), clock }
    }

    /// Of XDP programs: to pass is a match.
    pub(crate) fn of_xdp(filters: &[FilterInfo]) -> Returns {
        Returns { answers: vec![Answer::Pass; filters.len()], clock: None }
    }
}

impl Code {
    pub(crate) fn compile(
        engine: Engine,
        filters: &[FilterInfo],
        ir: Option<Checked>,
        programs: Vec<Verified>,
        returns: Returns,
        seed: u64,
    ) -> Result<Code, LoadError> {
        let without_ir = LoadError::EngineUnavailable { engine, needs: "a section `.oko.ir`" };
        let all = |one: &dyn Fn(usize) -> Result<oko_jit::Code, CompileError>| {
            let named = filters.iter().enumerate();
            let compiled = named.map(|(index, filter)| {
                one(index).map_err(|error| LoadError::Compile {
                    filter: filter.name.clone(),
                    reason: error.to_string(),
                })
            });
            compiled.collect::<Result<Vec<_>, _>>()
        };
        match engine {
            Engine::Native => {
                let ir = ir.ok_or(without_ir)?;
                Ok(Code::Native(all(&|index| compile_ir(&ir, index))?))
            }
            Engine::BpfJit => {
                let codes = all(&|index| compile_bpf(&programs[index], returns.answers[index]))?;
                Ok(Code::BpfJit(codes, returns))
            }
            Engine::BpfInterp => Ok(Code::BpfInterp(programs, returns)),
            Engine::IrInterp => Ok(Code::IrInterp(Box::new(Oracle::new(ir.ok_or(without_ir)?, seed)))),
        }
    }

    /// Bytes of machine code.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Code::Native(codes) | Code::BpfJit(codes, _) => codes.iter().map(oko_jit::Code::bytes).sum(),
            Code::BpfInterp(..) | Code::IrInterp(_) => 0,
        }
    }

    /// The entries of all filters, if nothing has to be done before they are called.
    pub(crate) fn entries(&self) -> Option<impl Iterator<Item = Entry>> {
        match self {
            Code::Native(codes) | Code::BpfJit(codes, Returns { clock: None, .. }) => {
                Some(codes.iter().map(oko_jit::Code::entry))
            }
            _ => None,
        }
    }

    /// The interpreter of the IR, which has state of its own.
    pub(crate) fn oracle(&self) -> Option<&Oracle> {
        match self {
            Code::IrInterp(oracle) => Some(oracle),
            _ => None,
        }
    }

    /// Asks a filter about a burst, for each packet of which there is a verdict, by a thread that is pinned if there are states; gives how many runs ended in a fault.
    // Of a single packet, calls within calls would cost more than a small filter.
    #[inline(always)]
    pub(crate) fn run(
        &self,
        filter: usize,
        packets: &[Packet<'_>],
        now: u64,
        instance: (&Params, &States),
        caller: Caller,
        verdicts: &mut [Verdict],
    ) -> u64 {
        let codes = match self {
            Code::Native(codes) => codes,
            Code::BpfJit(codes, returns) => {
                returns.set_clock(instance.1, now);
                codes
            }
            Code::BpfInterp(..) | Code::IrInterp(_) => {
                return self.interpret(filter, packets, now, instance, verdicts);
            }
        };
        // SAFETY: params and states were made from the module or the maps of the program that this code was compiled from.
        unsafe { run_native(&codes[filter], packets, now, instance.1, caller, verdicts) };
        0
    }

    #[inline(never)]
    fn interpret(
        &self,
        filter: usize,
        packets: &[Packet<'_>],
        now: u64,
        (params, states): (&Params, &States),
        verdicts: &mut [Verdict],
    ) -> u64 {
        match self {
            Code::Native(_) | Code::BpfJit(..) => unreachable!("compiled code is run where this is called"),
            Code::BpfInterp(programs, returns) => {
                returns.set_clock(states, now);
                run_bpf(&programs[filter], returns.answers[filter], packets, now, states, verdicts)
            }
            Code::IrInterp(oracle) => oracle.run(filter, packets, now, params, verdicts),
        }
    }
}

#[inline(never)]
fn run_bpf(
    program: &Verified,
    answer: Answer,
    packets: &[Packet<'_>],
    now: u64,
    states: &States,
    verdicts: &mut [Verdict],
) -> u64 {
    let mut faults = 0;
    for (packet, verdict) in packets.iter().zip(verdicts) {
        let value = interpreted::run_bpf(program, packet, now, states);
        faults += u64::from(value.is_none());
        *verdict = value.map_or(Verdict::default(), |value| Verdict(answer.verdict(value)));
    }
    faults
}

impl Returns {
    fn set_clock(&self, states: &States, now: u64) {
        if let Some(place) = self.clock {
            states.set_variable(place, now);
        }
    }
}

/// # Safety
///
/// The instance's params and states have a row for everything that the code's module or program declares, of the declared shape.
#[inline(always)]
unsafe fn run_native(
    code: &oko_jit::Code,
    packets: &[Packet<'_>],
    now: u64,
    states: &States,
    caller: Caller,
    verdicts: &mut [Verdict],
) {
    let moment = Moment { now, alone: caller.alone };
    const { assert!(size_of::<AtomicU64>() == 8 && size_of::<Verdict>() == 4) };
    // SAFETY: a verdict is a transparent `u32`.
    let verdicts =
        unsafe { std::slice::from_raw_parts_mut(verdicts.as_mut_ptr().cast::<u32>(), verdicts.len()) };
    // SAFETY: the caller's promise.
    unsafe { code.run(states.context(caller.worker), packets, moment, verdicts) }
}
