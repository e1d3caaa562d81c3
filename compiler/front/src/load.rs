//! Which files a program consists of.

use std::collections::HashSet;

use oko_diagnostics::{Diagnostic, FileId, SourceMap};
use oko_grammar::ast;

use crate::resolve::{Unit, use_parts};

/// The parsed files of a program, the root file first.
#[derive(Debug)]
pub struct Files {
    /// The path of each, its tree, and whether it could be read without errors.
    files: Vec<(String, ast::File, bool)>,
    /// What the parser had to say, file by file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Files {
    /// The files as [`analyze`](crate::analyze) takes them.
    pub fn units(&self) -> Vec<Unit<'_>> {
        self.files.iter().map(|(path, file, whole)| Unit { path, file, whole: *whole }).collect()
    }

    /// The tree of the root file.
    pub fn root(&self) -> Option<&ast::File> {
        self.files.first().map(|(_, file, _)| file)
    }
}

/// Parses the root file, which is in `sources` already, and all modules that it uses, and those that they use.
///
/// `find` gives the name to show and the text of a module such as `std.net`. Modules that it does not find are left out; the
/// analysis reports them where they are used.
pub fn load(
    sources: &mut SourceMap,
    root: FileId,
    find: &mut dyn FnMut(&str) -> Option<(String, String)>,
) -> Files {
    let mut loaded = Files { files: Vec::new(), diagnostics: Vec::new() };
    let mut known: HashSet<String> = HashSet::new();
    let mut waiting: Vec<(String, FileId)> = vec![(String::new(), root)];
    while let Some((path, id)) = waiting.pop() {
        let Some(source) = sources.get(id) else { continue };
        let (file, diagnostics) = oko_grammar::parse(id, source.text());
        let whole = !diagnostics.iter().any(Diagnostic::is_error);
        loaded.diagnostics.extend(diagnostics);
        for item in &file.items {
            let ast::ItemKind::Use(import) = &item.kind else { continue };
            let (module, _) = use_parts(import);
            if module.is_empty() || !known.insert(module.clone()) {
                continue;
            }
            if let Some((name, text)) = find(&module)
                && let Some(id) = sources.add(name, text)
            {
                waiting.push((module, id));
            }
        }
        loaded.files.push((path, file, whole));
    }
    loaded
}
