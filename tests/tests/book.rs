//! The book says what is true: its programs compile, or fail with the message that is printed beside them; its
//! configurations are accepted; its tables and indexes list everything there is; its links lead somewhere.
//!
//! What is derived from the sources stands in the book as text. `OKO_WRITE_BOOK=1 cargo test -p oko-tests --test book`
//! writes it anew; without the variable, text that is not up to date fails the test.
//!
//! Blocks by the word behind the fence: `oko` compiles without a warning, is accepted by the Linux kernel where that can be asked, and passes its own tests, `oko,fails(E0302)` fails with just that code and with the
//! message in the `text` block behind it; `ir` and `bpf` blocks behind a program are what becomes of it. `oko,shows(E0308)` gives an error or warning with that code, `oko,hint` is no whole program. `toml` blocks of the chapter on `okod`
//! are whole configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use miette::Diagnostic as _;
use oko_compiler::{NoFiles, Options, Source, parse};
use oko_diagnostics::{Colour, Diagnostic, FileId, SourceMap, Span, codes, render_all};
use oko_filter::{Instance, LoadOptions, Packet};
use oko_grammar::ast::{FieldRule, Header, HeaderBody, HeaderField, ItemKind};
use oko_openflow::oko::{OkoErrorCode, Operation, Request};
use oko_openflow::{FilterId as OpenFlowFilterId, FilterMatch, FlowMod, FlowModCommand, Message};
use oko_tests::captures::{self, Recorded};
use oko_tests::ebnf;
use oko_tests::examples::{Build, compile_text};
use oko_tests::{examples, kernel, programs};
use okod::Config;

/// The name that programs of the book have in messages.
const FILE: &str = "filter.oko";

fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/src")
}

fn writes() -> bool {
    env::var_os("OKO_WRITE_BOOK").is_some()
}

/// The chapters of the summary: path below `src` and text.
fn chapters() -> BTreeMap<String, String> {
    let summary = fs::read_to_string(source_dir().join("SUMMARY.md")).expect("there is a summary");
    links(&summary)
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(source_dir().join(&path));
            let text = text.unwrap_or_else(|error| panic!("{path} of the summary: {error}"));
            (path, text)
        })
        .collect()
}

/// Compares a chapter with what it should be, or writes it.
fn settle(path: &str, is: &str, should: &str) {
    if is == should {
        return;
    }
    if writes() {
        fs::write(source_dir().join(path), should).expect("the book can be written");
        return;
    }
    let line = is
        .lines()
        .zip(should.lines())
        .position(|(a, b)| a != b)
        .unwrap_or(is.lines().count().min(should.lines().count()));
    let shown = should.lines().skip(line).take(12).collect::<Vec<_>>().join("\n");
    panic!(
        "{path} is not up to date from line {} on (OKO_WRITE_BOOK=1 writes it anew); it should go on with:\n{shown}",
        line + 1
    );
}

/// A fenced block.
#[derive(Clone, Debug)]
struct Block {
    /// What stands behind the opening fence.
    info: String,
    /// Its first line in the chapter, counted from 1.
    line: usize,
    /// Where its text is in the chapter.
    range: std::ops::Range<usize>,
    text: String,
}

fn blocks(chapter: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    let mut at = 0;
    for (number, line) in chapter.split_inclusive('\n').enumerate() {
        let end = at + line.len();
        if let Some(info) = line.trim_end().strip_prefix("```") {
            match open.take() {
                None => open = Some((info.to_owned(), number + 2, end)),
                Some((info, line, start)) => {
                    blocks.push(Block { info, line, range: start..at, text: chapter[start..at].to_owned() });
                }
            }
        }
        at = end;
    }
    assert!(open.is_none(), "a block has no end: {open:?}");
    blocks
}

/// The chapter with its blocks blanked.
fn prose(chapter: &str) -> String {
    let mut inside = false;
    let keep = |line: &&str| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    chapter.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

/// The targets of all links in a text, in order.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("](").skip(1) {
        if let Some((target, _)) = part.split_once(')') {
            found.push(target.to_owned());
        }
    }
    found
}

