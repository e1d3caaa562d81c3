//! E00xx: characters and literals.

codes! {
    UNKNOWN_CHARACTER = 1, "a character that Oko does not use", "\
A character stands where none of Oko's words, numbers or signs can begin.

```oko
const limit: u32 = 10 € ;
```

Strings may hold any character; names are made of ASCII letters, digits and `_`.
";
    OPEN_STRING = 2, "a string without its closing quote", "\
A string begins with `\"` and ends with `\"` on the same line.

```oko
test \"a packet is counted {
}
```
";
    BAD_NUMBER = 3, "a number that cannot be read", "\
A number is decimal (`1_000`), hexadecimal (`0xff`), or decimal with `Ki`, `Mi` or `Gi`. A time has `ns`, `us`, `ms`,
`s`, `min` or `h` directly behind it, a rate `pps`, `kpps`, `Mpps`, `bps`, `kbps`, `Mbps` or `Gbps`. There are no fractions,
except in front of `%`.

```oko
const wait: duration = 10sec;
```

Write `10s`.
";
    NUMBER_TOO_LARGE = 4, "a number that is too large", "\
A number has at most 128 bits; a duration is at most 2^64 - 1 nanoseconds (584 years), a rate at most 2^64 - 1 a second.

```oko
const forever: duration = 99999999h;
```
";
    BAD_ADDRESS = 5, "an address that cannot be read", "\
An IPv4 address has four parts from 0 to 255, a prefix length is at most 32, or 128 for IPv6.

```oko
const net: prefix = 10.0.0.256/33;
```
";
    BAD_ESCAPE = 6, "an unknown escape in a string", "\
In a string, `\\\\` stands for a backslash, `\\\"` for a quote, `\\n` for a line break and `\\t` for a tab. No other character may
follow a backslash.

```oko
test \"a \\q\" {}
```
";
    HOST_BITS = 7, "a prefix with bits beyond its length", "\
A prefix names a network: the bits beyond its length are zero.

```oko
const net: prefix = 10.0.0.1/8;
```

Write `10.0.0.0/8` for the network, or `10.0.0.1` for the address.
";
    TEXT_TOO_LONG = 8, "a file of 4 GiB or more", "\
A source file is shorter than 4 GiB. A file of that size was hardly written by hand, or is no Oko program at all:

```sh
okoc check capture.pcap
```
";
}
