//! E09xx: parts of Oko that this compiler does not have yet.

codes! {
    TABLE = 901, "tables", "\
This is a part of the language that this version of the compiler does not have yet: tables.

```oko
table inside: set[prefix] { capacity: 1_024 };
```

List the networks in the source for now: `ipv4.src in [10.0.0.0/8, 192.168.0.0/16]`.
";
    EVENT = 902, "events", "\
This is a part of the language that this version of the compiler does not have yet: events.

```oko
event seen { source: ip4 } limit 1 each 1s per source;
```

Use the filter's answer and its state, which can be read while it runs.
";
    TEST = 904, "tests in the source", "\
This is a part of the language that this version of the compiler does not have yet: tests in the source.

```oko
test \"nothing\" {
    expect true;
}
```

`okoc run` shows what a filter does with the packets of a capture.
";
    REGION = 907, "access to regions", "\
Regions such as options are skipped by their length; their contents cannot be read yet.

```oko
use std.net.{ipv4, tcp};

filter f -> bool {
    match pkt {
        ipv4 / tcp => {
            let options = tcp.options;
            true
        }
        _ => false,
    }
}
```
";
    TAGGED_HEADER = 908, "headers with a tag", "\
This is a part of the language that this version of the compiler does not have yet: headers with a tag.

```oko
header option by kind: u8 {
    0 => end {},
    2 => mss { length: u8 = 4, value: u16 },
}
```

Declare the bytes as a region, which is skipped: `options: [u8 in len]`.
";
    PER_CORE = 909, "state for each core", "\
This is a part of the language that this version of the compiler does not have yet: state for each core.

```oko
state hits: counter per core { merge: sum };
```

Leave `per core` away: state is shared by all cores.
";
    STATE_KIND = 910, "some kinds of state and cells", "\
This is a part of the language that this version of the compiler does not have yet: some kinds of state and cells.

```oko
state seen: bloom[ip4] { capacity: 10, error: 1%, expire: 1s };
```

There are `map`, `set`, and the cells `counter`, `window` and `tokens`.
";
    FILTER_PARAMS = 914, "filters with parameters", "\
This is a part of the language that this version of the compiler does not have yet: filters with parameters.

```oko
filter f(limit: u32) -> bool {
    pkt.len > 10
}
```

Use a `param`.
";
    ATTRIBUTE = 915, "some attributes", "\
This is a part of the language that this version of the compiler does not have yet: some attributes.

```oko
#[budget(steps = 500)]
filter f -> bool {
    true
}
```

Remove it.
";
    CONST_CALL = 919, "calls of functions in settings and rules", "\
This is a part of the language that this version of the compiler does not have yet: calls of functions in settings and rules.

```oko
fn idle() -> duration { 5s }

state seen: set[ip4] { capacity: 10, when_full: refuse, expire: idle() };
```

Write the value, or a constant.
";
}
