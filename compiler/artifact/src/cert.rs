//! What the compiler proved about an artifact's filters: section `.oko.cert`, as JSON. The switch proves it again.

use serde::{Deserialize, Serialize};

/// Section `.oko.cert`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cert {
    /// The filters, in the module's order.
    pub filters: Vec<FilterCert>,
    /// What all states take in memory together, in bytes, when full.
    pub state_bytes: u64,
}

/// What was proved about one filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterCert {
    /// Its name.
    pub name: String,
    /// The most IR operations that one packet can cost.
    pub steps: u64,
    /// The most state operations (finds and slots) that one packet can cost.
    pub state_ops: u64,
    /// Bytes of BPF stack.
    pub stack_bytes: u32,
    /// The number of BPF instructions.
    pub bpf_insns: u32,
    /// The packet fields it reads, such as `ipv4.src`.
    pub fields_read: Vec<String>,
}
