//! The names in scope within a body, each found in one step however many there are.

use std::collections::HashMap;

use super::body::Binding;

/// Names in the order in which they came into scope.
#[derive(Default, Debug)]
pub(super) struct Names {
    all: Vec<(String, Binding)>,
    /// For each name, its places in `all`, the innermost last.
    places: HashMap<String, Vec<usize>>,
}

impl Names {
    /// How many there are, for [`Names::truncate`].
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Brings a name into scope; it hides others of the same spelling.
    pub(super) fn push(&mut self, (name, binding): (String, Binding)) {
        self.places.entry(name.clone()).or_default().push(self.all.len());
        self.all.push((name, binding));
    }

    /// Takes the names out of scope that came in since there were so many.
    pub(super) fn truncate(&mut self, len: usize) {
        for (name, _) in self.all.drain(len.min(self.all.len())..) {
            if let Some(places) = self.places.get_mut(&name) {
                places.pop();
            }
        }
    }

    /// What a name stands for.
    pub(super) fn get(&self, name: &str) -> Option<Binding> {
        let at = *self.places.get(name)?.last()?;
        self.all.get(at).map(|(_, binding)| *binding)
    }

    /// All of them, the innermost last.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, (String, Binding)> {
        self.all.iter()
    }
}
