//! The interpreter: runs any program and checks every step of it.
//!
//! What holds here: no program and no packet makes it panic or touch memory that is not the program's. It does not rely
//! on the verifier, so it is the oracle for it: a verified program never ends in a [`Fault`] (the step budget aside).
//! Every access is checked against the object that its pointer came from, reading a register or stack byte that was
//! never written is a fault, and so is everything else the verifier promises to refuse and a run can show.

mod map_memory;
mod memory;

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

use thiserror::Error;

use self::memory::{Memory, Packet};
pub use self::{
    map_memory::MapMemory,
    memory::{FRAME_BYTES, MAX_FRAMES},
};
use crate::{
    helper::{Helper, Return},
    isa::{AtomicOp, Imm64, Insn, Operand, Reg, Size, Width},
    program::{MapId, MapKind, Program},
    semantics,
    xdp::CtxField,
};

/// What a program can reach outside of its own memory. The caller supplies it; one value serves many runs.
pub trait Env {
    /// The value stored under `key` (of the map's key size), or `None`.
    fn map_lookup(&mut self, map: MapId, key: &[u8]) -> Option<MapMemory>;
    /// Stores a value; 0 or a negative errno. `flags` is `BPF_ANY` 0, `BPF_NOEXIST` 1, `BPF_EXIST` 2, or invalid.
    fn map_update(&mut self, map: MapId, key: &[u8], value: &[u8], flags: u64) -> i64;
    /// Deletes a key; 0 or a negative errno.
    fn map_delete(&mut self, map: MapId, key: &[u8]) -> i64;
    /// Puts a value into a Bloom filter; 0 or a negative errno.
    fn bloom_push(&mut self, _map: MapId, _value: &[u8], _flags: u64) -> i64 {
        EOPNOTSUPP
    }
    /// Whether a value may be in a Bloom filter: 0 or a negative errno.
    fn bloom_peek(&mut self, _map: MapId, _value: &[u8]) -> i64 {
        EOPNOTSUPP
    }
    /// Queues a record in a ring buffer; 0 or a negative errno.
    fn ring_output(&mut self, _map: MapId, _record: &[u8], _flags: u64) -> i64 {
        EOPNOTSUPP
    }
    /// Room for a record in a ring buffer, zeroed. It comes back by [`Env::ring_hand`], however the run ends.
    fn ring_reserve(&mut self, _map: MapId, _size: u32) -> Option<MapMemory> {
        None
    }
    /// Takes a record back that [`Env::ring_reserve`] gave: to submit it, or to give its room back.
    fn ring_hand(&mut self, _map: MapId, _record: MapMemory, _submit: bool) {}
    /// Puts an element into a sketch; 0 or a negative errno.
    fn sketch_add(&mut self, _map: MapId, _element: &[u8]) -> i64 {
        EOPNOTSUPP
    }
    /// A hash of some bytes: FNV-1a here, where nobody attacks it.
    fn hash(&mut self, bytes: &[u8]) -> u32 {
        bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    }
    /// A random number.
    fn random(&mut self) -> u32 {
        0
    }
    /// The packet's instant, nanoseconds; the same for all calls of a run.
    fn ktime_ns(&mut self) -> u64;
    /// The number of the worker.
    fn processor_id(&mut self) -> u32 {
        0
    }
    /// Takes a spin lock: changes the word from 0 to 1, waiting while it is not 0.
    fn spin_lock(&mut self, lock: &AtomicU32) {
        while lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::hint::spin_loop();
        }
    }
    /// Gives a spin lock back.
    fn spin_unlock(&mut self, lock: &AtomicU32) {
        lock.store(0, Ordering::Release);
    }
    /// Told of each instruction before it is executed, for tests of what the verifier says of it.
    fn before(&mut self, _step: &Snapshot<'_>) {}
    /// Told of each memory access (not those of helpers): the instruction, the object and the offset in it.
    fn access(&mut self, _slot: usize, _place: Place, _off: i64) {}
    /// A helper that [`Helper`] does not have, with the values of `r1` to `r5`; `None` faults. For tests.
    fn unknown_helper(&mut self, _number: u32, _args: [u64; 5]) -> Option<u64> {
        None
    }
}

