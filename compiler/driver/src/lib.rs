//! The Oko compiler as a pure library: sources in, artifact and diagnostics out.
