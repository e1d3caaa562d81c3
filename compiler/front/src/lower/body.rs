//! The lowering of one filter: its frame of names, and expressions.
//!
//! A value of a type is the list of its scalars; an optional one begins with a bool that says whether it is there, and
//! its scalars are zero if not. Functions are written into the filter where they are called. A method that returns `None` has
//! ended the current block: control does not come back.

use std::collections::{BTreeMap, BTreeSet};

use oko_diagnostics::Span;
use oko_ir::build::FilterBuilder;
use oko_ir::{
    BinaryOp, Block, BlockCall, BoolOp, CompareOp, Filter, FilterResult, Loc, Op, TerminatorKind, Type, Value,
};

use super::layers::{At, FrameLayer, SharedBlock, Source};
use super::layout::scalar_types;
use super::probe::Outside;
use crate::hir::{
    Arith, Compare, Expr, ExprKind, FieldKind, FilterDef, FnId, HeaderId, Layer, LayerId, LocalId, Order,
    Program, Stmt, StructId,
};
use crate::packets::graph::Graph;
use crate::types::{Range, Ty};

/// The most instructions and blocks of a filter; the IR allows 65,536 values.
const MAX_SIZE: usize = 50_000;

/// The deepest nesting of expressions, called functions included.
const MAX_DEPTH: usize = 600;

/// Lowers a filter; `None` where it is too large. With it come the packet fields that it reads.
pub(super) fn filter(
    program: &Program,
    graph: &Graph,
    def: &FilterDef,
    place: &dyn Fn(Span) -> Option<Loc>,
    marks: &mut Option<Marks>,
) -> Option<(Filter, BTreeSet<String>)> {
    let result = match &def.result {
        Ty::Enum(id) => FilterResult::Classes(u32::try_from(program.enums[id.index()].variants.len()).ok()?),
        _ => FilterResult::Bool,
    };
    let builder = FilterBuilder::new(def.name.clone(), result);
    let frame = Frame::new(def.body.locals.len(), &def.body.layers, None);
    let mut lowering = Lowering::new(program, graph, builder, result, place, frame);
    lowering.marks = marks.take();
    if let Some(value) = lowering.expr(&def.body.value) {
        lowering.answer(&value);
    }
    *marks = lowering.marks.take();
    if lowering.overflow {
        return None;
    }
    let filter = lowering.builder.finish().ok()?;
    Some((filter, lowering.fields_read))
}

/// The headers whose places in the packet matter.
fn placed_headers(program: &Program) -> BTreeSet<HeaderId> {
    let computed = program.structs.iter().filter_map(|def| def.computed.as_ref());
    let filters = program.filters.iter().flat_map(|def| &def.body.layers);
    let layers = filters.chain(computed.flat_map(|computed| &computed.body.layers));
    layers.filter(|layer| layer.placed).flat_map(|layer| layer.headers.iter().copied()).collect()
}

/// The names of one body.
pub(super) struct Frame<'p> {
    locals: Vec<Option<Vec<Value>>>,
    pub(super) layers: Vec<FrameLayer<'p>>,
    /// Where `return` goes; `None` in the filter itself.
    ret: Option<Block>,
    /// Where `break` goes, for each loop around, the innermost last.
    pub(super) loops: Vec<Block>,
}

impl<'p> Frame<'p> {
    pub(super) fn new(locals: usize, layers: &'p [Layer], ret: Option<Block>) -> Frame<'p> {
        Frame {
            locals: vec![None; locals],
            layers: layers.iter().map(FrameLayer::of).collect(),
            ret,
            loops: Vec::new(),
        }
    }

    /// The frame of a header's rules: its only layer is the header.
    pub(super) fn of_header(header: HeaderId, at: At) -> Frame<'p> {
        let layer = FrameLayer { headers: &[], common: &[], source: Some(Source::Window(header, at)) };
        Frame { locals: Vec::new(), layers: vec![layer], ret: None, loops: Vec::new() }
    }

