//! Values that need no packet, computed by the checking interpreter: constants, and the rules of headers over given fields.
//!
//! The expression becomes a filter without a packet, whose last block is given the value. So there is one meaning of expressions, that of
//! the IR.

use oko_ir::build::FilterBuilder;
use oko_ir::interp::{Packet, Store, Values, run_observed};
use oko_ir::{Block, Filter, FilterResult, Loc, Module, TerminatorKind, limits};

use super::body::{Frame, Lowering};
use crate::hir::{Expr, Program};
use crate::packets::graph::Graph;

/// Why a value could not be computed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unknown {
    /// It needs more code than a filter may have.
    Size,
    /// It needs more steps than are left.
    Steps,
    /// A defect of the compiler: what was lowered is refused or has no value.
    Defect(String),
}

/// The scalars of an expression that depends on nothing, with so many names in it. `left` is how many steps it may take, and becomes less by
/// those that it took.
pub(crate) fn evaluate(
    program: &Program,
    expr: &Expr,
    locals: usize,
    left: &mut u64,
) -> Result<Vec<u64>, Unknown> {
    let frame = Frame::new(locals, &[], None);
    compute(program, expr, frame, &[], left)
}

/// The scalars of a rule of a header whose fields have these values.
pub(crate) fn evaluate_rule(
    program: &Program,
    rule: &Expr,
    fields: &[u128],
    left: &mut u64,
) -> Result<Vec<u64>, Unknown> {
    compute(program, rule, Frame::of_fields(), fields, left)
}

fn compute<'p>(
    program: &'p Program,
    expr: &Expr,
    frame: Frame<'p>,
    fields: &[u128],
    left: &mut u64,
) -> Result<Vec<u64>, Unknown> {
    let mut filter = filter(program, expr, frame, fields).ok_or(Unknown::Size)?;
    let mut module = Module::default();
    oko_ir::passes::renumber(&module, &mut filter);
    if !super::is_small(&filter) {
        return Err(Unknown::Size);
    }
    let graph = oko_ir::cfg::Cfg::of(&filter).map_err(|errors| refused(&errors))?;
    let steps = oko_ir::cost::cost_where(&filter, &graph, &|_| true).steps;
    if steps > (*left).min(limits::MAX_STEPS) {
        return Err(Unknown::Steps);
    }
    module.filters.push(filter);
    let checked = oko_ir::verify(module).map_err(|errors| refused(&errors))?;
    let mut store = Store::new(&checked);
    let packet = Packet { bytes: &[], wire_len: 0, in_port: 0 };
    let blocks = &checked.module().filters[0].blocks;
    let mut words = None;
    // The only block that returns and is come to is the one that was given the value.
    let mut look = |block: Block, values: Values<'_>| {
        let data = &blocks[block.index()];
        if matches!(data.term.kind, TerminatorKind::Return(_)) {
            words = data.params.iter().map(|param| values.get(*param)).collect();
        }
    };
    let outcome = run_observed(&checked, 0, &mut store, packet, 1, &mut look)
        .map_err(|error| Unknown::Defect(error.to_string()))?;
    *left = left.saturating_sub(outcome.steps);
    words.ok_or_else(|| Unknown::Defect("no value came out".to_owned()))
}

fn refused(errors: &[impl ToString]) -> Unknown {
    Unknown::Defect(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// The filter that comes to the value and gives it to its last block; `None` if it would be too large.
fn filter<'p>(program: &'p Program, expr: &Expr, frame: Frame<'p>, fields: &[u128]) -> Option<Filter> {
    let place = |_| -> Option<Loc> { None };
    // There is no packet, so there is no way through its headers.
    let graph = Graph::new(&Program::default());
    let builder = FilterBuilder::new("value", FilterResult::Bool);
    let mut lowering = Lowering::new(program, &graph, builder, FilterResult::Bool, &place, frame);
    lowering.given = fields.to_vec();
    if let Some(scalars) = lowering.expr(expr) {
        let types = lowering.types(&expr.ty);
        let (last, _) = lowering.block_of(&types);
        lowering.builder.jump(last, scalars);
        lowering.builder.switch_to(last);
        lowering.dead_end();
    }
    if lowering.overflow {
        return None;
    }
    lowering.builder.finish().ok()
}