/// The anchors that mdBook makes of a chapter's headings.
fn anchors(chapter: &str) -> BTreeSet<String> {
    let headings = prose(chapter);
    let headings =
        headings.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.chars().filter_map(|c| match c {
                c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
                c if c.is_whitespace() => Some('-'),
                _ => None,
            });
            kept.collect()
        })
        .collect()
}

/// What the compiler makes of a program.
#[derive(Default)]
struct Compiled {
    /// Errors and warnings.
    found: Vec<Diagnostic>,
    sources: SourceMap,
    /// The IR and the BPF code, if there are filters.
    ir: String,
    bpf: String,
}

fn compile(text: &str) -> Compiled {
    let checked = match parse(Source::new(FILE, text), &NoFiles).check() {
        Ok(checked) => checked.optimize(),
        Err(failed) => {
            assert!(!failed.diagnostics.is_empty(), "fails without a word: {failed}\n{text}");
            return Compiled { found: failed.diagnostics, sources: failed.sources, ..Compiled::default() };
        }
    };
    let (found, sources) = (checked.warnings(), checked.sources().clone());
    if checked.ir().module().filters.is_empty() {
        return Compiled { found, sources, ..Compiled::default() };
    }
    let artifact = match checked.assemble(&Options::default()) {
        Ok(artifact) => artifact,
        // Over its budget.
        Err(failed) if !failed.diagnostics.is_empty() => {
            return Compiled { found: failed.diagnostics, sources: failed.sources, ..Compiled::default() };
        }
        Err(failed) => panic!("{failed}\n{text}"),
    };
    let (ir, bpf) = (artifact.ir.module().to_string(), artifact.listing);
    Compiled { found, sources, ir, bpf }
}

/// The code in `fails(E0302)` or `shows(E0308)`.
fn code_of<'i>(info: &'i str, word: &str) -> Option<&'i str> {
    info.strip_prefix("oko,")?.strip_prefix(word)?.strip_prefix('(')?.strip_suffix(')')
}

