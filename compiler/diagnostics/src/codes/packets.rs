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
    BAD_UNION = 416, "a union of something other than headers", "\
A union stands for one of several headers, or of the headers of other unions; at most 16.

```oko
use std.net.{ipv4, tcp_flags};

union any = ipv4 | tcp_flags;
```
";
    NOT_COMMON = 417, "a field that not all headers have", "\
Where a name stands for one of several headers, by a union or by alternatives in an arm, the fields can be read that all of them have.
Their types need not be the same: `ip.src` is an `ip4` in IPv4 and an `ip6` in IPv6, and so it is an `ip.addr`.

```oko
use std.net.{ipv4, ipv6};

union any = ipv4 | ipv6;

filter f -> bool {
    match pkt {
        any => any.ttl < 5,
        _ => false,
    }
}
```

Write an arm for each header: `ipv4 => ipv4.ttl < 5, ipv6 => ipv6.hop_limit < 5`.
";
    ONLY_SOMETIMES = 418, "a header that only some alternatives have", "\
The answer of an arm with alternatives can name the headers that all alternatives have, by their names or by what stands behind `as`.

```oko
use std.net.{ipv4, ipv6, tcp};

filter f -> bool {
    match pkt {
        ipv4 / tcp | ipv6 / tcp => ipv4.ttl < 5 and tcp.dst_port == 80,
        _ => false,
    }
}
```

Write an arm for each, or call both the same: `ipv4 as ip / tcp | ipv6 as ip / tcp`.
";
    BAD_COMPUTED = 419, "a struct that cannot be computed", "\
A struct with parameters is computed from headers: each parameter is a header or a union of headers, and each field says how it is computed
from them. `tagged(ipv4, tcp)` computes one from headers of the arm around it.

```oko
use std.net.{ipv4, tcp};

struct service(ip: ipv4, tcp: tcp) {
    address: ip4 = ip.dst,
    port: u16,
}
```

Write `port: u16 = tcp.dst_port`.
";
    BAD_REPEAT = 420, "a bound that is none", "\
Headers that lead back to themselves, such as VLAN tags, are followed as often as `#[repeat(max = …)]` says, or twice.

```oko
#[repeat(max = 100)]
header label { id: u20, class: u3, bottom: u1, ttl: u8 } next by bottom {
    0 => label,
}
```
";
    BAD_OWNER = 421, "a type whose owner is elsewhere", "\
A type whose name has a dot belongs to a header or union of the same file; who uses that can use the type, too.

```oko
type ports.pair = u32;
```
";
    BAD_ALTERNATIVES = 422, "alternatives that are no type", "\
`type ip.addr = ip4 | ip6;` is an address of either kind. Other types cannot be alternatives of one another: nothing would say which
one a value has.

```oko
type either = u16 | mac;
```

Use a struct or tuple with a field for each.
";
    REGION_AS_VALUE = 423, "a region where a value is needed", "\
A region is no value itself: a loop goes over the headers in it, and its bytes are read one by one.

```oko
use std.net.{ipv4, tcp};

filter f -> bool {
    match pkt {
        ipv4 / tcp => tcp.options == 1,
        _ => false,
    }
}
```

Write `tcp.options[0] == 1`, `tcp.options.len > 0`, or `for option in tcp.options { … }`.
";
    NEVER_DECIDES = 424, "a line of `next by` that never decides", "\
The lines of a `next by` are looked at in order, and the first that fits says what follows. Those of an `extend` come behind the
header's own lines.

```oko
use std.net.udp;

header names { id: u16 }

extend udp next by dst_port {
    53 => names,
}

filter f -> bool {
    match pkt {
        names => names.id == 0,
        _ => false,
    }
}
```

To have another header than the standard library's, write `#[first]` in front of the line.
";
    CONTRADICTION = 425, "two files that say what follows a header", "\
Within a file, the first line that fits counts. Files have no order, so lines of their `extend`s that lead to different headers are for different packets.

```text
// one.oko
extend udp next by dst_port { 4000 => telemetry }

// two.oko
extend udp next by src_port { 5000 => probe }
```

A datagram from port 5000 to port 4000 would have both headers. Write both lines in one file, the one that is to count in front.
";
    LEAVES_OUT = 426, "an `extend` that leaves out what decides", "\
A field of which every line of a header's own `next by` asks something says whether anything follows at all. An `extend` asks for it, too.

```oko
use std.net.ipv4;

header trace { id: u32 }

extend ipv4 next by protocol {
    253 => trace,
}

filter f -> bool {
    match pkt {
        ipv4 / trace => trace.id == 7,
        _ => false,
    }
}
```

Later fragments of a datagram have the same protocol and begin with its middle: write `next by (protocol, frag_offset)` and `(253, 0) => trace`.
";
    CIRCLE = 427, "an `extend` that closes a circle", "\
Headers that lead to one another are counted together, and only so many are passed. An `extend` that makes such a circle of headers that were
in none would stop the search for what was found before.

```oko
use std.net.{ethernet, udp};

extend udp next by dst_port {
    4000 => ethernet,
}

filter f -> bool {
    match pkt {
        udp / ethernet => ethernet.type == 5,
        _ => false,
    }
}
```

What follows here is a packet within the packet, and only arms that name what is in front of it are to look into it: write `#[tunnel]` in front of the line.
";
    TAKES_ASKED = 428, "a `#[first]` line that takes what a filter asks for", "\
A line marked `#[first]` is looked at in front of the header's own. Here it leaves nothing to one of those, and a filter asks for what
followed there.

```oko
use std.net.{dns, udp};

header lab { id: u16 }

extend udp next by dst_port {
    #[first]
    53 => lab,
}

filter f -> bool {
    match pkt {
        lab => lab.id == 7,
        udp / dns => dns.id == 8,
        _ => false,
    }
}
```

Only answers, from port 53, are `udp / dns` now. Let the line take fewer packets, such as those of one source port, or ask for `lab` only.
";
}
