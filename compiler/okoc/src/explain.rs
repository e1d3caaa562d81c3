//! `okoc explain`.

use oko_diagnostics::{Code, codes};

use crate::args::ExplainArgs;
use crate::error::Error;
use crate::terminal::Terminal;

/// Explains a code, or lists all.
pub(crate) fn explain(args: &ExplainArgs, terminal: &Terminal) -> Result<(), Error> {
    let Some(text) = &args.code else {
        let list: String = codes::all().map(|code| format!("{code}  {}\n", code.title())).collect();
        return terminal.print(&list);
    };
    let code = Code::find(text).ok_or_else(|| Error::UnknownCode { code: text.clone() })?;
    terminal.print(&format!("{code}: {}\n\n{}\n", code.title(), code.explanation().trim_end()))
}
