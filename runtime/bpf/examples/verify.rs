//! Verifies the programs of an object file: `cargo run -p oko-bpf --example verify -- OBJECT…`.

use std::{env, error::Error, fs, time::Instant};

use oko_bpf::{disasm, object, verifier};

fn main() -> Result<(), Box<dyn Error>> {
    let listing = env::args().any(|argument| argument == "--listing");
    for path in env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        let bytes = fs::read(&path)?;
        for program in object::read(&bytes)?.programs {
            if listing {
                print!("{}", disasm::listing(&program.insns));
            }
            let (name, start) = (program.name.clone(), Instant::now());
            match verifier::verify(program) {
                Ok(verified) => println!(
                    "{path}: {name}: accepted in {:?}: {} slots, at most {} steps, {} bytes of stack; {:?}",
                    start.elapsed(),
                    verified.insns().len(),
                    verified.max_steps(),
                    verified.max_stack(),
                    verified.effort(),
                ),
                Err(error) => println!("{path}: refused in {:?}: {error}", start.elapsed()),
            }
        }
    }
    Ok(())
}
