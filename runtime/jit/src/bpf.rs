//! BPF to native code.
//!
//! Registers are variables, so they live in machine registers; each function of the program has its frame on the machine's
//! stack, and calls between them are calls. The entry function is the body of a loop over the burst. What the code relies on is said by
//! the verifier's notes: which instructions can be reached, what kind of memory each touches, which map a helper works on.
//! The context is not laid out in memory: loads of its fields read the packet's description.
//!
//! Loads from the frame take what was stored there from a register where the way from the store to the load is a straight one. The stores
//! stay where they are, for helpers read keys and values from memory, but for those of what [hardly anybody reads](late_stores).

mod alu;
mod by_slot;
mod calls;
mod cells;
mod frame;
mod instants;
mod joined;
mod jumps;
mod late_stores;
mod lists;
mod look_ups;
mod memory;
mod packet;
mod pointers;
mod source;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, Signature, StackSlotData, StackSlotKind};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use oko_bpf::helper::Helper as BpfHelper;
use oko_bpf::isa::{Imm64, Insn, Operand, Reg};
use oko_bpf::program::{MapDef, MapId, MapKind, Program};
use oko_bpf::verified::{Note, Region, Verified};

use self::frame::Frame;
use self::late_stores::LateStores;
use self::packet::Facts;
use self::source::{Convention, FunctionPlan, Source};
use crate::abi::{CTX_MAPS, CTX_VALUES};
use crate::answer::Answer;
use crate::burst::{Burst, Kept, Row};
use crate::code::Code;
use crate::detour::RESULTS_BYTES;
use crate::error::CompileError;
use crate::host;

/// Bytes of a stack frame of a program that nobody verified.
const FRAME_BYTES: u32 = 512;

/// The addresses of so many maps are read once a burst: the first ones. Whoever asks about a single packet may read them for nothing.
const KEPT_MAPS: usize = 6;

/// The table that has what is needed most of a map: of arrays, of which nothing is looked up by calls, their values.
fn kept_table(map: &MapDef) -> i32 {
    if map.kind == MapKind::Array && map.key_size == 4 { CTX_VALUES } else { CTX_MAPS }
}

/// Compiles a verified program, whose return values say of packets what `answer` tells.
///
/// # Errors
///
/// Cranelift or the system fail.
pub fn compile_bpf(program: &Verified, answer: Answer) -> Result<Code, CompileError> {
    let functions = program
        .functions()
        .iter()
        .map(|function| FunctionPlan { slots: function.slots.clone(), frame: function.stack_bytes })
        .collect();
    let is_look_up = |note: &&Note| matches!(note, Note::Helper { helper: BpfHelper::MapLookupElem, .. });
    compile(&Source {
        insns: program.insns(),
        maps: program.maps(),
        notes: Some(program.notes()),
        look_ups: program.notes().iter().filter(is_look_up).count(),
        functions,
        convention: Convention::Filter(answer),
    })
}

/// Compiles a program that nobody verified, for tests of single instructions: `r1` is the address of the packet's bytes, which
/// may be written, `r2` their number. There must be one packet, and room for two verdicts: they take the 64 bits of the result.
///
/// # Safety
///
/// Running the code is as safe as the program is.
///
/// # Errors
///
/// An instruction that verified programs cannot have; or Cranelift or the system fail.
pub unsafe fn compile_bpf_over_memory(program: &Program) -> Result<Code, CompileError> {
    let insns = &program.insns;
    let mut starts: Vec<usize> =
        insns.iter().enumerate().filter_map(|(slot, insn)| insn.call_target(slot)).collect();
    starts.push(0);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([insns.len()]);
    let functions =
        starts.iter().zip(ends).map(|(&start, end)| FunctionPlan { slots: start..end, frame: FRAME_BYTES });
    let functions = functions.collect();
    compile(&Source {
        insns,
        maps: &program.maps,
        notes: None,
        look_ups: 0,
        functions,
        convention: Convention::Memory,
    })
}

