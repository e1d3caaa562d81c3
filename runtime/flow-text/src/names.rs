//! What names in a flow stand for.

use oko_openflow::oko::FilterInfo;
use oko_openflow::{FilterId, PortNo};

/// The ports and filters of a switch, as it reports them. Empty, only numbers and reserved port names are understood.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Numbers and names of ports.
    pub ports: Vec<(PortNo, String)>,
    /// The loaded filters.
    pub filters: Vec<FilterInfo>,
}

impl Names {
    /// No names.
    pub fn none() -> Names {
        Names::default()
    }

    pub(crate) fn port(&self, name: &str) -> Option<PortNo> {
        self.ports.iter().find(|(_, known)| known == name).map(|(number, _)| *number)
    }

    pub(crate) fn port_name(&self, port: PortNo) -> Option<&str> {
        self.ports.iter().find(|(number, _)| *number == port).map(|(_, name)| name.as_str())
    }

    pub(crate) fn filter(&self, name: &str) -> Option<&FilterInfo> {
        self.filters.iter().find(|filter| filter.name == name)
    }

    pub(crate) fn filter_by_id(&self, id: FilterId) -> Option<&FilterInfo> {
        self.filters.iter().find(|filter| filter.id == id)
    }
}
