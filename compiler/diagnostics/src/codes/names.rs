//! E02xx: names and modules.

codes! {}
