//! Running other programs: what is run is shown, and what fails says so.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the repository").to_owned()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end, showing it first.
///
/// # Errors
///
/// If it cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    eprintln!("\x1b[1m$ {shown}\x1b[0m");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// What the machine has once, such as network namespaces of one name: ours until this value is gone. Waits while another run has it, and says so.
///
/// # Errors
///
/// If the file that stands for it cannot be made or locked.
pub(crate) fn hold(name: &str) -> Result<File> {
    let path = std::env::temp_dir().join(format!("{name}.lock"));
    let about = || format!("cannot lock `{}`", path.display());
    let file = File::options().append(true).create(true).open(&path).with_context(about)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("Another run on this machine has `{name}`; waiting until it ends.");
            file.lock().with_context(about)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(about),
    }
    Ok(file)
}
