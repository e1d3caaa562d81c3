//! Passes that make filters cheaper without changing what they answer or remember. Functions of the source are inlined by the front end, so
//! there is no pass for that.
//!
//! A pass takes one filter that keeps all [invariants](mod@crate::verify) but 9 and leaves it so. It may make the provable range of
//! a class wider than the verifier can accept (invariant 9), because what a pass removes may have been what proved it; whoever runs
//! passes verifies the result and keeps the old filter if need be, as [`optimize`] does.

mod branch_choices;
mod copies;
mod copy_sections;
mod duplicate_tails;
mod fold_constants;
mod forward_arguments;
mod forward_conditions;
mod forward_fields;
mod go_straight;
mod join_sections;
mod make_at_once;
mod merge_common;
mod merge_loads;
mod merge_lookups;
mod merge_windows;
mod pass_on;
mod remove_dead;
mod remove_params;
mod renumber;
mod replace_values;
mod simplify_branches;
mod sink_unlocks;
mod sources;
mod thread_branches;
mod thread_lookups;
mod unroll_loops;

pub use branch_choices::branch_choices;
pub use copy_sections::copy_sections;
pub use duplicate_tails::duplicate_tails;
pub use fold_constants::fold_constants;
pub use forward_arguments::forward_arguments;
pub use forward_conditions::forward_conditions;
pub use forward_fields::forward_fields;
pub use go_straight::go_straight;
pub use join_sections::join_sections;
pub use make_at_once::make_at_once;
pub use merge_common::merge_common;
pub use merge_loads::merge_loads;
pub use merge_lookups::merge_lookups;
pub use merge_windows::merge_windows;
pub use remove_dead::remove_dead;
pub use renumber::renumber;
pub use simplify_branches::simplify_branches;
pub use sink_unlocks::sink_unlocks;
pub use thread_branches::thread_branches;
pub use thread_lookups::thread_lookups;
pub use unroll_loops::unroll_loops;

use crate::module::{Filter, Module};
use crate::verify::{Checked, Problem, VerifyError, verify};

/// Changes one filter; the module has the declarations, and its filters are not looked at.
///
/// What the passes before left is not verified yet. A pass that needs the flow graph leaves a filter that has none as it is.
pub type Pass = fn(&Module, &mut Filter);

/// All passes by name. [`optimize`] runs all but the last three in rounds, the first of these three once behind the first round, and the others once behind all.
pub const PASSES: &[(&str, Pass)] = &[
    ("unroll_loops", unroll_loops),
    ("fold_constants", fold_constants),
    ("merge_common", merge_common),
    ("merge_windows", merge_windows),
    ("merge_loads", merge_loads),
    ("make_at_once", make_at_once),
    ("merge_lookups", merge_lookups),
    ("thread_branches", thread_branches),
    ("thread_lookups", thread_lookups),
    ("forward_arguments", forward_arguments),
    ("forward_conditions", forward_conditions),
    ("simplify_branches", simplify_branches),
    ("copy_sections", copy_sections),
    ("sink_unlocks", sink_unlocks),
    ("join_sections", join_sections),
    ("forward_fields", forward_fields),
    ("remove_dead", remove_dead),
    ("renumber", renumber),
    ("duplicate_tails", duplicate_tails),
    ("branch_choices", branch_choices),
    ("go_straight", go_straight),
];

/// Those that come again, the one that comes once between them, and the last ones.
fn in_order() -> (&'static [(&'static str, Pass)], Pass, [Pass; 2]) {
    match PASSES {
        [rounds @ .., (_, once), (_, first), (_, second)] => (rounds, *once, [*first, *second]),
        _ => (PASSES, renumber, [renumber; 2]),
    }
}

/// How often the passes are run at most; most filters do not change any more in the third round.
const MAX_ROUNDS: usize = 4;

/// Behind which round comes what comes once.
const ONCE_BEHIND: usize = 0;

