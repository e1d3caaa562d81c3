//! What the parts of a program cost: which loop or function the steps of a filter go to.
//!
//! A part is a range of source lines, and what it costs is the most that one packet can spend on the operations that come from these
//! lines, over all ways through the filter. Parts lie within one another, so their costs do not add up to the filter's.

use oko_diagnostics::{Diagnostic, SourceMap, Span};
use oko_ir::cfg::Cfg;
use oko_ir::cost::{Cost, cost_where};
use oko_ir::{Filter, Loc};

/// A part of a program that steps can go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Area {
    /// What it is.
    pub kind: AreaKind,
    /// Where to point at.
    pub place: Span,
    /// All of it.
    pub span: Span,
}

/// The kinds of parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AreaKind {
    /// A loop of at most so many turns.
    Loop(u32),
    /// The function of this name.
    Function(String),
}

/// What a filter may cost at most, as its author says: `#[budget(steps = 500)]`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Steps, and where they are limited.
    pub steps: Option<(u64, Span)>,
    /// Operations on state.
    pub state_ops: Option<(u64, Span)>,
    /// Steps at a stretch while an entry is locked.
    pub locked: Option<(u64, Span)>,
    /// Bytes of stack.
    pub stack: Option<(u64, Span)>,
}

/// A part of a program and what it costs in a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// The part.
    pub area: Area,
    /// The most that a packet can spend in it.
    pub cost: Cost,
}

/// The parts of a program that a filter spends steps in, the dearest first.
pub fn shares(filter: &Filter, areas: &[Area], sources: &SourceMap) -> Vec<Share> {
    let Ok(cfg) = Cfg::of(filter) else { return Vec::new() };
    let mut found: Vec<Share> = Vec::new();
    for area in areas {
        let Some(file) = sources.get(area.span.file) else { continue };
        let lines = file.location(area.span.start).line..=file.location(area.span.end).line;
        let within = |loc: Option<Loc>| {
            loc.is_some_and(|loc| loc.file == area.span.file.0 && lines.contains(&loc.line))
        };
        let cost = cost_where(filter, &cfg, &within);
        if cost.steps > 0 {
            found.push(Share { area: area.clone(), cost });
        }
    }
    found.sort_by_key(|share| (std::cmp::Reverse(share.cost.steps), share.area.place.start));
    found
}

/// What to do about loops that take too many steps together: how many turns the innermost of the dear ones may take for the whole to come
/// down to `limit`. Steps are counted by lines, so this is about so many.
pub fn fewer_turns(shares: &[Share], whole: u64, limit: u64) -> String {
    let dear = shares.iter().filter(|share| share.cost.steps.saturating_mul(2) >= whole);
    let loops = dear.filter_map(|share| match share.area.kind {
        AreaKind::Loop(turns) => Some((share.area.span, u64::from(turns), share.cost.steps)),
        AreaKind::Function(_) => None,
    });
    // The innermost is the one that is shortest as text.
    let innermost = loops.min_by_key(|(span, ..)| span.end - span.start);
    let fitting = innermost.and_then(|(_, turns, steps)| {
        let left = limit.checked_sub(whole - steps)?;
        let fitting = u128::from(turns) * u128::from(left) / u128::from(steps.max(1));
        Some((turns, u64::try_from(fitting).ok()?))
    });
    let keep = "or do a part for each packet, and keep in a `state` how far it came";
    match fitting {
        Some((turns, fitting)) if fitting < turns && fitting >= turns / 16 => {
            let digits = 10u64.pow(fitting.checked_ilog10().unwrap_or(0).saturating_sub(1));
            let about = fitting / digits * digits;
            format!(
                "about {about} turns of the innermost loop, instead of {turns}, would be few enough; {keep}"
            )
        }
        _ => format!("let the loops take fewer turns: those of loops within one another multiply; {keep}"),
    }
}

/// The most parts that a message points at.
const MAX_SHOWN: usize = 3;

/// Points at the parts of a filter that a large share of its steps goes to.
pub fn point_at(mut diagnostic: Diagnostic, shares: &[Share], whole: u64) -> Diagnostic {
    let dear = shares.iter().filter(|share| share.cost.steps.saturating_mul(5) >= whole);
    for share in dear.take(MAX_SHOWN) {
        let steps = share.cost.steps;
        let text = match &share.area.kind {
            AreaKind::Loop(turns) => format!("this loop takes up to {turns} turns and {steps} steps"),
            AreaKind::Function(name) => format!("up to {steps} steps are spent in `{name}`"),
        };
        diagnostic = diagnostic.label(share.area.place, text);
    }
    diagnostic
}
