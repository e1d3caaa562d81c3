//! `okoc fmt`: the one style.

use std::io::Read;
use std::path::Path;

use oko_compiler::{Source, format};

use crate::args::FmtArgs;
use crate::check::failure;
use crate::error::Error;
use crate::files;
use crate::terminal::Terminal;

/// Formats each file in its place, or says which are not in the one style.
pub(crate) fn fmt(args: &FmtArgs, terminal: &Terminal) -> Result<(), Error> {
    let stdin = args.files.is_empty() || args.files.iter().any(|path| path.as_os_str() == "-");
    if stdin {
        return fmt_stdin(args, terminal);
    }
    let (mut unlike, mut refused) = (0, 0);
    for path in &args.files {
        match fmt_file(path, args.check, terminal) {
            Ok(true) => {}
            Ok(false) => {
                unlike += 1;
                terminal.print(&format!("{}\n", path.display()))?;
            }
            Err(error) if args.files.len() == 1 => return Err(error),
            Err(error) => {
                refused += 1;
                terminal.report(error);
            }
        }
    }
    let count = args.files.len();
    if refused > 0 {
        return Err(Error::Refused { summary: format!("{refused} of {count} programs were refused") });
    }
    if args.check && unlike > 0 {
        return Err(Error::NotFormatted {
            summary: format!("{unlike} of {count} programs are not in the one style"),
        });
    }
    Ok(())
}

fn fmt_stdin(args: &FmtArgs, terminal: &Terminal) -> Result<(), Error> {
    let path = Path::new("-");
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| Error::Read { path: path.to_owned(), error })?;
    let source = files::text(path, bytes)?;
    let formatted = formatted(path, &source, terminal)?;
    if !args.check {
        return terminal.print(&formatted);
    }
    if formatted == source.text {
        return Ok(());
    }
    Err(Error::NotFormatted { summary: "the program is not in the one style".to_owned() })
}

/// Whether a file was in the one style. Unless it is only checked, it is afterwards.
fn fmt_file(path: &Path, check: bool, terminal: &Terminal) -> Result<bool, Error> {
    let source = files::source(path)?;
    let formatted = formatted(path, &source, terminal)?;
    if formatted == source.text {
        return Ok(true);
    }
    if !check {
        files::write(path, formatted.as_bytes())?;
        return Ok(true);
    }
    Ok(false)
}

fn formatted(path: &Path, source: &Source, terminal: &Terminal) -> Result<String, Error> {
    format(source).map_err(|failed| failure(path, *failed, terminal))
}
