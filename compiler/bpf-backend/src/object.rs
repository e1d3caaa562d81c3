//! The object file of a compiled module.

use oko_bpf::object::write::{ProgramSpec, Spec};
use oko_ir::Checked;

use crate::Compiled;
use crate::error::BackendError;
use crate::maps::{data_variables, map_specs, rodata_variables};

/// The licence that the kernel is told. The two helpers for spin locks are for everybody; this does not decide about them.
const LICENSE: &str = "Dual MIT/GPL";

/// Writes the object file of a module. `source` gives the text of a line of a file for the line table, if it is known; `sections` are
/// added as they are.
///
/// # Errors
///
/// Names or sections that an object cannot hold.
pub fn write(
    checked: &Checked,
    compiled: &Compiled,
    source: impl Fn(&str, u32) -> Option<String>,
    sections: Vec<(String, Vec<u8>)>,
) -> Result<Vec<u8>, BackendError> {
    let module = checked.module();
    let programs = compiled
        .programs
        .iter()
        .map(|program| {
            let mut lines = program.lines.clone();
            for line in &mut lines {
                line.text = source(&line.file, line.line).unwrap_or_default();
            }
            ProgramSpec { name: program.name.clone(), insns: program.insns.clone(), lines }
        })
        .collect();
    let spec = Spec {
        context: compiled.options.target.context(),
        programs,
        maps: map_specs(module, compiled.spill_bytes),
        data: data_variables(module, compiled.options),
        rodata: rodata_variables(module),
        license: LICENSE.into(),
        extra: sections,
    };
    Ok(oko_bpf::object::write(&spec)?)
}
