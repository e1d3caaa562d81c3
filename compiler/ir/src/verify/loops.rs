//! Invariants 13 to 15: loops end, and soon enough.

use super::{Errors, Place, Problem};
use crate::cfg::Cfg;
use crate::cost::cost_of;
use crate::limits::{MAX_LOOP_DEPTH, MAX_STEPS};
use crate::loops::{counted, definitions, passed_back, step_of};
use crate::module::Filter;

/// Checks one filter that keeps invariants 4 to 8.
pub(super) fn check(filter: &Filter, cfg: &Cfg, errors: &mut Errors) {
    let before = errors.count;
    let definitions = definitions(filter);
    for (index, this) in (0..).zip(cfg.loops()) {
        let header = this.header;
        let place = Place::Terminator(header);
        if this.depth as usize > MAX_LOOP_DEPTH {
            let (limit, found) = (MAX_LOOP_DEPTH as u64, this.depth.into());
            errors.push(place, Problem::TooMany { what: "loops around a block", limit, found });
        }
        let counted = counted(filter, this).expect("the headers of a graph's loops end in `repeat`");
        if cfg.loops_around(counted.done.block).any(|around| around == index) {
            errors.push(place, Problem::DoneInside { done: counted.done.block });
        }
        let counter = counted.counter;
        let Some(position) = counted.position else {
            errors.push(place, Problem::CounterElsewhere { counter });
            continue;
        };
        for passed in passed_back(filter, this, position) {
            match passed {
                None => errors.push(place, Problem::GivenCounter { header, counter }),
                Some(found) if step_of(&definitions, counter, found).is_none() => {
                    errors.push(place, Problem::BadStep { header, counter, found });
                }
                Some(_) => {}
            }
        }
    }
    // Without these there is no cost.
    if errors.count == before {
        let steps = cost_of(filter, cfg).steps;
        if steps > MAX_STEPS {
            errors.push(
                Place::Whole,
                Problem::TooMany { what: "steps for a packet", limit: MAX_STEPS, found: steps },
            );
        }
    }
}