    /// The frame of a header's rules if its fields are given.
    pub(super) fn of_fields() -> Frame<'p> {
        let layer = FrameLayer { headers: &[], common: &[], source: Some(Source::Given) };
        Frame { locals: Vec::new(), layers: vec![layer], ret: None, loops: Vec::new() }
    }

    /// Says where the fields of a layer come from.
    pub(super) fn set_layer(&mut self, id: LayerId, source: Source) {
        if let Some(layer) = self.layers.get_mut(id.index()) {
            layer.source = Some(source);
        }
    }
}

/// The lowering of one filter.
pub(super) struct Lowering<'p> {
    pub(super) program: &'p Program,
    pub(super) builder: FilterBuilder,
    result: FilterResult,
    place: &'p dyn Fn(Span) -> Option<Loc>,
    frames: Vec<Frame<'p>>,
    pub(super) shared: Vec<SharedBlock>,
    pub(super) graph: &'p Graph,
    /// The headers whose regions somebody looks into.
    pub(super) placed: BTreeSet<HeaderId>,
    pub(super) fields_read: BTreeSet<String>,
    size: usize,
    depth: usize,
    pub(super) overflow: bool,
    /// Whether an entry is locked here.
    pub(super) locked: bool,
    /// The fields that are given.
    pub(super) given: Vec<u128>,
    /// Of a probe: the test around it.
    pub(super) outside: Option<Outside<'p>>,
    /// The marks of arms, if arms are marked.
    marks: Option<Marks>,
}

/// Marks of the arms of matches: instructions without effect whose place is in a file that is none.
pub(super) struct Marks {
    /// The number of that file.
    pub(super) file: u32,
    /// The arms, by mark.
    pub(super) arms: BTreeMap<Span, u32>,
}

impl<'p> Lowering<'p> {
    pub(super) fn new(
        program: &'p Program,
        graph: &'p Graph,
        builder: FilterBuilder,
        result: FilterResult,
        place: &'p dyn Fn(Span) -> Option<Loc>,
        frame: Frame<'p>,
    ) -> Lowering<'p> {
        Lowering {
            program,
            builder,
            result,
            place,
            frames: vec![frame],
            shared: Vec::new(),
            graph,
            placed: placed_headers(program),
            fields_read: BTreeSet::new(),
            size: 0,
            depth: 0,
            overflow: false,
            locked: false,
            given: Vec::new(),
            outside: None,
            marks: None,
        }
    }
}

impl<'p> Lowering<'p> {
    /// Marks that the arm whose answer stands here is taken.
    pub(super) fn arm(&mut self, span: Span) {
        let Some(marks) = &mut self.marks else { return };
        let next = u32::try_from(marks.arms.len()).unwrap_or(u32::MAX).saturating_add(1);
        let line = *marks.arms.entry(span).or_insert(next);
        let file = marks.file;
        self.builder.set_loc(Some(Loc { file, line }));
        self.ins(Op::Const(0));
    }

    pub(super) fn ins(&mut self, op: Op) -> Value {
        self.count();
        self.builder.ins(op)
    }

    pub(super) fn effect(&mut self, op: Op) {
        self.count();
        self.builder.effect(op);
    }

    pub(super) fn block(&mut self) -> Block {
        self.count();
        self.builder.block()
    }

    /// A block that is given values of these types.
    pub(super) fn block_of(&mut self, types: &[Type]) -> (Block, Vec<Value>) {
        let block = self.block();
        let params = types.iter().map(|ty| self.builder.block_param(block, *ty)).collect();
        (block, params)
    }

    fn count(&mut self) {
        self.size += 1;
        self.overflow |= self.size > MAX_SIZE;
    }

    pub(super) fn int(&mut self, value: u64) -> Value {
        self.ins(Op::Const(value))
    }

    pub(super) fn bool(&mut self, value: bool) -> Value {
        self.ins(Op::ConstBool(value))
    }