const EOPNOTSUPP: i64 = -95;
const EFAULT: i64 = -14;
const EINVAL: i64 = -22;

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instructions after which a run ends in [`FaultKind::Budget`].
    pub max_steps: u64,
    /// Whether reading an uninitialised register or stack byte is a fault; if not, it is 0.
    pub strict: bool,
    /// Moves all addresses by this many bytes. Results of a program that leaks no pointer do not depend on it.
    pub slide: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_steps: 1 << 20, strict: true, slide: 0 }
    }
}

/// What a run without a fault gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// `r0` at exit.
    pub ret: u64,
    /// Instructions executed, `exit` included.
    pub steps: u64,
}

/// The metadata of a packet in the context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PacketMeta {
    /// `xdp_md.ingress_ifindex`.
    pub ingress_ifindex: u32,
    /// `xdp_md.rx_queue_index`.
    pub rx_queue_index: u32,
}

/// An object in the address space of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A stack frame, the entry function's is 0.
    Frame(usize),
    /// The packet.
    Packet,
    /// The context.
    Context,
    /// A map itself (an opaque handle).
    Map(MapId),
    /// A value of a map.
    Value {
        /// Which map.
        map: MapId,
        /// Which of the values that this run has met.
        index: usize,
    },
    /// A record of a ring buffer.
    Record {
        /// Which ring buffer.
        map: MapId,
        /// Which of the values and records that this run has met.
        index: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Frame(frame) => write!(f, "stack frame {frame}"),
            Place::Packet => f.write_str("the packet"),
            Place::Context => f.write_str("the context"),
            Place::Map(map) => write!(f, "the handle of {map}"),
            Place::Value { map, .. } => write!(f, "a value of {map}"),
            Place::Record { map, .. } => write!(f, "a record of {map}"),
        }
    }
}

/// The registers before an instruction.
pub struct Snapshot<'r> {
    slot: usize,
    regs: &'r [Option<u64>; Reg::COUNT],
    memory: &'r Memory<'r>,
    depth: usize,
}

impl Snapshot<'_> {
    /// The instruction's slot.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// Calls in progress; 0 in the entry function.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The content of a register, if it was written.
    pub fn register(&self, reg: Reg) -> Option<u64> {
        self.regs[reg.index()]
    }

    /// What a register's content means if it is an address: the object and the distance from its start (from the end
    /// of a frame).
    pub fn pointee(&self, address: u64) -> Option<(Place, i64)> {
        self.memory.resolve(address).ok().map(|spot| (spot.place, spot.off))
    }

    /// A number in a live stack frame, if its bytes were written; `off` is from the frame's end, so negative.
    pub fn stack(&self, frame: usize, off: i64, size: Size) -> Option<u64> {
        let address = self.memory.address(Place::Frame(frame)).wrapping_add_signed(off);
        self.memory.load(address, size).ok()
    }

    /// Bytes of the packet.
    pub fn packet_len(&self) -> usize {
        self.memory.packet_len()
    }
}

/// A step that no program may take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("instruction {slot}: {kind}")]
pub struct Fault {
    /// The slot of the instruction.
    pub slot: usize,
    /// What it did.
    pub kind: FaultKind,
}

