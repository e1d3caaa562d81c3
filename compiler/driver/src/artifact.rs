//! From IR to the artifact: BPF, schema, certificate, and one ELF object around them.

use oko_artifact::{CERT_SECTION, Cert, FilterCert, IR_SECTION, SCHEMA_SECTION, Schema};
use oko_bpf::verifier::verify;
use oko_bpf_backend::{BackendError, Clock, Compiled, Linux, Target, Verifier, compile, listing, object};
use oko_diagnostics::{Diagnostic, SourceMap};
use oko_ir::Checked;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::budget::PartCost;
use crate::failed::{Failed, Failure};
use crate::phases::Optimized;

/// How to assemble.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who is said to have made the artifact, such as `okoc 0.1.0`; empty for this library's own name.
    pub compiler: String,
    /// Where BPF programs get `now` from.
    pub clock: Clock,
    /// Who runs the BPF programs. For the kernel alone, an object holds nothing else.
    pub target: Target,
    /// Whose verifier the BPF programs are made for; for the kernel alone, Linux's.
    pub verifier: Verifier,
}

/// A compiled program.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The object file.
    pub bytes: Vec<u8>,
    /// What it says about itself.
    pub schema: Schema,
    /// What was proved about its filters.
    pub cert: Cert,
    /// For each filter, the version of Linux that its BPF program takes, if not every one will do.
    pub linux: Vec<Option<Linux>>,
    /// For each filter, its loops and functions and what they cost, the dearest first.
    pub parts: Vec<Vec<PartCost>>,
    /// Its IR.
    pub ir: Checked,
    /// The BPF code with the IR and the source lines that it comes from.
    pub listing: String,
    /// Warnings by place.
    pub warnings: Vec<Diagnostic>,
    /// The sources, to show the warnings' places.
    pub sources: SourceMap,
}

pub(crate) fn assemble(optimized: Optimized, options: &Options) -> Result<Artifact, Box<Failed>> {
    let Optimized { mut session, ir, mut schema, fields_read, costs } = optimized;
    if ir.module().filters.is_empty() {
        let file = session.sources.files().next().map(|(_, file)| file.name().to_owned()).unwrap_or_default();
        return Err(session.fail(Failure::NoFilter { file }));
    }
    schema.compiler = if options.compiler.is_empty() {
        concat!("oko-compiler ", env!("CARGO_PKG_VERSION")).to_owned()
    } else {
        options.compiler.clone()
    };
    schema.source_hash = source_hash(&session.sources);
    match build(&ir, &schema, fields_read, &session.sources, options) {
        Ok(Built { bytes, cert, linux, listing }) => {
            let mut over = costs.over_budget(&ir, &cert, &session.sources);
            match unproved(&bytes, options) {
                Ok(filters) => over.extend(costs.unproved(&ir, &cert, &filters, &session.sources)),
                Err(errors) => return Err(session.fail(Failure::Defect { errors })),
            }
            if !over.is_empty() {
                session.found.extend(over);
                return Err(session.fail_by_errors());
            }
            let parts = costs.parts(&ir, &session.sources);
            let warnings = session.found.finish();
            Ok(Artifact {
                bytes,
                schema,
                cert,
                linux,
                parts,
                ir,
                listing,
                warnings,
                sources: session.sources,
            })
        }
        Err(error) => Err(session.fail(error.into())),
    }
}

/// What [`build`] makes, for an [`Artifact`].
pub(crate) struct Built {
    pub(crate) bytes: Vec<u8>,
    cert: Cert,
    linux: Vec<Option<Linux>>,
    listing: String,
}

pub(crate) fn build(
    ir: &Checked,
    schema: &Schema,
    fields_read: Vec<Vec<String>>,
    sources: &SourceMap,
    options: &Options,
) -> Result<Built, BackendError> {
    let backend = oko_bpf_backend::Options {
        clock: options.clock,
        target: options.target,
        verifier: options.verifier,
        ..Default::default()
    };
    let compiled = compile(ir, backend)?;
    let cert = certify(ir, &compiled, fields_read);
    let line = |file: &str, line: u32| {
        let file = sources.files().find(|(_, source)| source.name() == file)?.1;
        file.line(line).map(str::to_owned)
    };
    let mut sections = vec![
        (IR_SECTION.to_owned(), ir.module().to_string().into_bytes()),
        (SCHEMA_SECTION.to_owned(), json(SCHEMA_SECTION, schema)?),
        (CERT_SECTION.to_owned(), json(CERT_SECTION, &cert)?),
    ];
    if options.target != Target::Switch {
        sections.clear();
    }
    let bytes = object::write(ir, &compiled, line, sections)?;
    let linux = compiled.programs.iter().map(|program| program.linux).collect();
    Ok(Built { bytes, cert, linux, listing: listing(ir, &compiled, line) })
}

/// The programs of an object that whoever loads it would give up to prove safe. What Linux gives up is another matter, and of programs for traffic control
/// there is no proof here; they are those of XDP but for the offsets in their context.
fn unproved(object: &[u8], options: &Options) -> Result<Vec<String>, Vec<String>> {
    if matches!(options.target, Target::Tc(_)) {
        return Ok(Vec::new());
    }
    let object = oko_bpf::object::read(object).map_err(|error| vec![error.to_string()])?;
    let mut given_up = Vec::new();
    for program in object.programs {
        let name = program.name.clone();
        if let Err(error) = verify(program) {
            if !error.reason.is_budget() {
                return Err(vec![error.to_string()]);
            }
            given_up.push(name);
        }
    }
    let for_linux = options.target != Target::Switch || options.verifier == Verifier::Linux;
    Ok(if for_linux { Vec::new() } else { given_up })
}

/// What is proved about the filters: cost and state from the IR, stack and length from the code.
fn certify(ir: &Checked, compiled: &Compiled, fields_read: Vec<Vec<String>>) -> Cert {
    let filters = oko_ir::cost(ir)
        .into_iter()
        .zip(&compiled.programs)
        .zip(fields_read.into_iter().chain(std::iter::repeat(Vec::new())))
        .map(|((cost, program), fields_read)| FilterCert {
            name: program.name.clone(),
            steps: cost.steps,
            state_ops: cost.state_ops,
            stack_bytes: program.stack_bytes,
            // The verifier of the IR keeps programs far below 2^32 instructions.
            bpf_insns: program.insns.len() as u32,
            fields_read,
        })
        .collect();
    let state_bytes = ir.module().states.iter().map(oko_ir::StateDecl::bytes).fold(0, u64::saturating_add);
    Cert { filters, state_bytes }
}

/// SHA-256 over the texts of all files, each with its length in front. Names are left out: where a file lies does not matter.
fn source_hash(sources: &SourceMap) -> String {
    let mut hash = Sha256::new();
    for (_, file) in sources.files() {
        hash.update((file.text().len() as u64).to_le_bytes());
        hash.update(file.text().as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json<T: Serialize>(section: &'static str, value: &T) -> Result<Vec<u8>, BackendError> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| BackendError::Section { section, reason: error.to_string() })
}
