//! E09xx: parts of Oko that this compiler does not have yet.

codes! {
    CONST_CALL = 919, "calls of functions in settings and rules", "\
This is a part of the language that this version of the compiler does not have yet: calls of functions in settings and rules.

```oko
fn idle() -> duration { 5s }

state seen: set[ip4] { capacity: 10, when_full: refuse, expire: idle() };
```

Write the value, or a constant.
";
}
