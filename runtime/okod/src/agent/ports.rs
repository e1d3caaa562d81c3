//! Port statistics, port-mod and port-status messages; ports that come and go.

use oko_openflow::ErrorCode;
use oko_openflow::PortNo;
use oko_openflow::oko::{OkoError, OkoErrorCode, Operation, Reply};
use oko_openflow::port::{PortMod, PortReason, PortState, PortStats};

use super::control::{Answer, Control, Wait};
use super::reply::Replies;
use crate::config::PortConfig;
use crate::ports::SwitchPort;
use crate::shared::Order;

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
            let port = port.describe();
            // Groups go by which ports work.
            self.mark_changed();
            self.publish();
            self.peers.tell_port(PortReason::Modify, port);
        }
        Ok(Answer::Nothing)
    }

    /// Opens a device and adds it as a port.
    pub(super) fn add_port(
        &mut self,
        number: u32,
        up: bool,
        name: String,
        device: String,
    ) -> Result<Answer, OkoError> {
        let refuse = |code, text: String| Err(OkoError::new(code, text));
        if !(1..=15).contains(&name.len()) {
            let text = format!("`{name}` is no port name: 1 to 15 bytes, as OpenFlow has no room for more");
            return refuse(OkoErrorCode::BadValue, text);
        }
        if let Some(port) = self.ports.iter().find(|port| port.name() == name) {
            let text =
                format!("port {} has the name `{name}`; every port needs one of its own", port.number());
            return refuse(OkoErrorCode::BadValue, text);
        }
        let number = match PortNo(number) {
            PortNo(0) => self.free_number(),
            number if !number.is_physical() => {
                let text = format!("{} is no port number: 1 to {}", number.0, PortNo::MAX.0);
                return refuse(OkoErrorCode::BadValue, text);
            }
            number => number,
        };
        if let Some(port) = self.ports.get(number) {
            let text = format!("port {number} is there already: `{}`", port.name());
            return refuse(OkoErrorCode::BadValue, text);
        }
        self.check_orders()?;
        let config = PortConfig { number, name, device, up, queues: None };
        let (parts, failure) = self.ports.add(&config, self.now());
        if let Some(error) = failure {
            self.ports.remove(number);
            return refuse(OkoErrorCode::PortFailed, error.to_string());
        }
        for (worker, part) in parts.into_iter().enumerate() {
            // There was room, and nobody else gives orders.
            let _ = self.shared.of(worker).orders.push(Order::Serve(part));
        }
        // Before the links are looked at for the workers: what changes in between is seen the next time.
        let desc = self.ports.get(number).map(SwitchPort::describe);
        if let Some(desc) = &desc {
            self.links.insert(number, desc.state);
        }
        self.mark_changed();
        self.publish();
        if let Some(desc) = desc {
            tracing::info!(port = number.0, name = desc.name, "port added");
            self.peers.tell_port(PortReason::Add, desc);
        }
        Ok(Answer::oko(&Reply::Done { operation: Operation::PortAdd }))
    }

    /// Takes a port from the workers; its device is closed when they have given it back.
    pub(super) fn remove_port(&mut self, number: PortNo) -> Result<Answer, OkoError> {
        self.check_orders()?;
        let Some(port) = self.ports.remove(number) else {
            let known: Vec<String> = self.ports.iter().map(|port| port.number().to_string()).collect();
            let text = format!("there is no port {number}; there are: {}", known.join(", "));
            return Err(OkoError::new(OkoErrorCode::NoSuchPort, text));
        };
        for worker in 0..self.shared.workers() {
            let _ = self.shared.of(worker).orders.push(Order::GiveBack(number));
        }
        self.shared.bridge.forget(number);
        self.links.remove(&number);
        self.mark_changed();
        self.publish();
        Ok(Answer::Wait(Wait::Port(port)))
    }

    /// Looks at the links, and tells of those that are not as they were said to be.
    pub(super) fn look_at_links(&mut self) {
        let mut changed = Vec::new();
        for desc in self.ports.iter().map(SwitchPort::describe) {
            let before = self.links.insert(desc.number, desc.state);
            if before.is_some_and(|before| before != desc.state) {
                let up = !desc.state.contains(PortState::LINK_DOWN);
                tracing::info!(port = desc.name, up, "link changed");
                changed.push(desc);
            }
        }
        if !changed.is_empty() {
            // Groups go by the links.
            self.mark_changed();
            self.publish();
        }
        for port in changed {
            self.peers.tell_port(PortReason::Modify, port);
        }
    }

    /// Whether all workers have given a port back.
    pub(super) fn is_given_back(&mut self, number: PortNo) -> bool {
        let mut missing = 0;
        for worker in (0..self.shared.workers()).map(|worker| self.shared.of(worker)) {
            while let Some(part) = worker.returned.pop() {
                self.given_back.push(part);
            }
            missing += usize::from(!worker.is_over());
        }
        self.given_back.iter().filter(|part| part.number == number).count() >= missing
    }

    /// Closes the device of a port that was removed.
    pub(super) fn finish_removal(&mut self, port: SwitchPort, in_time: bool) -> Replies {
        let (number, mut desc) = (port.number(), port.describe());
        desc.state = PortState::LINK_DOWN;
        let parts = self.given_back.extract_if(.., |part| part.number == number).collect();
        let closed = port.close(parts);
        self.peers.tell_port(PortReason::Delete, desc);
        tracing::info!(port = number.0, "port removed");
        match closed {
            Ok(()) if in_time => Replies::oko(&Reply::Done { operation: Operation::PortRemove }),
            Ok(()) => {
                let text = format!("port {number} is removed, but a worker does not give its device back");
                Replies::oko_error(&OkoError::new(OkoErrorCode::Internal, text))
            }
            Err(error) => {
                let text = format!("port {number} is removed, but its device did not stop properly: {error}");
                Replies::oko_error(&OkoError::new(OkoErrorCode::PortFailed, text))
            }
        }
    }

    fn free_number(&self) -> PortNo {
        (1..).map(PortNo).find(|number| self.ports.get(*number).is_none()).unwrap_or(PortNo::MAX)
    }

    /// Workers that are stuck do not get more and more to do.
    fn check_orders(&self) -> Result<(), OkoError> {
        if (0..self.shared.workers()).any(|worker| self.shared.of(worker).orders.is_full()) {
            let text = "a worker has not seen the last changes of ports yet; try again";
            return Err(OkoError::new(OkoErrorCode::NoRoom, text));
        }
        Ok(())
    }
}
