//! Artifacts for tests: from examples, and from IR with a schema that says what the IR says.

#![allow(clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};

use oko_artifact::schema::FORMAT;
use oko_artifact::{
    CERT_SECTION, Cert, Container, EventSchema, FilterSchema, IR_SECTION, NamedType, ParamSchema,
    SCHEMA_SECTION, ScalarType, Schema, StateSchema,
};
use oko_compiler::{NoFiles, Source};
use oko_filter::{Engine, Instance, LoadOptions};
use oko_ir::{Checked, FilterResult, Match, Module, StateKind, WhenFull};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An example, compiled.
pub(crate) fn example(name: &str) -> Vec<u8> {
    let path = root().join("examples").join(format!("{name}.oko"));
    let text = std::fs::read_to_string(&path).unwrap();
    let parsed = oko_compiler::parse(Source::new(format!("{name}.oko"), text), &NoFiles);
    let artifact =
        parsed.check().map(|checked| checked.optimize().assemble(&oko_compiler::Options::default()));
    match artifact {
        Ok(Ok(artifact)) => artifact.bytes,
        Ok(Err(failed)) | Err(failed) => panic!("{name}: {failed}"),
    }
}

/// The names of all examples.
pub(crate) fn examples() -> Vec<String> {
    let files = std::fs::read_dir(root().join("examples")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let sources = paths.filter(|path| path.extension().is_some_and(|extension| extension == "oko"));
    let mut names: Vec<String> =
        sources.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The packets of a capture with their instants in nanoseconds.
pub(crate) fn capture(name: &str) -> Vec<(u64, Vec<u8>)> {
    let path = root().join("examples/captures").join(format!("{name}.pcap"));
    let bytes = std::fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let unit = match word(0) {
        0xa1b2_c3d4 => 1_000,
        0xa1b2_3c4d => 1,
        magic => panic!("{name}: not a little-endian capture: {magic:#x}"),
    };
    let (mut packets, mut at) = (Vec::new(), 24);
    while at < bytes.len() {
        let (seconds, fraction, captured) = (word(at), word(at + 4), word(at + 8) as usize);
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit;
        packets.push((time, bytes[at + 16..at + 16 + captured].to_vec()));
        at += 16 + captured;
    }
    packets
}

/// An artifact of a module.
pub(crate) fn artifact(checked: &Checked) -> Vec<u8> {
    artifact_with(checked, &schema(checked.module()))
}

/// An artifact of a module that says this about itself.
pub(crate) fn artifact_with(checked: &Checked, schema: &Schema) -> Vec<u8> {
    let cert = Cert { filters: Vec::new(), state_bytes: 0 };
    let sections = vec![
        (IR_SECTION.to_owned(), checked.module().to_string().into_bytes()),
        (SCHEMA_SECTION.to_owned(), serde_json::to_vec(schema).unwrap()),
        (CERT_SECTION.to_owned(), serde_json::to_vec(&cert).unwrap()),
    ];
    object(checked, sections)
}

/// The BPF of a module with these sections beside it.
pub(crate) fn object(checked: &Checked, sections: Vec<(String, Vec<u8>)>) -> Vec<u8> {
    let compiled = oko_bpf_backend::compile(checked, oko_bpf_backend::Options::default()).unwrap();
    oko_bpf_backend::object::write(checked, &compiled, |_, _| None, sections).unwrap()
}

pub(crate) fn schema(module: &Module) -> Schema {
    let uint = |name: &String| NamedType { name: name.clone(), ty: ScalarType::Uint };
    Schema {
        format: FORMAT,
        compiler: "test".to_owned(),
        source_hash: String::new(),
        filters: (module.filters.iter())
            .map(|filter| FilterSchema {
                name: filter.name.clone(),
                classes: match filter.result {
                    FilterResult::Bool => Vec::new(),
                    FilterResult::Classes(count) => (0..count).map(|class| format!("C{class}")).collect(),
                },
                doc: String::new(),
            })
            .collect(),
        params: (module.params.iter())
            .map(|param| ParamSchema {
                name: param.name.clone(),
                ty: ScalarType::Uint,
                min: param.min,
                max: param.max,
                default: param.default,
                doc: String::new(),
            })
            .collect(),
        states: (module.states.iter())
            .map(|state| StateSchema {
                name: state.name.clone(),
                container: match state.kind {
                    StateKind::Array => Container::Array,
                    StateKind::Table(Match::Exact) => Container::Table,
                    StateKind::Table(Match::Prefix) => Container::PrefixTable,
                    StateKind::Hash(_) | StateKind::Words => Container::Keyed,
                },
                merge: state.per_core.map(|merge| format!("{merge:?}").to_lowercase()),
                hidden: false,
                key: state.key.iter().map(|part| uint(&part.name)).collect(),
                value: state.fields.iter().map(|field| uint(&field.name)).collect(),
                capacity: state.capacity,
                when_full: match state.kind {
                    StateKind::Hash(WhenFull::EvictOldest) => "evict_oldest".to_owned(),
                    StateKind::Hash(WhenFull::Refuse) => "refuse".to_owned(),
                    StateKind::Array | StateKind::Words | StateKind::Table(_) => String::new(),
                },
                expire: None,
                bytes: state.bytes(),
                doc: String::new(),
            })
            .collect(),
        events: (module.events.iter())
            .map(|event| EventSchema {
                name: event.name.clone(),
                fields: event.fields.iter().map(|field| uint(&field.name)).collect(),
                limit: None,
                each: None,
                per: None,
                doc: String::new(),
            })
            .collect(),
    }
}

pub(crate) fn load(object: &[u8], engine: Engine) -> Instance {
    let options = LoadOptions { engine: Some(engine), seed: Some(0x5eed), ..LoadOptions::default() };
    Instance::load(object, &options).unwrap_or_else(|error| panic!("{engine}: {}", error.report()))
}

/// Key, fields and expiry of an entry.
pub(crate) type Entry = (Vec<u64>, Vec<u64>, u64);

/// The entries of all states, in the order of their keys.
pub(crate) fn all_states(instance: &Instance, now: u64) -> Vec<(String, Vec<Entry>)> {
    let states = instance.states().into_iter().map(|state| {
        let snapshot = instance.state_snapshot(&state.name, now).unwrap();
        let entries = snapshot.entries.into_iter();
        let mut entries: Vec<_> = entries.map(|entry| (entry.key, entry.fields, entry.expires_at)).collect();
        entries.sort();
        (state.name, entries)
    });
    states.collect()
}
