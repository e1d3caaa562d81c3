//! `--emit`: what a phase of the compiler makes of a program.

use std::path::Path;

use oko_compiler::Artifact;

use crate::args::Emit;
use crate::error::Error;
use crate::terminal::Terminal;

/// Prints one of the later phases' results. The syntax tree is printed before there is an artifact.
pub(crate) fn emit(path: &Path, artifact: &Artifact, what: Emit, terminal: &Terminal) -> Result<(), Error> {
    match what {
        Emit::Ast => Ok(()),
        Emit::Ir => terminal.print(&artifact.ir.module().to_string()),
        Emit::Bpf => terminal.print(&artifact.listing),
        Emit::State => terminal.print(&artifact.schema.footprint()),
        Emit::Clif => {
            let mut text = String::new();
            for (index, filter) in artifact.ir.module().filters.iter().enumerate() {
                let code = oko_jit::clif(&artifact.ir, index);
                let wrong = |error: oko_jit::CompileError| Error::Compile {
                    path: path.to_owned(),
                    reason: error.to_string(),
                };
                text += &format!("; {}\n{}\n", filter.name, code.map_err(wrong)?);
            }
            terminal.print(&text)
        }
    }
}
