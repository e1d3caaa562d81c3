//! `okoc`, the Oko compiler: the command line around the library `oko-compiler`, which does no input and output itself.
//!
//! Exit codes, also in `okoc --help`: 0 all is well; 1 a program, object or capture was refused; 2 the command line is wrong; 3 a
//! file could not be read or written.

mod args;
mod build;
mod capture;
mod check;
mod emit;
mod error;
mod explain;
mod files;
mod fmt;
mod run;
mod terminal;
mod test;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::args::{Args, Command};
use crate::error::Error;
use crate::terminal::Terminal;

/// Trees, types and the IR are many small pieces: with the allocator of glibc, a compilation takes three tenths longer.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let terminal = Terminal::new(args.color, args.error_format);
    let done = match args.command {
        Command::Check(args) => check::check(&args, &terminal),
        Command::Build(args) => build::build(&args, &terminal),
        Command::Test(args) => test::test(&args, &terminal),
        Command::Fmt(args) => fmt::fmt(&args, &terminal),
        Command::Run(args) => run::run(&args, &terminal),
        Command::Explain(args) => explain::explain(&args, &terminal),
        Command::Verify(args) => verify::verify(&args, &terminal),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has heard enough, as `head` does.
        Err(Error::Output { error }) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let code = ExitCode::from(error.exit_code());
            terminal.report(error);
            code
        }
    }
}
