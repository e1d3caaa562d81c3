//! Generates the parser from `src/oko.lalrpop`.

fn main() {
    println!("cargo::rerun-if-changed=src/oko.lalrpop");
    println!("cargo::rerun-if-changed=build.rs");
    lalrpop::Configuration::new()
        .use_cargo_dir_conventions()
        .process()
        .expect("the grammar is LR(1) without conflicts");
}
