//! E03xx: types and ranges of numbers.

codes! {}
