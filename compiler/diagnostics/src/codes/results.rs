//! E06xx: filters, results and events.

codes! {
    BAD_RESULT = 601, "a filter with an impossible answer", "\
A filter answers with `bool` or with an enum, its class.

```oko
filter f -> u32 {
    1
}
```
";
    NO_ANSWER = 602, "a body that can end without a value", "\
Every way through a filter or function ends with a value.

```oko
filter f -> bool {
    if pkt.len > 100 {
        return true;
    }
}
```

End the body with `false`.
";
    BAD_RETURN = 603, "a `return` where nothing can be returned", "\
`return` ends a filter or a function with its answer. Constants and settings are expressions without one.

```oko
const a: u32 = { return 1; };
```
";
    ONLY_IN_TESTS = 604, "something that only tests can do", "\
`expect`, `advance` and `replay` are for tests.

```oko
filter f -> bool {
    advance 10s;
    true
}
```
";
    SPARSE_CLASSES = 605, "classes that are not numbered from 0", "\
A filter's class is one of an enum's values, which are then numbered 0, 1, 2 and so on.

```oko
enum Kind { Web = 80, Mail = 25 }

filter f -> Kind {
    Web
}
```

Leave the numbers away.
";
    TOO_LARGE = 606, "a filter that is too large", "\
A filter is as large as all the functions that it calls, as often as they are called; and no packet may cost it more than 4,194,304 steps, nor more than can be
proved again turn by turn, which is about a million instructions.

```oko
fn a(n: u8) -> bool { n == 1 or n == 3 or n == 5 }

// Imagine many more functions, each calling the one before twice.
fn b(n: u8) -> bool { a(n) or a(n & 7) }

filter f -> bool {
    b(1)
}
```

Let loops take fewer turns, those within one another above all, or do a part of the work for each packet and keep in a `state` how far it came.
";
    TOO_MANY = 607, "a program with too many declarations of a kind", "\
A program has at most 1,024 params, 256 states, 256 filters and 256 headers, the modules it uses included; a `match pkt` has at most
256 arms, another `match` 4,096.

```oko
filter one -> bool { true }
filter two -> bool { true }
// … and so on.
```

Split it into several programs.
";
    OVER_BUDGET = 608, "a filter that costs more than it may", "\
`#[budget(…)]` in front of a filter says what it may cost at most: `steps` (operations of the compiled filter), `state_ops` (looked-up
entries), `locked` (operations at a stretch while an entry is locked, for which other cores wait) and `stack` (bytes of BPF stack). The compiler finds the most that any packet can cost and compares. `okoc check --cost` shows
the figures.

```oko
#[budget(steps = 10)]
filter long_sum -> bool {
    let sum = for i in 0..64 with sum = 0 {
        sum + i * pkt.len
    };
    sum > 100_000
}
```

Make the loop shorter, compute less in it, or raise the budget.
";
    BAD_BUDGET = 609, "a budget that limits nothing that is counted", "\
A budget has the parts `steps`, `state_ops`, `locked` and `stack`, each with a whole number.

```oko
#[budget(time = 500)]
filter f -> bool {
    true
}
```
";
    FILTER_PARAMS = 610, "a filter that takes arguments", "\
A filter is asked for by its name, `filter=slow`, so nothing can be given to it. What differs between installations is a `param`,
which has a range and can be changed while packets come.

```oko
filter long(limit: u32) -> bool {
    pkt.len > 1_000
}
```

Write `param limit: u32 = 1_000;`. What several filters share goes into a `fn`.
";
}