fn compile(source: &Source<'_>) -> Result<Code, CompileError> {
    host::contained(|| {
        let (isa, functions) = (host::isa()?, 0..source.functions.len());
        let functions = functions.map(|index| translate(&*isa, source, index)).collect::<Result<_, _>>()?;
        host::finish(&*isa, functions)
    })
}

/// The signature of functions but the entry: the entry's frame, packet, `r1` to `r5`; gives `r0`.
fn local_signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params = vec![AbiParam::new(I64); 7];
    signature.returns = vec![AbiParam::new(I64)];
    signature
}

fn translate(isa: &dyn TargetIsa, source: &Source<'_>, index: usize) -> Result<ir::Function, CompileError> {
    let convention = isa.default_call_conv();
    let is_entry = index == 0;
    let signature = if is_entry { host::entry_signature(convention) } else { local_signature(convention) };
    let mut function = host::function(index, signature);
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let registers: Vec<Variable> = Reg::all().map(|_| builder.declare_var(I64)).collect();
    let plan = &source.functions[index];
    let frame = builder.create_sized_stack_slot(StackSlotData::new(
        StackSlotKind::ExplicitSlot,
        plan.top().cast_unsigned(),
        3,
    ));
    let (row, burst, args) = if is_entry {
        let tables: Vec<i32> = source.maps.iter().take(KEPT_MAPS).map(kept_table).collect();
        let is_shared = source.functions.len() > 1;
        let scratch = if tables.is_empty() { 0 } else { RESULTS_BYTES };
        let kept = Kept { tables: &tables, scratch, is_shared, ..Kept::NONE };
        let burst = Burst::open(&mut builder, &[I32], &kept);
        let args = match source.convention {
            Convention::Filter(_) => vec![burst.row.packet],
            Convention::Memory => {
                let (data, captured) = burst.row.bytes(&mut builder);
                vec![data, captured]
            }
        };
        (burst.row, Some(burst), args)
    } else {
        let block = builder.create_block();
        builder.append_block_params_for_function_params(block);
        builder.switch_to_block(block);
        let params = builder.block_params(block).to_vec();
        (Row::of(params[0], params[1]), None, params[2..].to_vec())
    };
    let (data, captured) = row.bytes(&mut builder);
    let zero = builder.ins().iconst(I64, 0);
    for &register in &registers {
        builder.def_var(register, zero);
    }
    for (&register, &value) in registers[1..].iter().zip(&args) {
        builder.def_var(register, value);
    }
    let held = builder.declare_var(I32);
    let free = builder.ins().iconst(I32, 0);
    builder.def_var(held, free);
    let mut translator = Translator {
        builder,
        convention,
        source,
        slots: plan.slots.clone(),
        registers,
        row,
        data,
        captured,
        burst,
        blocks: BTreeMap::new(),
        jumped_to: BTreeSet::new(),
        looped_to: BTreeSet::new(),
        leaving: BTreeMap::new(),
        skips: BTreeSet::new(),
        skip: None,
        tested: BTreeSet::new(),
        looked_at: 0,
        frame: Frame::unknown(),
        cells: BTreeMap::new(),
        late: LateStores::default(),
        facts: Facts::default(),
        swapped: HashMap::new(),
        quotients: HashMap::new(),
        bare_locks: HashMap::new(),
        held_at: None,
        instants: HashSet::new(),
        stack: frame,
        top: plan.top(),
        results: None,
        held,
    };
    let frame_pointer = translator.frame_address(0);
    translator.builder.def_var(translator.registers[Reg::R10.index()], frame_pointer);
    translator.run()?;
    let Translator { mut builder, burst, instants, .. } = translator;
    if let Some(burst) = &burst {
        burst.close(&mut builder);
    }
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
    lists::compare_at_once(&mut function);
    if let Some(burst) = burst {
        instants::compute_once(&mut function, burst.now, &instants);
    }
    Ok(function)
}

/// A number of the frame that need not be there.
#[derive(Clone, Copy)]
enum Cell {
    /// It is kept in a register: zero-extended if it has not 64 bits, but 32.
    Number { variable: Variable, is_word: bool },
    /// It is the instant, which is read anew: behind a loop, it would not be seen that it is.
    Instant,
}

