//! The module of a test: the program's filters, and behind them a filter for each value that the test computes.
//!
//! Such a filter, a *probe*, tells its value in pieces of 8 bits, as its class: number `in_port` of the pieces, the scalars in order, the
//! lowest bits of each first. The test's locals come to it as params: each probe takes the locals it reads from the params
//! `test.local.0`, `test.local.1` and so on, one for each scalar. So every engine computes what a test says with the code that its filters run.

use std::collections::BTreeSet;

use oko_artifact::{FilterSchema, ParamSchema, ScalarType, Schema};
use oko_diagnostics::{Sink, SourceMap, Span};
use oko_ir::build::FilterBuilder;
use oko_ir::{BinaryOp, CompareOp, FilterResult, Loc, Module, Op, ParamDecl, Type, Value};

use super::body::{Frame, Lowering};
use super::{Lowered, lower_with};
use crate::hir::{Expr, ExprKind, LocalId, Program};
use crate::packets::graph::Graph;
use crate::plan::Plan;

/// The classes of a probe.
pub const PIECES: u32 = 256;

/// How many pieces a scalar has.
pub const PIECES_OF_SCALAR: u32 = 8;

/// A test as a module.
#[derive(Clone, Debug)]
pub struct TestModule {
    /// The program's filters and the probes. It passes the IR verifier.
    pub module: Module,
    /// How all of it looks to people.
    pub schema: Schema,
    /// For each filter the packet fields that it reads.
    pub fields_read: Vec<Vec<String>>,
    /// Where each of the plan's values comes from.
    pub origins: Vec<Origin>,
    /// The number of the first of the params that carry locals.
    pub first_param: u32,
    /// With marks only: what each mark stands for.
    pub arms: Vec<Arm>,
}

/// An arm of a `match`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arm {
    /// Where its answer stands.
    pub span: Span,
    /// The number of its mark: instructions whose place is in the file behind the last source, in this line, are executed when
    /// the arm is taken.
    pub mark: u32,
}

/// Where a value of a test comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It is constant.
    Const(Vec<u64>),
    /// It is that of a local.
    Local(LocalId),
    /// A filter of the module computes it.
    Probe {
        /// Which.
        filter: usize,
        /// The locals that it reads, in the order of the params.
        args: Vec<LocalId>,
        /// How many scalars it has.
        scalars: u32,
    },
}

/// The module of one of the program's tests; `None` if it would be too large. `marked` puts marks into the arms of matches.
pub(crate) fn test_module(
    program: &Program,
    plan: &Plan,
    sources: &SourceMap,
    marked: bool,
) -> Option<TestModule> {
    let mut sink = Sink::new();
    let (Lowered { mut module, mut fields_read }, arms) = lower_with(program, sources, &mut sink, marked);
    if sink.has_errors() {
        return None;
    }
    let mut schema = crate::schema::schema(program, &module);
    let first_param = u32::try_from(module.params.len()).ok()?;
    let graph = Graph::new(program);
    let mut params = 0;
    let mut origins = Vec::new();
    for (at, value) in plan.values.iter().enumerate() {
        origins.push(match &value.kind {
            ExprKind::Const(words) => Origin::Const(words.clone()),
            ExprKind::Local(id) => Origin::Local(*id),
            _ => {
                let name = format!("test.{at}");
                let (mut filter, args, scalars) = probe(program, &graph, plan, value, &name, first_param)?;
                let types = args.iter().map(|id| crate::hir::scalars(&plan.locals[id.index()].ty, program));
                params = params.max(types.sum::<usize>());
                oko_ir::passes::renumber(&module, &mut filter);
                module.filters.push(filter);
                fields_read.push(BTreeSet::new());
                schema.filters.push(FilterSchema {
                    name,
                    classes: (0..PIECES).map(|piece| piece.to_string()).collect(),
                    doc: String::new(),
                });
                Origin::Probe { filter: module.filters.len() - 1, args, scalars }
            }
        });
    }
    for at in 0..params {
        let name = format!("test.local.{at}");
        module.params.push(ParamDecl { name: name.clone(), min: 0, max: u64::MAX, default: 0 });
        schema.params.push(ParamSchema {
            name,
            ty: ScalarType::Uint,
            min: 0,
            max: u64::MAX,
            default: 0,
            doc: String::new(),
        });
    }
    let fields_read = fields_read.into_iter().map(|fields| fields.into_iter().collect()).collect();
    Some(TestModule { module, schema, fields_read, origins, first_param, arms })
}

