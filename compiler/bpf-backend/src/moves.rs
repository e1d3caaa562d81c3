//! Moves that happen all at once, as one after the other.

/// Where something is moved from and to.
pub(crate) trait Location: Copy + PartialEq {}
impl<T: Copy + PartialEq> Location for T {}

/// A move of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<T> {
    /// To the first from the second.
    Move(T, T),
    /// Puts this aside.
    Save(T),
    /// Takes what was put aside.
    Restore(T),
}

/// Orders moves (destination, source) so that none overwrites what another still reads. Destinations differ from each other.
///
/// A cycle is broken by putting one destination's old content aside; there is one such place, and it is taken back before it
/// is needed again.
pub(crate) fn sequence<T: Location>(mut moves: Vec<(T, T)>) -> Vec<Step<T>> {
    moves.retain(|(to, from)| to != from);
    let mut steps = Vec::new();
    // The destination that waits for what was put aside.
    let mut waiting: Option<T> = None;
    while !moves.is_empty() {
        let free = moves.iter().position(|(to, _)| moves.iter().all(|(_, from)| from != to));
        if let Some(at) = free {
            let (to, from) = moves.swap_remove(at);
            steps.push(Step::Move(to, from));
            continue;
        }
        // Only cycles are left. One at a time: the move that reads what is put aside comes last of its cycle.
        steps.extend(waiting.take().map(Step::Restore));
        let (first, _) = moves[0];
        let reader =
            moves.iter().position(|(_, from)| *from == first).expect("in a cycle every destination is read");
        steps.push(Step::Save(first));
        waiting = Some(moves.swap_remove(reader).0);
    }
    steps.extend(waiting.map(Step::Restore));
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(moves: &[(usize, usize)]) -> (Vec<usize>, Vec<usize>) {
        let mut cells: Vec<usize> = (0..10).collect();
        let expected = (0..10)
            .map(|cell| moves.iter().find(|(to, _)| *to == cell).map_or(cell, |(_, from)| *from))
            .collect();
        let mut aside = usize::MAX;
        for step in sequence(moves.to_vec()) {
            match step {
                Step::Move(to, from) => cells[to] = cells[from],
                Step::Save(from) => aside = cells[from],
                Step::Restore(to) => cells[to] = aside,
            }
        }
        (cells, expected)
    }

    proptest! {
        #[test]
        fn one_after_the_other_is_as_all_at_once(sources in proptest::collection::vec(0usize..10, 0..10)) {
            let moves: Vec<_> = sources.into_iter().enumerate().collect();
            let (found, expected) = run(&moves);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn permutations_are_kept(order in Just((0usize..10).collect::<Vec<_>>()).prop_shuffle()) {
            let moves: Vec<_> = order.into_iter().enumerate().collect();
            let (found, expected) = run(&moves);
            prop_assert_eq!(found, expected);
        }
    }
}
