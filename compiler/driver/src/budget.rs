//! What filters may cost, against what they do cost.

use oko_artifact::Cert;
use oko_diagnostics::codes::results::{OVER_BUDGET, TOO_LARGE};
use oko_diagnostics::{Diagnostic, FileId, SourceMap, Span};
use oko_front::cost::{Area, AreaKind, Budget, Share, fewer_turns, point_at, shares};
use oko_ir::cfg::Cfg;
use oko_ir::cost::{Section, longest_section};
use oko_ir::{Checked, Filter};

/// What a part of a filter costs at most: a loop, or all calls of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartCost {
    /// What it is.
    pub kind: PartKind,
    /// The name of its file.
    pub file: String,
    /// Its first line, from 1.
    pub line: u32,
    /// The most steps that one packet can spend in it.
    pub steps: u64,
    /// The most operations on state.
    pub state_ops: u64,
}

/// The kinds of parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A loop of at most so many turns.
    Loop {
        /// The turns.
        turns: u32,
    },
    /// A function.
    Function {
        /// Its name.
        name: String,
    },
    /// The longest stretch for which an entry is locked: another core that wants the entry waits for so many steps.
    Locked,
}

/// About how many steps can be proved turn by turn: verifiers look at a million instructions, and a step takes one or two.
const PROVED_STEPS: u64 = 600_000;

/// The budgets of filters, and the parts that costs go to.
#[derive(Debug)]
pub(crate) struct Costs {
    pub(crate) budgets: Vec<(Span, Budget)>,
    pub(crate) areas: Vec<Area>,
}

impl Costs {
    /// The loops and functions of each filter.
    pub(crate) fn parts(&self, ir: &Checked, sources: &SourceMap) -> Vec<Vec<PartCost>> {
        let filters = ir.module().filters.iter();
        filters
            .map(|filter| {
                let found = shares(filter, &self.areas, sources);
                let locked = longest(filter).and_then(|section| locked(section, sources));
                locked.into_iter().chain(found.into_iter().filter_map(|share| part(share, sources))).collect()
            })
            .collect()
    }

    /// An error for each limit that a filter exceeds.
    pub(crate) fn over_budget(&self, ir: &Checked, cert: &Cert, sources: &SourceMap) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for ((filter, cost), (span, budget)) in
            ir.module().filters.iter().zip(&cert.filters).zip(&self.budgets)
        {
            let locked = longest(filter).map_or(0, |section| section.steps);
            let limits = [
                (budget.steps, cost.steps, ["step", "steps"]),
                (budget.state_ops, cost.state_ops, ["operation on state", "operations on state"]),
                (budget.stack, u64::from(cost.stack_bytes), ["byte of stack", "bytes of stack"]),
                (budget.locked, locked, ["step while an entry is locked", "steps while an entry is locked"]),
            ];
            for (limit, real, [one, many]) in limits {
                let Some((limit, place)) = limit.filter(|(limit, _)| real > *limit) else { continue };
                let what = if real == 1 { one } else { many };
                let headline =
                    format!("the filter `{}` can cost {real} {what}, {limit} are allowed", cost.name);
                let diagnostic = Diagnostic::error(OVER_BUDGET, headline)
                    .label(*span, format!("at most {real} {what} for a packet"))
                    .label(place, "the budget");
                found.push(if many == "steps" {
                    point_at(diagnostic, &shares(filter, &self.areas, sources), real)
                } else {
                    diagnostic
                });
            }
        }
        found
    }

    /// An error for each of these filters, whose proofs take too long: verifiers of BPF, ours and the kernel's, go through every turn of a loop.
    pub(crate) fn unproved(
        &self,
        ir: &Checked,
        cert: &Cert,
        given_up: &[String],
        sources: &SourceMap,
    ) -> Vec<Diagnostic> {
        let filters = ir.module().filters.iter().zip(&cert.filters).zip(&self.budgets);
        let dear = filters.filter(|((filter, _), _)| given_up.contains(&filter.name));
        dear.map(|((filter, cost), (span, _))| {
            let headline = format!("the loops of the filter `{}` are too long to be proved safe again", cost.name);
            let shares = shares(filter, &self.areas, sources);
            let diagnostic = Diagnostic::error(TOO_LARGE, headline)
                .label(*span, format!("up to {} steps", cost.steps))
                .note("who loads a filter proves it again, turn by turn of each loop, and gives up after about 1,000,000 instructions")
                .help(fewer_turns(&shares, cost.steps, PROVED_STEPS));
            point_at(diagnostic, &shares, cost.steps)
        })
        .collect()
    }
}

fn longest(filter: &Filter) -> Option<Section> {
    longest_section(filter, &Cfg::of(filter).ok()?)
}

fn locked(section: Section, sources: &SourceMap) -> Option<PartCost> {
    let loc = section.loc?;
    let file = sources.get(FileId(loc.file))?.name().to_owned();
    Some(PartCost { kind: PartKind::Locked, file, line: loc.line, steps: section.steps, state_ops: 0 })
}

fn part(share: Share, sources: &SourceMap) -> Option<PartCost> {
    let file = sources.get(share.area.place.file)?;
    Some(PartCost {
        kind: match share.area.kind {
            AreaKind::Loop(turns) => PartKind::Loop { turns },
            AreaKind::Function(name) => PartKind::Function { name },
        },
        file: file.name().to_owned(),
        line: file.location(share.area.place.start).line,
        steps: share.cost.steps,
        state_ops: share.cost.state_ops,
    })
}
