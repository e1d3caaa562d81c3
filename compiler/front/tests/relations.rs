//! What conditions say about several numbers together: the range that the checker claims for a sum behind a condition holds every value that
//! the sum has there, and the usual idioms need nothing more.

mod support;

use std::fmt::Write as _;

use proptest::prelude::*;

/// The names that conditions are about, each in 0..=7.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// `x a + y b + z c + n`
#[derive(Clone, Debug)]
struct Sum {
    times: [i64; 3],
    number: i64,
}

impl Sum {
    fn value(&self, at: [i64; 3]) -> i64 {
        self.number + (0..3).map(|i| self.times[i] * at[i]).sum::<i64>()
    }

    fn text(&self) -> String {
        let mut text = format!("({}", self.number);
        for (name, times) in NAMES.iter().zip(self.times) {
            match times {
                0 => {}
                1 => write!(text, " + {name}").expect("writes to a string"),
                -1 => write!(text, " - {name}").expect("writes to a string"),
                _ if times < 0 => write!(text, " - {name} * {}", -times).expect("writes to a string"),
                _ => write!(text, " + {name} * {times}").expect("writes to a string"),
            }
        }
        text + ")"
    }
}

#[derive(Clone, Debug)]
enum Condition {
    Compare(Sum, &'static str, Sum),
    Within(Sum, i64, i64),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

impl Condition {
    fn holds(&self, at: [i64; 3]) -> bool {
        match self {
            Condition::Compare(x, op, y) => {
                let (x, y) = (x.value(at), y.value(at));
                match *op {
                    "<" => x < y,
                    "<=" => x <= y,
                    ">" => x > y,
                    ">=" => x >= y,
                    "==" => x == y,
                    _ => x != y,
                }
            }
            Condition::Within(x, low, high) => (*low..=*high).contains(&x.value(at)),
            Condition::Not(inner) => !inner.holds(at),
            Condition::And(x, y) => x.holds(at) && y.holds(at),
            Condition::Or(x, y) => x.holds(at) || y.holds(at),
        }
    }

    fn text(&self) -> String {
        match self {
            Condition::Compare(x, op, y) => format!("{} {op} {}", x.text(), y.text()),
            Condition::Within(x, low, high) => format!("{} in {low}..={high}", x.text()),
            Condition::Not(inner) => format!("not ({})", inner.text()),
            Condition::And(x, y) => format!("({}) and ({})", x.text(), y.text()),
            Condition::Or(x, y) => format!("({}) or ({})", x.text(), y.text()),
        }
    }
}

fn sum() -> impl Strategy<Value = Sum> {
    let times = prop_oneof![3 => Just(0i64), 3 => Just(1), 2 => Just(-1), 1 => -3i64..=3];
    ([times.clone(), times.clone(), times], prop_oneof![2 => Just(0i64), 1 => 0i64..9])
        .prop_map(|(times, number)| Sum { times, number })
}

fn condition() -> impl Strategy<Value = Condition> {
    let op = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let leaf = prop_oneof![
        4 => (sum(), op, sum()).prop_map(|(x, op, y)| Condition::Compare(x, op, y)),
        1 => (sum(), 0i64..5, 0i64..9).prop_map(|(x, low, more)| Condition::Within(x, low, low + more)),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(x, y)| Condition::And(Box::new(x), Box::new(y))),
            1 => (inner.clone(), inner.clone()).prop_map(|(x, y)| Condition::Or(Box::new(x), Box::new(y))),
            1 => inner.prop_map(|x| Condition::Not(Box::new(x))),
        ]
    })
}

/// The range that the checker gives the sum behind the condition, and otherwise; none where it sees that the condition cannot be so.
fn claimed(condition: &str, sum: &str, named: bool) -> [Option<(i64, i64)>; 2] {
    // Nothing of this fits, so each branch is told of, in a line of its own, with what it can be.
    let value = if named {
        "let d = a - b; let e = d + b - a; let v: u64 = SUM + e - 100_000;"
    } else {
        "let v: u64 = SUM - 100_000;"
    };
    let value = value.replace("SUM", sum);
    let params = "param a: u8 in 0..=7 = 0; param b: u8 in 0..=7 = 0; param c: u8 in 0..=7 = 0;";
    let text = format!(
        "{params}\nfilter f -> bool {{ if {condition} {{\n{value} true\n}} else {{\n{value} false\n}} }}"
    );
    let compiled = support::compile("relations.oko", &text);
    let in_line = |line: u32| {
        let found = compiled.diagnostics.iter().find(|found| {
            let place =
                found.span().and_then(|span| Some(compiled.sources.get(span.file)?.location(span.start)));
            found.is_error() && place.is_some_and(|place| place.line == line)
        })?;
        let range = &found.labels[0].text;
        let range = range.strip_prefix("this can be ").or(range.strip_prefix("this is ")).expect("a range");
        let (min, max) = range.split_once("..=").unwrap_or((range, range));
        let bound = |text: &str| text.parse::<i64>().expect("a number") + 100_000;
        Some((bound(min), bound(max)))
    };
    [in_line(3), in_line(5)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_value_lies_outside_of_what_is_claimed(condition in condition(), sum in sum(), named: bool) {
        let ranges = claimed(&condition.text(), &sum.text(), named);
        for at in (0..512).map(|at| [at & 7, at >> 3 & 7, at >> 6]) {
            let branch = ranges[usize::from(!condition.holds(at))];
            let value = sum.value(at);
            prop_assert!(branch.is_some(), "{at:?} comes to a branch that nothing should come to");
            let Some((min, max)) = branch else { continue };
            prop_assert!((min..=max).contains(&value), "{value} at {at:?} is not in {min}..={max}");
        }
    }
}

/// What was asked before, or follows from it, takes no room among the latest conditions.
#[test]
fn weaker_conditions_crowd_out_no_stronger_one() {
    let mut text = "param a: u8 = 0; param b: u8 = 0; param c: u8 = 0;\nfilter f -> bool {\n".to_owned();
    text += "if a > b or c + a > b + b { return true; }\n";
    for more in 0..200 {
        writeln!(text, "if b + {more} < a {{ return true; }}").expect("writes to a string");
        writeln!(text, "if b * 2 + {more} < a + c {{ return true; }}").expect("writes to a string");
    }
    text += "let first: u8 = b - a; let second: u64 = b + b - a - c; first > second }\n";
    assert_eq!(support::compile("relations.oko", &text).diagnostics.len(), 0);
}
