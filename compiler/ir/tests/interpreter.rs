//! What the interpreter refuses before it runs anything.

use oko_ir::interp::{Packet, ParamError, RunError, Store, run};
use oko_ir::{Checked, Param, text, verify};

fn checked(text: &str) -> Checked {
    verify(text::read(text).expect("the text is a module")).expect("the module is right")
}

fn always_true() -> Checked {
    checked("oko.ir 1 param p0 limit: 2 to 5, default 3 filter f -> bool { block0: v0 = true return v0 }")
}

#[test]
fn unacceptable_input_is_refused() {
    let module = always_true();
    let mut store = Store::new(&module);
    let packet = Packet::whole(&[1, 2, 3], 0);
    let outcome = run(&module, 0, &mut store, packet, 1).expect("the filter runs");
    assert_eq!((outcome.class, outcome.steps), (1, 2));

    let refused = run(&module, 1, &mut store, packet, 1);
    assert_eq!(refused, Err(RunError::NoSuchFilter { index: 1, count: 1 }));
    assert_eq!(run(&module, 0, &mut store, packet, 0), Err(RunError::ZeroNow));
    let short = Packet { wire_len: 2, ..packet };
    assert_eq!(run(&module, 0, &mut store, short, 1), Err(RunError::WireLength { captured: 3, wire_len: 2 }));
    let other = checked("oko.ir 1 filter f -> bool { block0: v0 = true return v0 }");
    assert_eq!(run(&other, 0, &mut store, packet, 1), Err(RunError::ForeignStore));
}

#[test]
fn params_stay_in_their_range() {
    let mut store = Store::new(&always_true());
    let out_of_range = |found| ParamError::OutOfRange { name: "limit".to_owned(), min: 2, max: 5, found };
    assert_eq!(store.set_param(Param(0), 5), Ok(()));
    assert_eq!(store.set_param(Param(0), 6), Err(out_of_range(6)));
    assert_eq!(store.set_param(Param(0), 1), Err(out_of_range(1)));
    assert_eq!(store.set_param(Param(1), 3), Err(ParamError::NoSuchParam { param: Param(1) }));
    assert_eq!(store.param(Param(0)), Some(5));
}
