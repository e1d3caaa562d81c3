//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use oko_bpf::object::Abi;

/// The Oko compiler.
#[derive(Debug, Parser)]
#[command(
    name = "okoc",
    version,
    about = "The Oko compiler: packet filters with memory, proved safe",
    after_help = "Exit codes:\n  0  all is well\n  1  a program, object or capture was refused\n  2  the command line is wrong\n  3  a file could not be read or written",
    disable_help_subcommand = true
)]
pub(crate) struct Args {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// How to print what is wrong with programs
    #[arg(long, global = true, value_enum, default_value_t = ErrorFormat::Human, value_name = "FORMAT")]
    pub(crate) error_format: ErrorFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On terminals, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How to print diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ErrorFormat {
    /// Text with the source
    Human,
    /// A JSON object a line, for editors and other programs
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check programs and say what is wrong with them
    Check(CheckArgs),
    /// Compile a program to an object file
    Build(BuildArgs),
    /// Run the tests that programs contain, on every engine
    Test(TestArgs),
    /// Bring programs into the one style
    Fmt(FmtArgs),
    /// Run a filter on the packets of a capture
    Run(RunArgs),
    /// Explain an error code such as E0101; without one, list all
    Explain(ExplainArgs),
    /// Prove that an object file is safe to load
    Verify(VerifyArgs),
}

/// `okoc check`
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The programs
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print what a phase of the compiler makes of them
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) emit: Option<Emit>,
    /// Print what a packet costs at most, how long an entry is locked, and which loops and functions it costs that in
    #[arg(long)]
    pub(crate) cost: bool,
}

/// `okoc build`
#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// The program
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where to write the object [default: the program's name with `.o`, in the current directory]
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// What the object is for
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = TargetName::Switch)]
    pub(crate) target: TargetName,
    /// What the kernel does with packets that match, with `--target xdp` or `tc`
    #[arg(long, value_enum, value_name = "WHAT", required_if_eq_any([("target", "xdp"), ("target", "tc")]))]
    pub(crate) on_match: Option<OnMatchName>,
    /// Print what a phase of the compiler makes of it
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) emit: Option<Emit>,
}

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetName {
    /// A switch: `okod`
    Switch,
    /// The Linux kernel alone, at a device's receive path
    Xdp,
    /// The Linux kernel alone, in traffic control
    Tc,
}

/// What the kernel does with packets that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnMatchName {
    /// Drop them, and let the others pass
    Drop,
    /// Let them pass, and drop the others
    Pass,
}

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Emit {
    /// The syntax tree
    Ast,
    /// The intermediate representation, optimised
    Ir,
    /// The BPF code with IR and source lines
    Bpf,
    /// The Cranelift IR of the native code
    Clif,
    /// What each state takes in memory, and what follows from declared accuracy
    State,
}

/// `okoc fmt`
#[derive(Debug, clap::Args)]
pub(crate) struct FmtArgs {
    /// The programs; without any, or with `-`, one is read from stdin and written to stdout
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Change nothing, and fail if a program is not in the one style
    #[arg(long)]
    pub(crate) check: bool,
}

/// `okoc test`
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// The programs [default: all `.oko` files in the current directory]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Run only tests with this in their names
    #[arg(long, value_name = "NAME")]
    pub(crate) filter: Option<String>,
    /// Say which arms of matches no test took
    #[arg(long)]
    pub(crate) coverage: bool,
}

/// `okoc run`
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The program, or an object file made of it
    #[arg(value_name = "FILTER")]
    pub(crate) file: PathBuf,
    /// Which of its filters to run, if it has several
    #[arg(long, value_name = "NAME")]
    pub(crate) filter: Option<String>,
    /// The capture with the packets
    #[arg(long, value_name = "IN")]
    pub(crate) pcap: PathBuf,
    /// Write the packets that match to this capture
    #[arg(long, value_name = "OUT")]
    pub(crate) matched: Option<PathBuf>,
    /// What runs the filter [default: `native`, or `bpf-jit` for objects that `okoc` did not make]
    #[arg(long, value_enum)]
    pub(crate) engine: Option<EngineName>,
    /// What the programs of an object were written for
    #[arg(long, value_enum, default_value_t = AbiName::Linux)]
    pub(crate) abi: AbiName,
    /// The number of the port that the packets come in by
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) in_port: u32,
    /// Set a param, as often as needed
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
}

/// What runs a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// Native code from the IR
    Native,
    /// Native code from the BPF
    BpfJit,
    /// The BPF interpreter
    Bpf,
    /// The IR interpreter
    Ir,
}

/// What programs of an object were written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AbiName {
    /// Linux: XDP programs, and what `okoc` makes
    Linux,
    /// The first Oko: `entry(packet, length)`
    Original,
}

impl AbiName {
    pub(crate) fn abi(self) -> Abi {
        match self {
            AbiName::Linux => Abi::Linux,
            AbiName::Original => Abi::Original,
        }
    }
}

/// `okoc explain`
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The code, such as E0101
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

/// `okoc verify`
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The object file
    #[arg(value_name = "OBJ")]
    pub(crate) object: PathBuf,
    /// Show what is known at each instruction of the BPF programs
    #[arg(long)]
    pub(crate) explain: bool,
    /// What its programs were written for
    #[arg(long, value_enum, default_value_t = AbiName::Linux)]
    pub(crate) abi: AbiName,
}
