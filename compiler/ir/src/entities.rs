//! References to the things of a module: dense `u32` indices that print as they are written in the text form.

use std::fmt;

macro_rules! entity {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The index into the table that this entity belongs to.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The entity at `index`. Tables never have 2^32 rows: the reader and the builder refuse them.
            pub fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("entity tables have less than 2^32 rows"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

entity! {
    /// An SSA value of one filter: the result of an instruction or a parameter of a block.
    Value, "v"
}
entity! {
    /// A basic block of one filter. `block0` is where it starts.
    Block, "block"
}
entity! {
    /// A parameter of the module, set by the control plane.
    Param, "p"
}
entity! {
    /// A state of the module.
    State, "m"
}
entity! {
    /// A field of the entries of one state.
    Field, "f"
}
entity! {
    /// An event of the module.
    Event, "e"
}
