//! Counting distinct values.

use oko_ir::Value;

use super::body::Lowering;
use crate::hir::Expr;

impl Lowering<'_> {
    pub(super) fn hash_of(&mut self, value: &Expr) -> Option<Value> {
        self.one(value)
    }

    pub(super) fn distinct_total(&mut self, entry: Value, start: usize) -> Value {
        self.get(entry, start)
    }

    pub(super) fn distinct_insert(
        &mut self,
        _registers: u32,
        entry: Value,
        start: usize,
        _hash: Value,
    ) -> Value {
        self.get(entry, start)
    }
}
