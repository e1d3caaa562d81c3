//! `okod`, the command: reads the configuration, runs the switch, ends it on SIGTERM or SIGINT.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use miette::{Diagnostic, Report};
use oko_dpdk::{Eal, set_log_sink};
use okod::{Clock, Config, LogLevel, Switch};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// The Oko switch: forwards packets between DPDK ports as OpenFlow entries and filters say.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration file and start nothing.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Report> {
    let config = Config::read(&arguments.config)?;
    if arguments.check_config {
        println!("{}: no errors, {} ports", arguments.config.display(), config.ports.len());
        return Ok(());
    }
    start_logging(config.log);
    let eal = Eal::init(&config.eal).map_err(Failure::new)?;
    let switch = Switch::start(&eal, &config, Clock::monotonic()).map_err(Failure::new)?;
    switch.run(ended_by_signal()).map_err(Failure::new)?;
    // Whatever still uses DPDK keeps its run-time files; the process ends anyway.
    let _ = eal.cleanup();
    Ok(())
}

/// Ready when the process is asked to end.
async fn ended_by_signal() {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        tracing::error!("cannot wait for signals");
        return;
    };
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!(signal = name, "stopping");
}

/// Logs to stderr. `RUST_LOG` overrides the level of the configuration.
fn start_logging(level: LogLevel) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level.as_str()));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
    set_log_sink(|level, line| match level {
        oko_dpdk::LogLevel::Error => tracing::warn!(target: "dpdk", "{line}"),
        oko_dpdk::LogLevel::Warning | oko_dpdk::LogLevel::Info => tracing::debug!(target: "dpdk", "{line}"),
        oko_dpdk::LogLevel::Debug => tracing::trace!(target: "dpdk", "{line}"),
    });
}

/// An error at run time, with what may help.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl Failure {
    fn new(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(source))
    }
}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let text = self.0.to_string();
        let help = if text.contains("hugepage") {
            "reserve huge pages (`echo 512 > /proc/sys/vm/nr_hugepages` as root), or set `huge_pages = false`"
        } else if text.contains("Permission denied") {
            "okod needs no root for `huge_pages = false` and capture-file ports; the runtime folder is \
             $XDG_RUNTIME_DIR"
        } else {
            return None;
        };
        Some(Box::new(help))
    }
}
