//! A way through the parts of an expression. Operations on state are shown as a whole: nobody looks for anything in their keys.

use crate::hir::{Expr, ExprKind, Over, Stmt};

/// Shows an expression and its parts, in the order in which they are written.
pub(super) fn walk(expr: &Expr, see: &mut impl FnMut(&Expr)) {
    see(expr);
    match &expr.kind {
        ExprKind::Some(a)
        | ExprKind::Addr(a)
        | ExprKind::RegionByte(_, a)
        | ExprKind::Part(a, _)
        | ExprKind::Not(a)
        | ExprKind::InRanges(a, _)
        | ExprKind::Widen(a)
        | ExprKind::Slice(a, ..)
        | ExprKind::Break(a)
        | ExprKind::Return(a) => {
            walk(a, see);
        }
        ExprKind::And(a, b)
        | ExprKind::Or(a, b)
        | ExprKind::Arith(_, a, b)
        | ExprKind::Compare(_, a, b)
        | ExprKind::Index(a, b)
        | ExprKind::Coalesce(a, b) => {
            walk(a, see);
            walk(b, see);
        }
        ExprKind::If(a, b, c) => {
            for part in [a, b, c] {
                walk(part, see);
            }
        }
        ExprKind::Tuple(parts) | ExprKind::Call(_, parts) => parts.iter().for_each(|part| walk(part, see)),
        ExprKind::Match(subject, arms) => {
            walk(subject, see);
            for arm in arms {
                arm.guard.iter().for_each(|guard| walk(guard, see));
                walk(&arm.value, see);
            }
        }
        ExprKind::MatchPacket(arms) => {
            for arm in arms {
                arm.guard.iter().for_each(|guard| walk(guard, see));
                walk(&arm.value, see);
            }
        }
        ExprKind::MatchLayer(_, arms) => arms.iter().for_each(|arm| walk(&arm.value, see)),
        ExprKind::Block(stmts, value) => {
            for stmt in stmts {
                match stmt {
                    Stmt::Let(_, value) | Stmt::LetParts(_, value) | Stmt::Expr(value) => walk(value, see),
                    Stmt::Emit(_, fields) => fields.iter().for_each(|(_, value)| walk(value, see)),
                }
            }
            walk(value, see);
        }
        ExprKind::Loop(def) => {
            match &def.over {
                Over::Range { start, end, .. } => [start, end].into_iter().for_each(|part| walk(part, see)),
                Over::Elements { array, .. } => walk(array, see),
                Over::Region { .. } => {}
            }
            def.carried.iter().for_each(|(_, first)| walk(first, see));
            walk(&def.body, see);
        }
        ExprKind::State(_)
        | ExprKind::Error
        | ExprKind::Nothing
        | ExprKind::Const(_)
        | ExprKind::Local(_)
        | ExprKind::Field(..)
        | ExprKind::Compute(..)
        | ExprKind::RegionLen(_)
        | ExprKind::Param(_)
        | ExprKind::PacketLen
        | ExprKind::InPort
        | ExprKind::Now
        | ExprKind::None => {}
    }
}
