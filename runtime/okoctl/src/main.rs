//! `okoctl`: operates a running Oko switch.

mod commands;
mod failure;
mod output;
mod typed;

use std::process::ExitCode;

use clap::Parser;

use commands::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let as_json = arguments.json;
    let result = commands::run(arguments).and_then(|output| Ok(output.print(as_json)?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::print_failure(failure, as_json);
            ExitCode::FAILURE
        }
    }
}
