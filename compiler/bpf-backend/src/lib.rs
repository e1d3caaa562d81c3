//! Lowers checked IR to BPF and writes the object file.
