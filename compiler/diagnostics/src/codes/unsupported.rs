//! E09xx: parts of Oko that this compiler does not have yet.

codes! {
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
    CONST_CALL = 919, "calls of functions in settings and rules", "\
This is a part of the language that this version of the compiler does not have yet: calls of functions in settings and rules.

```oko
fn idle() -> duration { 5s }

state seen: set[ip4] { capacity: 10, when_full: refuse, expire: idle() };
```

Write the value, or a constant.
";
}
