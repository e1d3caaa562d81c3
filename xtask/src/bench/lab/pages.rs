//! Huge pages for the time of a measurement.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::run::is_root;

const COUNT: &str = "/proc/sys/vm/nr_hugepages";

/// What packet memory is made of.
pub(super) enum Pages {
    /// Huge pages, with the number that was reserved before if it was changed; that is restored at the end.
    Huge { before: Option<u64> },
    /// Ordinary memory, and why.
    Ordinary(String),
}

impl Pages {
    /// Reserves huge pages for this many MiB, unless there are enough that are free.
    pub(super) fn reserve(mebibytes: u64) -> Pages {
        match try_reserve(mebibytes) {
            Ok(before) => Pages::Huge { before },
            Err(error) => Pages::Ordinary(format!("{error:#}")),
        }
    }

    pub(super) fn are_huge(&self) -> bool {
        matches!(self, Pages::Huge { .. })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Pages::Huge { before: Some(before) } = self
            && let Err(error) = std::fs::write(COUNT, before.to_string())
        {
            eprintln!("cannot set {COUNT} back to {before}: {error}");
        }
    }
}

fn try_reserve(mebibytes: u64) -> Result<Option<u64>> {
    let info = std::fs::read_to_string("/proc/meminfo")?;
    let value = |name: &str| -> Option<u64> {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let size = value("Hugepagesize").context("this kernel has no huge pages")? / 1024;
    ensure!(size > 0, "huge pages of less than 1 MiB");
    let wanted = mebibytes.div_ceil(size);
    ensure!(is_root(), "not root");
    if value("HugePages_Free").unwrap_or(0) >= wanted {
        return Ok(None);
    }
    let before: u64 = std::fs::read_to_string(COUNT)?.trim().parse()?;
    let pages = Pages::Huge { before: Some(before) };
    std::fs::write(COUNT, (before + wanted).to_string()).with_context(|| format!("cannot write {COUNT}"))?;
    let count: u64 = std::fs::read_to_string(COUNT)?.trim().parse()?;
    ensure!(
        count >= before + wanted,
        "the kernel finds only {} of {wanted} huge pages",
        count.saturating_sub(before)
    );
    std::mem::forget(pages);
    Ok(Some(before))
}

/// Where sockets of DPDK programs of this user are.
pub(super) fn runtime_folder() -> PathBuf {
    if is_root() {
        return PathBuf::from("/var/run/dpdk");
    }
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from).join("dpdk")
}
