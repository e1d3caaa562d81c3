//! OpenFlow 1.0, with the extensions of Nicira that stock `ovs-ofctl` uses beside it: messages to the types of this crate and back.
//!
//! The types are those of OpenFlow 1.3. What 1.0 cannot say of them goes out in Nicira's format, and what neither can say is left
//! out. Sources: the OpenFlow switch specification 1.0.0, section 5; `nicira-ext.h` of Open vSwitch.

mod action;
mod flow;
mod matching;
mod message;
mod nicira;
mod stats;

pub(crate) use action::{
    decode_actions, decode_nicira, encode as encode_instructions, encode_list as encode_actions, encode_load,
};
pub(crate) use message::{decode, encode, encode_parts};
pub use nicira::SessionOption;
pub(crate) use nicira::decode_option;
