//! E03xx: types and ranges of numbers.

codes! {
    MISMATCH = 301, "a value of another type", "\
The value is of one type, and what it is used for needs another.

```oko
const wait: duration = 10;
```

Write `10s`: a duration has a unit.
";
    DOES_NOT_FIT = 302, "a number that may not fit", "\
A number has a range, which follows from how it was computed. Where it is stored or given away, all of its range must fit.

```oko
use std.net.{ipv4};

filter f -> bool {
    match pkt {
        ipv4 => {
            let half: u8 = ipv4.total_len;
            half > 4
        }
        _ => false,
    }
}
```

Keep a part (`ipv4.total_len & 0xff`), compare first (`if ipv4.total_len < 256 { … }`), or use `+|`, which stays at the
greatest value, or `+%`, which starts again at 0.
";
    OVERFLOW = 303, "a number that may need more bits than there are", "\
Every result fits in 64 bits, or in 128 where an operand has more than 64, or the program is refused: nothing wraps silently.

```oko
param a: u64 = 1;
param b: u64 = 2;

filter f -> bool {
    a + b > 10
}
```

Write `a +| b`, which stays at the greatest value, or give the params ranges.
";
    DIVISION_BY_ZERO = 304, "a divisor that could be 0", "\
A divisor must be known not to be 0, from its range or from a condition around it.

```oko
param part: u32 = 10;

filter f -> bool {
    pkt.len / part > 5
}
```

Declare `param part: u32 in 1..=1_000 = 10;`, or write `if part != 0 { … }`.
";
    BAD_OPERAND = 305, "an operator that does not go with its operands", "\
Operators combine values of the same kind: numbers with numbers, bits of one type with each other, instants with durations.

```oko
use std.net.{ipv4};

filter f -> bool {
    match pkt {
        ipv4 => ipv4.src > 10,
        _ => false,
    }
}
```

An address is no number: write `ipv4.src > 10.0.0.10`, or ask `ipv4.src in 10.0.0.0/8`.
";
    NOT_CONSTANT = 306, "a value that must be known beforehand", "\
Constants, capacities, fixed values and the like are computed when the program is compiled. They cannot depend on packets,
params or state, nor call a function that does.

```oko
param limit: u32 = 10;
const twice: u32 = limit * 2;
```

Operators, `if`, `match`, loops and calls of functions are all computed beforehand: `const slots: u32 = round_up(3_000);`
";
    NOT_EXHAUSTIVE = 307, "a match that leaves values out", "\
A `match` takes every value its subject can have. An arm with `if` does not count, since its condition can be false.

```oko
enum Conn { New, Open, Closed }

fn wait(conn: Conn) -> duration {
    match conn {
        New => 5s,
        Open => 1h,
    }
}
```

Add `Closed => 10s`, or `_ => 10s` for the rest.
";
    UNREACHABLE_ARM = 308, "an arm that never gets its turn", "\
The arms above take everything that this arm would.

```oko
fn name(port: u16) -> u8 {
    match port {
        _ => 0,
        80 => 1,
    }
}
```
";
    BAD_PATTERN = 309, "a pattern that is not for such values", "\
Patterns are numbers, ranges, variants, `none`, `true`, `false`, tuples, `let name`, `_`, and alternatives of these with `|`.

```oko
fn f(flag: bool) -> u8 {
    match flag {
        1 => 1,
        _ => 0,
    }
}
```

Write `true => 1`.
";
    ARGUMENTS = 310, "arguments that are not those declared", "\
A function is called with as many arguments as it has parameters, in their order; a struct is made with all its fields by name.

```oko
fn half(n: u32) -> u32 { n / 2 }

filter f -> bool {
    half() > 1
}
```
";
    BAD_SHIFT = 311, "a shift by too many bits", "\
A word has 64 bits, so a shift is by 0 to 63.

```oko
param by: u8 = 3;

filter f -> bool {
    pkt.len >> by > 0
}
```

Write `pkt.len >> (by & 63)`, or declare `param by: u8 in 0..=31 = 3;`.
";
    BRANCHES = 312, "branches with different types", "\
`if` and `match` have one type: all branches give values that go together.

```oko
filter f -> bool {
    let a = if pkt.len > 100 { 1 } else { false };
    a == 1
}
```
";
    NO_VALUE = 313, "a value is missing", "\
Something without a value stands where one is needed. A block's value is its last expression, without `;`.

```oko
filter f -> bool {
    let a = { 1; };
    a == 1
}
```
";
    NEGATIVE = 314, "an operator that is not for negative numbers", "\
A difference can be negative. Division, shifts and bit operators need numbers from 0 up, and a number that can be negative
cannot be compared with one that needs all 64 bits.

```oko
filter f -> bool {
    (pkt.len - 100) / 2 > 5
}
```

Write `(pkt.len -| 100) / 2`, which stays at 0.
";
    BAD_WIDTH = 315, "an integer of an impossible width", "\
Integers have 1 to 128 bits: `u1`, `u13`, `u64`, `u128`. There are no signed types; a difference may be negative while it is computed with.

```oko
const a: u0 = 0;
```
";
    SAME_NUMBER = 316, "two values with one number", "\
The values of an `enum` and the bits of a `bits` type have different numbers.

```oko
enum Kind { A = 1, B = 1 }
```
";
    EMPTY = 317, "something that is empty", "\
A range, list, enum or struct without anything in it.

```oko
param limit: u32 in 10..=1 = 5;
```
";
    CIRCLE = 318, "something that is defined by itself", "\
Constants, structs and functions cannot need themselves, over whatever detour: every filter ends after a known number
of steps.

```oko
const a: u32 = b + 1;
const b: u32 = a + 1;
```
";
    TOO_WIDE = 319, "a type with too many parts", "\
A value has at most 64 numbers and truth values.

```oko
struct Pair { a: u64, b: u64 }
struct Four { a: (Pair, Pair), b: (Pair, Pair) }
struct Many { a: (Four, Four, Four, Four), b: (Four, Four, Four, Four), c: Four }

fn f(m: Many) -> bool { true }
```
";
    NOT_A_VALUE_TYPE = 320, "a type that values do not have", "\
Cells, maps and regions exist in states and headers only; lists stand behind `in` only; texts and percentages cannot be
computed with.

```oko
fn f(n: counter) -> bool { true }
```
";
    TYPE_ARGUMENTS = 321, "types in square brackets that do not belong there", "\
`map` takes the types of key and value, `set` that of its key, and other types take none.

```oko
state seen: map[ip4] { capacity: 10, when_full: refuse, expire: 1s };
```

Write `set[ip4]`, or `map[ip4, u32]`.
";
    NOT_A_CONDITION = 322, "a condition that is neither true nor false", "\
Conditions are of type `bool`; numbers are not.

```oko
filter f -> bool {
    if pkt.len { true } else { false }
}
```

Write `pkt.len != 0`.
";
    NEVER_NONE = 323, "`none` where it cannot be", "\
Only values of a type with `?` can be `none`, such as what a state is read as.

```oko
fn f(n: u8) -> u8 {
    match n {
        none => 0,
        _ => 1,
    }
}
```
";
    MAYBE_NONE = 324, "a value that can be `none`", "\
An entry that is read may not be there. Before its parts can be used, say what counts then.

```oko
struct Knock { step: u8 }

state knocks: map[ip4, Knock] { capacity: 10, when_full: refuse, expire: 1s };

filter f -> bool {
    knocks[10.0.0.1].step == 1
}
```

Write `match knocks[10.0.0.1] { none => false, let knock => knock.step == 1 }`, or `conns[key] ?? 0` for plain numbers.
";
    NOT_A_FUNCTION = 325, "something that cannot be called", "\
Only functions can be called, and structs made with round brackets.

```oko
const size: u32 = 10;

filter f -> bool {
    size(1) > 10
}
```
";
    NAME_IT = 326, "a value that needs a name", "\
The value changes something or costs much, and would be computed twice.

```oko
param low: u64 = 1;
state seen: counter;

filter f -> bool {
    seen.add(1) in low..=100
}
```

Write `let count = seen.add(1);` and then `count in low..=100`.
";
    TOO_MANY_TURNS = 327, "a loop with too many turns", "\
How often a loop runs at most follows from the ranges of its bounds. It must be at most 65,536 times; in an `update`, where other
packets wait for the entry, at most 64 times.

```oko
param n: u32 = 10;

filter f -> bool {
    let sum = for i in 0..n with sum: u32 = 0 {
        sum +| i
    };
    sum > 10
}
```

Give the param a range, such as `param n: u32 in 0..=64 = 10;`, or compare first: `if n <= 64 { … }`.
";
    NO_LOOP = 328, "a `break` outside of a loop", "\
`break` leaves the innermost loop around it. Within an `update` it cannot leave a loop that the `update` stands in.

```oko
filter f -> bool {
    if pkt.len > 100 {
        break;
    }
    true
}
```

Write `return` to end the filter.
";
    NO_LOOP_VALUE = 329, "a value for a loop that has none", "\
A loop has a value if it carries something from turn to turn. `break` can then say what it is.

```oko
filter f -> bool {
    for i in 0..4 {
        if pkt.len > 1000 {
            break i;
        }
    }
    true
}
```

Name what is carried: `let found = for i in 0..4 with found = none { if pkt.len > 1000 { break i; } found };`
";
    INDEX = 330, "an index that may lie outside of its array", "\
An array of `n` elements has the indices 0 to `n - 1`, and an index must be known to be one of them.

```oko
const WEIGHTS: [u8; 4] = [1, 2, 4, 8];

filter f -> bool {
    WEIGHTS[pkt.len & 7] > 1
}
```

Keep the index in range (`pkt.len & 3`, `pkt.len mod 4`), or compare it first: `if n < 4 { … }`.
";
    BAD_SLICE = 331, "bits that are not there", "\
`x[7:4]` is the number in the bits 7 down to 4 of `x`, both included. Bit 0 is the lowest. The higher bit comes first, and `x` must
have it.

```oko
use std.net.ipv4;

filter f -> bool {
    match pkt {
        ipv4 => ipv4.ttl[0:3] == 1,
        _ => false,
    }
}
```

Write `ipv4.ttl[3:0]`.
";
    DECIDED = 332, "a condition that is always the same", "\
The ranges of the numbers in a condition decide it, so it tells nothing. That is a warning: the program is accepted, but probably
something else was meant. The message shows the ranges, and the condition or declaration that they come from.

```oko
use std.net.ipv4;

filter f -> bool {
    match pkt {
        ipv4 if ipv4.ttl < 300 => true,
        _ => false,
    }
}
```

A `ttl` has 8 bits and is at most 255.
";
    POWER = 333, "an exclusive or that looks like a power", "\
`^` is the exclusive or of bits: `2 ^ 16` is 18. Where a power of 2 or 10 may have been meant, that is a warning.

```oko
const SLOTS: u32 = 2 ^ 16;

filter f -> bool {
    pkt.len < SLOTS
}
```

Write the number, `65_536` or `64Ki`, or a shift, `1 << 16`.
";
    MASKS = 334, "numbers of bits that look like masks", "\
The number behind a name of a `bits` type is that of its bit, counted from 0, not its mask. Where the numbers are those that masks have, that is
a warning; it is an error (E0302) where one of them is no bit of the type.

```oko
bits Marks: u8 { SEEN = 1, SLOW = 2, LOUD = 4 }

fn loud(marks: Marks) -> bool { marks has LOUD }

filter f -> bool { loud(SEEN | SLOW) }
```

Without numbers the names are bits 0, 1 and 2: `bits Marks: u8 { SEEN, SLOW, LOUD }`.
";
}
