//! The flow cache: from the first bytes of a frame to what the flow tables made of such packets.
//!
//! A lookup in OpenFlow tables reads a flow key and searches; most packets look like one that came a moment ago. The cache
//! remembers, and it does so without extracting a flow key: the tables at hand can only ever look at the bits under the
//! union of their masks (the *relevant* bits), so two frames of the same [`Shape`] that agree in those bits take the same way
//! through the tables. A [`Layout`] gathers the relevant bits of a shape straight from the frame, a few words of eight
//! bytes; an [`ExactCache`] finds the entry under them.
//!
//! So the masks of single rules do not matter: one rule or a thousand, with one mask or a hundred, cost the same lookup. What
//! counts is how many different values the relevant bits take. Frames whose shape is not one of the common ones are
//! cached under the relevant words of their flow key instead. Packets are looked up by bursts: [`Lookups`].
//!
//! # What an entry leads to
//!
//! Not to actions but to a [tree](Trees): inner nodes ask a filter, with a child for each class that it has answered so far, and leaves
//! are what the tables decided. Where a child is missing the tables are asked, with the answers that are known, and the
//! tree grows. A filter's answer is never cached: it has memory, and is asked anew for each packet.
//!
//! # Validity
//!
//! An entry carries the *epoch* of the tables that it was made or confirmed under. Of an earlier one it is not found by bursts; whether it still
//! holds is for the user of the cache to say. So nothing is invalidated one by one, and a change of the tables costs work only for
//! what is still in use.

mod burst;
mod changes;
mod exact;
mod gather;
mod key;
mod memory;
mod shape;
mod tree;

pub use burst::{BURST, Lookups, Together};
pub use changes::Changes;
pub use exact::{ExactCache, Found, WAYS};
pub use gather::{Layout, Layouts};
pub use key::Key;
pub use memory::prefetch;
pub use shape::Shape;
pub use tree::{Full, LeafId, NodeId, Step, Trees};
