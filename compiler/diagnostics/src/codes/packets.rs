//! E04xx: headers and packets.

codes! {
    NO_ROOT = 401, "no header that packets begin with", "\
One header is marked `#[root]`: packets begin with it, and the others are found from there. `std.net` marks `ethernet`.

```oko
header tag { kind: u16 }

filter f -> bool {
    match pkt {
        tag => true,
        _ => false,
    }
}
```

Write `#[root]` in front of `header`.
";
    TWO_ROOTS = 402, "two headers that packets begin with", "\
All filters of a program read packets that begin with the same header.

```oko
#[root]
header a { kind: u16 }

#[root]
header b { kind: u16 }
```
";
    NOT_WHOLE_BYTES = 403, "a header that ends within a byte", "\
The fields of a header together have a whole number of bytes.

```oko
header tag { kind: u12 }
```

Declare the rest, too: `reserved: u4`.
";
    NEVER_FOLLOWS = 404, "headers that never follow one another", "\
The layers of an arm stand directly behind one another, and which header can follow which is said by `next by`.

```oko
use std.net.{ipv4, arp};

filter f -> bool {
    match pkt {
        ipv4 / arp => true,
        _ => false,
    }
}
```

What stands in front of the first layer is left open: `ipv4 / tcp` also matches behind VLAN tags.
";
    UNREACHABLE = 405, "a header that no packet has", "\
No chain of `next by` leads from the root header to this one.

```oko
use std.net.ipv4;

header mine { kind: u16 }

filter f -> bool {
    match pkt {
        mine => true,
        ipv4 => false,
        _ => false,
    }
}
```
";
    BAD_FIELD = 406, "a field of a type that is not on the wire", "\
Fields of headers are `u1` to `u128`, `bool` (one bit), `ip4`, `ip6`, `mac`, `seq`, and `bits` types. An `enum` is none: a packet can
bring any number.

```oko
header tag { wait: duration }
```
";
    BAD_NEXT = 407, "a `next by` that decides nothing", "\
`next by` names integer fields of its header; its patterns are numbers that they can have.

```oko
header tag { kind: u4, rest: u4 } next by kind {
    16 => tag,
}
```
";
    BAD_REGION = 408, "a region that is not possible", "\
A region is the last thing of a header: bytes whose number follows from its fields, and that number must be from 0 to 65,535
whatever the packet says.

```oko
header tag {
    len: u8,
    options: [u8 in len * 4 - 20],
}
```

Write `len: u8 where len >= 5`; packets where that does not hold do not have the header.
";
    BAD_LAYER = 409, "an arm of `match pkt` that names no header", "\
The arms of `match pkt` name headers, such as `ipv4 / tcp`, or are `_`.

```oko
use std.net.{ipv4};

filter f -> bool {
    match pkt {
        6 => true,
        _ => false,
    }
}
```
";
    NOT_EXHAUSTIVE = 410, "packets without an answer", "\
Other packets come, too: the last arm of a `match pkt` is `_`.

```oko
use std.net.{ipv4};

filter f -> bool {
    match pkt {
        ipv4 => true,
    }
}
```

Add `_ => false`.
";
    TOO_LONG = 411, "a header that is too long", "\
The fields of a header have at most 1,024 bytes.

```oko
header long {
    first: u64,
    second: u64,
    // … and 198 more
}
```

Bytes that are only skipped are a region: `rest: [u8 in 1600]`.
";
    SAME_LAYER_NAME = 412, "two layers of one name", "\
When a header occurs twice in an arm, each needs a name of its own.

```oko
use std.net.{vlan};

filter f -> bool {
    match pkt {
        vlan / vlan => true,
        _ => false,
    }
}
```

Write `vlan as outer / vlan as inner`.
";
    HEADER_AS_VALUE = 413, "a header where a value is needed", "\
Headers and packets have fields, but are no values themselves.

```oko
use std.net.{ipv4};

filter f -> bool {
    match pkt {
        ipv4 => ipv4 == 4,
        _ => false,
    }
}
```

Write `ipv4.version == 4`.
";
    NOT_MATCHED = 414, "a field of a header that was not matched", "\
A field can be read where its header was found, and only there: in the condition and the answer of an arm that names the header.

```oko
use std.net.{ipv4, tcp};

filter f -> bool {
    match pkt {
        ipv4 => tcp.dst_port == 80,
        _ => false,
    }
}
```

Write `ipv4 / tcp => tcp.dst_port == 80`.
";
    ONLY_IN_FILTERS = 415, "a packet where there is none", "\
Functions depend on their arguments only; the packet and the time are a filter's.

```oko
fn long() -> bool {
    pkt.len > 1000
}
```

Write `fn long(len: u32) -> bool { len > 1000 }` and call `long(pkt.len)`.
";
}