struct Translator<'a, 'b> {
    builder: FunctionBuilder<'b>,
    convention: CallConv,
    source: &'a Source<'a>,
    slots: Range<usize>,
    registers: Vec<Variable>,
    row: Row,
    /// The packet's bytes.
    data: ir::Value,
    /// How many bytes are there.
    captured: ir::Value,
    /// The loop around the entry function.
    burst: Option<Burst>,
    /// The blocks by the slots that they start at.
    blocks: BTreeMap<usize, ir::Block>,
    /// The slots that are jumped to.
    jumped_to: BTreeSet<usize>,
    /// Those that are jumped to from behind: what registers hold there is known at the end only.
    looped_to: BTreeSet<usize>,
    /// The blocks that end a packet with a verdict that was known before.
    leaving: BTreeMap<u32, ir::Block>,
    /// Branches that do nothing but leave out the next instruction, which moves.
    skips: BTreeSet<usize>,
    /// Of the one before this instruction, whether it is left out.
    skip: Option<ir::Value>,
    /// Branches that were [made before](joined), together with others.
    tested: BTreeSet<usize>,
    /// Before this slot, it was seen which tests can be made together.
    looked_at: usize,
    frame: Frame,
    /// Numbers of the frame that are kept in registers.
    cells: BTreeMap<i32, Cell>,
    /// What may be stored later.
    late: LateStores,
    facts: Facts,
    /// Numbers of so many bits that were swapped to the other byte order, with what they were before: to compare one with a constant, that can be
    /// swapped instead.
    swapped: HashMap<ir::Value, (ir::Value, u32)>,
    /// Quotients of 64 bits, with dividend and divisor, which is not 0: one by 0 is one of 0 by 1.
    quotients: HashMap<ir::Value, (ir::Value, ir::Value)>,
    /// Addresses of locks that are whole values of maps, with the map and how far the lock is from its first value.
    bare_locks: HashMap<ir::Value, (MapId, ir::Value)>,
    /// Where the address of a lock that is a whole value is while it is held.
    held_at: Option<ir::StackSlot>,
    /// What the clock gave. It is read again in other blocks: it costs as much as a word of the stack, and need not be put there.
    instants: HashSet<ir::Value>,
    /// The program's stack frame, and how many bytes it has: the frame pointer points behind these.
    stack: ir::StackSlot,
    top: i32,
    /// Where detours write what helpers return, in functions without scratch memory.
    results: Option<ir::StackSlot>,
    /// The lock word that is held: the verifier lets a function hold one at a time, and give it back itself.
    held: Variable,
}

impl Translator<'_, '_> {
    fn run(&mut self) -> Result<(), CompileError> {
        self.make_blocks()?;
        let slots = self.slots.clone();
        let accesses = cells::accesses(self.source, slots.clone(), &self.jumped_to);
        let written_otherwise = cells::written_otherwise(self.source, slots, &self.jumped_to);
        for (offset, bytes) in accesses.iter().flat_map(cells::find) {
            if !written_otherwise.contains(&offset) {
                self.cells.insert(offset, Cell::Instant);
                continue;
            }
            let variable = self.builder.declare_var(I64);
            // It is written before it is read.
            let zero = self.constant(0);
            self.builder.def_var(variable, zero);
            self.cells.insert(offset, Cell::Number { variable, is_word: bytes == 8 });
        }
        let start = self.slots.start;
        let first = self.blocks[&start];
        self.builder.ins().jump(first, &[]);
        let mut open = false;
        for slot in self.slots.clone() {
            if let Some(&block) = self.blocks.get(&slot) {
                if self.jumped_to.contains(&slot) {
                    self.frame = Frame::unknown();
                }
                if open {
                    self.builder.ins().jump(block, &[]);
                }
                self.builder.switch_to_block(block);
                if !self.looped_to.contains(&slot) {
                    self.builder.seal_block(block);
                }
                open = true;
            }
            if !open || self.source.insns[slot] == Insn::HighHalf {
                continue;
            }
            if self.source.is_dead(slot) {
                // No path comes here; the block must end all the same.
                self.leave();
                open = false;
                continue;
            }
            open = self.instruction(slot)?;
        }
        if open {
            // The last instruction was not a jump: no path comes here either.
            self.leave();
        }
        for (verdict, block) in std::mem::take(&mut self.leaving) {
            self.leave_with(verdict, block);
        }
        if let Some(accesses) = accesses {
            self.late.remove_unread(self.builder.func, self.source, &accesses);
        }
        Ok(())
    }

