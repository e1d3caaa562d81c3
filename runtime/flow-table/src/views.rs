//! When what was taken out of a table may be freed: once no view of the table can reach it any more.
//!
//! A view is the table as it was at one moment. Time is counted in *eras*, which end with each view that is taken: what was made in the running era is in
//! no view, and what was made in an earlier one is in all that were taken since then. So it needs no count for each element who
//! refers to it: a view, open or not, is all that is asked about. What leaves the table waits with the newest view that has it, and when that one is
//! closed, with the next older one. What no view has is freed bit by bit, so that the end of a million elements is no pause.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// So much is freed with each view that is taken: more than comes between two while tables change at their fastest.
const AT_ONCE: usize = 8_192;

/// When something was made: the number of views that were taken before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Era(u64);

impl Era {
    /// Of what may be in any view.
    pub(crate) const FIRST: Era = Era(0);
}

/// Held by a view: as long as it is, nothing that the view has is freed.
#[derive(Debug)]
pub(crate) struct Open<G>(
    #[expect(dead_code, reason = "holds what is left when the table is gone")] Arc<Rest<G>>,
);

/// What is left when the table goes: freed with the last view, or with the table if there is none.
#[derive(Debug)]
struct Rest<G>(Mutex<Vec<G>>);

/// The views of one table, and what is kept for them. What is kept is freed by being dropped.
#[derive(Debug)]
pub(crate) struct Views<G> {
    /// The running era.
    era: Era,
    /// Views that may be open, the oldest first.
    taken: VecDeque<Taken<G>>,
    /// What only closed views had.
    loose: Vec<(Era, G)>,
    rest: Arc<Rest<G>>,
}

#[derive(Debug)]
struct Taken<G> {
    /// The era that it ended.
    era: Era,
    /// The view has the other reference as long as it is open.
    open: Arc<Open<G>>,
    /// What has left the table and no newer view has.
    kept: Vec<(Era, G)>,
}

impl<G> Views<G> {
    pub(crate) fn new() -> Self {
        Views {
            era: Era::FIRST,
            taken: VecDeque::new(),
            loose: Vec::new(),
            rest: Arc::new(Rest(Mutex::default())),
        }
    }

    /// The running era: what is made now is in no view.
    #[inline]
    pub(crate) fn era(&self) -> Era {
        self.era
    }

    /// Opens a view of the table as it is.
    pub(crate) fn open(&mut self) -> Arc<Open<G>> {
        self.close(&mut { AT_ONCE });
        let open = Arc::new(Open(Arc::clone(&self.rest)));
        self.taken.push_back(Taken { era: self.era, open: Arc::clone(&open), kept: Vec::new() });
        self.era.0 += 1;
        open
    }

    /// Keeps something that was made in an era and has left the table, as long as a view has it.
    pub(crate) fn keep(&mut self, made: Era, garbage: G) {
        match self.taken.back_mut() {
            Some(newest) if newest.era >= made => newest.kept.push((made, garbage)),
            _ => drop(garbage),
        }
    }

    /// Frees what only closed views have, as much of it as there is a budget for. Says whether anything is kept still, or a view is open.
    pub(crate) fn close(&mut self, budget: &mut usize) -> bool {
        let mut i = self.taken.len();
        while i > 0 {
            i -= 1;
            // Whoever had the view has read what it read before letting it go, and this comes behind that.
            if Arc::get_mut(&mut self.taken[i].open).is_none() {
                continue;
            }
            let Some(Taken { mut kept, .. }) = self.taken.remove(i) else { continue };
            if let Some(older) = i.checked_sub(1).map(|i| &mut self.taken[i]) {
                older.kept.extend(kept.extract_if(.., |(made, _)| *made <= older.era));
            }
            if self.loose.is_empty() {
                self.loose = kept;
            } else {
                self.loose.append(&mut kept);
            }
        }
        let left = self.loose.len().saturating_sub(*budget);
        *budget -= self.loose.len() - left;
        self.loose.truncate(left);
        left > 0 || !self.taken.is_empty()
    }

    /// The table goes: all that it still has is freed with the last view.
    pub(crate) fn end(&mut self, remains: impl IntoIterator<Item = G>) {
        self.loose.clear();
        let kept = self.taken.drain(..).flat_map(|taken| taken.kept).map(|(_, garbage)| garbage);
        self.rest.0.lock().unwrap_or_else(PoisonError::into_inner).extend(kept.chain(remains));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// Something that says by its count whether it was freed.
    fn kept(views: &mut Views<Rc<()>>, made: Era) -> Rc<()> {
        let garbage = Rc::new(());
        views.keep(made, Rc::clone(&garbage));
        garbage
    }

    fn is_freed(garbage: &Rc<()>) -> bool {
        Rc::strong_count(garbage) == 1
    }

    #[test]
    fn what_no_view_has_is_freed_at_once() {
        let mut views = Views::new();
        let era = views.era();
        assert!(is_freed(&kept(&mut views, era)), "no view was taken");
        let open = views.open();
        let era = views.era();
        assert!(is_freed(&kept(&mut views, era)), "it was made after the view");
        drop(open);
    }

    #[test]
    fn what_a_view_has_is_kept_until_it_is_closed() {
        let mut views = Views::new();
        let made = views.era();
        let (first, second) = (views.open(), views.open());
        let garbage = kept(&mut views, made);
        drop(second);
        views.close(&mut 100);
        assert!(!is_freed(&garbage), "the first view has it as well");
        drop(first);
        assert!(!views.close(&mut 100));
        assert!(is_freed(&garbage));
    }

    #[test]
    fn an_old_view_keeps_only_what_it_has() {
        let mut views = Views::new();
        let old = views.open();
        for _ in 0..10 {
            let made = views.era();
            let newer = views.open();
            let garbage = kept(&mut views, made);
            drop(newer);
            assert!(views.close(&mut 100));
            assert!(is_freed(&garbage), "it was made after the old view, and the newer one is closed");
        }
        drop(old);
    }

    #[test]
    fn what_is_freed_is_freed_bit_by_bit() {
        let mut views = Views::new();
        let made = views.era();
        let open = views.open();
        let garbage: Vec<_> = (0..10).map(|_| kept(&mut views, made)).collect();
        drop(open);
        let freed = || garbage.iter().filter(|garbage| is_freed(garbage)).count();
        let mut budget = 4;
        assert!(views.close(&mut budget));
        assert_eq!((freed(), budget), (4, 0));
        budget = 20;
        assert!(!views.close(&mut budget));
        assert_eq!((freed(), budget), (10, 14));
    }

    #[test]
    fn views_may_outlive_the_table() {
        let mut views = Views::new();
        let made = views.era();
        let (first, second) = (views.open(), views.open());
        let taken_out = kept(&mut views, made);
        let remaining = Rc::new(());
        views.end([Rc::clone(&remaining)]);
        drop(views);
        drop(first);
        assert!(!is_freed(&taken_out) && !is_freed(&remaining));
        drop(second);
        assert!(is_freed(&taken_out) && is_freed(&remaining));
    }
}
