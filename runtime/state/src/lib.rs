//! Maps that filters keep their state in.
