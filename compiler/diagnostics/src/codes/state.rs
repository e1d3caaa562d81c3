//! E05xx: state, tables and params.

codes! {}
