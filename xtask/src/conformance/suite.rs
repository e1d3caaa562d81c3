//! The suite: the os-ken package in a Python environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::run;

/// The release that has both the tester and its manager command.
const PACKAGE: &str = "os-ken==2.5.0";

pub(crate) struct Suite {
    environment: PathBuf,
    tests: PathBuf,
}

impl Suite {
    /// Installs the package, once.
    pub(crate) fn install() -> Result<Suite> {
        let folder = run::root().join("target/conformance");
        let environment = folder.join("venv");
        if !environment.join("bin/osken-manager").exists() {
            fs::create_dir_all(&folder)?;
            run::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))
                .context("Debian's package `python3-venv` brings what is missing")?;
            run::run(Command::new(environment.join("bin/pip")).args(["install", "--quiet", PACKAGE]))?;
        }
        let tests = fs::read_dir(environment.join("lib"))?
            .filter_map(Result::ok)
            .map(|entry| entry.path().join("site-packages/os_ken/tests/switch"))
            .find(|path| path.join("tester.py").exists())
            .with_context(|| format!("{PACKAGE} has no switch tests"))?;
        Ok(Suite { environment, tests })
    }

    pub(crate) fn manager(&self) -> PathBuf {
        self.environment.join("bin/osken-manager")
    }

    pub(crate) fn tester(&self) -> PathBuf {
        self.tests.join("tester.py")
    }

    /// What a file calls itself in the log: its first string.
    pub(crate) fn heading(&self, file: &Path) -> Result<String> {
        let text = fs::read_to_string(file)?;
        let values: serde_json::Value = serde_json::from_str(&text)?;
        let heading = values.get(0).and_then(serde_json::Value::as_str);
        Ok(heading.with_context(|| format!("{} has no heading", file.display()))?.to_owned())
    }

    /// The files of a folder.
    pub(crate) fn files(&self, folder: &str) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(&self.tests.join("of13").join(folder), &mut files)?;
        ensure!(!files.is_empty(), "the suite has no folder `{folder}`");
        files.sort();
        Ok(files)
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}