/// The filter that tells a value, the locals that it reads, and how many scalars it has.
fn probe(
    program: &Program,
    graph: &Graph,
    plan: &Plan,
    value: &Expr,
    name: &str,
    first_param: u32,
) -> Option<(oko_ir::Filter, Vec<LocalId>, u32)> {
    let result = FilterResult::Classes(PIECES);
    let place = |_: Span| -> Option<Loc> { None };
    let builder = FilterBuilder::new(name.to_owned(), result);
    let frame = Frame::new(plan.locals.len(), &plan.layers, None);
    let mut lowering = Lowering::new(program, graph, builder, result, &place, frame);
    lowering.outside = Some(Outside { plan, first_param, used: Vec::new() });
    let scalars = lowering.expr(value);
    let count = match &scalars {
        Some(scalars) => u32::try_from(scalars.len()).ok()?,
        None => 0,
    };
    if let Some(scalars) = scalars {
        let piece = lowering.piece(&scalars);
        lowering.builder.end(oko_ir::TerminatorKind::Return(piece));
    }
    if lowering.overflow {
        return None;
    }
    let used = lowering.outside.take().map(|outside| outside.used).unwrap_or_default();
    Some((lowering.builder.finish().ok()?, used, count))
}

/// What is outside of a probe: the locals of its test.
pub(super) struct Outside<'p> {
    plan: &'p Plan,
    first_param: u32,
    used: Vec<LocalId>,
}

impl Lowering<'_> {
    /// A local of the test around a probe, from the params that carry it.
    pub(super) fn outside_local(&mut self, id: LocalId) -> Option<Vec<Value>> {
        let program = self.program;
        let outside = self.outside.as_mut()?;
        let plan = outside.plan;
        if !outside.used.contains(&id) {
            outside.used.push(id);
        }
        let before: usize = (outside.used.iter().take_while(|other| **other != id))
            .map(|other| crate::hir::scalars(&plan.locals[other.index()].ty, program))
            .sum();
        let first = outside.first_param + u32::try_from(before).ok()?;
        let ty = &plan.locals.get(id.index())?.ty;
        let types = self.types(ty);
        let most = ty.num().map(|num| num.range).filter(|range| range.min >= 0);
        let mut scalars = Vec::new();
        for (at, scalar) in (0u32..).zip(types) {
            let word = self.ins(Op::Param(oko_ir::Param(first + at)));
            scalars.push(match (scalar, most) {
                (Type::Bool, _) => {
                    let zero = self.int(0);
                    self.compare(CompareOp::ULt, zero, word)
                }
                // What the checker knows of the range, the IR's verifier may have to know, too.
                (_, Some(range)) => {
                    let most = self.int(range.max as u64);
                    self.binary(BinaryOp::UMin, word, most)
                }
                _ => word,
            });
        }
        Some(scalars)
    }

    /// Number `in_port` of the pieces of some scalars.
    fn piece(&mut self, scalars: &[Value]) -> Value {
        let port = self.ins(Op::InPort);
        let three = self.int(3);
        let which = self.binary(BinaryOp::UShr, port, three);
        let mut word = self.int(0);
        for (at, scalar) in (0u64..).zip(scalars) {
            let scalar = match self.builder.type_of(*scalar) {
                Type::Bool => self.ins(Op::IntOfBool(*scalar)),
                _ => *scalar,
            };
            let at = self.int(at);
            let this = self.compare(CompareOp::Eq, which, at);
            word = self.select(this, scalar, word);
        }
        let seven = self.int(7);
        let piece = self.binary(BinaryOp::And, port, seven);
        let bits = self.binary(BinaryOp::Shl, piece, three);
        let shifted = self.binary(BinaryOp::UShr, word, bits);
        let low = self.int(u64::from(PIECES) - 1);
        self.binary(BinaryOp::And, shifted, low)
    }
}