#[test]
fn programs_compile_or_fail_as_printed() {
    let kernel = !kernel::is_missing();
    let mut wrong = Vec::new();
    for (path, chapter) in chapters() {
        let blocks = blocks(&chapter);
        // What blocks should say, from the back, so that places in front stay right.
        let mut should = chapter.clone();
        for (at, block) in blocks.iter().enumerate().rev() {
            let mut made = BTreeMap::new();
            if let Err(what) = check_program(block, kernel, &mut made) {
                wrong.push(format!("{path}:{} ({}) {what}", block.line, block.info));
            }
            for printed in blocks[at + 1..]
                .iter()
                .take_while(|next| made.contains_key(next.info.as_str()))
                .collect::<Vec<_>>()
                .iter()
                .rev()
            {
                should.replace_range(printed.range.clone(), &made[printed.info.as_str()]);
            }
        }
        if wrong.is_empty() || writes() {
            settle(&path, &chapter, &should);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What the first program of the first steps is built to, lines broken where they are long.
#[test]
fn the_first_program_is_built_as_printed() {
    let chapter = fs::read_to_string(source_dir().join("getting-started.md")).unwrap();
    let blocks = blocks(&chapter);
    let program = blocks.iter().find(|block| block.info == "oko").expect("a program");
    let command =
        blocks.iter().position(|block| block.text.trim() == "$ okoc build scan.oko").expect("it is built");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scan.oko"), &program.text).unwrap();
    let mut okoc = Command::new(programs::path("okoc"));
    let printed = programs::run(okoc.current_dir(folder.path()).args(["build", "scan.oko"])).succeeded();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        words(&blocks[command + 1].text),
        words(&printed),
        "getting-started.md:{}",
        blocks[command + 1].line
    );
}

/// Checks a program and says what the blocks of other kinds behind it have to be.
fn check_program(
    block: &Block,
    kernel: bool,
    made: &mut BTreeMap<&'static str, String>,
) -> Result<(), String> {
    if !block.info.starts_with("oko") || block.info == "oko,hint" {
        return Ok(());
    }
    let Compiled { found, sources, ir, bpf } = compile(&block.text);
    let message = render_all(&found, &sources, Colour::None);
    let only = |code: &str| found.iter().all(|one| one.code.to_string() == code);
    if block.info == "oko" {
        made.extend([("ir", trimmed(&ir)), ("bpf", trimmed(&bpf))]);
        if !found.is_empty() {
            return Err(format!("should compile:\n{message}"));
        }
        if kernel && !bpf.is_empty() {
            let object = compile_text(FILE, block.text.clone(), Build::Kernel).bytes;
            kernel::load(&object).map_err(|error| format!("is refused by the kernel: {error}"))?;
        }
        return run_tests(&block.text);
    }
    if let Some(code) = code_of(&block.info, "shows") {
        let shown = found.iter().any(|one| one.code.to_string() == code);
        return if shown { Ok(()) } else { Err(format!("does not show {code}:\n{message}")) };
    }
    let code = code_of(&block.info, "fails").ok_or("has unknown words behind the fence")?;
    made.insert("text", trimmed(&message));
    if found.iter().any(Diagnostic::is_error) && only(code) {
        Ok(())
    } else {
        Err(format!("does not fail with just {code}:\n{message}"))
    }
}

/// Runs the tests that a program of the book contains, on all engines.
fn run_tests(text: &str) -> Result<(), String> {
    let program = parse(Source::new(FILE, text), &NoFiles).check().map_err(|failed| failed.to_string())?;
    for at in 0..program.tests().len() {
        let report = oko_tester::run(&program, at, &oko_tester::Engine::ALL, &oko_tester::NoCaptures);
        let failures: Vec<Diagnostic> =
            report.failures.into_iter().map(|failure| failure.diagnostic).collect();
        if !failures.is_empty() {
            let shown = render_all(&failures, program.sources(), Colour::None);
            return Err(format!("its test {:?} fails:\n{shown}", report.name));
        }
    }
    Ok(())
}

/// Without spaces at the ends of lines.
fn trimmed(message: &str) -> String {
    message.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn links_lead_somewhere() {
    let chapters = chapters();
    let mut wrong = Vec::new();
    for (path, chapter) in &chapters {
        for target in links(&prose(chapter)) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) =
                target.split_once('#').map_or((target.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let file = if file.is_empty() { path.clone() } else { joined(path, file) };
            match (chapters.get(&file), anchor) {
                (None, None) if is_plot(&file) && source_dir().join(&file).is_file() => {}
                (None, _) => wrong.push(format!("{path}: no chapter {target}")),
                (Some(chapter), Some(anchor)) if !anchors(chapter).contains(anchor) => {
                    wrong.push(format!("{path}: no heading {target}"));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a file is a plot, which chapters show.
fn is_plot(file: &str) -> bool {
    file.ends_with(".svg")
}

/// A relative path as seen from a chapter.
fn joined(from: &str, to: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in to.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The tests that the chapter on the first Oko names are there.
#[test]
fn every_defect_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut known = BTreeSet::new();
    let mut open: Vec<PathBuf> =
        ["runtime", "compiler", "tests", "grammar"].map(|folder| root.join(folder)).to_vec();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("folders of the repository can be read") {
            let path = entry.expect("folders of the repository can be read").path();
            let is = |extension: &str| path.extension().is_some_and(|found| found == extension);
            if path.is_dir() {
                open.push(path);
            } else if is("rs") || is("cases") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let tests = text.lines().filter_map(|line| {
                    let line = line.trim_start();
                    let name = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                    name.or_else(|| line.strip_prefix("### ")).map(|name| name.trim().to_owned())
                });
                known.extend(tests);
            }
        }
    }
    let chapters = chapters();
    let (_, table) =
        chapters["design/original.md"].split_once("## Where each is tested").expect("the table is there");
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| defect"));
    let mut count = 0;
    for row in rows {
        let tests = row.rsplit('|').nth(1).unwrap_or_default();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(known.contains(name), "no test `{name}`, in: {row}");
            count += 1;
        }
    }
    assert!(count > 40, "{count} tests");
}

#[test]
fn every_file_is_in_the_summary_or_a_plot_that_a_chapter_shows() {
    let chapters = chapters();
    let shown: BTreeSet<String> = chapters
        .iter()
        .flat_map(|(path, chapter)| links(&prose(chapter)).into_iter().map(move |to| joined(path, &to)))
        .filter(|file| is_plot(file))
        .collect();
    let mut open = vec![source_dir()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("the book's folders can be read") {
            let path = entry.expect("the book's folders can be read").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let below = path
                    .strip_prefix(source_dir())
                    .expect("it was found there")
                    .to_string_lossy()
                    .into_owned();
                assert!(
                    below == "SUMMARY.md" || chapters.contains_key(&below) || shown.contains(&below),
                    "{below} is in no chapter list, and no chapter shows it"
                );
            }
        }
    }
}

/// The text between `<!-- NAME -->` and `<!-- end -->` replaced.
fn with_part(chapter: &str, name: &str, part: &str) -> String {
    let begin = format!("<!-- {name} -->\n");
    let (before, rest) = chapter.split_once(&begin).unwrap_or_else(|| panic!("no part `{name}`"));
    let (_, after) =
        rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("the part `{name}` has no end"));
    format!("{before}{begin}\n{part}\n<!-- end -->{after}")
}

fn chapter(path: &str) -> String {
    fs::read_to_string(source_dir().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the ranges of codes are about.
const RANGES: &[(u16, &str)] = &[
    (0, "Characters and literals"),
    (1, "The shape of the program"),
    (2, "Names and modules"),
    (3, "Types and ranges of numbers"),
    (4, "Headers and packets"),
    (5, "State and params"),
    (6, "Filters and results"),
    (7, "Tests, and the packets that they build"),
];

/// Codes whose examples only hint at what is too large to be shown, or is found by running a test.
const HINTED: &[u16] = &[411, 606, 607, 707, 708, 709, 710];

#[test]
fn the_error_index_is_up_to_date() {
    let mut index = String::new();
    let mut range = None;
    for code in codes::all() {
        let about =
            RANGES.iter().find(|(range, _)| *range == code.number() / 100).expect("every range has a title");
        if range.replace(about.0) != Some(about.0) {
            let _ = writeln!(index, "## {}\n", about.1);
        }
        let fence = if HINTED.contains(&code.number()) {
            "```oko,hint\n".to_owned()
        } else {
            format!("```oko,shows({code})\n")
        };
        let text = code.explanation().replace("```oko\n", &fence);
        let _ = writeln!(index, "### {code}\n\n*{}*\n\n{}", code.title(), text);
    }
    let is = chapter("errors.md");
    settle("errors.md", &is, &with_part(&is, "codes", index.trim_end()));
}

#[test]
fn the_library_chapter_is_up_to_date() {
    let mut text = String::new();
    for module in oko_stdlib::modules() {
        let _ = writeln!(text, "## `{module}`\n");
        let source = oko_stdlib::source(module).expect("a listed module has a text");
        library_module(source, &mut text);
    }
    let is = chapter("language/stdlib.md");
    settle("language/stdlib.md", &is, &with_part(&is, "library", text.trim_end()));
}

/// The parts of the grammar's chapter: title, what is said in front, and the first rule.
const GRAMMAR_PARTS: &[(&str, &str, &str)] = &[
    (
        "Declarations",
        "A file is a row of declarations, each with its comments and attributes in front.",
        "File",
    ),
    ("Types and paths", "", "Type"),
    (
        "Blocks and statements",
        "The last expression of a block, without a `;`, is its value. An `if`, `match`, `for` or block that stands last is it, too.",
        "Block",
    ),
    (
        "Expressions",
        "`if`, `match`, `for` and blocks are values, but no operands: within operators they stand in parentheses. An arm that has one \
         as its value needs no comma.",
        "Expression",
    ),
    ("Patterns", "", "Patterns"),
    (
        "Operators",
        "The loosest first: what is further down binds closer. All associate to the left, but comparisons, which do not chain.",
        "OpExpression",
    ),
    (
        "Literals and names",
        "Words that mean something only in their place are names everywhere else; all other words in quotes are reserved.",
        "Literal",
    ),
];

#[test]
fn the_grammar_chapter_is_up_to_date() {
    let grammar = ebnf::lalrpop::read(
        include_str!("../../grammar/src/oko.lalrpop"),
        &ebnf::lalrpop::texts(include_str!("../../grammar/src/token.rs")),
    );
    let begins: Vec<usize> = GRAMMAR_PARTS
        .iter()
        .map(|(title, _, first)| {
            let at = grammar.rules.iter().position(|(name, _)| name == first);
            at.unwrap_or_else(|| panic!("{title}: no rule {first}"))
        })
        .collect();
    assert!(begins[0] == 0 && begins.is_sorted(), "the parts are in the order of the rules");
    let mut text = String::new();
    for (part, (title, about, _)) in GRAMMAR_PARTS.iter().enumerate() {
        let end = begins.get(part + 1).copied().unwrap_or(grammar.rules.len());
        let _ = writeln!(text, "## {title}\n");
        if !about.is_empty() {
            let _ = writeln!(text, "{about}\n");
        }
        text += "```ebnf\n";
        text.extend(grammar.rules[begins[part]..end].iter().map(|(name, body)| ebnf::print(name, body)));
        text += "```\n\n";
    }
    let is = chapter("language/grammar.md");
    settle("language/grammar.md", &is, &with_part(&is, "grammar", text.trim_end()));
}

/// What a module declares, as the book shows it.
fn library_module(source: &str, out: &mut String) {
    let (file, errors) = oko_grammar::parse(FileId(0), source);
    assert!(errors.is_empty(), "{errors:?}");
    let written = |span: Span| source.get(span.range()).unwrap_or_default();
    if let Some(docs) = &file.docs {
        let _ = writeln!(out, "{}\n", docs.text.trim());
    }
    for item in &file.items {
        let about = item.docs.as_ref().map(|doc| doc.text.trim()).unwrap_or_default();
        let name = match &item.kind {
            ItemKind::Use(_) => continue,
            ItemKind::Header(node) => &node.name.name,
            ItemKind::Bits(node) => &node.name.name,
            ItemKind::Const(node) => &node.name.name,
            ItemKind::Union(node) => &node.name.name,
            ItemKind::Struct(node) => &node.name.name,
            ItemKind::Fn(node) => &node.name.name,
            ItemKind::Enum(node) => &node.name.name,
            ItemKind::TypeAlias(node) => &node.name.to_string(),
            _ => panic!("the book does not show this kind of declaration yet: {}", written(item.span)),
        };
        let _ = writeln!(out, "### `{name}`\n\n{about}\n");
        for attribute in &item.attributes {
            let _ = writeln!(out, "`{}`\n", written(attribute.span));
        }
        match &item.kind {
            ItemKind::Header(header) => library_header(header, &written, out),
            ItemKind::Bits(bits) => {
                let names: Vec<String> =
                    bits.variants.iter().map(|variant| format!("`{}`", variant.name.name)).collect();
                let _ = writeln!(out, "A `bits` type of {}: {}.\n", written(bits.ty.span), names.join(", "));
            }
            ItemKind::Struct(of) => {
                let params: Vec<&str> =
                    of.params.iter().flatten().map(|param| written(param.ty.span)).collect();
                let _ = writeln!(out, "Computed by `{}({})`.\n", of.name.name, params.join(", "));
                *out += "| field | type | |\n|---|---|---|\n";
                for field in &of.fields {
                    library_row(&field.name.name, written(field.ty.span), field.docs.as_ref(), "", out);
                }
                out.push('\n');
            }
            ItemKind::Fn(function) => {
                let head = Span { end: function.body.span.start, ..item.span };
                let _ = writeln!(out, "`{}`\n", written(head).trim());
            }
            _ => {
                let _ = writeln!(out, "`{}`\n", written(item.span));
            }
        }
    }
}

fn library_row(name: &str, ty: &str, about: Option<&oko_grammar::ast::Doc>, rule: &str, out: &mut String) {
    let about = about.map(|doc| doc.text.trim().replace('\n', " ")).unwrap_or_default();
    let cell = |text: &str| text.replace('|', "\\|");
    let (ty, about) = (cell(ty), cell(&format!("{about}{rule}")));
    let _ = writeln!(out, "| `{name}` | `{ty}` | {} |", about.trim());
}

fn library_fields<'s>(fields: &[HeaderField], written: &dyn Fn(Span) -> &'s str, out: &mut String) {
    *out += "| field | type | |\n|---|---|---|\n";
    for field in fields {
        let rule = match &field.rule {
            Some(FieldRule::Fixed(value)) => format!(" Always `{}`.", written(value.span)),
            Some(FieldRule::Where(rule)) => format!(" Valid if `{}`.", written(rule.span)),
            None => String::new(),
        };
        library_row(&field.name.name, written(field.ty.span), field.docs.as_ref(), &rule, out);
    }
}

fn library_header<'s>(header: &Header, written: &dyn Fn(Span) -> &'s str, out: &mut String) {
    match &header.body {
        HeaderBody::Fields(fields) => library_fields(fields, written, out),
        HeaderBody::Tagged { tag, ty, forms } => {
            let _ = writeln!(out, "The field `{}: {}` says which form it has:\n", tag.name, written(ty.span));
            for form in forms {
                let about = form.docs.as_ref().map(|doc| doc.text.trim()).unwrap_or_default();
                let _ = writeln!(out, "- `{}`: `{}`. {about}\n", written(form.pattern.span), form.name.name);
                if !form.fields.is_empty() {
                    library_fields(&form.fields, written, out);
                    out.push('\n');
                }
            }
            return;
        }
    }
    let Some(next) = &header.next else {
        *out += "\nNothing follows.\n\n";
        return;
    };
    let _ = writeln!(out, "\nWhat follows, by `{}`:\n", written(next.by.span));
    for arm in &next.arms {
        let tunnel = if arm.attributes.is_empty() { "" } else { ", a packet within the packet" };
        let _ = writeln!(out, "- `{}`: `{}`{tunnel}", written(arm.pattern.span), written(arm.header.span));
    }
    out.push('\n');
}

#[test]
fn the_filter_condition_has_the_bytes_shown() {
    let chapter = chapter("openflow.md");
    let shown =
        blocks(&chapter).into_iter().find(|block| block.info == "hex").expect("the condition is shown");
    let shown: Vec<u8> = shown
        .text
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).expect("bytes in hexadecimal"))
        .collect();
    let mut flow = FlowMod::new(FlowModCommand::Add);
    flow.matching.filter = Some(FilterMatch { filter: OpenFlowFilterId(7), class: 1 });
    let message = Message::FlowMod(flow).encode(1).expect("a flow-mod is short");
    assert!(
        message.windows(shown.len()).any(|bytes| bytes == shown),
        "{shown:02x?} is not in {message:02x?}"
    );
}

#[test]
fn every_operation_and_error_of_ours_is_listed() {
    let chapter = chapter("openflow.md");
    let rows = |number: &str, name: &str| {
        let listed = chapter.lines().any(|line| line.starts_with(&format!("| {number} | {name} |")));
        assert!(listed, "the chapter on OpenFlow has no row for {number} {name}");
    };
    for operation in Operation::ALL {
        rows(&format!("`{:#04x}`", *operation as u32), &operation.to_string());
    }
    for code in OkoErrorCode::ALL {
        rows(&(*code as u16).to_string(), &format!("`{code}`"));
    }
    let reserved = chapter.lines().filter(|line| line.contains("| only the switch sends it |")).count();
    let refused = Operation::ALL
        .iter()
        .filter(|operation| matches!(Request::decode(**operation, &[]), Err(error) if error.code == OkoErrorCode::Unsupported));
    assert_eq!(
        reserved,
        refused.count(),
        "as many operations are said to be the switch's as the codec refuses"
    );
}

#[test]
fn configurations_are_accepted() {
    for path in ["okod.md", "getting-started.md"] {
        let chapter = chapter(path);
        let files = blocks(&chapter).into_iter().filter(|block| block.info == "toml");
        let mut count = 0;
        for block in files {
            count += 1;
            let place = format!("{path}:{}", block.line);
            if let Err(error) = Config::parse(&place, &block.text) {
                panic!("{error}: {:?}", error.findings());
            }
        }
        assert!(count > 0, "{path} shows no configuration");
    }
}

/// The sections of a configuration: what starts one, and what stands in front of its table of keys.
const SECTIONS: &[(&str, &str)] = &[
    ("", "At the top:"),
    ("[dpdk]\n", "`[dpdk]`,"),
    ("[worker]\n", "`[worker]`,"),
    ("[openflow]\n", "`[openflow]`,"),
    ("[[port]]\n", "`[[port]]`,"),
];

#[test]
fn the_configuration_reference_lists_all_keys() {
    let chapter = chapter("okod.md");
    for (section, before) in SECTIONS {
        let (_, table) =
            chapter.split_once(&format!("\n{before}")).unwrap_or_else(|| panic!("no table after {before}"));
        let rows =
            table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let listed: BTreeSet<&str> =
            rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key).collect();
        // The reader's own list of what it knows.
        let error = Config::parse("keys.toml", &format!("{section}no_such_key_at_all = 1"))
            .expect_err("there is no such key");
        let help =
            error.findings()[0].help().expect("an unknown key is answered with the known ones").to_string();
        let known = help.strip_prefix("known here: ").unwrap_or_else(|| panic!("{section}: {help}"));
        // At the top, sections are keys too.
        let sections = ["dpdk", "worker", "openflow", "port"];
        let known: BTreeSet<&str> =
            known.split(", ").filter(|key| !section.is_empty() || !sections.contains(key)).collect();
        assert_eq!(listed, known, "the keys of {section:?} in the chapter, and those that okod takes");
    }
}

#[test]
fn the_walk_through_counts_what_it_says() {
    let chapter = chapter("getting-started.md");
    let program =
        blocks(&chapter).into_iter().find(|block| block.info == "oko").expect("it begins with a program");
    let artifact = parse(Source::new(FILE, program.text), &NoFiles)
        .check()
        .and_then(|checked| checked.optimize().assemble(&Options::default()))
        .unwrap_or_else(|failed| panic!("{failed}"));
    let instance =
        Instance::load(&artifact.bytes, &LoadOptions::default()).expect("what was compiled can be loaded");
    let filter = instance.filters()[0].id;
    let packets = captures::read(&examples::folder().join("captures/scan.pcap"));
    let matches =
        |packet: &&Recorded| instance.run(filter, Packet::new(&packet.bytes, 1), packet.now).is_match();
    let (matched, all) = (packets.iter().filter(matches).count(), packets.len());
    for said in [
        format!("filter scanning on {all} packets"),
        format!("  no match  {:>10}", all - matched),
        format!("  match     {matched:>10}"),
        format!("{matched} packets are dropped and {} forwarded", all - matched),
    ] {
        assert!(chapter.contains(&said), "the chapter does not say `{said}`");
    }
}
