//! A running switch and the operator's commands to it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Programs;
use crate::run::{self, shown};

/// How long a start or stop may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An `okod` that ends with this value.
pub(crate) struct Switch<'p> {
    programs: &'p Programs,
    child: Child,
    log: PathBuf,
}

/// What a port has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PortCounts {
    pub(crate) rx: u64,
    pub(crate) tx: u64,
}

impl<'p> Switch<'p> {
    /// Starts `okod` with a configuration; `before` are words to put before its command, such as `ip netns exec NAME`.
    pub(crate) fn start(programs: &'p Programs, before: &[&str], config: &str) -> Result<Switch<'p>> {
        let (file, log) = (programs.file("okod.toml"), programs.file("okod.log"));
        let socket = programs.file("okod.sock");
        std::fs::write(&file, config)?;
        let _ = std::fs::remove_file(&socket);
        let okod = programs.path("okod").into_os_string();
        let words: Vec<&OsStr> = before.iter().map(OsStr::new).chain([okod.as_os_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("--config").arg(&file);
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        eprintln!("\x1b[1m$ {} &\x1b[0m", shown(&command));
        let child = command.spawn().with_context(|| format!("cannot start `{}`", shown(&command)))?;
        let mut switch = Switch { programs, child, log };
        let start = Instant::now();
        while !socket.exists() {
            if switch.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                bail!("okod did not start; its log:\n{}", switch.log());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(switch)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn okoctl(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.path("okoctl"));
        command.arg("--switch").arg(self.programs.file("okod.sock")).args(words);
        command
    }

    /// Does an operator's command, showing it.
    pub(crate) fn tell(&self, words: &[&str]) -> Result<()> {
        run::run(&mut self.okoctl(words)).with_context(|| format!("okod's log:\n{}", self.log()))
    }

    /// Asks for something and gives the answer.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut command = self.okoctl(words);
        command.arg("--json");
        let output = command.output()?;
        ensure!(
            output.status.success(),
            "`{}` failed: {}",
            shown(&command),
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`{}` printed no JSON", shown(&command)))
    }

    /// What a port has counted.
    pub(crate) fn port(&self, name: &str) -> Result<PortCounts> {
        let ports = self.ask(&["port", "list"])?;
        let rows = ports.as_array().or_else(|| ports["ports"].as_array()).context("no list of ports")?;
        let row = rows.iter().find(|row| row["name"] == name).with_context(|| format!("no port {name}"))?;
        let count =
            |key: &str| row[key].as_u64().with_context(|| format!("no {key} of port {name} in {row}"));
        Ok(PortCounts { rx: count("rx_packets")?, tx: count("tx_packets")? })
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(mut self) -> Result<()> {
        // SIGTERM by the system's own tool: the standard library can only kill.
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "okod ended with {status}; its log:\n{}", self.log());
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "okod does not end; its log:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Switch<'_> {
    fn drop(&mut self) {
        // Only where it was not stopped: after an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
