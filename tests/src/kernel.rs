//! The Linux kernel as a judge and an engine: loads an object by `bpf(2)` and runs its programs on packets.
//!
//! What `libbpf` does for an XDP object without CO-RE is little, and doing it here keeps the test free of it: BTF is loaded as it is,
//! maps are created with the BTF types of their keys and values (spin locks need them), sections of variables are filled,
//! map references become file descriptors, and `BPF_PROG_LOAD` gets function and line information. Needs root, or `CAP_BPF` and
//! `CAP_NET_ADMIN`; see [`available`].
//!
//! Of maps that each CPU has for itself, the values of the first CPU are what counts: programs run there.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use oko_bpf::isa::{Imm64, Insn, encode};
use oko_bpf::object::{self, ObjectFile};
use oko_bpf::program::{MapDef, MapKind, Program};
use oko_ir::interp::TableKey;
use oko_ir::{Match, StateDecl, StateKind};

use self::call::{Attr, BTF_LOAD, MAP_DELETE_ELEM, OBJ_GET_INFO_BY_FD, PROG_LOAD, PROG_TEST_RUN};

/// The shortest packet of a test run: an Ethernet header.
pub const MIN_PACKET: usize = 14;
/// The port that packets of a test run come in by: the loopback device.
pub const IN_PORT: u32 = 1;

mod attached;
mod call;
mod maps;
mod ring;

pub use attached::Attached;

