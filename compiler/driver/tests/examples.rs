//! Every example becomes an artifact: BPF within the limits of the Linux kernel, a schema, and a certificate.

use oko_compiler::{Options, Source, parse};

#[test]
fn every_example_becomes_an_artifact() {
    let folder = format!("{}/../../examples", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "oko") {
            continue;
        }
        let name = path.display().to_string();
        let source = Source { name: name.clone(), text: std::fs::read_to_string(&path).expect("a text") };
        let checked = parse(source, &oko_compiler::NoFiles)
            .check()
            .unwrap_or_else(|failed| panic!("{name}: {failed:?}"));
        let artifact = checked
            .optimize()
            .assemble(&Options::default())
            .unwrap_or_else(|failed| panic!("{name}: {}", failed.failure));
        for filter in &artifact.cert.filters {
            assert!(filter.stack_bytes <= 512, "{name}: {} bytes of stack", filter.stack_bytes);
            println!("{name}: {} steps, {} instructions", filter.steps, filter.bpf_insns);
        }
        count += 1;
    }
    assert!(count >= 16, "{count}");
}
