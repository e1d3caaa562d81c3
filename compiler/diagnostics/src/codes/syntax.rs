//! E01xx: the shape of the program.

codes! {
    UNEXPECTED = 101, "something stands where it cannot", "\
At the marked place the program cannot go on like this. The message lists what could stand there.

```oko
const limit: = 10;
```

Here a type is missing: `const limit: u32 = 10;`.
";
    UNEXPECTED_END = 102, "the file ends too early", "\
The file ends inside a declaration; often a closing `}` is missing.

```oko
filter all -> bool {
    true
```
";
    TOO_DEEP = 103, "nested too deeply", "\
Brackets may be nested 64 deep, and an expression may have 256 operations within one another; a chain such as
`1 + 1 + 1` counts one for each operator.

```oko
const deep: u32 = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))));
```

Give a part a name with `let`, or move it into a `fn`.
";
    OTHER_SPELLING = 104, "a sign of another language", "\
Oko writes `and`, `or`, `not` and `mod` where other languages write `&&`, `||`, `!` and `%`.

```oko
const both: bool = true && false;
```

Write `true and false`.
";
    MISSING_SEMICOLON = 105, "a missing `;`", "\
`let`, `emit`, `return` and an expression whose value is not used end in `;`, and so do declarations other than
those that end in a block.

```oko
const a: u32 = 1
const b: u32 = 2;
```
";
    MISSING_COMMA = 106, "a missing `,`", "\
The parts of a list, the fields of a header and the arms of a `match` are separated by `,`.

```oko
struct pair { first: u32 second: u32 }
```
";
    UNMATCHED_BRACKET = 107, "a bracket without its partner", "\
Each `(`, `[` and `{` is closed by `)`, `]` and `}` of the same kind.

```oko
const a: u32 = (1 + 2];
```
";
    STRAY_DOC_COMMENT = 108, "a doc comment that belongs to nothing", "\
`///` describes the declaration, field or variant that follows it, `//!` the file, at whose top it stands. Elsewhere
write `//`.

```oko
filter all -> bool {
    /// always
    true
}
```
";
    COMPARISON_CHAIN = 109, "comparisons in a row", "\
Comparisons do not chain: `a < b < c` would compare a truth value with a number.

```oko
const wrong: bool = 1 < 2 < 3;
```

Write `1 < 2 and 2 < 3`.
";
    ASSIGNMENT = 110, "an assignment", "\
Names do not change their value. `=` gives a name its value in `let`; `==` compares; state is changed by `update` and by
the operations of its type.

```oko
filter same -> bool {
    let a = 1;
    a = 2
}
```
";
    RESERVED_WORD = 111, "a word of the language used as a name", "\
Words such as `match`, `let` and `filter` are part of the language and cannot be names.

```oko
const match: u32 = 1;
```
";
}
