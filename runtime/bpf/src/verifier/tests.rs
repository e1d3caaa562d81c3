//! Soundness of the sets of numbers: whatever concrete numbers go in, the concrete result is in the abstract one.

mod containment;

use proptest::prelude::*;

use super::{arithmetic, condition, scalar::Scalar, tnum::Tnum};
use crate::{
    isa::{AluOp, ByteOrder, Cond, ExtBits, SwapBits, Width},
    semantics,
};

/// Numbers near the places where ranges break.
fn interesting() -> impl Strategy<Value = u64> {
    let edges = prop::sample::select(vec![
        0u64,
        1,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 32,
        i64::MAX as u64,
        1 << 63,
        u64::MAX,
    ]);
    prop_oneof![
        (edges, -3i64..=3).prop_map(|(edge, by)| edge.wrapping_add_signed(by)),
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        any::<i32>().prop_map(|x| i64::from(x).cast_unsigned()),
        0u64..70,
    ]
}

/// A set, and a number in it: built from numbers by what the verifier builds sets with.
fn member() -> impl Strategy<Value = (Scalar, u64)> {
    let conds = prop::collection::vec((cond(), width(), interesting()), 0..4);
    (interesting(), interesting(), prop::bool::ANY, any::<u64>(), conds).prop_map(
        |(x, other, constant, mask, conds)| {
            let mut set = if constant { Scalar::constant(x) } else { Scalar::UNKNOWN };
            if !constant && mask & 1 == 0 {
                let known = Tnum { value: x & !mask, mask };
                set = Scalar { known, ..set }.settle().unwrap();
            }
            if !constant && mask & 6 == 0 {
                set = set.union(&Scalar::constant(other)).union(&Scalar::constant(x));
            }
            for (cond, width, bound) in conds {
                let taken = semantics::holds(width, cond, x, bound);
                set = condition::assume(width, cond, taken, &set, &Scalar::constant(bound)).unwrap().0;
            }
            (set, x)
        },
    )
}

fn width() -> impl Strategy<Value = Width> {
    prop::sample::select(vec![Width::W32, Width::W64])
}

fn cond() -> impl Strategy<Value = Cond> {
    prop::sample::select(crate::disasm::COND_NAMES.map(|(cond, _)| cond).to_vec())
}

fn op() -> impl Strategy<Value = AluOp> {
    prop::sample::select(crate::disasm::ALU_NAMES.map(|(op, _)| op).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 4_000 } else { 1_000_000 }))]

    #[test]
    fn a_set_built_around_a_number_contains_it((a, x) in member()) {
        prop_assert!(a.contains(x), "{a:?} {x:#x}");
    }

    #[test]
    fn arithmetic_is_sound((a, x) in member(), (b, y) in member(), width in width(), op in op()) {
        let set = arithmetic::alu(width, op, &a, &b);
        let result = semantics::alu(width, op, x, y);
        prop_assert!(set.contains(result), "{a:?} {op:?} {b:?} = {set:?}, {x:#x} op {y:#x} = {result:#x}");
    }

    #[test]
    fn one_operand_arithmetic_is_sound((a, x) in member(), width in width()) {
        prop_assert!(arithmetic::neg(width, &a).contains(semantics::neg(width, x)));
        prop_assert!(arithmetic::truncate_32(&a).contains(u64::from(x as u32)));
        for from in [ExtBits::B8, ExtBits::B16, ExtBits::B32] {
            let set = arithmetic::mov_sx(width, from, &a);
            prop_assert!(set.contains(semantics::mov_sx(width, from, x)), "{from:?} {a:?} {x:#x} {set:?}");
        }
        for order in [ByteOrder::Le, ByteOrder::Be, ByteOrder::Swap] {
            for bits in [SwapBits::B16, SwapBits::B32, SwapBits::B64] {
                prop_assert!(arithmetic::swap(order, bits, &a).contains(semantics::swap(order, bits, x)));
            }
        }
    }

    #[test]
    fn conditions_are_sound((a, x) in member(), (b, y) in member(), width in width(), cond in cond()) {
        let taken = semantics::holds(width, cond, x, y);
        let narrowed = condition::assume(width, cond, taken, &a, &b);
        let Some((left, right)) = narrowed else {
            return Err(TestCaseError::fail(format!("{a:?} {cond:?} {b:?} is said to be impossible: {x:#x} {y:#x}")));
        };
        prop_assert!(left.contains(x), "{a:?} {cond:?} {b:?}: {left:?} {x:#x}");
        prop_assert!(right.contains(y), "{a:?} {cond:?} {b:?}: {right:?} {y:#x}");
        prop_assert!(a.includes(&left) || left.as_constant().is_some());
    }

    #[test]
    fn unions_and_intersections_are_sound((a, x) in member(), (b, y) in member()) {
        let union = a.union(&b);
        prop_assert!(union.contains(x) && union.contains(y));
        prop_assert!(union.includes(&a) && union.includes(&b));
        if b.contains(x) {
            prop_assert!(a.intersect(&b).unwrap().contains(x));
        }
        if a.includes(&b) {
            prop_assert!(a.contains(y));
        }
    }
}

/// Precision that programs depend on, one line each: not only sound, but exact.
#[test]
fn ranges_are_as_narrow_as_programs_need() {
    let range = |min, max| Scalar::unsigned(min, max).unwrap();
    let byte = range(0, 255);
    let shown = [
        (arithmetic::alu(Width::W64, AluOp::And, &byte, &Scalar::constant(0xf)), "0..=15"),
        (arithmetic::alu(Width::W64, AluOp::Lsh, &range(0, 15), &Scalar::constant(2)), "0..=60"),
        (arithmetic::alu(Width::W32, AluOp::Rsh, &Scalar::UNKNOWN, &Scalar::constant(28)), "0..=15"),
        (arithmetic::alu(Width::W64, AluOp::Add, &range(5, 9), &range(1, 2)), "6..=11"),
        (arithmetic::alu(Width::W64, AluOp::Mul, &range(5, 15), &Scalar::constant(4)), "20..=60"),
        (arithmetic::alu(Width::W64, AluOp::Mod, &Scalar::UNKNOWN, &Scalar::constant(10)), "0..=9"),
        (arithmetic::alu(Width::W64, AluOp::Div, &range(0, 100), &Scalar::constant(7)), "0..=14"),
        (arithmetic::alu(Width::W64, AluOp::Sub, &range(0, 15), &Scalar::constant(5)), "-5..=10"),
        (arithmetic::alu(Width::W64, AluOp::Or, &range(0, 4), &range(0, 3)), "0..=7"),
        (arithmetic::mov_sx(Width::W64, ExtBits::B8, &byte), "-128..=127"),
        (
            condition::assume(Width::W32, Cond::Lt, true, &range(0, 0xffff_ffff), &Scalar::constant(9))
                .unwrap()
                .0,
            "0..=8",
        ),
        (condition::assume(Width::W64, Cond::Sgt, true, &byte, &Scalar::constant(5)).unwrap().0, "6..=255"),
        (
            condition::assume(Width::W64, Cond::Set, false, &byte, &Scalar::constant(0xf0)).unwrap().0,
            "0..=15",
        ),
        (condition::assume(Width::W64, Cond::Ne, true, &byte, &Scalar::constant(0)).unwrap().0, "1..=255"),
    ];
    for (set, expected) in shown {
        assert_eq!(set.to_string(), expected, "{set:?}");
    }
}