/// Why the kernel did not take an object or run it.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The object is malformed.
    #[error(transparent)]
    Object(#[from] object::ObjectError),
    /// A step failed. `log` is what the kernel's verifier says, if it says anything.
    #[error("{step}: {error}\n{log}")]
    Kernel {
        /// What was attempted.
        step: String,
        /// The error.
        error: io::Error,
        /// The verifier's log.
        log: String,
    },
    /// There is no such program, map or variable.
    #[error("the object has no {what} `{name}`")]
    NoSuch {
        /// What was asked for.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

/// Whether programs can be loaded here; if not, why.
///
/// # Errors
///
/// The error of the attempt.
pub fn available() -> Result<(), KernelError> {
    load_return("probe", 2).map(drop)
}

/// Whether they cannot, which it says.
#[must_use]
pub fn is_missing() -> bool {
    available().inspect_err(|error| eprintln!("SKIPPED: no bpf(2) here: {error}")).is_err()
}

/// Loads one program, of this name, that does nothing but return a value.
///
/// # Errors
///
/// What the kernel says.
pub fn load_return(name: &str, value: i32) -> Result<Loaded, KernelError> {
    let insns = vec![Insn::mov64(oko_bpf::isa::Reg::R0, value), Insn::Exit];
    let program = Program { name: name.into(), insns, ..Program::default() };
    let begin = Instant::now();
    let programs = vec![(name.to_owned(), load_program(&program, &[], None)?)];
    Ok(Loaded { maps: Vec::new(), programs, variables: Vec::new(), program_load_time: begin.elapsed() })
}

/// The bytes of a key and of its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A loaded object.
#[derive(Debug)]
pub struct Loaded {
    maps: Vec<(MapDef, OwnedFd)>,
    programs: Vec<(String, OwnedFd)>,
    variables: Vec<object::Variable>,
    program_load_time: Duration,
}

/// What came of a test run.
#[derive(Clone, Copy, Debug)]
pub struct TestRun {
    /// What the program returned, the last time.
    pub value: u32,
    /// How long one run took, on average and in whole nanoseconds. The kernel's own work around the program is in it.
    pub duration: Duration,
}

/// Loads an object with all its maps and programs.
///
/// # Errors
///
/// What the kernel says, with the verifier's log.
pub fn load(bytes: &[u8]) -> Result<Loaded, KernelError> {
    let file = object::read(bytes)?;
    let btf = file.section(".BTF").map(load_btf).transpose()?;
    load_file(file, btf.as_ref())
}

/// The same without type information: clang leaves sizes of sections in it to its loader, and the kernel refuses it as it stands.
///
/// # Errors
///
/// As [`load`].
pub fn load_untyped(bytes: &[u8]) -> Result<Loaded, KernelError> {
    load_file(object::read(bytes)?, None)
}

fn load_file(file: ObjectFile<'_>, btf: Option<&OwnedFd>) -> Result<Loaded, KernelError> {
    let mut maps = Vec::new();
    for (index, def) in file.maps.iter().enumerate() {
        maps.push((def.clone(), maps::create(&file, index, btf)?));
    }
    let mut programs = Vec::new();
    let mut program_load_time = Duration::ZERO;
    for program in &file.programs {
        let fds: Vec<_> = maps.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
        let info = btf.and_then(|btf| Some((btf, program_info(&file, program)?)));
        let begin = Instant::now();
        programs.push((program.name.clone(), load_program(program, &fds, info.as_ref())?));
        program_load_time += begin.elapsed();
    }
    Ok(Loaded { maps, programs, variables: file.variables, program_load_time })
}

impl Loaded {
    /// Runs a program once on a packet of at least [`MIN_PACKET`] bytes and gives its return value.
    ///
    /// # Errors
    ///
    /// No such program, or a packet that the kernel does not take.
    pub fn run(&self, program: &str, packet: &[u8]) -> Result<u32, KernelError> {
        Ok(self.run_repeated(program, packet, 1)?.value)
    }

    /// As [`run`](Self::run), as often in a row as said, at least once.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub fn run_repeated(&self, program: &str, packet: &[u8], times: u32) -> Result<TestRun, KernelError> {
        let fd = self.program(program)?;
        if self.maps.iter().any(|(def, _)| def.kind.is_percpu()) {
            stay_on_first_cpu().map_err(|error| fail("the first CPU".into(), error))?;
        }
        let mut attr = Attr::default();
        attr.u32(0, fd.as_raw_fd().cast_unsigned());
        attr.u32(8, packet.len() as u32);
        attr.pointer(16, packet.as_ptr());
        attr.u32(32, times);
        attr.call(PROG_TEST_RUN).map_err(|error| fail(format!("run of {program}"), error))?;
        let duration = Duration::from_nanos(u64::from(attr.get_u32(36)));
        Ok(TestRun { value: attr.get_u32(4), duration })
    }

    fn program(&self, name: &str) -> Result<&OwnedFd, KernelError> {
        let found = self.programs.iter().find(|(known, _)| known == name).map(|(_, fd)| fd);
        found.ok_or_else(|| KernelError::NoSuch { what: "program", name: name.into() })
    }

    /// How long the kernel took to verify and compile the programs.
    pub fn program_load_time(&self) -> Duration {
        self.program_load_time
    }

    /// How many instructions the kernel's verifier looked at to prove a program, on all ways together. It gives up after a million.
    ///
    /// # Errors
    ///
    /// No such program, or no answer.
    pub fn verified(&self, program: &str) -> Result<u32, KernelError> {
        // `verified_insns` of `struct bpf_prog_info`, which is this long in Linux 5.16 and longer later.
        const VERIFIED: usize = 216;
        let mut info = [0u32; VERIFIED / 4 + 1];
        let mut attr = Attr::default();
        attr.u32(0, self.program(program)?.as_raw_fd().cast_unsigned());
        attr.u32(4, size_of_val(&info) as u32);
        attr.pointer(8, info.as_mut_ptr());
        attr.call(OBJ_GET_INFO_BY_FD).map_err(|error| fail(format!("facts of {program}"), error))?;
        Ok(info[VERIFIED / 4])
    }

    /// Sets an 8-byte variable.
    ///
    /// # Errors
    ///
    /// No such variable, or one that cannot be written.
    pub fn set_variable(&self, name: &str, value: u64) -> Result<(), KernelError> {
        let none = || KernelError::NoSuch { what: "variable", name: name.into() };
        let variable = self.variables.iter().find(|variable| variable.name == name).ok_or_else(none)?;
        let (def, fd) = &self.maps[variable.map as usize];
        let mut content = maps::lookup(fd, def, &0u32.to_ne_bytes())
            .map_err(|error| fail(format!("read of {}", def.name), error))?
            .ok_or_else(none)?;
        let at = usize::try_from(variable.offset).map_err(|_| none())?;
        content.get_mut(at..at + 8).ok_or_else(none)?.copy_from_slice(&value.to_ne_bytes());
        maps::update(fd, &0u32.to_ne_bytes(), &content)
            .map_err(|error| fail(format!("write of {name}"), error))
    }

    /// All keys of a map with their values, by key. Of an array, all indices.
    ///
    /// # Errors
    ///
    /// No such map, or one that cannot be read.
    pub fn entries(&self, map: &str) -> Result<Vec<Entry>, KernelError> {
        let none = || KernelError::NoSuch { what: "map", name: map.into() };
        let (def, fd) = self.maps.iter().find(|(def, _)| def.name == map).ok_or_else(none)?;
        let error = |error| fail(format!("read of {map}"), error);
        if def.kind == MapKind::Array {
            return maps::array(fd, def).map_err(error);
        }
        let mut entries = Vec::new();
        let mut key = None;
        while let Some(next) = maps::next_key(fd, key.as_deref(), def.key_size as usize).map_err(error)? {
            if let Some(value) = maps::lookup(fd, def, &next).map_err(error)? {
                entries.push((next.clone(), value));
            }
            key = Some(next);
        }
        entries.sort();
        Ok(entries)
    }

    /// Writes an entry of a map.
    ///
    /// # Errors
    ///
    /// No such map, or the kernel does not take the entry.
    pub fn put(&self, map: &str, key: &[u8], value: &[u8]) -> Result<(), KernelError> {
        let (_, fd) = self.map(map)?;
        maps::update(fd, key, value).map_err(|error| fail(format!("write of {map}"), error))
    }

    /// Removes an entry of a map.
    ///
    /// # Errors
    ///
    /// No such map, or no such entry.
    pub fn remove(&self, map: &str, key: &[u8]) -> Result<(), KernelError> {
        let (_, fd) = self.map(map)?;
        let mut attr = Attr::default();
        attr.u32(0, fd.as_raw_fd().cast_unsigned());
        attr.pointer(8, key.as_ptr());
        attr.call(MAP_DELETE_ELEM).map(drop).map_err(|error| fail(format!("removal from {map}"), error))
    }

    /// Takes all records out of a ring buffer.
    ///
    /// # Errors
    ///
    /// No such map, or it cannot be mapped into memory.
    pub fn take_records(&self, map: &str) -> Result<Vec<Vec<u8>>, KernelError> {
        let (def, fd) = self.map(map)?;
        ring::take(fd, def.max_entries as usize).map_err(|error| fail(format!("records of {map}"), error))
    }

    fn map(&self, name: &str) -> Result<&(MapDef, OwnedFd), KernelError> {
        let none = || KernelError::NoSuch { what: "map", name: name.into() };
        self.maps.iter().find(|(def, _)| def.name == name).ok_or_else(none)
    }
}

/// The key of a table's entry as the kernel has it.
pub fn table_key(state: &StateDecl, key: &TableKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    if state.kind == StateKind::Table(Match::Prefix) {
        bytes.extend(key.bits.to_ne_bytes());
        for (part, value) in state.key.iter().zip(&key.parts) {
            bytes.extend(&value.to_be_bytes()[8 - part.width.bytes() as usize..]);
        }
        return bytes;
    }
    let layout = state.key_layout();
    bytes.resize(layout.size as usize, 0);
    for ((part, &offset), value) in state.key.iter().zip(&layout.offsets).zip(&key.parts) {
        let len = part.width.bytes() as usize;
        bytes[offset as usize..][..len].copy_from_slice(&value.to_le_bytes()[..len]);
    }
    bytes
}

/// The entry of a table with these scalars.
pub fn table_value(state: &StateDecl, scalars: &[u64]) -> Vec<u8> {
    let layout = state.entry_layout();
    let mut bytes = vec![0; layout.size as usize];
    let mut scalars = scalars.iter();
    for (field, &offset) in state.fields.iter().zip(&layout.offsets) {
        let len = field.width.bytes() as usize;
        for (at, value) in (0..field.count as usize).zip(&mut scalars) {
            bytes[offset as usize + at * len..][..len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
    }
    bytes
}

/// Lets this thread run on the first CPU only, as test runs do where they are asked for.
fn stay_on_first_cpu() -> io::Result<()> {
    // SAFETY: a set of CPUs is plain numbers, and the call reads as many bytes as are there.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `BPF_PROG_TYPE_XDP`.
const XDP: u32 = 6;
/// How much of the verifier's log is kept.
const LOG_BYTES: usize = 1 << 20;
fn fail(step: String, error: io::Error) -> KernelError {
    KernelError::Kernel { step, error, log: String::new() }
}

fn log_text(log: &[u8]) -> String {
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end]).into_owned()
}

fn load_btf(btf: &[u8]) -> Result<OwnedFd, KernelError> {
    let mut log = vec![0u8; LOG_BYTES];
    let mut attr = Attr::default();
    attr.pointer(0, btf.as_ptr());
    attr.pointer(8, log.as_mut_ptr());
    attr.u32(16, btf.len() as u32);
    attr.u32(20, log.len() as u32);
    attr.u32(24, 1);
    attr.call_for_fd(BTF_LOAD).map_err(|error| KernelError::Kernel {
        step: "load of .BTF".into(),
        error,
        log: log_text(&log),
    })
}

/// What the kernel is told of a program's types: its `bpf_func_info` and `bpf_line_info` records.
struct ProgramInfo {
    functions: Vec<[u32; 2]>,
    lines: Vec<[u32; 4]>,
}

/// Function and line information for a program without local functions, with strings of the object's own BTF.
fn program_info(file: &ObjectFile<'_>, program: &Program) -> Option<ProgramInfo> {
    let btf = file.btf.as_ref()?;
    let id = (1..).zip(btf.types()).find_map(|(id, ty)| {
        let is =
            matches!(ty.kind, object::btf::Kind::Func { .. }) && btf.string(ty.name) == Some(&program.name);
        is.then_some(id)
    })?;
    if program.insns.iter().any(|insn| matches!(insn, Insn::CallLocal { .. })) {
        return None;
    }
    // Strings can be found again as the object's own BTF holds them all.
    let mut strings = btf.clone();
    let lines = program
        .lines
        .iter()
        .map(|line| {
            [line.slot, strings.add_string(&line.file), strings.add_string(&line.text), line.line << 10]
        })
        .collect();
    (strings == *btf).then_some(ProgramInfo { functions: vec![[0, id]], lines })
}

fn load_program(
    program: &Program,
    maps: &[i32],
    info: Option<&(&OwnedFd, ProgramInfo)>,
) -> Result<OwnedFd, KernelError> {
    let fd_of = |map: u32| maps[map as usize].cast_unsigned();
    let insns: Vec<_> = program
        .insns
        .iter()
        .map(|insn| match *insn {
            Insn::LoadImm64 { dst, imm: Imm64::Map(map) } => {
                Insn::LoadImm64 { dst, imm: Imm64::Map(fd_of(map)) }
            }
            Insn::LoadImm64 { dst, imm: Imm64::MapValue { map, off } } => {
                Insn::LoadImm64 { dst, imm: Imm64::MapValue { map: fd_of(map), off } }
            }
            insn => insn,
        })
        .collect();
    let code = encode(&insns);
    let license = c"Dual MIT/GPL";
    let mut log = vec![0u8; LOG_BYTES];
    let mut attempt = |log_level: u32| {
        let mut attr = Attr::default();
        attr.u32(0, XDP);
        attr.u32(4, (code.len() / 8) as u32);
        attr.pointer(8, code.as_ptr());
        attr.pointer(16, license.as_ptr());
        if log_level > 0 {
            attr.u32(24, log_level);
            attr.u32(28, log.len() as u32);
            attr.pointer(32, log.as_mut_ptr());
        }
        attr.name(48, &program.name);
        if let Some((btf, info)) = info {
            attr.u32(72, btf.as_raw_fd().cast_unsigned());
            attr.u32(76, 8);
            attr.pointer(80, info.functions.as_ptr());
            attr.u32(88, info.functions.len() as u32);
            attr.u32(92, 16);
            attr.pointer(96, info.lines.as_ptr());
            attr.u32(104, info.lines.len() as u32);
        }
        attr.call_for_fd(PROG_LOAD)
    };
    // The log costs time, so it is asked for only when there is something to say.
    attempt(0).or_else(|_| attempt(1)).map_err(|error| KernelError::Kernel {
        step: format!("load of program {}", program.name),
        error,
        log: log_text(&log),
    })
}
