//! Port statistics, port-mod and port-status messages.

use oko_openflow::ErrorCode;
use oko_openflow::PortNo;
use oko_openflow::message::Message;
use oko_openflow::port::{PortMod, PortReason, PortStats, PortStatus};

use super::control::{Answer, Control};
use super::peers::Topic;

impl Control {
    pub(super) fn port_stats(&self, port: PortNo) -> Result<Vec<PortStats>, ErrorCode> {
        let now = self.now();
        if port == PortNo::ANY {
            return Ok(self.ports.iter().map(|port| port.stats(now)).collect());
        }
        let port = self.ports.get(port).ok_or(ErrorCode::RequestBadPort)?;
        Ok(vec![port.stats(now)])
    }

    /// Changes what an administrator can set of a port. It takes effect with the worker's next burst.
    pub(super) fn port_mod(&mut self, request: &PortMod) -> Result<Answer, ErrorCode> {
        let port = self.ports.get(request.number).ok_or(ErrorCode::PortModBadPort)?;
        if request.hw_addr != port.hw_addr() {
            return Err(ErrorCode::PortModBadHwAddr);
        }
        let before = port.state().config();
        port.state().configure(request.config, request.mask);
        if port.state().config() != before {
            let status = PortStatus { reason: PortReason::Modify, port: port.describe() };
            self.peers.tell(Topic::PortStatus(PortReason::Modify), &Message::PortStatus(status));
        }
        Ok(Answer::Nothing)
    }
}
