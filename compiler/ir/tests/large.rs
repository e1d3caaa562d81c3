//! Modules at the limits: a stranger can make the verifier work, but not for long.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use oko_ir::limits::{MAX_BLOCKS, MAX_ERRORS, MAX_FILES, MAX_VALUES};
use oko_ir::passes::optimize;
use oko_ir::verify::Problem;
use oko_ir::{text, verify};

/// Far above what it takes, far below what a quadratic step would.
const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn in_time(name: &str, body: impl FnOnce()) {
    let start = Instant::now();
    body();
    let took = start.elapsed();
    println!("{name}: {took:?}");
    assert!(took < PATIENCE, "{name} took {took:?}");
}

/// Each block goes on or to the last one; each tells something of the same value.
fn ladder(blocks: usize) -> String {
    let mut text = "oko.ir 1 filter f -> bool {\nblock0: v0 = pkt.len v1 = true jump block1\n".to_owned();
    let last = blocks - 1;
    for block in 1..last {
        let (bound, test) = (2 * block, 2 * block + 1);
        let next = block + 1;
        writeln!(text, "block{block}: v{bound} = const {block} v{test} = ult v{bound}, v0 branch v{test}, block{next}, block{last}")
            .expect("a string takes everything");
    }
    writeln!(text, "block{last}: return v1 }}").expect("a string takes everything");
    text
}

#[test]
fn a_ladder_of_branches_is_verified_and_optimized_in_time() {
    let module = text::read(&ladder(MAX_BLOCKS)).expect("the text is a module");
    in_time("ladder", || {
        let checked = verify(module).expect("the module verifies");
        optimize(checked);
    });
}

/// Every block makes an entry, and all that were made before stale.
#[test]
fn many_entries_are_verified_in_time() {
    let mut text =
        "oko.ir 1 state m0 s: hash refuse, capacity 1, key(a: u8), fields(x: u8) filter f -> bool {\n\
        block0: v0 = pkt.len v1 = true jump block1\n"
            .to_owned();
    let last = MAX_BLOCKS - 1;
    for block in 1..last {
        let next = block + 1;
        let param = if block == 1 { String::new() } else { format!("(v{block}: entry m0)") };
        writeln!(text, "block{block}{param}: slot m0(v0), block{next}, block{last}")
            .expect("a string takes everything");
    }
    text.push_str(&format!("block{last}: return v1 }}"));
    // The last slot leads to a block without an entry: one error, and all the work is done.
    let module = text::read(&text).expect("the text is a module");
    in_time("entries", || drop(verify(module)));
}

#[test]
fn a_filter_with_a_block_too_many_is_refused_at_once() {
    let module = text::read(&ladder(MAX_BLOCKS + 1)).expect("the text is a module");
    let errors = verify(module).expect_err("there is one block too many");
    let found = (MAX_BLOCKS + 1) as u64;
    let expected = Problem::TooMany { what: "blocks", limit: MAX_BLOCKS as u64, found };
    assert!(errors.iter().all(|error| error.problem == expected), "{errors:?}");
}

#[test]
fn errors_do_not_pile_up() {
    let mut text = "oko.ir 1 filter f -> bool { block0: ".to_owned();
    for value in 0..MAX_VALUES {
        write!(text, "v{value} = not v{} ", value + 1).expect("a string takes everything");
    }
    text.push_str("return v0 }");
    let errors = verify(text::read(&text).expect("the text is a module")).expect_err("nothing is right");
    assert_eq!(errors.len(), MAX_ERRORS);
}

#[test]
fn a_long_line_is_read_in_time() {
    let files: String = (0..200_000).map(|index| format!("file {index} \"é\" ")).collect();
    let text = format!("oko.ir 1 {files}");
    in_time("line", || {
        let module = text::read(&text).expect("the text is a module");
        let problem = Problem::TooMany { what: "files", limit: MAX_FILES as u64, found: 200_000 };
        assert_eq!(verify(module).expect_err("there are too many files")[0].problem, problem);
    });
}

/// The list of errors is full before the second filter, which must be judged all the same.
#[test]
fn a_filter_behind_many_errors_is_not_taken_for_right() {
    let mut text =
        "oko.ir 1 state m0 s: array, capacity 1, key(a: u8), fields() filter f -> bool { block0: ".to_owned();
    for value in 0..MAX_ERRORS {
        write!(text, "v{value} = not v{} ", value + 1).expect("a string takes everything");
    }
    text.push_str(
        "return v0 }
        filter g -> classes 2 { block0: v0 = get v0, f7 v1 = param p9 v2 = load.be8 v77, 3 find m8(v1), block1(v2), block1
        block1(v3: int): unlock.keep v4294967295 return v3 }",
    );
    let errors = verify(text::read(&text).expect("the text is a module")).expect_err("nothing is right");
    assert_eq!(errors.len(), MAX_ERRORS);
}

/// The analysis of ranges meets a range that is none.
#[test]
fn a_wrong_param_range_is_one_error() {
    let text = "oko.ir 1 param p0 a: 5 to 0, default 5 filter f -> classes 9 { block0:
        v0 = pkt.len v1 = param p0 v2 = urem v0, v1 v3 = udiv v0, v1 v4 = shl v0, v1 v5 = sub v0, v1
        v6 = const 8 v7 = umin v2, v6 return v7 }";
    let errors = verify(text::read(text).expect("the text is a module")).expect_err("the param is wrong");
    let [error] = errors.as_slice() else { panic!("one error, not {errors:?}") };
    assert_eq!(error.problem, Problem::BadParamRange { min: 5, default: 5, max: 0 });
}
