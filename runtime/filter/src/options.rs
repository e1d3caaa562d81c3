//! How an artifact is loaded: what runs it, and what it may take.

use std::fmt;

use oko_bpf::object::Abi;

/// What runs the filters. All give the same verdicts.
///
/// On what happens between several workers they differ in one point: the BPF of artifacts locks entries of `evict_oldest` states by a map
/// of locks of its own (Linux wants it so), of which evictions and snapshots know nothing. With a BPF engine, a snapshot may show such
/// an entry in the middle of an update, and an update may go to an entry that was given to another key a moment before. The engines of the
/// IR do neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Native code from the IR. The default where there is IR.
    Native,
    /// Native code from the verified BPF. The default where there is no IR.
    BpfJit,
    /// The checking interpreter of BPF.
    BpfInterp,
    /// The checking interpreter of the IR.
    IrInterp,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 4] = [Engine::Native, Engine::BpfJit, Engine::BpfInterp, Engine::IrInterp];

    /// Its name: `native`, `bpf-jit`, `bpf-interp`, `ir-interp`.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Native => "native",
            Engine::BpfJit => "bpf-jit",
            Engine::BpfInterp => "bpf-interp",
            Engine::IrInterp => "ir-interp",
        }
    }

    /// Whether it runs BPF.
    pub(crate) const fn is_bpf(self) -> bool {
        matches!(self, Engine::BpfJit | Engine::BpfInterp)
    }

    /// The engine of this name.
    pub fn from_name(name: &str) -> Option<Engine> {
        Engine::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to load an artifact.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// What the object's programs were written for.
    pub abi: Abi,
    /// The engine; if `None`, the fastest that the artifact has the parts for.
    pub engine: Option<Engine>,
    /// The most memory that the states may take together, in bytes.
    pub max_state_bytes: u64,
    /// For how many workers there are copies of states that each has for itself; with more workers, some share one. From 1 to 1024.
    pub workers: u32,
    /// How many bytes of events wait to be taken at most; rounded up to a power of two. An event takes 24 bytes and 8 for each of its values.
    pub event_bytes: u32,
    /// The random number on which hashes of sketches and Bloom filters depend; if `None`, the system's. For runs that must come out the same.
    pub seed: Option<u64>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        LoadOptions {
            abi: Abi::Linux,
            engine: None,
            max_state_bytes: 2 << 30,
            workers,
            event_bytes: 256 << 10,
            seed: None,
        }
    }
}