/// What a faulting instruction did.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum FaultKind {
    #[error("the budget of {max_steps} instructions is used up")]
    Budget { max_steps: u64 },
    #[error("execution leaves the program (it has {len} slots)")]
    NoInstruction { len: usize },
    #[error("{reg} is read before it is written")]
    UninitialisedRegister { reg: Reg },
    #[error("r10, the frame pointer, is written")]
    FramePointerWrite,
    #[error("address {address:#x} belongs to no object")]
    Address { address: u64 },
    #[error("{bytes} bytes at offset {off} of {place}, which has {len}")]
    OutOfBounds { place: Place, off: i64, bytes: usize, len: usize },
    #[error("{place} is read only")]
    ReadOnly { place: Place },
    #[error("{place} is accessed as memory")]
    NotMemory { place: Place },
    #[error("{bytes} stack bytes at offset {off} are read before they are written")]
    UninitialisedStack { off: i64, bytes: usize },
    #[error("an atomic access of {bytes} bytes at offset {off} is not aligned")]
    Misaligned { off: i64, bytes: usize },
    #[error("{bytes} bytes at offset {off} of a map value overlap its spin lock")]
    LockBytes { off: usize, bytes: usize },
    #[error("the context has no field of {bytes} bytes at offset {off}")]
    ContextField { off: i64, bytes: u32 },
    #[error("{reg} is {value:#x}, not a map")]
    NotAMap { reg: Reg, value: u64 },
    #[error("there is no map {map}; the program has {maps}")]
    NoSuchMap { map: u32, maps: usize },
    #[error("r1 is not the address of the spin lock of a map value")]
    NotALock,
    #[error("{place} is accessed, but it was handed over before")]
    RecordGone { place: Place },
    #[error("{reg} is {value:#x}, not the start of a record")]
    NotARecord { reg: Reg, value: u64 },
    #[error("the program ends, but a record that it has reserved is not submitted or discarded")]
    RecordKept,
    #[error("{helper} does not work on {map}")]
    MapKind { helper: Helper, map: MapId },
    #[error("{what} while a spin lock is held")]
    LockHeld { what: &'static str },
    #[error("a spin lock is released that is not held")]
    LockNotHeld,
    #[error("calls are more than {MAX_FRAMES} deep")]
    CallDepth,
    #[error("there is no helper {number}")]
    UnknownHelper { number: u32 },
    #[error("the instruction is not supported")]
    Unsupported,
}

/// A program ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Interpreter<'p> {
    program: &'p Program,
    options: Options,
}

impl<'p> Interpreter<'p> {
    /// Runs `program` with the given options. The program need not be verified.
    pub fn new(program: &'p Program, options: Options) -> Interpreter<'p> {
        Interpreter { program, options }
    }

    /// Runs it as a filter over a packet: `r1` is the context.
    ///
    /// # Errors
    /// The first step that no program may take.
    pub fn run(&self, packet: &[u8], meta: PacketMeta, env: &mut dyn Env) -> Result<Outcome, Fault> {
        let mut run = Run::new(self, Packet::ReadOnly(packet), meta, env);
        let context = run.memory.address(Place::Context);
        run.set(Reg::R1, context).and_then(|()| run.until_exit()).map_err(|kind| run.fault(kind))
    }

    /// Runs it over writable memory: `r1` is its address and `r2` its length in bytes. This is the convention of
    /// instruction tests, not of filters.
    ///
    /// # Errors
    /// As [`Interpreter::run`].
    pub fn run_over_memory(&self, memory: &mut [u8], env: &mut dyn Env) -> Result<Outcome, Fault> {
        let len = memory.len() as u64;
        let mut run = Run::new(self, Packet::ReadWrite(memory), PacketMeta::default(), env);
        let base = if len == 0 { 0 } else { run.memory.address(Place::Packet) };
        run.set(Reg::R1, base)
            .and_then(|()| run.set(Reg::R2, len))
            .and_then(|()| run.until_exit())
            .map_err(|kind| run.fault(kind))
    }
}

/// What a local call saves.
struct Frame {
    return_to: usize,
    saved: [Option<u64>; 4],
}

struct Run<'r, 'e> {
    program: &'r Program,
    options: Options,
    memory: Memory<'r>,
    meta: PacketMeta,
    env: &'e mut dyn Env,
    regs: [Option<u64>; Reg::COUNT],
    frames: Vec<Frame>,
    held: Option<u64>,
    pc: usize,
    steps: u64,
}

type Step<T = ()> = Result<T, FaultKind>;

impl<'r, 'e> Run<'r, 'e> {
    fn new(
        interpreter: &Interpreter<'r>,
        packet: Packet<'r>,
        meta: PacketMeta,
        env: &'e mut dyn Env,
    ) -> Run<'r, 'e> {
        let Interpreter { program, options } = *interpreter;
        let memory = Memory::new(&program.maps, packet, options.strict, options.slide);
        let mut regs = [None; Reg::COUNT];
        regs[Reg::R10.index()] = Some(memory.address(Place::Frame(0)));
        Run { program, options, memory, meta, env, regs, frames: Vec::new(), held: None, pc: 0, steps: 0 }
    }

