//! E05xx: state, tables and params.

codes! {
    MISSING_SETTING = 501, "a state without one of its policies", "\
A map or set says how many entries it holds, what happens when it is full, and when entries go; what estimates says how wrong it may
be. Nothing is assumed: each of them is a decision that somebody has to take.

```oko
state seen: set[ip4] { capacity: 1_024, when_full: evict_oldest };
```

Add `expire: 60s`, or `expire: never`.
";
    BAD_SETTING = 502, "a setting with an impossible value", "\
`when_full` is `evict_oldest` or `refuse`; `expire` is a duration, `never`, or a function from the value to a duration; `window` is a
duration up to 39 hours; `time_constant` one from 10 ms to 24 hours; `init` is `tokens(rate: …, burst: …)`; `error` and `confidence` are
percentages above 0% and below 100%; `merge` is `sum`, `max`, `min` or `latest`.

```oko
state seen: set[ip4] { capacity: 1_024, when_full: drop, expire: 1s };
```
";
    USELESS_SETTING = 503, "a setting that means nothing here", "\
`window` is for states with windows, `init` for those with tokens, `error` for those that estimate, `capacity` and `when_full` for maps and
sets.

```oko
state seen: counter { capacity: 10 };
```
";
    BAD_KEY = 504, "a key that is no plain value", "\
Keys are numbers, addresses, enums and the like, tuples or structs of them, with at most 16 parts.

```oko
state seen: set[u32?] { capacity: 10, when_full: refuse, expire: 1s };
```
";
    BAD_CONTENT = 505, "something that a state cannot hold", "\
A state holds plain values, cells, or structs of either, a table plain values. An entry that is not there is `none` already.

```oko
state seen: map[ip4, u32?] { capacity: 10, when_full: refuse, expire: 1s };
```

Write `map[ip4, u32]`.
";
    MIXED_STRUCT = 506, "a struct of cells and plain values", "\
The fields of a struct are all cells or all plain values: plain values are replaced as a whole, cells one by one.

```oko
struct Both { hits: counter, last: instant }
```
";
    CELLS_ARE_NO_VALUE = 507, "a struct of cells as a value", "\
Cells exist in states only; they cannot be copied, passed or returned.

```oko
struct Balance { opened: window, closed: window }

fn f(b: Balance) -> bool { true }
```
";
    BAD_PARAM = 508, "a param of a type that cannot be set", "\
A param is an integer, a duration or a rate.

```oko
param server: ip4 = 10.0.0.1;
```
";
    STATE_AS_VALUE = 509, "a state where a value is needed", "\
A state's entries are values, the state itself is none.

```oko
state seen: map[ip4, u32] { capacity: 10, when_full: refuse, expire: 1s };

filter f -> bool {
    seen == 1
}
```

Write `seen[key] == 1`.
";
    IN_UPDATE = 510, "something that cannot happen within an `update`", "\
`update` replaces one entry in one step for all cores. While its value is computed, no other state is used, no headers are
looked for, and nothing returns.

```oko
state a: map[u32, u32] { capacity: 10, when_full: refuse, expire: 1s };
state b: map[u32, u32] { capacity: 10, when_full: refuse, expire: 1s };

filter f -> bool {
    let x = update a[1] |old| b[1];
    x != none
}
```

Write `let other = b[1];` before the `update`, and use `other`.
";
    NOT_PURE = 511, "a function that uses state", "\
Functions depend on their arguments only, so that they can be used anywhere, also to say when an entry goes.

```oko
state seen: counter;

fn f() -> u64 {
    seen.total
}
```
";
    NOT_READABLE = 512, "a cell, set or entry of cells as a value", "\
A cell is used by its operations: `.add(n)` and `.total` of a counter or window, `.take(n)` of tokens. Of a set one can ask whether a key
is in it.

```oko
state hits: map[ip4, counter] { capacity: 10, when_full: evict_oldest, expire: 1s };

filter f -> bool {
    hits[10.0.0.1] > 5
}
```

Write `hits[10.0.0.1].total > 5`.
";
    KEY_MISSING = 513, "a key that is missing, or too much", "\
A map has many entries and needs a key; a state with one value has none.

```oko
state hits: map[ip4, counter] { capacity: 10, when_full: evict_oldest, expire: 1s };

filter f -> bool {
    hits.add(1) > 5
}
```

Write `hits[10.0.0.1].add(1)`.
";
    BAD_UPDATE = 514, "an `update` of something that cannot be replaced", "\
`update` replaces the plain value of one entry. Cells change by their own operations, sets by `.insert` and `.remove`.

```oko
state hits: map[ip4, counter] { capacity: 10, when_full: evict_oldest, expire: 1s };

filter f -> bool {
    let n = update hits[10.0.0.1] |old| 1;
    n != none
}
```

Write `hits[10.0.0.1].add(1)`.
";
    TOO_LARGE = 515, "state that takes too much memory", "\
All states of a program together take at most 1 GiB when full.

```oko
state seen: map[(u64, u64), (u64, u64)] { capacity: 200_000_000, when_full: evict_oldest, expire: 1s };
```

Lower the `capacity`.
";
    STALE_READ = 516, "a value that was read before the entry is replaced", "\
Between reading an entry and replacing it another core may write it. A new value that is computed from what was read earlier would undo
that write: the classic lost update. `update` hands over what the entry holds at the moment when it is replaced.

```oko
use std.net.ipv4;

state hits: map[ip4, u64] { capacity: 1_024, when_full: evict_oldest, expire: 60s };

filter often -> bool {
    match pkt {
        ipv4 => {
            let n = hits[ipv4.src] ?? 0;
            let new = update hits[ipv4.src] |old| n +| 1;
            n > 100
        }
        _ => false,
    }
}
```

Write `update hits[ipv4.src] |old| (old ?? 0) +| 1`.
";
    TABLE_WRITTEN = 517, "a filter that writes a table", "\
Who writes says the keyword: a `table` is written by the control plane, a `state` by the filter.

```oko
use std.net.ipv4;

table blocked: set[ip4] { capacity: 1_024 };

filter f -> bool {
    match pkt {
        ipv4 => blocked.insert(ipv4.src),
        _ => false,
    }
}
```

Declare a `state` with its policies, or have the control plane write the table.
";
    BAD_TABLE = 518, "a table of something else than keys and values", "\
A table is a `map` or a `set` of plain values.

```oko
table hits: counter { capacity: 1_024 };
```

Write `state hits: counter;` for what the filter counts, and `param` for a single number that the control plane sets.
";
    BAD_EVENT = 519, "an event that cannot be told", "\
An event tells plain values, and is limited per value of one of its fields, or altogether without `per`.

```oko
event seen { source: ip4 } limit 1 each 1s per server;
```

Write `per source`.
";
}
