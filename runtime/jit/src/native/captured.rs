//! How many bytes a packet has at least: a window that was opened on the way says it of those behind it.

use oko_ir::cfg::Cfg;
use oko_ir::{Filter, Op, TerminatorKind};

use super::constant;

/// By block: how many bytes have to be there to come there, as far as windows at constant offsets say.
pub(super) fn least(filter: &Filter, cfg: &Cfg, definitions: &[Option<&Op>]) -> Vec<u64> {
    let mut least = vec![0; filter.blocks.len()];
    for &block in cfg.order() {
        let before = cfg.idom(block).map_or(0, |dominator| least[dominator.index()]);
        let shown = match cfg.preds(block) {
            [pred] => match &filter.blocks[pred.index()].term.kind {
                TerminatorKind::Window { offset, len, ok, .. } if ok.block == block => {
                    constant(definitions, *offset).and_then(|offset| offset.checked_add(u64::from(*len)))
                }
                _ => None,
            },
            _ => None,
        };
        least[block.index()] = shown.map_or(before, |end| end.max(before));
    }
    least
}

#[cfg(test)]
mod tests {
    use oko_ir::{text, verify};

    use super::super::Source;

    #[test]
    fn what_was_shown_is_there_until_ways_meet() {
        let text = "oko.ir 1
filter f -> bool {
block0:
    v0 = const 10
    v1 = true
    window v0, 20, block1, block3
block1(v2: window 20):
    window v0, 8, block2, block3
block2(v3: window 8):
    return v1
block3:
    return v1
}";
        let checked = verify(text::read(text).unwrap()).unwrap();
        assert_eq!(Source::of(checked.module(), 0).unwrap().least_captured, [0, 30, 30, 0]);
    }
}
