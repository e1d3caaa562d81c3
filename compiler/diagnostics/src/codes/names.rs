//! E02xx: names and modules.

codes! {
    UNKNOWN = 201, "a name that nothing has", "\
Nothing in sight has this name: no value, constant, param, state, function or variant.

```oko
const limit: u32 = 10;

filter f -> bool {
    pkt.len > limt
}
```

Names of other files come in with `use`; the fields of a header can be named in the arm that matched it.
";
    UNKNOWN_TYPE = 202, "a type that does not exist", "\
There is no type of this name. The types are `bool`, `u1` to `u128`, `duration`, `instant`, `rate`, `ip4`, `ip6`, `mac`,
`seq`, `prefix`, and what `enum`, `bits` and `struct` declare.

```oko
const limit: int = 10;
```

Write `u32`.
";
    UNKNOWN_MODULE = 203, "a module that does not exist", "\
A `use` names the module, a dot, and what to bring in from it. The standard headers are in `std.net`.

```oko
use std.nett.ipv4;
```

Write `use std.net.ipv4;`, or `use std.net.{ipv4, tcp};` for several.
";
    NOT_IN_MODULE = 204, "a name that a module does not have", "\
The module exists, but declares nothing of this name. What a module itself brings in with `use` is not passed on.

```oko
use std.net.ipv5;
```
";
    DUPLICATE = 205, "a name that is given twice", "\
In one file a name has one meaning, and so has the name of a field, variant or setting in its declaration. A `next by` names a field once.

```oko
const size: u32 = 1;
const size: u32 = 2;
```
";
    AMBIGUOUS = 206, "a name that can mean several things", "\
The name of a variant can be written alone where its type is known from what it is compared with or stored in, or where
only one type in sight has it.

```oko
enum A { Open, Closed }
enum B { Open, Closed }

filter f -> bool {
    let state = Open;
    state == A.Open
}
```

Write `A.Open`.
";
    NOT_A_VALUE = 207, "a name that is no value", "\
The name stands for a type, header, function or filter, where a value is needed.

```oko
use std.net.ipv4;

filter f -> bool {
    ipv4 == 4
}
```

A header's fields are values inside an arm that matched it: `match pkt { ipv4 => ipv4.ttl == 4, _ => false }`.
";
    NOT_A_TYPE = 208, "a name that is no type", "\
The name stands for a value, header or function, where a type is needed.

```oko
const size: u32 = 1;
const other: size = 2;
```
";
    UNKNOWN_FIELD = 209, "a field that does not exist", "\
The header, struct or type before the dot has nothing of this name.

```oko
use std.net.{ipv4};

filter f -> bool {
    match pkt {
        ipv4 => ipv4.source == 10.0.0.1,
        _ => false,
    }
}
```

The field is called `src`; the fields of the standard headers are described in `stdlib/`.
";
    UNKNOWN_METHOD = 210, "an operation that does not exist", "\
What stands before the dot has no operation of this name. A `counter` and a `window` have `.add(n)` and `.total`, `tokens`
have `.take(n)`, a set has `.insert(key)`, `.remove(key)` and `.contains(key)`.

```oko
state seen: counter;

filter f -> bool {
    seen.increment(1) > 10
}
```

Write `seen.add(1)`.
";
    UNKNOWN_SETTING = 211, "a setting that does not exist", "\
A state has the settings `capacity`, `when_full` and `expire`, with windows also `window`, with tokens also `init`.

```oko
state seen: set[ip4] { capcity: 10, when_full: refuse, expire: 1s };
```

Write `capacity: 10`.
";
    UNKNOWN_ATTRIBUTE = 212, "an attribute that means nothing", "\
An attribute in front of a declaration that has no such attribute. `#[root]` marks the header that packets begin with.

```oko
#[inline]
const size: u32 = 10;
```
";
    TOO_LONG = 213, "a name that is too long", "\
The names of declarations have at most 64 letters.

```oko
const this_name_goes_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on: u32 = 1;
```
";
    UNUSED = 214, "a name that nothing uses", "\
Something is declared, named or brought in by `use`, and nothing uses it. That is a warning. In a file without a filter, declarations are there
for others and nothing is said.

```oko
const limit: u32 = 100;

filter f -> bool {
    pkt.len > 1_000
}
```

Leave it away. The name of a value that is meant to be unused begins with `_`.
";
}