/// Runs one pass over all filters.
///
/// # Errors
///
/// What is wrong with the result. Only [`ClassOutOfRange`](crate::verify::Problem::ClassOutOfRange) can be; anything else is a bug of the pass.
pub fn apply(pass: Pass, checked: Checked) -> Result<Checked, Vec<VerifyError>> {
    let mut module = checked.into_module();
    let mut filters = std::mem::take(&mut module.filters);
    for filter in &mut filters {
        pass(&module, filter);
    }
    module.filters = filters;
    verify(module)
}

/// Runs all passes until nothing changes, or a few rounds are over. The result of a pass that does not verify is left out.
///
/// One filter after the other is finished while its memory is at hand, and the result is verified once: verification costs more than a pass.
/// Where that fails, the passes run once more with a verification behind each, and those are left out whose results are refused.
pub fn optimize(checked: Checked) -> Checked {
    let (rounds, once, last) = in_order();
    let mut module = checked.module().clone();
    let mut filters = std::mem::take(&mut module.filters);
    for filter in &mut filters {
        for round in 0..MAX_ROUNDS {
            let before = filter.clone();
            for (_, pass) in rounds {
                pass(&module, filter);
            }
            if round == ONCE_BEHIND {
                once(&module, filter);
            }
            if *filter == before {
                break;
            }
        }
        last.iter().for_each(|pass| pass(&module, filter));
    }
    module.filters = filters;
    verify(module).unwrap_or_else(|errors| {
        only_ranges_of_classes(&errors);
        one_by_one(checked)
    })
}

/// Without debug assertions a bug of a pass costs its effect only; with them it is told.
fn only_ranges_of_classes(errors: &[VerifyError]) {
    let expected = |error: &VerifyError| matches!(error.problem, Problem::ClassOutOfRange { .. });
    debug_assert!(errors.iter().all(expected), "a pass left a filter that does not verify: {errors:?}");
}

/// The same with only those passes whose results verify.
fn one_by_one(checked: Checked) -> Checked {
    let apply_if_verified = |pass, before: Checked| {
        apply(pass, before.clone()).unwrap_or_else(|errors| {
            only_ranges_of_classes(&errors);
            before
        })
    };
    let (rounds, once, last) = in_order();
    let mut best = checked;
    for round in 0..MAX_ROUNDS {
        let mut next = rounds.iter().fold(best.clone(), |best, (_, pass)| apply_if_verified(*pass, best));
        if round == ONCE_BEHIND {
            next = apply_if_verified(once, next);
        }
        if next == best {
            break;
        }
        best = next;
    }
    last.into_iter().fold(best, |best, pass| apply_if_verified(pass, best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entities::Value;
    use crate::verify::Place;

    #[test]
    fn a_filter_without_a_flow_graph_is_left_to_the_verifier() {
        // A loop that is not counted.
        let text =
            "oko.ir 1 filter f -> bool {\nblock0: jump block1\nblock1: jump block2\nblock2: jump block1 }";
        let module = crate::text::read(text).expect("the text is a module");
        assert!(crate::cfg::Cfg::of(&module.filters[0]).is_err());
        let without = ["simplify_branches", "remove_dead", "renumber"];
        for (name, pass) in PASSES.iter().filter(|(name, _)| !without.contains(name)) {
            let mut filter = module.filters[0].clone();
            pass(&module, &mut filter);
            assert_eq!(filter, module.filters[0], "{name}");
        }
    }

    fn refused(problem: Problem) -> VerifyError {
        VerifyError { filter: None, place: Place::Whole, problem }
    }

    #[test]
    fn a_class_out_of_range_is_no_bug_of_a_pass() {
        only_ranges_of_classes(&[refused(Problem::ClassOutOfRange { value: Value(0), count: 2, max: 2 })]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "does not verify")]
    fn whatever_else_does_not_verify_is_one() {
        let class = Problem::ClassOutOfRange { value: Value(0), count: 2, max: 2 };
        only_ranges_of_classes(&[refused(class), refused(Problem::NeverDefined { value: Value(0) })]);
    }
}
