//! Finding, making, locking and leaving entries.

use oko_bpf::helper::Helper;
use oko_bpf::isa::{AluOp, ByteOrder, Cond, Imm64, Insn, Reg, Size, SwapBits};
use oko_ir::layout::{EXPIRES_OFFSET, HEADER_SIZE, WRITTEN_OFFSET};
use oko_ir::{BlockCall, Match, State, StateDecl, StateKind, Type, Unlock, Value, Width};

use super::{Emitter, Spot};
use crate::alloc::Slot;
use crate::asm::Label;
use crate::maps::{self, Frame, LOCK_BITS, PREFIX_LENGTH_BYTES};
use crate::plan::{LockPlace, lock_place};

/// From so many words on they are zeroed in a loop.
const MANY_WORDS: u32 = 32;
/// What the pieces of a key are multiplied by before they are added up: odd, and with no pattern.
const LOCK_FACTORS: [i32; 4] = [0x3c6e_f373, 0x5bd1_e995, 0x2545_f491, 0x1b87_3593];
/// `BPF_NOEXIST`.
const NOEXIST: i32 = 1;

impl Emitter<'_> {
    fn state_of(&self, entry: Value) -> State {
        match self.filter.type_of(entry) {
            Some(Type::Entry(state)) => state,
            other => unreachable!("{entry} is an entry, not {other:?}"),
        }
    }

    /// Offset in the entry and size of a field.
    pub(super) fn field(&self, entry: Value, field: oko_ir::Field) -> (i16, Size) {
        let state = &self.module.states[self.state_of(entry).index()];
        let offset = state.entry_layout().offsets[field.index()];
        // Entries are of at most oko_ir::limits::MAX_ENTRY_SIZE bytes.
        (offset as i16, maps::size(state.fields[field.index()].width))
    }

    /// How many scalars a field has.
    pub(super) fn count(&self, entry: Value, field: oko_ir::Field) -> u32 {
        self.module.states[self.state_of(entry).index()].fields[field.index()].count
    }

    /// Calls a function of the spin lock of an entry, if it has one.
    fn call_on_lock(&mut self, entry: Value, helper: Helper) {
        if lock_place(self.module, self.state_of(entry)) == LockPlace::None {
            return;
        }
        let from = match self.plan.lock_of(entry) {
            Some(lock) => self.slot(lock).into(),
            None => self.at(entry),
        };
        self.put(Spot::Reg(Reg::R1), from);
        self.call(helper);
    }

    /// Locks, tells whether the entry is live, and zeroes the fields of one that is not.
    pub(super) fn lock(&mut self, entry: Value, live: Option<Slot>) {
        self.call_on_lock(entry, Helper::SpinLock);
        let state = &self.module.states[self.state_of(entry).index()];
        let size = state.entry_layout().size;
        let base = self.reg(entry, Reg::R1);
        let (alive, done) = (self.asm.label(), self.asm.label());
        self.load(Size::Dw, Reg::R0, base, EXPIRES_OFFSET as i16);
        let now = self.reg_of(self.plan.now(), Reg::R1);
        self.asm.branch(Cond::Gt, Reg::R0, now.into(), alive);
        // Both may be on the stack, and there is one register for them.
        let base = if base == now { self.reg(entry, Reg::R1) } else { base };
        self.zero_fields(base, size);
        match live {
            Some(slot) => {
                self.put(slot.into(), Spot::Const(0));
                self.asm.jump(done);
                self.asm.bind(alive);
                self.put(slot.into(), Spot::Const(1));
            }
            None => self.asm.bind(alive),
        }
        self.asm.bind(done);
    }

    /// Zeroes an entry of this size behind its header; `base` is lost if it is `r1`.
    fn zero_fields(&mut self, base: Reg, size: u32) {
        let words = (size - HEADER_SIZE) / 8;
        if words <= MANY_WORDS {
            for offset in (HEADER_SIZE..size).step_by(8) {
                self.store(Size::Dw, base, offset as i16, 0);
            }
            return;
        }
        self.put(Spot::Reg(Reg::R1), Spot::Reg(base));
        self.constant(Reg::R0, words.into());
        let next = self.asm.label();
        self.asm.bind(next);
        self.store(Size::Dw, Reg::R1, HEADER_SIZE as i16, 0);
        self.alu(AluOp::Add, Reg::R1, 8);
        self.alu(AluOp::Sub, Reg::R0, 1);
        self.asm.branch(Cond::Ne, Reg::R0, 0.into(), next);
    }

    pub(super) fn unlock(&mut self, entry: Value, how: Unlock) {
        match how {
            Unlock::Keep => {}
            Unlock::Touch(expires) => {
                let base = self.reg(entry, Reg::R0);
                let expires = self.operand(expires, Reg::R1);
                self.store(Size::Dw, base, EXPIRES_OFFSET as i16, expires);
                let now = self.reg_of(self.plan.now(), Reg::R1);
                self.store(Size::Dw, base, WRITTEN_OFFSET as i16, now);
            }
            Unlock::Clear => {
                let base = self.reg(entry, Reg::R0);
                self.store(Size::Dw, base, EXPIRES_OFFSET as i16, 0);
            }
        }
        self.call_on_lock(entry, Helper::SpinUnlock);
    }

    pub(super) fn lookup(
        &mut self,
        state: State,
        key: &[Value],
        make: bool,
        found: &BlockCall,
        absent: &BlockCall,
    ) {
        let decl = &self.module.states[state.index()];
        let way = self.second_edge(absent);
        let key_at = self.frame.key(decl);
        match decl.kind {
            StateKind::Array | StateKind::Words => self.index(decl, key[0], key_at, way.0),
            StateKind::Hash(_) | StateKind::Table(Match::Exact) => self.key(decl, key, key_at),
            StateKind::Table(Match::Prefix) => self.prefix_key(decl, key, key_at),
        }
        // Locks lie apart where entries are evicted, which is in hash tables only.
        let apart = lock_place(self.module, state) == LockPlace::Apart;
        if apart {
            self.find_lock(decl, key_at, way.0);
        }
        self.find(self.maps.state(state), key_at);
        if make && decl.kind != StateKind::Array {
            let there = self.asm.label();
            self.asm.branch(Cond::Ne, Reg::R0, 0.into(), there);
            self.asm.load_imm64(Reg::R1, self.maps.state(state));
            self.frame_address(Reg::R2, key_at);
            self.asm.load_imm64(Reg::R3, self.maps.zero());
            self.alu(AluOp::Mov, Reg::R4, NOEXIST);
            // Whether it worked is seen by looking again: somebody else may have inserted in between.
            self.call(Helper::MapUpdateElem);
            self.find(self.maps.state(state), key_at);
            self.asm.branch(Cond::Eq, Reg::R0, 0.into(), way.0);
            self.asm.bind(there);
        } else {
            self.asm.branch(Cond::Eq, Reg::R0, 0.into(), way.0);
        }
        let given = [Spot::Reg(Reg::R0), Spot::Stack(Frame::LOCK)];
        self.edges(found, &given[..1 + usize::from(apart)], absent, way);
    }

    fn frame_address(&mut self, dst: Reg, offset: i16) {
        self.alu(AluOp::Mov, dst, Reg::R10);
        self.alu(AluOp::Add, dst, i32::from(offset));
    }

    /// Looks up the key at `key_at` of the frame.
    pub(super) fn find(&mut self, map: Imm64, key_at: i16) {
        self.asm.load_imm64(Reg::R1, map);
        self.frame_address(Reg::R2, key_at);
        self.call(Helper::MapLookupElem);
    }

    /// Builds the index of an array.
    fn index(&mut self, state: &StateDecl, value: Value, key_at: i16, absent: Label) {
        let from = self.at(value);
        self.put(Spot::Reg(Reg::R0), from);
        match state.key[0].width {
            Width::W8 => self.alu(AluOp::And, Reg::R0, 0xff),
            Width::W16 => self.alu(AluOp::And, Reg::R0, 0xffff),
            Width::W32 => {}
            // What is cut off must not make it another index.
            Width::W64 => {
                self.alu(AluOp::Mov, Reg::R1, Reg::R0);
                self.alu(AluOp::Rsh, Reg::R1, 32);
                self.asm.branch(Cond::Ne, Reg::R1, 0.into(), absent);
            }
        }
        self.store(Size::W, Reg::R10, key_at, Reg::R0);
    }

    /// Builds a key, gaps zeroed.
    fn key(&mut self, state: &StateDecl, values: &[Value], key_at: i16) {
        for (piece, &value) in key_pieces(state).iter().zip(values) {
            let at = key_at + piece.offset as i16;
            let stored = match self.at(value) {
                _ if piece.size == piece.part => self.operand(value, Reg::R0),
                Spot::Const(constant) => {
                    self.number(constant & (u64::MAX >> (64 - 8 * piece.part.bytes())), Reg::R0)
                }
                from => {
                    self.put(Spot::Reg(Reg::R0), from);
                    self.cut(Reg::R0, piece.part);
                    Reg::R0.into()
                }
            };
            self.store(piece.size, Reg::R10, at, stored);
            self.zero_gap(key_at, piece.offset + piece.size.bytes(), piece.end);
        }
    }

    /// Zeroes all bits of a register above those of a size.
    fn cut(&mut self, reg: Reg, size: Size) {
        match size {
            Size::B => self.alu(AluOp::And, reg, 0xff),
            Size::H => self.alu(AluOp::And, reg, 0xffff),
            Size::W => self.asm.push(Insn::alu32(AluOp::Mov, reg, reg)),
            Size::Dw => {}
        }
    }

    /// Builds a key of a prefix table: the number of its bits in host order, then the parts without gaps, in network byte order.
    fn prefix_key(&mut self, state: &StateDecl, values: &[Value], key_at: i16) {
        let bits = u64::from(state.key_bits()).swap_bytes() >> (64 - 8 * PREFIX_LENGTH_BYTES);
        self.network_bytes(Spot::Const(bits), PREFIX_LENGTH_BYTES, key_at);
        let mut at = key_at + PREFIX_LENGTH_BYTES as i16;
        for (part, &value) in state.key.iter().zip(values) {
            let bytes = part.width.bytes();
            let from = self.at(value);
            self.network_bytes(from, bytes, at);
            at += bytes as i16;
        }
    }

    /// Writes the lowest bytes of a number to the frame in network order, in pieces that are aligned.
    fn network_bytes(&mut self, from: Spot, bytes: u32, at: i16) {
        let mut written = 0;
        while written < bytes {
            let to = at + written as i16;
            let size = aligned(to.rem_euclid(8).cast_unsigned().into(), bytes - written);
            written += size.bytes();
            let left = (bytes - written) * 8;
            let stored = match from {
                Spot::Const(constant) => {
                    let piece = (constant >> left).swap_bytes() >> (64 - 8 * size.bytes());
                    self.number(piece, Reg::R0)
                }
                // One byte has no order, and no more than that is stored.
                Spot::Reg(reg) if left == 0 && size == Size::B => reg.into(),
                _ => {
                    self.put(Spot::Reg(Reg::R0), from);
                    if left > 0 {
                        self.alu(AluOp::Rsh, Reg::R0, left as i32);
                    }
                    let bits = match size {
                        Size::B => None,
                        Size::H => Some(SwapBits::B16),
                        Size::W => Some(SwapBits::B32),
                        Size::Dw => Some(SwapBits::B64),
                    };
                    if let Some(bits) = bits {
                        self.asm.push(Insn::Swap { order: ByteOrder::Be, bits, dst: Reg::R0 });
                    }
                    Reg::R0.into()
                }
            };
            self.store(size, Reg::R10, to, stored);
        }
    }

    /// Zeroes `from..to` of the key, in pieces that are aligned.
    fn zero_gap(&mut self, key_at: i16, mut from: u32, to: u32) {
        while from < to {
            let size = aligned(from, to - from);
            self.store(size, Reg::R10, key_at + from as i16, 0);
            from += size.bytes();
        }
    }

    /// Puts the address of the lock for the key at `key_at` into its place in the frame.
    ///
    /// The pieces of the key are read as they were written: for what was written in smaller pieces than it is read in, a processor waits.
    fn find_lock(&mut self, state: &StateDecl, key_at: i16, absent: Label) {
        for (number, piece) in key_pieces(state).iter().enumerate() {
            let at = key_at + piece.offset as i16;
            if number == 0 {
                self.load(piece.size, Reg::R0, Reg::R10, at);
                continue;
            }
            self.load(piece.size, Reg::R1, Reg::R10, at);
            self.alu(AluOp::Mul, Reg::R1, LOCK_FACTORS[number % LOCK_FACTORS.len()]);
            self.alu(AluOp::Add, Reg::R0, Reg::R1);
        }
        // 2^64 divided by the golden ratio: the upper bits of the product depend on all bits.
        self.asm.load_imm64(Reg::R1, Imm64::Value(0x9e37_79b9_7f4a_7c15));
        self.alu(AluOp::Mul, Reg::R0, Reg::R1);
        self.alu(AluOp::Rsh, Reg::R0, (64 - LOCK_BITS) as i32);
        self.store(Size::W, Reg::R10, Frame::LOCK_INDEX, Reg::R0);
        self.find(self.maps.locks(), Frame::LOCK_INDEX);
        // The index is always below the size, which the verifiers need not know.
        self.asm.branch(Cond::Eq, Reg::R0, 0.into(), absent);
        self.store(Size::Dw, Reg::R10, Frame::LOCK, Reg::R0);
    }
}

/// What can be accessed at once at an offset of the frame, of so many bytes: the frame is accessed by aligned pieces only.
fn aligned(offset: u32, bytes: u32) -> Size {
    let fits = |size: &Size| offset.is_multiple_of(size.bytes()) && size.bytes() <= bytes;
    [Size::Dw, Size::W, Size::H].into_iter().find(fits).unwrap_or(Size::B)
}

/// A part of a key as it is written: with as much of the gap behind it as makes one aligned number with it.
struct Piece {
    offset: u32,
    /// What the part itself takes.
    part: Size,
    /// What is written.
    size: Size,
    /// Where the next one begins, or the key ends.
    end: u32,
}

/// The pieces of the key of a hash table.
fn key_pieces(state: &StateDecl) -> Vec<Piece> {
    let layout = state.key_layout();
    let pieces = state.key.iter().zip(&layout.offsets).map(|(part, &offset)| {
        let behind = layout.offsets.iter().copied().filter(|&other| other > offset).min();
        let end = behind.unwrap_or(layout.size);
        Piece { offset, part: maps::size(part.width), size: aligned(offset, end - offset), end }
    });
    pieces.collect()
}
