//! What is declared and never used. A name that begins with `_` is meant to be unused, and so is everything in a file that has no
//! filter: it is there for others.

use oko_diagnostics::Diagnostic;
use oko_diagnostics::codes::names;

use super::Checker;
use crate::resolve::Def;

impl Checker<'_, '_> {
    /// Warns of names that nothing uses, of conditions that ranges decide and of lines that take what is asked for, in a program without errors.
    pub(super) fn warnings(&mut self) {
        if self.decls.whole.contains(&false) {
            // What could not be read may have used a name or changed a condition.
            return;
        }
        let conditions = std::mem::take(&mut self.conditions);
        for diagnostic in conditions.into_values().flatten() {
            self.report(diagnostic);
        }
        self.replaced_lines();
        for (span, (name, used)) in std::mem::take(&mut self.bindings) {
            if !used && !name.starts_with('_') {
                self.report(
                    Diagnostic::warning(names::UNUSED, format!("`{name}` is never used"))
                        .label(span, "named here")
                        .help(format!("leave it away, or call it `_{name}`")),
                );
            }
        }
        if self.program.filters.is_empty() {
            return;
        }
        let Some(scope) = self.decls.scopes.first() else { return };
        let mut unused = Vec::new();
        for (name, def, span) in scope.unused() {
            let own = scope.is_own(name);
            // Filters are asked for from outside, and packets begin with the first header.
            let needed = match def {
                Def::Filter | Def::Error => true,
                Def::Header(id) => {
                    own && self.program.headers.get(id.index()).is_none_or(|header| header.is_root)
                }
                _ => false,
            };
            if !needed && !name.starts_with('_') {
                let what = def.describe();
                let (headline, label) = if own {
                    (format!("`{name}` is never used"), format!("{what} that is declared here"))
                } else {
                    (format!("`{name}` is not needed"), format!("{what} that is brought in here"))
                };
                unused.push(
                    Diagnostic::warning(names::UNUSED, headline).label(span, label).help("leave it away"),
                );
            }
        }
        for diagnostic in unused {
            self.report(diagnostic);
        }
    }
}
