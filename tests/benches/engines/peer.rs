//! The examples in C: compiled by `clang -O2` when the benchmark starts, loaded as shared objects.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libloading::Library;
use oko_filter::{Packet, Verdict};

type New = unsafe extern "C" fn() -> *mut c_void;
type Run = unsafe extern "C" fn(*mut c_void, *const Packet<'_>, u64, u64, *mut Verdict);
type Free = unsafe extern "C" fn(*mut c_void);

/// A filter in C, compiled.
pub(crate) struct Peer {
    source: PathBuf,
    flags: Vec<String>,
    new: New,
    run: Run,
    free: Free,
    /// What the functions live in.
    _library: Library,
}

/// The compiler's options.
const OPTIONS: [&str; 6] = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC"];

/// What calls itself clang here.
pub(crate) fn clang_version() -> Result<String> {
    let output = Command::new("clang").arg("--version").output().context("cannot start clang")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

impl Peer {
    /// Compiles a filter of `examples/c` to a shared object and loads it.
    pub(crate) fn compile(source: &Path, flags: &[&str], object: &Path) -> Result<Peer> {
        let mut clang = Command::new("clang");
        clang.args(OPTIONS).args(flags).arg("-shared").arg("-o").arg(object).arg(source);
        let output = clang.output().context("cannot start clang (`cargo xtask setup` installs it)")?;
        if !output.status.success() {
            bail!(
                "clang does not compile {}:\n{}",
                source.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        // SAFETY: the file was just made from sources of this repository, which have no initialisers.
        let library = unsafe { Library::new(object) }?;
        // SAFETY: `filter.h` declares the functions so.
        let (new, run, free) = unsafe {
            (
                *library.get::<New>(b"filter_new")?,
                *library.get::<Run>(b"filter_run")?,
                *library.get::<Free>(b"filter_free")?,
            )
        };
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        Ok(Peer { source: source.to_owned(), flags, new, run, free, _library: library })
    }

    /// How long `clang -O2 -c` takes for it, the whole process.
    pub(crate) fn compile_time(&self, object: &Path) -> Result<Duration> {
        let mut clang = Command::new("clang");
        clang.args(OPTIONS).args(&self.flags).arg("-c").arg("-o").arg(object).arg(&self.source);
        let begin = Instant::now();
        let status = clang.status()?;
        let time = begin.elapsed();
        ensure!(status.success(), "clang does not compile {}", self.source.display());
        Ok(time)
    }

    /// The filter with empty state.
    pub(crate) fn instance(&self) -> Result<PeerInstance<'_>> {
        // SAFETY: it takes no arguments.
        let state = NonNull::new(unsafe { (self.new)() });
        Ok(PeerInstance { peer: self, state: state.context("no memory for a filter in C")? })
    }
}

/// A filter in C with state.
pub(crate) struct PeerInstance<'p> {
    peer: &'p Peer,
    state: NonNull<c_void>,
}

impl PeerInstance<'_> {
    /// Asks it about a burst.
    #[inline]
    pub(crate) fn run(&mut self, packets: &[Packet<'_>], now: u64, verdicts: &mut [Verdict]) {
        assert_eq!(packets.len(), verdicts.len(), "a verdict for each packet");
        // SAFETY: the state is this library's and used by us alone; packets have the layout of `struct packet`; there are as
        // many verdicts, transparent 32-bit numbers, as packets.
        unsafe {
            (self.peer.run)(
                self.state.as_ptr(),
                packets.as_ptr(),
                packets.len() as u64,
                now,
                verdicts.as_mut_ptr(),
            );
        }
    }
}

impl Drop for PeerInstance<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from `filter_new` and is not used any more.
        unsafe { (self.peer.free)(self.state.as_ptr()) }
    }
}
