//! Runs the files under `filetests/`. The first line of a file says what is tested:
//!
//! - `; test text`: the module prints as the file reads, comments aside.
//! - `; test verify`: the verifier finds exactly the errors that comments expect: `; error: TEXT` on the line concerned or on lines right
//!   below it that hold nothing else, `; error-in-module: TEXT` anywhere. No such comment: the module is accepted.
//! - `; test pass NAME`, `; test optimize`: the filters become what the comments behind `; becomes:` show. `OKO_BLESS=1` writes down what they
//!   become; look at the difference before you believe it.
//! - `; test run`: the script in the comments ([`oko_ir::testing::script`]) holds.

use std::fs;
use std::path::{Path, PathBuf};

use oko_ir::interp::{Packet, Store, TableKey, run};
use oko_ir::passes::{PASSES, apply, optimize};
use oko_ir::testing::script::{self, Step};
use oko_ir::text::{Lines, read_with_lines};
use oko_ir::verify::{Place, VerifyError};
use oko_ir::{Checked, Module, State, cost, verify};

#[test]
fn files_hold() {
    let mut failures = Vec::new();
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("filetests"));
    assert!(!files.is_empty(), "there are file tests");
    for path in files {
        let text = fs::read_to_string(&path).expect("the file can be read");
        if std::env::var_os("OKO_BLESS").is_some()
            && let Some((before, _)) = text.split_once(BECOMES)
        {
            let after = transformed(before).expect("the passes run");
            fs::write(&path, format!("{before}{BECOMES}{}", commented(&after)))
                .expect("the file can be written");
        }
        if let Err(failure) = run_file(&text) {
            failures.push(format!("{}: {failure}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "oir") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn run_file(text: &str) -> Result<(), String> {
    let first = text.lines().next().unwrap_or_default();
    let (module, lines) = read_with_lines(text).map_err(|error| error.to_string())?;
    round_trips(&module)?;
    match first.strip_prefix("; test ") {
        Some("text") => prints_as_written(text, &module),
        Some(test) if test == "optimize" || test.starts_with("pass ") => {
            let (before, after) = text.split_once(BECOMES).ok_or("there is no `; becomes:`")?;
            same_lines(after, &commented(&transformed(before)?))
        }
        Some("run") => runs_as_expected(text, module),
        Some("verify") => verifies_as_expected(text, module, &lines),
        _ => Err(format!("the first line names no test: {first}")),
    }
}

/// Holds of every module, so it is tried with every file.
fn round_trips(module: &Module) -> Result<(), String> {
    let printed = module.to_string();
    match oko_ir::text::read(&printed) {
        Ok(read) if read == *module => Ok(()),
        Ok(_) => Err(format!("reading what is printed gives another module:\n{printed}")),
        Err(error) => Err(format!("what is printed cannot be read: {error}\n{printed}")),
    }
}

fn prints_as_written(text: &str, module: &Module) -> Result<(), String> {
    let written: Vec<_> = text.lines().filter(|line| !line.starts_with(';')).collect();
    same_lines(&written.join("\n"), &module.to_string())?;
    verify(module.clone()).map(drop).map_err(|errors| format!("{errors:?}"))
}

const BECOMES: &str = "; becomes:\n";

/// The filters of a text behind the passes that its first line names.
fn transformed(text: &str) -> Result<String, String> {
    let module = oko_ir::text::read(text).map_err(|error| error.to_string())?;
    let checked = verify(module).map_err(|errors| format!("{errors:?}"))?;
    let first = text.lines().next().unwrap_or_default();
    let after = match first.strip_prefix("; test pass ") {
        Some(name) => {
            let (_, pass) = PASSES.iter().find(|(known, _)| *known == name).ok_or("no such pass")?;
            apply(*pass, checked).map_err(|errors| format!("{errors:?}"))?
        }
        None => optimize(checked),
    };
    let filters: Vec<_> = after.module().filters.iter().map(ToString::to_string).collect();
    Ok(filters.concat())
}

fn commented(text: &str) -> String {
    text.lines().map(|line| format!("; {line}\n")).collect()
}

fn same_lines(expected: &str, found: &str) -> Result<(), String> {
    if expected.trim() == found.trim() {
        return Ok(());
    }
    let pairs = expected.trim().lines().zip(found.trim().lines());
    let first = pairs.enumerate().find(|(_, (expected, found))| expected != found);
    Err(match first {
        Some((_, (expected, found))) => format!("expected `{expected}`\n   found `{found}`"),
        None => "one text is longer than the other".to_owned(),
    })
}

fn runs_as_expected(text: &str, module: Module) -> Result<(), String> {
    let checked = verify(module).map_err(|errors| format!("{errors:?}"))?;
    let mut store = Store::new(&checked);
    let lines = script::read(text)?;
    if lines.is_empty() {
        return Err("there is no script".to_owned());
    }
    for line in lines {
        run_step(&checked, &mut store, &line.step)
            .map_err(|failure| format!("line {}: {failure}", line.number))?;
    }
    Ok(())
}

fn run_step(checked: &Checked, store: &mut Store, step: &Step) -> Result<(), String> {
    let module = checked.module();
    let state = |name: &str| module.state_named(name).map(State::index).ok_or("no such state");
    match step {
        Step::Run { filter, packet, wire_len, in_port, now, class } => {
            let filter = module.filter_named(filter).ok_or("no such filter")?;
            let packet = Packet { bytes: packet, wire_len: *wire_len, in_port: *in_port };
            let outcome = run(checked, filter, store, packet, *now).map_err(|error| error.to_string())?;
            assert!(outcome.steps <= cost(checked)[filter].steps, "the cost is the most that can happen");
            same("class", class, &outcome.class)
        }
        Step::Param { name, value } => {
            let param = module.param_named(name).ok_or("no such param")?;
            store.set_param(param, *value).map_err(|error| error.to_string())
        }
        Step::Live { state: name, now, entries } => {
            same("entries", entries, &store.dump()[state(name)?].clone().live(*now).entries)
        }
        Step::Refused { state: name, count } => same("count", count, &store.dump()[state(name)?].refused),
        Step::Evicted { state: name, count } => same("count", count, &store.dump()[state(name)?].evicted),
        Step::Seed { seed } => {
            store.set_seed(*seed);
            Ok(())
        }
        Step::Put { state: name, key, fields } => {
            let state = State::from_index(state(name)?);
            store.put(state, whole(module, state, key), fields).map_err(|error| error.to_string())
        }
        Step::Remove { state: name, key } => {
            let state = State::from_index(state(name)?);
            let there = store.remove(state, &whole(module, state, key)).map_err(|error| error.to_string())?;
            same("whether it is there", &true, &there)
        }
        Step::Events { events } => {
            let found: Vec<_> = store
                .take_events()
                .into_iter()
                .map(|record| (module.events[record.event.index()].name.clone(), record.time, record.values))
                .collect();
            same("events", events, &found)
        }
        Step::Dropped { count } => same("count", count, &store.dropped_events()),
    }
}

/// The key with the number of bits that it has if the script does not say.
fn whole(module: &Module, state: State, key: &TableKey) -> TableKey {
    TableKey { bits: key.bits.min(module.states[state.index()].key_bits()), ..key.clone() }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("expected {what} {expected:?}, found {found:?}")) }
}

fn verifies_as_expected(text: &str, module: Module, lines: &Lines) -> Result<(), String> {
    let mut expected = Vec::new();
    let mut concerned = 0;
    for (line, content) in (1..).zip(text.lines()) {
        if !content.trim().is_empty() && !content.trim_start().starts_with(';') {
            concerned = line;
        }
        if let Some((_, message)) = content.split_once("; error: ") {
            expected.push((concerned, message.trim()));
        }
        if let Some((_, message)) = content.split_once("; error-in-module: ") {
            expected.push((0, message.trim()));
        }
    }
    let errors = verify(module).err().unwrap_or_default();
    let mut found: Vec<_> = errors.iter().map(|error| (line_of(error, lines), error.to_string())).collect();
    let mut complaints = Vec::new();
    for (line, message) in expected {
        match found.iter().position(|(at, error)| *at == line && error.contains(message)) {
            Some(index) => drop(found.remove(index)),
            None => complaints.push(format!("line {line}: expected: {message}")),
        }
    }
    complaints.extend(found.into_iter().map(|(line, error)| format!("line {line}: not expected: {error}")));
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n    ")) }
}

fn line_of(error: &VerifyError, lines: &Lines) -> u32 {
    let filter = error.filter.as_ref().map(|(index, _)| &lines.filters[*index]);
    match (error.place, filter) {
        (Place::Param(param), _) => lines.params[param.index()],
        (Place::State(state), _) => lines.states[state.index()],
        (Place::Event(event), _) => lines.events[event.index()],
        (Place::Whole, None) => 0,
        (Place::Whole, Some(filter)) => filter.line,
        (Place::Block(block), Some(filter)) => filter.blocks[block.index()].line,
        (Place::Inst(block, index), Some(filter)) => filter.blocks[block.index()].insts[index],
        (Place::Terminator(block), Some(filter)) => filter.blocks[block.index()].term,
        (place, None) => panic!("{place:?} is in no filter"),
    }
}
