//! Name resolution, types with ranges, and lowering of Oko programs to IR.