    /// Ends the run; a spin lock that it holds is given back, so that others need not wait for ever.
    fn fault(&mut self, kind: FaultKind) -> Fault {
        if let Some((_, memory, off)) = self.held.take().and_then(|held| self.memory.value_at(held))
            && let Some(word) = memory.word(off)
        {
            self.env.spin_unlock(word);
        }
        for (map, memory) in self.memory.take_records() {
            self.env.ring_hand(map, memory, false);
        }
        Fault { slot: self.pc, kind }
    }

    fn until_exit(&mut self) -> Step<Outcome> {
        loop {
            if self.steps >= self.options.max_steps {
                return Err(FaultKind::Budget { max_steps: self.options.max_steps });
            }
            self.steps += 1;
            self.env.before(&Snapshot {
                slot: self.pc,
                regs: &self.regs,
                memory: &self.memory,
                depth: self.frames.len(),
            });
            if let Some(ret) = self.step()? {
                return Ok(Outcome { ret, steps: self.steps });
            }
        }
    }

    /// Executes one instruction; gives `r0` at the last exit.
    fn step(&mut self) -> Step<Option<u64>> {
        let len = self.program.insns.len();
        let insn = *self.program.insns.get(self.pc).ok_or(FaultKind::NoInstruction { len })?;
        let mut next = self.pc + 1;
        match insn {
            Insn::Alu { width, op, dst, src } => {
                let right = self.operand(src)?;
                let left = if op == crate::isa::AluOp::Mov { 0 } else { self.get(dst)? };
                self.set(dst, semantics::alu(width, op, left, right))?;
            }
            Insn::Neg { width, dst } => self.set(dst, semantics::neg(width, self.get(dst)?))?,
            Insn::MovSx { width, from, dst, src } => {
                self.set(dst, semantics::mov_sx(width, from, self.get(src)?))?;
            }
            Insn::Swap { order, bits, dst } => self.set(dst, semantics::swap(order, bits, self.get(dst)?))?,
            Insn::LoadImm64 { dst, imm } => {
                let value = self.imm64(imm)?;
                self.set(dst, value)?;
                next = self.pc + 2;
            }
            Insn::HighHalf => return Err(FaultKind::Unsupported),
            Insn::Load { size, signed, dst, base, off } => {
                let address = self.address(base, off)?;
                let value = self.load(address, size)?;
                self.set(dst, if signed { sign_extend(value, size) } else { value })?;
            }
            Insn::Store { size, base, off, src } => {
                let (address, value) = (self.address(base, off)?, self.operand(src)?);
                self.memory.store(address, size, value)?;
            }
            Insn::Atomic { width, op, base, off, src } => self.atomic(width, op, base, off, src)?,
            Insn::Jump { .. } => next = self.target(insn.jump_target(self.pc))?,
            Insn::Branch { width, cond, dst, src, .. } => {
                if semantics::holds(width, cond, self.get(dst)?, self.operand(src)?) {
                    next = self.target(insn.jump_target(self.pc))?;
                }
            }
            Insn::MayGoto { .. } => {}
            Insn::CallHelper { helper } => self.call_helper(helper)?,
            Insn::CallReg { target } => {
                let number = u32::try_from(self.get(target)?).unwrap_or(u32::MAX);
                self.call_helper(number)?;
            }
            Insn::CallBtf { .. } => return Err(FaultKind::Unsupported),
            Insn::CallLocal { .. } => next = self.enter(self.target(insn.call_target(self.pc))?)?,
            Insn::Exit => match self.frames.pop() {
                Some(frame) => {
                    self.regs[1..6].fill(None);
                    self.regs[6..10].copy_from_slice(&frame.saved);
                    self.memory.set_frames(self.frames.len() + 1);
                    self.regs[Reg::R10.index()] = Some(self.memory.address(Place::Frame(self.frames.len())));
                    next = frame.return_to;
                }
                None if self.held.is_some() => return Err(FaultKind::LockHeld { what: "the program ends" }),
                None if self.memory.has_records() => return Err(FaultKind::RecordKept),
                None => return self.get(Reg::R0).map(Some),
            },
        }
        self.pc = next;
        Ok(None)
    }

