//! The code of a module for people: each part of the IR, and the source line it is from, above the instructions made of it.

use std::fmt::Write;

use oko_bpf::isa::Insn;
use oko_ir::{Checked, Filter};

use crate::emit::Mark;
use crate::plan::Item;
use crate::{Compiled, CompiledFilter};

/// Lists a compiled module. `source` gives the text of a line of a file, if it is known.
pub fn listing(
    checked: &Checked,
    compiled: &Compiled,
    source: impl Fn(&str, u32) -> Option<String>,
) -> String {
    let mut out = String::new();
    for (filter, program) in checked.module().filters.iter().zip(&compiled.programs) {
        // Writing to a string does not fail.
        let _ = list_filter(filter, program, &source, &mut out);
    }
    out
}

fn list_filter(
    filter: &Filter,
    program: &CompiledFilter,
    source: &impl Fn(&str, u32) -> Option<String>,
    out: &mut String,
) -> std::fmt::Result {
    let texts = IrTexts::of(filter);
    writeln!(
        out,
        "{}: {} instructions, {} bytes of stack",
        filter.name,
        program.insns.len(),
        program.stack_bytes
    )?;
    let mut marks = program.marks.iter().peekable();
    let mut lines = program.lines.iter().peekable();
    for (slot, insn) in program.insns.iter().enumerate() {
        while let Some((_, mark)) = marks.next_if(|(at, _)| *at <= slot) {
            writeln!(out, "  ; {}", texts.of_mark(*mark))?;
        }
        while let Some(line) = lines.next_if(|line| line.slot as usize <= slot) {
            let text = source(&line.file, line.line).unwrap_or_default();
            writeln!(out, "  ;; {}:{} {}", line.file, line.line, text.trim())?;
        }
        if *insn == Insn::HighHalf {
            continue;
        }
        match insn.jump_target(slot) {
            Some(target) => writeln!(out, "{slot:6}: {:<32} # to {target}", insn.to_string())?,
            None => writeln!(out, "{slot:6}: {insn}")?,
        }
    }
    Ok(())
}

/// The lines of a filter's text form, by what they say.
struct IrTexts {
    /// For each block: its head, its instructions, its terminator.
    blocks: Vec<Vec<String>>,
}

impl IrTexts {
    fn of(filter: &Filter) -> IrTexts {
        let text = filter.to_string();
        let mut lines = text.lines().skip(1).map(|line| line.trim().to_owned());
        let blocks =
            filter.blocks.iter().map(|block| lines.by_ref().take(block.insts.len() + 2).collect()).collect();
        IrTexts { blocks }
    }

    fn of_mark(&self, mark: Mark) -> &str {
        let (block, line) = match mark {
            Mark::Block(block) => (block, 0),
            Mark::Item(_, Item::ReadClock) => return "the clock is read here, once",
            Mark::Item(_, Item::Forget) => return "numbers that come here are unknown to verifiers",
            Mark::Item(_, Item::Guard) => return "the kernel may end it here, and never does",
            Mark::Item(block, Item::Inst(index)) => (block, index + 1),
            Mark::Item(block, Item::Term) => (block, self.blocks[block.index()].len() - 1),
        };
        &self.blocks[block.index()][line]
    }
}