    fn get(&mut self, reg: Reg) -> ir::Value {
        let value = self.builder.use_var(self.registers[reg.index()]);
        self.near(value)
    }

    /// The value, or the same one read again.
    fn near(&mut self, value: ir::Value) -> ir::Value {
        let read = self.resolved(value);
        if !self.instants.contains(&read) {
            return value;
        }
        let block = self.builder.func.dfg.value_def(read).inst();
        let block = block.and_then(|inst| self.builder.func.layout.inst_block(inst));
        if block == self.builder.current_block() { value } else { self.now() }
    }

    /// The instant.
    fn now(&mut self) -> ir::Value {
        let now = self.row.now(&mut self.builder);
        self.instants.insert(now);
        now
    }

    fn set(&mut self, reg: Reg, value: ir::Value) {
        self.frame.pointers.overwrite(reg);
        self.builder.def_var(self.registers[reg.index()], value);
    }

    fn constant(&mut self, value: i64) -> ir::Value {
        self.builder.ins().iconst(I64, value)
    }

    fn operand(&mut self, operand: Operand) -> ir::Value {
        match operand {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => self.constant(i64::from(imm)),
        }
    }

    /// Translates an instruction; gives whether the next one can come after it.
    fn instruction(&mut self, slot: usize) -> Result<bool, CompileError> {
        let insn = self.source.insns[slot];
        if let Some(holds) = self.skip.take() {
            self.move_unless(holds, insn);
            return Ok(true);
        }
        let before = self.frame.pointers;
        match insn {
            Insn::Alu { width, op, dst, src } => self.alu(width, op, dst, src),
            Insn::Neg { width, dst } => self.negate(width, dst),
            Insn::MovSx { width, from, dst, src } => self.move_extended(width, from, dst, src),
            Insn::Swap { order, bits, dst } => self.swap(order, bits, dst),
            Insn::LoadImm64 { dst, imm } => {
                let value = self.imm64(slot, imm)?;
                self.set(dst, value);
            }
            Insn::HighHalf => {}
            Insn::Load { size, signed, dst, base, off: from_base } => {
                self.join_tests(slot);
                let value = match self.source.note(slot) {
                    Some(Note::CtxLoad(field)) => self.context_field(field),
                    Some(Note::Access(Region::Frame { off })) if self.cells.contains_key(&off) => {
                        self.late.forwarded.insert(slot);
                        match self.cells[&off] {
                            Cell::Number { variable, .. } => {
                                let value = self.builder.use_var(variable);
                                self.near(value)
                            }
                            Cell::Instant => self.now(),
                        }
                    }
                    Some(Note::Access(Region::Frame { off })) if !signed => {
                        let stored = self.stored(off, size);
                        if stored.is_some() {
                            self.late.forwarded.insert(slot);
                        }
                        stored.unwrap_or_else(|| self.load_frame(size, off))
                    }
                    Some(Note::Access(Region::Packet)) if !signed => {
                        let pointer = self.get(base);
                        let value = self.load(size, signed, base, from_base);
                        self.note_load(value, pointer, from_base, size);
                        value
                    }
                    _ => self.load(size, signed, base, from_base),
                };
                self.set(dst, value);
            }
            Insn::Store { size, base, off, src } => match self.source.note(slot) {
                Some(Note::Access(Region::Frame { off })) => match self.cells.get(&off).copied() {
                    Some(Cell::Number { variable, is_word }) => {
                        let value = self.operand(src);
                        let value = if is_word { value } else { self.lowest(value) };
                        self.builder.def_var(variable, value);
                    }
                    Some(Cell::Instant) => {}
                    None => {
                        let store = self.store_frame(size, off, src);
                        self.late.stores.insert(slot, store);
                    }
                },
                _ => {
                    self.store(size, base, off, src);
                }
            },
            Insn::Atomic { width, op, base, off, src } => self.atomic(width, op, base, off, src),
            Insn::Jump { .. } => {
                let target = self.way(slot, self.target(slot)?);
                self.builder.ins().jump(target, &[]);
                return Ok(false);
            }
            Insn::Branch { .. } if self.tested.contains(&slot) => {
                let next = self.way(slot, slot + 1);
                self.builder.ins().jump(next, &[]);
                return Ok(false);
            }
            Insn::Branch { width, cond, dst, src, .. } => {
                let holds = self.condition(width, cond, dst, src);
                if self.skips.contains(&slot) {
                    self.skip = Some(holds);
                    return Ok(true);
                }
                let target = self.way(slot, self.target(slot)?);
                let next = self.way(slot, slot + 1);
                match self.length_unless(holds) {
                    Some(length) if length <= self.frame.length => {
                        self.builder.ins().jump(next, &[]);
                    }
                    length => {
                        self.frame.length = length.unwrap_or(self.frame.length);
                        self.builder.ins().brif(holds, target, &[], next, &[]);
                    }
                }
                return Ok(false);
            }
            Insn::MayGoto { .. } => {
                let next = self.way(slot, slot + 1);
                self.builder.ins().jump(next, &[]);
                return Ok(false);
            }
            Insn::CallHelper { helper } => {
                let open = self.call_helper(slot, helper)?;
                self.follow(slot, insn, before);
                return Ok(open);
            }
            Insn::CallLocal { .. } => self.call_local(slot, insn)?,
            Insn::CallBtf { .. } => return Err(CompileError::Unsupported { slot, what: "a call by BTF id" }),
            Insn::CallReg { .. } => {
                return Err(CompileError::Unsupported { slot, what: "a call by register" });
            }
            Insn::Exit => {
                self.leave();
                return Ok(false);
            }
        }
        self.follow(slot, insn, before);
        Ok(true)
    }