    fn target(&self, target: Option<usize>) -> Step<usize> {
        let len = self.program.insns.len();
        target.filter(|target| *target < len).ok_or(FaultKind::NoInstruction { len })
    }

    fn get(&self, reg: Reg) -> Step<u64> {
        match self.regs[reg.index()] {
            Some(value) => Ok(value),
            None if self.options.strict => Err(FaultKind::UninitialisedRegister { reg }),
            None => Ok(0),
        }
    }

    fn set(&mut self, reg: Reg, value: u64) -> Step {
        if reg == Reg::R10 {
            return Err(FaultKind::FramePointerWrite);
        }
        self.regs[reg.index()] = Some(value);
        Ok(())
    }

    fn operand(&self, src: Operand) -> Step<u64> {
        match src {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Ok(semantics::immediate(imm)),
        }
    }

    /// The address that an instruction is about to access.
    fn address(&mut self, base: Reg, off: i16) -> Step<u64> {
        let address = self.get(base)?.wrapping_add_signed(i64::from(off));
        let spot = self.memory.resolve(address)?;
        self.env.access(self.pc, spot.place, spot.off);
        Ok(address)
    }

    fn imm64(&mut self, imm: Imm64) -> Step<u64> {
        match imm {
            Imm64::Value(value) => Ok(value),
            Imm64::Map(map) => self.map(map).map(|map| self.memory.address(Place::Map(map))),
            Imm64::MapValue { map, off } => {
                let map = self.map(map)?;
                let memory = self.env.map_lookup(map, &0u32.to_ne_bytes()).ok_or(FaultKind::Unsupported)?;
                Ok(self.memory.add_value(map, memory).wrapping_add(u64::from(off)))
            }
            _ => Err(FaultKind::Unsupported),
        }
    }

    fn map(&self, map: u32) -> Step<MapId> {
        let maps = self.program.maps.len();
        if (map as usize) < maps { Ok(MapId(map)) } else { Err(FaultKind::NoSuchMap { map, maps }) }
    }

    fn load(&mut self, address: u64, size: Size) -> Step<u64> {
        let spot = self.memory.resolve(address)?;
        if spot.place != Place::Context {
            return self.memory.load(address, size);
        }
        let field = CtxField::at(spot.off).filter(|_| size == Size::W);
        let packet = self.memory.address(Place::Packet);
        match field.ok_or(FaultKind::ContextField { off: spot.off, bytes: size.bytes() })? {
            CtxField::Data | CtxField::DataMeta => Ok(packet),
            CtxField::DataEnd => Ok(packet + self.memory.packet_len() as u64),
            CtxField::IngressIfindex => Ok(u64::from(self.meta.ingress_ifindex)),
            CtxField::RxQueueIndex => Ok(u64::from(self.meta.rx_queue_index)),
        }
    }

    fn atomic(&mut self, width: Width, op: AtomicOp, base: Reg, off: i16, src: Reg) -> Step {
        let address = self.address(base, off)?;
        let operand = self.get(src)?;
        let expected = if op == AtomicOp::Cmpxchg { self.get(Reg::R0)? } else { 0 };
        let old = self.memory.atomic(address, width, op, operand, expected)?;
        match op {
            AtomicOp::Add { fetch: true }
            | AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true }
            | AtomicOp::Xchg => self.set(src, old),
            AtomicOp::Cmpxchg => self.set(Reg::R0, old),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, target: usize) -> Step<usize> {
        if self.frames.len() + 1 >= MAX_FRAMES {
            return Err(FaultKind::CallDepth);
        }
        let mut saved = [None; 4];
        saved.copy_from_slice(&self.regs[6..10]);
        self.frames.push(Frame { return_to: self.pc + 1, saved });
        self.regs[6..10].fill(None);
        self.regs[0] = None;
        self.memory.set_frames(self.frames.len() + 1);
        self.regs[Reg::R10.index()] = Some(self.memory.address(Place::Frame(self.frames.len())));
        Ok(target)
    }

