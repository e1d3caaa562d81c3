//! E07xx: tests, and the packets that they build.

codes! {
    BAD_FIELD_ATTRIBUTE = 701, "an attribute of a field that does not fit", "\
Attributes of a header's fields say what packets that tests build have in them: `#[initial(value = 64)]`, `#[length]`,
`#[checksum]`; `#[pseudo]` marks what checksums of headers further in cover.

```oko
header small {
    #[length(from = 3)]
    len: u8,
}
```

Write `#[length]`, or `#[length(after = 3)]` if three bytes do not count.
";
    NOT_A_PACKET = 702, "a packet is needed, or none is", "\
A packet can be named, built upon and given to filters; it is no value to compute with.

```oko
use std.net.{ipv4};

filter f -> bool {
    match pkt {
        ipv4 => true,
        _ => false,
    }
}

test \"a number is no packet\" {
    expect f(5);
}
```

Build a packet: `expect f(ipv4(src: 10.0.0.1));`.
";
    CANNOT_FOLLOW = 703, "headers that cannot follow one another", "\
What can follow a header is said by its `next by`. Headers that lie between two are filled in, and what is below the first, but there
must be a way.

```oko
use std.net.{arp, tcp};

filter f -> bool {
    match pkt {
        arp => true,
        _ => false,
    }
}

test \"nothing follows ARP\" {
    expect f(arp() / tcp());
}
```

Build a packet that can be: `ipv4() / tcp()`.
";
    BAD_BYTES = 704, "a text that is no bytes", "\
Bytes are written in hexadecimal, two digits each; spaces are allowed.

```oko
filter f -> bool {
    pkt.len > 14
}

test \"bytes\" {
    expect f(packet(\"02 00 0\"));
}
```

Write both digits of each byte.
";
    BYTES_ONLY = 705, "a packet of which only the bytes are known", "\
`reply` and `.with` change fields, so they need a packet that was built from headers. Of one that was given as bytes, or comes from a
capture, only the port can be chosen: `.with(in_port: 2)`.

```oko
filter f -> bool {
    pkt.len > 14
}

test \"bytes\" {
    let p = packet(\"ffff ffff ffff 0200 0000 0001 0800\");
    expect f(reply(p));
}
```

Build the packet from headers: `reply(ipv4(src: 10.0.0.1))`.
";
    NOT_IN_TESTS = 706, "something that cannot stand in a test", "\
A test makes packets, asks filters about them, lets time pass and says what it expects. It has no packet of its own, and only reads state:
filters write it.

```oko
state seen: set[ip4] { capacity: 16, when_full: refuse, expire: never };

filter f -> bool {
    pkt.len > 14
}

test \"state\" {
    seen.insert(10.0.0.1);
}
```

Ask the filter about packets that make it write, and look at the state with `expect`.
";
    TOO_LARGE = 707, "a test that is too large", "\
A test may compute at most 200 values that are not constants, and a file has at most 4,096 tests. A loop counts once.

```oko
filter f -> bool {
    pkt.len > 14
}

// Imagine some hundred more.
test \"large\" {
    let a = 1;
    expect a + 1 == 2;
}
```

Split it, or repeat with `for`.
";
    EXPECTATION = 708, "an expectation that does not hold", "\
`okoc test` found another value than the test expects. Shown are both sides of the comparison, and the packets that filters were asked about.

```oko
filter long -> bool {
    pkt.len > 1000
}

test \"a packet without payload is long\" {
    expect long(packet(\"ffff ffff ffff 0200 0000 0001 0800\"));
}
```

Either the filter is wrong or the test.
";
    ENGINES_DIFFER = 709, "engines that do not agree", "\
`okoc test` runs each test on every engine and demands the same answers and the same state. That they differ is a defect of Oko, not of the
program.

```oko
filter long -> bool {
    pkt.len > 1000
}

test \"no two engines differ on this\" {
    expect not long(packet(\"ffff ffff ffff 0200 0000 0001 0800\"));
}
```

Please report it with the program.
";
    STOPPED = 710, "a test that could not be run to its end", "\
Something that the test needs is not there, such as a capture, or it goes too far: it has millions of steps, or lets centuries pass.

```oko
filter long -> bool {
    pkt.len > 1000
}

test \"there is no such capture\" {
    expect long(replay \"nothing.pcap\") == 0;
}
```

Captures are looked for beside the program.
";
}
