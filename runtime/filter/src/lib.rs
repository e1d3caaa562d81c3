//! Loads an artifact, proves it safe, compiles it, binds its state and runs it.
