//! `okoc verify`: the proofs that a switch does when it loads an object, without loading it.

use std::path::Path;

use oko_bpf::object::{ObjectFile, read_as};
use oko_bpf::program::MapDef;
use oko_bpf::verifier;

use crate::args::VerifyArgs;
use crate::build::bytes;
use crate::error::Error;
use crate::files;
use crate::terminal::Terminal;

/// Verifies all programs of an object, and its IR if it has any.
pub(crate) fn verify(args: &VerifyArgs, terminal: &Terminal) -> Result<(), Error> {
    let path = &args.object;
    let content = files::read(path)?;
    let refuse = |reason: String| Error::Object { path: path.clone(), reason };
    let object = read_as(&content, args.abi.abi()).map_err(|error| refuse(error.to_string()))?;
    let mut text = format!("{}: {}\n", path.display(), counts(&object));
    for map in object.maps.iter().filter(|map| map.data.is_none()) {
        text += &format!("  map {}: {}\n", map.name, describe(map));
    }
    for program in &object.programs {
        let verdict = if args.explain {
            let (known, verdict) = verifier::explain(program.clone());
            // Also of a program that is refused: what was known on the way there.
            terminal.print(&format!("program {}:\n{known}", program.name))?;
            verdict
        } else {
            verifier::verify(program.clone())
        };
        let verified = verdict.map_err(|error| refuse(format!("program `{}`: {error}", program.name)))?;
        text += &format!(
            "  program {}: safe; {} instructions, at most {} of them a packet, {} bytes of stack\n",
            program.name,
            program.insns.len(),
            verified.max_steps(),
            verified.max_stack()
        );
    }
    if let Some(section) = object.section(IR_SECTION) {
        text += &verify_ir(path, section)?;
    }
    terminal.print(&text)
}

/// The section that artifacts carry their IR in.
const IR_SECTION: &str = ".oko.ir";

fn verify_ir(path: &Path, section: &[u8]) -> Result<String, Error> {
    let refuse = |reason: String| Error::Object {
        path: path.to_owned(),
        reason: format!("section `{IR_SECTION}`: {reason}"),
    };
    let text = std::str::from_utf8(section).map_err(|error| refuse(error.to_string()))?;
    let module = oko_ir::text::read(text).map_err(|error| refuse(error.to_string()))?;
    let checked = oko_ir::verify(module)
        .map_err(|errors| refuse(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    let costs = oko_ir::cost(&checked);
    let lines = checked.module().filters.iter().zip(costs).map(|(filter, cost)| {
        format!(
            "  IR of {}: sound; at most {} steps and {} state operations a packet\n",
            filter.name, cost.steps, cost.state_ops
        )
    });
    Ok(lines.collect())
}

fn counts(object: &ObjectFile<'_>) -> String {
    let maps = object.maps.iter().filter(|map| map.data.is_none()).count();
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}", plural(object.programs.len(), "program"), plural(maps, "map"))
}

fn describe(map: &MapDef) -> String {
    let size = u64::from(map.key_size) + u64::from(map.value_size);
    let total = bytes(size.saturating_mul(map.max_entries.into()));
    format!(
        "{}, {} entries of {} + {} bytes, {total}",
        map.kind, map.max_entries, map.key_size, map.value_size
    )
}