    fn call_helper(&mut self, number: u32) -> Step {
        let Some(helper) = Helper::from_number(number) else {
            return self.call_unknown(number);
        };
        if self.held.is_some() && helper != Helper::SpinUnlock {
            return Err(FaultKind::LockHeld { what: "a helper is called" });
        }
        let result = match helper {
            Helper::MapLookupElem => {
                let (map, key) = self.map_and_key(helper)?;
                match self.env.map_lookup(map, &key) {
                    Some(memory) => self.memory.add_value(map, memory),
                    None => 0,
                }
            }
            Helper::MapUpdateElem | Helper::OriginalMapUpdate => {
                let (map, key) = self.map_and_key(helper)?;
                let value_size = self.program.maps[map.index()].value_size;
                let value = self.memory.bytes(self.get(Reg::R3)?, value_size)?;
                let flags = if helper == Helper::MapUpdateElem { self.get(Reg::R4)? } else { 0 };
                self.env.map_update(map, &key, &value, flags).cast_unsigned()
            }
            Helper::MapDeleteElem => {
                let (map, key) = self.map_and_key(helper)?;
                self.env.map_delete(map, &key).cast_unsigned()
            }
            Helper::KtimeGetNs | Helper::KtimeGetBootNs | Helper::KtimeGetCoarseNs => self.env.ktime_ns(),
            Helper::GetPrandomU32 => u64::from(self.env.random()),
            Helper::MapPushElem | Helper::MapPeekElem => self.bloom(helper)?.cast_unsigned(),
            Helper::RingbufOutput => {
                let map = self.map_argument(helper)?;
                let record = self.sized(Reg::R2, Reg::R3)?;
                let flags = self.get(Reg::R4)?;
                self.env.ring_output(map, &record, flags).cast_unsigned()
            }
            Helper::RingbufReserve => {
                let map = self.map_argument(helper)?;
                let size = u32::try_from(self.get(Reg::R2)?).unwrap_or(u32::MAX);
                self.get(Reg::R3)?;
                let memory = self.env.ring_reserve(map, size);
                memory.map_or(0, |memory| self.memory.add_record(map, memory))
            }
            Helper::RingbufSubmit | Helper::RingbufDiscard => {
                let value = self.get(Reg::R1)?;
                self.get(Reg::R2)?;
                let (map, memory) =
                    self.memory.take_record(value).ok_or(FaultKind::NotARecord { reg: Reg::R1, value })?;
                self.env.ring_hand(map, memory, helper == Helper::RingbufSubmit);
                0
            }
            Helper::XdpGetBuffLen => {
                self.context_argument()?;
                self.memory.packet_len() as u64
            }
            Helper::XdpLoadBytes => self.load_bytes()?.cast_unsigned(),
            Helper::GetSmpProcessorId => u64::from(self.env.processor_id()),
            Helper::SpinLock | Helper::SpinUnlock => self.spin(helper)?,
            Helper::OriginalMapAdd => {
                let (map, element) = self.map_and_key(helper)?;
                self.env.sketch_add(map, &element).cast_unsigned()
            }
            Helper::OriginalHash => {
                let bytes = self.sized(Reg::R1, Reg::R2)?;
                u64::from(self.env.hash(&bytes))
            }
        };
        self.regs[..6].fill(None);
        if helper.signature().ret != Return::Nothing {
            self.regs[0] = Some(result);
        }
        Ok(())
    }

    fn call_unknown(&mut self, number: u32) -> Step {
        let mut args = [0; 5];
        for (arg, value) in args.iter_mut().zip(&self.regs[1..6]) {
            *arg = value.unwrap_or(0);
        }
        let result = self.env.unknown_helper(number, args).ok_or(FaultKind::UnknownHelper { number })?;
        self.regs[..6].fill(None);
        self.regs[0] = Some(result);
        Ok(())
    }

