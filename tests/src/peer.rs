//! The examples in C: compiled by `clang -O2` when they are needed, loaded as shared objects.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libloading::Library;
use oko_filter::{Packet, Verdict};
use oko_ir::interp::TableKey;

type New = unsafe extern "C" fn() -> *mut c_void;
type Run = unsafe extern "C" fn(*mut c_void, *const Packet<'_>, u64, u64, *mut Verdict);
type Free = unsafe extern "C" fn(*mut c_void);
type Insert = unsafe extern "C" fn(*mut c_void, *const u64, u32) -> bool;

/// The variants of a filter, and the flags that make them: state for one core; entries locked by atomic instructions; and that with the hash function of the
/// engines.
pub const VARIANTS: [(&str, &[&str]); 3] =
    [("C", &[]), ("C, locks", &["-DLOCKED"]), ("C, locks and hash", &["-DLOCKED", "-DMIXED"])];

/// The random number on which hashes of sketches depend, in C and in Oko.
pub const SEED: u64 = 7;

/// A filter in C, compiled.
pub struct Peer {
    source: PathBuf,
    flags: Vec<String>,
    new: New,
    run: Run,
    free: Free,
    /// Of filters with a table.
    insert: Option<Insert>,
    /// What the functions live in.
    _library: Library,
}

/// The compiler's options.
const OPTIONS: [&str; 6] = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC"];

/// What calls itself clang here.
pub fn clang_version() -> Result<String> {
    let output = Command::new("clang").arg("--version").output().context("cannot start clang")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

impl Peer {
    /// Compiles a filter of `examples/c` to a shared object and loads it.
    pub fn compile(source: &Path, flags: &[&str], object: &Path) -> Result<Peer> {
        let mut clang = Command::new("clang");
        clang
            .args(OPTIONS)
            .arg(format!("-DSEED={SEED}"))
            .args(flags)
            .arg("-shared")
            .arg("-o")
            .arg(object)
            .arg(source);
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
        let (new, run, free, insert) = unsafe {
            (
                *library.get::<New>(b"filter_new")?,
                *library.get::<Run>(b"filter_run")?,
                *library.get::<Free>(b"filter_free")?,
                library.get::<Insert>(b"filter_insert").ok().map(|insert| *insert),
            )
        };
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        Ok(Peer { source: source.to_owned(), flags, new, run, free, insert, _library: library })
    }

    /// How long `clang -O2 -c` takes for it, the whole process.
    pub fn compile_time(&self, object: &Path) -> Result<Duration> {
        let mut clang = Command::new("clang");
        clang
            .args(OPTIONS)
            .arg(format!("-DSEED={SEED}"))
            .args(&self.flags)
            .arg("-c")
            .arg("-o")
            .arg(object)
            .arg(&self.source);
        let begin = Instant::now();
        let status = clang.status()?;
        let time = begin.elapsed();
        ensure!(status.success(), "clang does not compile {}", self.source.display());
        Ok(time)
    }

    /// The filter with empty state.
    pub fn instance(&self) -> Result<PeerInstance<'_>> {
        // SAFETY: it takes no arguments.
        let state = NonNull::new(unsafe { (self.new)() });
        Ok(PeerInstance { peer: self, state: state.context("no memory for a filter in C")? })
    }
}

/// A filter in C with state.
pub struct PeerInstance<'p> {
    peer: &'p Peer,
    state: NonNull<c_void>,
}

impl PeerInstance<'_> {
    /// Puts a key into its table, as the control plane does.
    pub fn insert(&mut self, key: &TableKey) -> Result<()> {
        let insert = self.peer.insert.context("this filter has no table in C")?;
        // SAFETY: the state is this library's and used by us alone; the key has the parts that the filter's table has, as Oko has them.
        let inserted = unsafe { insert(self.state.as_ptr(), key.parts.as_ptr(), key.bits) };
        ensure!(inserted, "the table in C is full");
        Ok(())
    }

    /// Asks it about a burst.
    #[inline]
    pub fn run(&mut self, packets: &[Packet<'_>], now: u64, verdicts: &mut [Verdict]) {
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
