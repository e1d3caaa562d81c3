//! E09xx: parts of Oko that this compiler does not have yet.

codes! {}