    pub(super) fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        self.ins(Op::Binary(op, a, b))
    }

    pub(super) fn compare(&mut self, op: CompareOp, a: Value, b: Value) -> Value {
        self.ins(Op::Compare(op, a, b))
    }

    pub(super) fn select(&mut self, c: Value, a: Value, b: Value) -> Value {
        self.ins(Op::Select(c, a, b))
    }

    /// Ends the block with a branch to two blocks that are given nothing.
    pub(super) fn branch(&mut self, cond: Value, then: Block, other: Block) {
        let call = |block| BlockCall { block, args: Vec::new() };
        self.builder.end(TerminatorKind::Branch { cond, then: call(then), other: call(other) });
    }

    pub(super) fn at(&mut self, span: Span) {
        self.builder.set_loc((self.place)(span));
    }

    pub(super) fn frame(&mut self) -> &mut Frame<'p> {
        self.frames.last_mut().expect("the filter's own frame is never left")
    }

    /// How many loops are around this place, over all bodies.
    pub(super) fn loops_around(&self) -> usize {
        self.frames.iter().map(|frame| frame.loops.len()).sum()
    }

    pub(super) fn set_local(&mut self, id: LocalId, value: Vec<Value>) {
        let locals = &mut self.frame().locals;
        if locals.len() <= id.index() {
            // The rules of headers do not say how many names they have.
            locals.resize(id.index() + 1, None);
        }
        locals[id.index()] = Some(value);
    }

    pub(super) fn set_layer(&mut self, id: LayerId, source: Source) {
        self.frame().set_layer(id, source);
    }

    pub(super) fn layer(&mut self, id: LayerId) -> Option<FrameLayer<'p>> {
        self.frame().layers.get(id.index()).copied()
    }

    /// Runs a step that is lowered between a lock and its unlock.
    pub(super) fn under_lock<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.locked, true);
        let result = step(self);
        self.locked = before;
        result
    }

    /// Runs a step with the names of another body.
    pub(super) fn in_frame<T>(&mut self, frame: Frame<'p>, step: impl FnOnce(&mut Self) -> T) -> T {
        self.frames.push(frame);
        let result = step(self);
        self.frames.pop();
        result
    }

    pub(super) fn types(&self, ty: &Ty) -> Vec<Type> {
        scalar_types(ty, self.program)
    }

    /// Zeros for the scalars of a type.
    pub(super) fn zeros(&mut self, ty: &Ty) -> Vec<Value> {
        let types = self.types(ty);
        self.zeros_of(&types)
    }

    /// Zeros of these types, which are integers and conditions.
    pub(super) fn zeros_of(&mut self, types: &[Type]) -> Vec<Value> {
        types.iter().map(|ty| if *ty == Type::Bool { self.bool(false) } else { self.int(0) }).collect()
    }

    /// Ends the filter with its answer.
    fn answer(&mut self, value: &[Value]) {
        let Some(&value) = value.first() else { return self.dead_end() };
        let value = match self.result {
            FilterResult::Bool => value,
            FilterResult::Classes(count) => {
                // A value of the enum that comes out of memory is one of its numbers, but the IR's verifier does not know that.
                let last = self.int(u64::from(count) - 1);
                self.binary(BinaryOp::UMin, value, last)
            }
        };
        self.builder.end(TerminatorKind::Return(value));
    }

    /// Ends a block that no packet reaches, or that belongs to a filter that is given up.
    pub(super) fn dead_end(&mut self) {
        let value = match self.result {
            FilterResult::Bool => self.builder.ins(Op::ConstBool(false)),
            FilterResult::Classes(_) => self.builder.ins(Op::Const(0)),
        };
        self.builder.end(TerminatorKind::Return(value));
    }

    /// The scalars of an expression.
    pub(super) fn expr(&mut self, expr: &Expr) -> Option<Vec<Value>> {
        if self.overflow || self.depth >= MAX_DEPTH {
            self.overflow = true;
            self.dead_end();
            return None;
        }
        self.depth += 1;
        self.at(expr.span);
        let value = self.kind(expr);
        self.depth -= 1;
        value
    }

    fn kind(&mut self, expr: &Expr) -> Option<Vec<Value>> {
        match &expr.kind {
            ExprKind::Error => {
                self.dead_end();
                None
            }
            ExprKind::Nothing => Some(Vec::new()),
            ExprKind::Const(words) => Some(self.constant(words, &expr.ty)),
            ExprKind::Local(id) => match self.frame().locals.get(id.index()).cloned().flatten() {
                None if self.outside.is_some() => self.outside_local(*id),
                known => known,
            },
            ExprKind::Field(layer, index) => self.field(*layer, *index, &expr.ty),
            ExprKind::Param(id) => Some(vec![self.ins(Op::Param(oko_ir::Param(id.0)))]),
            ExprKind::RegionLen(layer) => Some(vec![self.region_len(*layer)?]),
            ExprKind::RegionByte(layer, index) => self.region_byte(*layer, index),
            ExprKind::PacketLen => Some(vec![self.ins(Op::PacketLen)]),
            ExprKind::InPort => Some(vec![self.ins(Op::InPort)]),
            ExprKind::Now => Some(vec![self.ins(Op::Now)]),
            ExprKind::None => Some(self.zeros(&expr.ty)),
            ExprKind::Some(inner) => {
                let mut scalars = self.expr(inner)?;
                scalars.insert(0, self.bool(true));
                Some(scalars)
            }
            ExprKind::Addr(inner) => {
                let scalars = self.expr(inner)?;
                Some(self.widen(scalars, &inner.ty, &expr.ty))
            }
            ExprKind::Compute(id, layers) => self.compute(*id, layers),
            ExprKind::Tuple(parts) => {
                let mut scalars = Vec::new();
                for part in parts {
                    scalars.extend(self.expr(part)?);
                }
                Some(scalars)
            }
            ExprKind::Part(whole, at) => self.part(whole, *at),
            ExprKind::Not(inner) => {
                let value = self.one(inner)?;
                Some(vec![self.ins(Op::Not(value))])
            }
            ExprKind::And(a, b) => self.logical(expr, a, b, BoolOp::And),
            ExprKind::Or(a, b) => self.logical(expr, a, b, BoolOp::Or),
            ExprKind::Arith(op, a, b) if matches!(a.ty, Ty::Wide(_)) => self.wide_arith(*op, a, b),
            ExprKind::Widen(inner) => {
                let word = self.one(inner)?;
                Some(vec![self.int(0), word])
            }
            ExprKind::Slice(value, low, bits) => {
                let scalars = self.expr(value)?;
                self.at(expr.span);
                Some(self.slice(&scalars, *low, *bits))
            }
            ExprKind::Index(array, index) => self.element(array, index),
            ExprKind::Arith(op, a, b) => {
                let (a, b) = (self.one(a)?, self.one(b)?);
                self.at(expr.span);
                Some(vec![self.arith(*op, a, b)])
            }
            ExprKind::Compare(op @ (Compare::Eq | Compare::Ne), a, b)
                if matches!(b.kind, ExprKind::None | ExprKind::Some(_)) =>
            {
                self.compare_optional(*op, a, b)
            }
            ExprKind::Compare(op, a, b) => {
                let (a, b) = (self.expr(a)?, self.expr(b)?);
                self.at(expr.span);
                Some(vec![self.comparison(*op, &a, &b)])
            }
            ExprKind::InRanges(value, lists) => {
                let scalars = self.expr(value)?;
                self.at(expr.span);
                Some(vec![self.in_ranges(&scalars, lists)])
            }
            ExprKind::Coalesce(value, other) => self.coalesce(value, other, &expr.ty),
            ExprKind::If(condition, then, otherwise) => self.if_expr(condition, then, otherwise, &expr.ty),
            ExprKind::Match(subject, arms) => self.match_expr(subject, arms, &expr.ty),
            ExprKind::MatchLayer(layer, arms) => self.match_layer(*layer, arms, &expr.ty),
            ExprKind::MatchPacket(arms) => self.match_packet(arms, &expr.ty),
            ExprKind::Block(stmts, value) => {
                for stmt in stmts {
                    match stmt {
                        Stmt::Let(id, value) => {
                            let value = self.expr(value)?;
                            self.set_local(*id, value);
                        }
                        Stmt::LetParts(ids, value) => self.let_parts(ids, value)?,
                        Stmt::Expr(value) => {
                            self.expr(value)?;
                        }
                        Stmt::Emit(event, fields) => self.emit(*event, fields)?,
                    }
                }
                self.expr(value)
            }
            ExprKind::Loop(def) => self.loop_expr(def, &expr.ty),
            ExprKind::Break(value) => {
                let value = self.expr(value)?;
                self.break_out(value);
                None
            }
            ExprKind::Return(value) => {
                let value = self.expr(value)?;
                match self.frame().ret {
                    Some(block) => self.builder.jump(block, value),
                    None => self.answer(&value),
                }
                None
            }
            ExprKind::Call(id, args) => {
                let mut values = Vec::new();
                for arg in args {
                    values.push(self.expr(arg)?);
                }
                self.call(*id, values)
            }
            ExprKind::State(op) => self.state_op(op, &expr.ty),
        }
    }

    /// Gives names to the parts of a tuple.
    fn let_parts(&mut self, ids: &[Option<LocalId>], value: &Expr) -> Option<()> {
        let scalars = self.expr(value)?;
        let Ty::Tuple(types) = &value.ty else { return Some(()) };
        let mut rest = scalars.as_slice();
        for (id, ty) in ids.iter().zip(types) {
            let (own, behind) = rest.split_at(self.types(ty).len().min(rest.len()));
            if let Some(id) = id {
                self.set_local(*id, own.to_vec());
            }
            rest = behind;
        }
        Some(())
    }

    /// The only scalar of an expression.
    pub(super) fn one(&mut self, expr: &Expr) -> Option<Value> {
        let scalars = self.expr(expr)?;
        match scalars.first() {
            Some(value) => Some(*value),
            None => {
                self.dead_end();
                None
            }
        }
    }

    fn constant(&mut self, words: &[u64], ty: &Ty) -> Vec<Value> {
        let types = self.types(ty);
        let pairs = types.into_iter().zip(words);
        pairs
            .map(|(ty, word)| if ty == Type::Bool { self.bool(*word != 0) } else { self.int(*word) })
            .collect()
    }

    fn part(&mut self, whole: &Expr, at: usize) -> Option<Vec<Value>> {
        let scalars = self.expr(whole)?;
        let types: Vec<Ty> = match &whole.ty {
            Ty::Tuple(parts) => parts.clone(),
            Ty::Struct(id) => (self.program.structs[id.index()].fields.iter())
                .map(|field| match &field.kind {
                    FieldKind::Value(ty) => ty.clone(),
                    FieldKind::Cell(_) => Ty::Unit,
                })
                .collect(),
            _ => Vec::new(),
        };
        let start: usize = types.iter().take(at).map(|ty| self.types(ty).len()).sum();
        let count = types.get(at).map_or(0, |ty| self.types(ty).len());
        Some(scalars.into_iter().skip(start).take(count).collect())
    }

    /// A function, written out.
    pub(super) fn call(&mut self, id: FnId, args: Vec<Vec<Value>>) -> Option<Vec<Value>> {
        let program = self.program;
        let def = &program.fns[id.index()];
        let types = self.types(&def.result);
        let (join, results) = self.block_of(&types);
        let mut frame = Frame::new(def.body.locals.len(), &def.body.layers, Some(join));
        for (slot, value) in frame.locals.iter_mut().zip(args) {
            *slot = Some(value);
        }
        let value = self.in_frame(frame, |lowering| lowering.expr(&def.body.value));
        if let Some(value) = value {
            self.builder.jump(join, value);
        }
        self.builder.switch_to(join);
        Some(results)
    }

    /// A struct that is computed from headers, written out.
    fn compute(&mut self, id: StructId, layers: &[LayerId]) -> Option<Vec<Value>> {
        let program = self.program;
        let computed = program.structs[id.index()].computed.as_ref()?;
        let mut frame = Frame::new(computed.body.locals.len(), &computed.body.layers, None);
        for (at, layer) in layers.iter().enumerate() {
            let source = self.layer(*layer)?.source?;
            frame.set_layer(LayerId::from_index(at), source);
        }
        self.in_frame(frame, |lowering| lowering.expr(&computed.body.value))
    }

    fn arith(&mut self, op: Arith, a: Value, b: Value) -> Value {
        let max = |bits: u8| Range::of_bits(bits).max as u64;
        match op {
            Arith::Add => self.binary(BinaryOp::Add, a, b),
            Arith::Sub => self.binary(BinaryOp::Sub, a, b),
            Arith::Mul => self.binary(BinaryOp::Mul, a, b),
            Arith::Div => self.binary(BinaryOp::UDiv, a, b),
            Arith::Mod => self.binary(BinaryOp::URem, a, b),
            Arith::Shl => self.binary(BinaryOp::Shl, a, b),
            Arith::Shr => self.binary(BinaryOp::UShr, a, b),
            Arith::And => self.binary(BinaryOp::And, a, b),
            Arith::Or => self.binary(BinaryOp::Or, a, b),
            Arith::Xor => self.binary(BinaryOp::Xor, a, b),
            Arith::AddSat(64..) => self.add_saturating(a, b),
            Arith::AddSat(bits) => {
                // Neither operand has more bits, so the sum does not wrap.
                let sum = self.binary(BinaryOp::Add, a, b);
                let most = self.int(max(bits));
                self.binary(BinaryOp::UMin, sum, most)
            }
            Arith::SubSat => self.sub_saturating(a, b),
            Arith::AddWrap(bits) => {
                let sum = self.binary(BinaryOp::Add, a, b);
                self.masked(sum, u32::from(bits))
            }
            Arith::SubWrap(bits) => {
                let difference = self.binary(BinaryOp::Sub, a, b);
                self.masked(difference, u32::from(bits))
            }
        }
    }

    /// `a + b`, or 2^64 - 1 where that is too much.
    pub(super) fn add_saturating(&mut self, a: Value, b: Value) -> Value {
        let sum = self.binary(BinaryOp::Add, a, b);
        let wrapped = self.compare(CompareOp::ULt, sum, a);
        let most = self.int(u64::MAX);
        self.select(wrapped, most, sum)
    }

    /// `a - b`, or 0 where `b` is greater.
    pub(super) fn sub_saturating(&mut self, a: Value, b: Value) -> Value {
        let most = self.binary(BinaryOp::UMax, a, b);
        self.binary(BinaryOp::Sub, most, b)
    }

    fn comparison(&mut self, op: Compare, a: &[Value], b: &[Value]) -> Value {
        match op {
            Compare::Eq => self.equal(a, b),
            Compare::Ne => {
                let equal = self.equal(a, b);
                self.ins(Op::Not(equal))
            }
            Compare::Lt(order) => self.less(order, a, b, false),
            Compare::Le(order) => self.less(order, a, b, true),
            Compare::Has => match (a, b) {
                ([a, ..], [b, ..]) => {
                    let both = self.binary(BinaryOp::And, *a, *b);
                    self.compare(CompareOp::Eq, both, *b)
                }
                _ => self.bool(false),
            },
        }
    }

    /// `a == none`, `a == value`: whether there is a value needs no comparison.
    fn compare_optional(&mut self, op: Compare, a: &Expr, b: &Expr) -> Option<Vec<Value>> {
        let a = self.expr(a)?;
        let (present, rest) = a.split_first()?;
        let equal = match &b.kind {
            ExprKind::Some(value) => {
                let value = self.expr(value)?;
                let same = self.equal(rest, &value);
                self.ins(Op::Bool(BoolOp::And, *present, same))
            }
            _ => self.ins(Op::Not(*present)),
        };
        Some(vec![if op == Compare::Eq { equal } else { self.ins(Op::Not(equal)) }])
    }

    fn equal(&mut self, a: &[Value], b: &[Value]) -> Value {
        let mut all: Option<Value> = None;
        for (a, b) in a.iter().zip(b) {
            let one = if self.builder.type_of(*a) == Type::Bool {
                let differ = self.ins(Op::Bool(BoolOp::Xor, *a, *b));
                self.ins(Op::Not(differ))
            } else {
                self.compare(CompareOp::Eq, *a, *b)
            };
            all = Some(match all {
                Some(before) => self.ins(Op::Bool(BoolOp::And, before, one)),
                None => one,
            });
        }
        all.unwrap_or_else(|| self.bool(true))
    }

    fn less(&mut self, order: Order, a: &[Value], b: &[Value], or_equal: bool) -> Value {
        if order == Order::Scalars {
            // From the back: the scalars in front decide where they differ.
            let mut less = self.bool(or_equal);
            for (a, b) in a.iter().zip(b).rev() {
                let (below, same) =
                    (self.compare(CompareOp::ULt, *a, *b), self.compare(CompareOp::Eq, *a, *b));
                let rest = self.ins(Op::Bool(BoolOp::And, same, less));
                less = self.ins(Op::Bool(BoolOp::Or, below, rest));
            }
            return less;
        }
        let (a, b) = match (a, b) {
            ([high_a, low_a], [high_b, low_b]) => {
                let (a, b) = ((*high_a, *low_a), (*high_b, *low_b));
                if or_equal {
                    let greater = self.wide_less(b, a);
                    return self.ins(Op::Not(greater));
                }
                return self.wide_less(a, b);
            }
            ([a, ..], [b, ..]) => (a, b),
            _ => return self.bool(false),
        };
        match (order, or_equal) {
            (Order::Scalars, _) => self.bool(false),
            (Order::Unsigned, false) => self.compare(CompareOp::ULt, *a, *b),
            (Order::Unsigned, true) => self.compare(CompareOp::ULe, *a, *b),
            (Order::Signed, false) => self.compare(CompareOp::SLt, *a, *b),
            (Order::Signed, true) => self.compare(CompareOp::SLe, *a, *b),
            (Order::Serial, _) => {
                // a < b if a - b, modulo 2^32, is at least 2^31; a <= b if not b < a.
                let (x, y) = if or_equal { (*b, *a) } else { (*a, *b) };
                let difference = self.binary(BinaryOp::Sub, x, y);
                let low = self.masked(difference, 32);
                let half = self.int(1 << 31);
                let less = self.compare(CompareOp::ULe, half, low);
                if or_equal { self.ins(Op::Not(less)) } else { less }
            }
        }
    }

    /// Whether the scalars are in all ranges of one of the lists.
    pub(super) fn in_ranges(&mut self, scalars: &[Value], lists: &[Vec<(u64, u64)>]) -> Value {
        let mut any: Option<Value> = None;
        for list in lists {
            let mut all: Option<Value> = None;
            for (scalar, (low, high)) in scalars.iter().zip(list) {
                let Some(one) = self.in_range(*scalar, *low, *high) else { continue };
                all = Some(match all {
                    Some(before) => self.ins(Op::Bool(BoolOp::And, before, one)),
                    None => one,
                });
            }
            let all = all.unwrap_or_else(|| self.bool(true));
            any = Some(match any {
                Some(before) => self.ins(Op::Bool(BoolOp::Or, before, all)),
                None => all,
            });
        }
        any.unwrap_or_else(|| self.bool(false))
    }

    /// Whether a scalar is in a range; `None` if it always is.
    pub(super) fn in_range(&mut self, scalar: Value, low: u64, high: u64) -> Option<Value> {
        if self.builder.type_of(scalar) == Type::Bool {
            return match (low, high) {
                (0, 0) => Some(self.ins(Op::Not(scalar))),
                (0, _) => None,
                _ => Some(scalar),
            };
        }
        Some(match (low, high) {
            (0, u64::MAX) => return None,
            _ if low == high => {
                let value = self.int(low);
                self.compare(CompareOp::Eq, scalar, value)
            }
            (0, _) => {
                let high = self.int(high);
                self.compare(CompareOp::ULe, scalar, high)
            }
            (_, u64::MAX) => {
                let low = self.int(low);
                self.compare(CompareOp::ULe, low, scalar)
            }
            _ => {
                // Numbers below `low` wrap round and become large.
                let (base, length) = (self.int(low), self.int(high - low));
                let offset = self.binary(BinaryOp::Sub, scalar, base);
                self.compare(CompareOp::ULe, offset, length)
            }
        })
    }
}