    fn imm64(&mut self, slot: usize, imm: Imm64) -> Result<ir::Value, CompileError> {
        match imm {
            Imm64::Value(value) => Ok(self.constant(value.cast_signed())),
            Imm64::Map(map) if (map as usize) < self.source.maps.len() => Ok(self.row_of(CTX_MAPS, map)),
            Imm64::MapValue { map, off } if (map as usize) < self.source.maps.len() => {
                let first = self.row_of(CTX_VALUES, map);
                Ok(self.builder.ins().iadd_imm_s(first, i64::from(off)))
            }
            _ => Err(CompileError::Unsupported { slot, what: "a 64-bit immediate of this kind" }),
        }
    }

    /// A row of a table of the context, by a map.
    fn row_of(&mut self, table: i32, map: u32) -> ir::Value {
        let is_kept = self.is_kept(table, map);
        row_of(&mut self.builder, self.row, is_kept, (table, map))
    }

    /// Whether a map's row of this table is the one that is kept.
    fn is_kept(&self, table: i32, map: u32) -> bool {
        kept_table(&self.source.maps[map as usize]) == table
    }

    /// An address in the program's stack frame, from the frame pointer.
    fn frame_address(&mut self, offset: i32) -> ir::Value {
        self.builder.ins().stack_addr(I64, self.stack, self.top + offset)
    }

    /// What a register hands to a helper.
    fn argument(&mut self, reg: Reg) -> ir::Value {
        match self.frame.pointers.in_frame(reg) {
            Some(offset) => self.frame_address(offset),
            None => self.get(reg),
        }
    }
}

/// A map's row of a table.
fn row_of(builder: &mut FunctionBuilder<'_>, row: Row, is_kept: bool, (table, map): (i32, u32)) -> ir::Value {
    match is_kept {
        true => row.table(builder, table, map as usize),
        false => row.other_table(builder, table, map as usize),
    }
}
