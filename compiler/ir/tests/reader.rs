//! What the reader says of texts that are no modules.

use oko_ir::text::read;

#[track_caller]
fn says(text: &str, expected: &str) {
    let error = read(text).expect_err("the text is no module");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    says("", "1:1: expected `oko.ir`, found the end");
    says("oko.ir 2", "1:8: expected version 1, found another version");
    says(
        "oko.ir 1\nfoo",
        "2:1: expected `file`, `param`, `state`, `event`, `filter` or the end, found `foo`",
    );
    says("oko.ir 1 file 1 \"a\"", "1:15: expected `0`, found `1`");
    says("oko.ir 1 file 0 \"a", "1:17: expected a name, found a string without end");
    says("oko.ir 1 file 0 \"é\\n\"", "1:17: expected a name, found an unknown escape");
    says("oko.ir 1 file 0 \"\\u{110000}\"", "1:17: expected a name, found an unknown escape");
    says(
        "oko.ir 1 ; é\n  é",
        "2:3: expected `file`, `param`, `state`, `event`, `filter` or the end, found 'é'",
    );
    says(
        "oko.ir 1 param p0 a: 1 to 99999999999999999999",
        "1:27: expected a number, found `99999999999999999999`",
    );
    says("oko.ir 1 param p0 a: +1", "1:22: expected a number, found '+'");
    says("oko.ir 1 param p0 a: 0x", "1:22: expected a number, found `0x`");
    says("oko.ir 1 state m0 a: list", "1:22: expected `hash`, `array`, `words` or `table`, found `list`");
    says(
        "oko.ir 1 state m0 a: array, capacity 4294967296",
        "1:38: expected a number below 2^32, found 4294967296",
    );
    says(
        "oko.ir 1 state m0 a: array, capacity 1, key(a: u7)",
        "1:48: expected `u8`, `u16`, `u32` or `u64`, found `u7`",
    );
}

#[test]
fn errors_in_filters_name_the_place() {
    let filter = |body: &str| format!("oko.ir 1\nfilter f -> bool {{\n{body}\n}}");
    says(&filter("block1:"), "3:1: expected `block0` or `}`, found `block1`");
    says(&filter("block0: v0 = frob"), "3:14: expected an instruction or terminator, found `frob`");
    says(&filter("block0: v00 = true"), "3:9: expected an instruction or terminator, found `v00`");
    says(&filter("block0: v0 = true"), "4:1: expected an instruction, found `}`");
    says(&filter("block0: v0 = add v1"), "4:1: expected `,`, found `}`");
    says(
        &filter("block0: v4294967296 = true"),
        "3:9: expected an instruction or terminator, found `v4294967296`",
    );
}

#[test]
fn a_large_number_makes_no_large_table() {
    let text = "oko.ir 1 filter f -> bool { block0: v4294967295 = true return v4294967295 }";
    says(text, "1:37: expected a value below v1, as many as the filter defines, found `v4294967295`");
}

#[test]
fn names_come_back_whatever_they_contain() {
    let name = "a \"b\" \\ ; \n\r\t\u{0}\u{85}é\u{2028}🙂";
    let module = oko_ir::Module { files: vec![name.to_owned(), String::new()], ..oko_ir::Module::default() };
    assert_eq!(read(&module.to_string()), Ok(module));
}

#[test]
fn the_example_of_the_documentation_prints_as_it_is() {
    let source = include_str!("../src/text/mod.rs");
    let (_, example) = source.split_once("//! ```text\n").expect("there is an example");
    let (example, _) = example.split_once("//! ```").expect("the example ends");
    let example: String =
        example.lines().map(|line| format!("{}\n", line.get(4..).unwrap_or_default())).collect();
    let module = read(&example).expect("the example is a module");
    assert_eq!(module.to_string(), example);
    assert!(oko_ir::verify(module).is_ok(), "the example verifies");
}
