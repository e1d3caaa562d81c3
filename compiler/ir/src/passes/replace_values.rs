//! Replacing values by others that stand for the same.

use crate::entities::Value;
use crate::module::Filter;

/// Which value stands for which.
pub(super) struct Replacements {
    by: Vec<Value>,
}

impl Replacements {
    /// Every value stands for itself.
    pub(super) fn new(filter: &Filter) -> Replacements {
        Replacements { by: (0..filter.values.len()).map(Value::from_index).collect() }
    }

    /// From now on `by` stands for `value`. It must not be replaced by `value` itself, directly or not: `by` is defined before.
    pub(super) fn replace(&mut self, value: Value, by: Value) {
        self.by[value.index()] = self.get(by);
    }

    /// What stands for `value`.
    pub(super) fn get(&mut self, value: Value) -> Value {
        let mut end = value;
        while self.by[end.index()] != end {
            end = self.by[end.index()];
        }
        // The next one finds it at once.
        let mut at = value;
        while self.by[at.index()] != end {
            at = std::mem::replace(&mut self.by[at.index()], end);
        }
        end
    }

    /// Replaces all uses in a filter.
    pub(super) fn apply(mut self, filter: &mut Filter) {
        for block in &mut filter.blocks {
            for inst in &mut block.insts {
                inst.op.for_each_operand_mut(|value| *value = self.get(*value));
            }
            block.term.kind.for_each_operand_mut(|value| *value = self.get(*value));
        }
    }
}
