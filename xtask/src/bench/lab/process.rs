//! A program in the background, ended with its owner.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::shown;

/// How long a program may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

/// A running program; its output goes to a file.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Process> {
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let name = shown(&command);
        let child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
        Ok(Process { name, child, log: log.to_owned() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until something is there, as long as the program runs.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut find: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = find() {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("`{}` ended ({status}) before {what}:\n{}", self.name, self.log());
            }
            if start.elapsed() > patience {
                bail!("`{}`: no {what} in {} s:\n{}", self.name, patience.as_secs(), self.log());
            }
            sleep(STEP);
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // SIGTERM by the system's own tool: the standard library can only kill.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(STEP);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