    /// The map in `r1`, of a kind that the helper works on.
    fn map_argument(&self, helper: Helper) -> Step<MapId> {
        let value = self.get(Reg::R1)?;
        let map = self.memory.map_at(value).ok_or(FaultKind::NotAMap { reg: Reg::R1, value })?;
        let kind = self.program.maps[map.index()].kind;
        let fits = match helper {
            Helper::MapPushElem | Helper::MapPeekElem => kind == MapKind::BloomFilter,
            Helper::RingbufOutput | Helper::RingbufReserve => kind == MapKind::RingBuf,
            Helper::OriginalMapAdd => kind.is_sketch(),
            Helper::MapLookupElem => kind.has_keys(),
            _ => kind.has_entries(),
        };
        if fits { Ok(map) } else { Err(FaultKind::MapKind { helper, map }) }
    }

    fn bloom(&mut self, helper: Helper) -> Step<i64> {
        let map = self.map_argument(helper)?;
        let value = self.memory.bytes(self.get(Reg::R2)?, self.program.maps[map.index()].value_size)?;
        if helper == Helper::MapPeekElem {
            return Ok(self.env.bloom_peek(map, &value));
        }
        let flags = self.get(Reg::R3)?;
        Ok(self.env.bloom_push(map, &value, flags))
    }

    /// A copy of the memory at an address, with its size in another register.
    fn sized(&self, address: Reg, size: Reg) -> Step<Vec<u8>> {
        let size = u32::try_from(self.get(size)?).unwrap_or(u32::MAX);
        self.memory.bytes(self.get(address)?, size)
    }

    fn context_argument(&self) -> Step {
        let value = self.get(Reg::R1)?;
        if value == self.memory.address(Place::Context) {
            return Ok(());
        }
        Err(FaultKind::Address { address: value })
    }

    fn load_bytes(&mut self) -> Step<i64> {
        self.context_argument()?;
        let (offset, to, size) = (self.get(Reg::R2)?, self.get(Reg::R3)?, self.get(Reg::R4)?);
        // Linux takes both as 32-bit numbers.
        let (offset, size) = (offset as u32 as usize, size as u32 as usize);
        let bytes = self.memory.packet_bytes(offset, size).map(<[u8]>::to_vec);
        let result = match bytes {
            Some(_) => 0,
            None if offset > 0xffff || size > 0xffff => EFAULT,
            None => EINVAL,
        };
        for index in 0..size {
            let byte = bytes.as_ref().map_or(0, |bytes| bytes[index]);
            self.memory.store(to.wrapping_add(index as u64), Size::B, u64::from(byte))?;
        }
        Ok(result)
    }

    fn map_and_key(&self, helper: Helper) -> Step<(MapId, Vec<u8>)> {
        let map = self.map_argument(helper)?;
        let key = self.memory.bytes(self.get(Reg::R2)?, self.program.maps[map.index()].key_size)?;
        Ok((map, key))
    }

    fn spin(&mut self, helper: Helper) -> Step<u64> {
        let address = self.get(Reg::R1)?;
        let (map, memory, off) = self.memory.value_at(address).ok_or(FaultKind::NotALock)?;
        if self.program.maps[map.index()].lock_offset != u32::try_from(off).ok() {
            return Err(FaultKind::NotALock);
        }
        let word = memory.word(off).ok_or(FaultKind::NotALock)?;
        if helper == Helper::SpinLock {
            self.env.spin_lock(word);
            self.held = Some(address);
        } else if self.held == Some(address) {
            self.env.spin_unlock(word);
            self.held = None;
        } else {
            return Err(FaultKind::LockNotHeld);
        }
        Ok(0)
    }
}

/// The value of a sign-extending load.
fn sign_extend(value: u64, size: Size) -> u64 {
    match size {
        Size::B => i64::from(value as i8).cast_unsigned(),
        Size::H => i64::from(value as i16).cast_unsigned(),
        Size::W => i64::from(value as i32).cast_unsigned(),
        Size::Dw => value,
    }
}
