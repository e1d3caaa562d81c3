//! E09xx: parts of Oko that this compiler does not have yet.

codes! {
    CONST_CALL = 919, "calls of functions in constants and rules", "\
Functions can be called in filters, functions and settings of states. Constants, and the rules of headers, are computed without them
in this version of the compiler.

```oko
fn half(n: u32) -> u32 { n / 2 }

const a: u32 = half(8);
```

Write the value, or an expression of numbers and constants.
";
}
