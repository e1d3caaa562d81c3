//! One connection to a switch.
//!
//! Requests are sent one after the other, each with a transaction id of its own; messages that the switch sends by
//! itself are passed over, its echo requests are answered.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use oko_openflow::flow::FlowStatsRequest;
use oko_openflow::oko::{
    Abi, Event, FilterInfo, Operation, ParamValue, Replaced, Reply, Request, StateEntry, StateInfo, Store,
};
use oko_openflow::port::PortMod;
use oko_openflow::{
    FlowMod, FlowStats, Frame, Header, Hello, Message, MultipartReply, MultipartRequest, Port, PortNo,
    PortStats, Version, frame,
};

use crate::address::Address;
use crate::error::ClientError;

/// How long the switch may take for a message. Verification of a filter is the longest that it is asked for.
const ANSWER_TIME: Duration = Duration::from_secs(60);
const VERSIONS: [Version; 1] = [Version::V1_3];

trait Stream: Read + Write + Send {
    /// How long reading waits.
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }
}

impl Stream for TcpStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }
}

/// A state or table of a filter.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Which of the two.
    pub store: Store,
    /// The filter.
    pub filter: &'a str,
    /// The state or table.
    pub name: &'a str,
}

impl Place<'_> {
    fn owned(&self) -> (String, String) {
        (self.filter.to_owned(), self.name.to_owned())
    }
}

/// Entries, each as it was at one moment.
#[derive(Debug)]
pub struct Entries {
    /// The switch's monotonic time in nanoseconds at which they were read.
    pub now: u64,
    /// The entries, in no order.
    pub entries: Vec<StateEntry>,
}

/// Events that came together.
#[derive(Debug)]
pub struct Events {
    /// The switch's monotonic time in nanoseconds.
    pub now: u64,
    /// How many were lost before these.
    pub lost: u64,
    /// The events, oldest first.
    pub events: Vec<Event>,
}

/// A connection to a switch, after the exchange of hellos.
pub struct Client {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    xid: u32,
}

impl Client {
    /// Connects and agrees on OpenFlow 1.3.
    pub fn connect(address: &Address) -> Result<Client, ClientError> {
        let stream =
            open(address).map_err(|reason| ClientError::Connect { address: address.clone(), reason })?;
        let mut client = Client { stream, received: Vec::new(), xid: 0 };
        client.send(&Message::Hello(Hello::of(&VERSIONS)), 0)?;
        match client.receive()? {
            (_, Message::Hello(hello)) => match hello.negotiate(&VERSIONS) {
                Some(_) => Ok(client),
                None => Err(ClientError::Version { found: hello.version }),
            },
            (_, Message::Error(error)) => Err(ClientError::from_message("the hello", error)),
            (_, other) => Err(ClientError::Unexpected { request: "the hello", found: other.name() }),
        }
    }

    /// The loaded filters.
    pub fn filters(&mut self) -> Result<Vec<FilterInfo>, ClientError> {
        let mut out = Vec::new();
        for reply in self.operate(&Request::List)? {
            match reply {
                Reply::Filters { filters, .. } => out.extend(filters),
                _ => return Err(unexpected("FILTER_LIST")),
            }
        }
        Ok(out)
    }

    /// Loads an artifact; with an empty name, under the names of its filters. The filters that were loaded.
    pub fn load_filter(
        &mut self,
        name: &str,
        abi: Abi,
        artifact: Vec<u8>,
    ) -> Result<Vec<FilterInfo>, ClientError> {
        let mut out = Vec::new();
        for reply in self.operate(&Request::Load { name: name.to_owned(), abi, artifact })? {
            match reply {
                Reply::Filters { filters, .. } => out.extend(filters),
                _ => return Err(unexpected("FILTER_LOAD")),
            }
        }
        Ok(out)
    }

    /// Replaces the artifact that a filter came from by another version. What became of states and params.
    pub fn replace_filter(
        &mut self,
        name: &str,
        abi: Abi,
        artifact: Vec<u8>,
    ) -> Result<Vec<Replaced>, ClientError> {
        let mut out = Vec::new();
        for reply in self.operate(&Request::Replace { name: name.to_owned(), abi, artifact })? {
            match reply {
                Reply::Replaced(all) => out.extend(all),
                _ => return Err(unexpected("FILTER_REPLACE")),
            }
        }
        Ok(out)
    }

    /// Unloads a filter.
    pub fn unload_filter(&mut self, name: &str) -> Result<(), ClientError> {
        self.operate(&Request::Unload { name: name.to_owned() }).map(|_| ())
    }

    /// Adds a port over a DPDK device; 0 for the lowest free number.
    pub fn add_port(&mut self, number: u32, up: bool, name: &str, device: &str) -> Result<(), ClientError> {
        let (name, device) = (name.to_owned(), device.to_owned());
        self.operate(&Request::PortAdd { number, up, name, device }).map(|_| ())
    }

    /// Removes a port.
    pub fn remove_port(&mut self, number: u32) -> Result<(), ClientError> {
        self.operate(&Request::PortRemove { number }).map(|_| ())
    }

    /// The JSON of the schema in a filter's artifact.
    pub fn schema(&mut self, filter: &str) -> Result<Vec<u8>, ClientError> {
        let mut out = Vec::new();
        for reply in self.operate(&Request::Schema { name: filter.to_owned() })? {
            match reply {
                Reply::Schema(part) => out.extend(part),
                _ => return Err(unexpected("FILTER_SCHEMA")),
            }
        }
        Ok(out)
    }

    /// The states and tables of a filter's artifact.
    pub fn states(&mut self, filter: &str) -> Result<Vec<StateInfo>, ClientError> {
        let mut out = Vec::new();
        for reply in self.operate(&Request::StateList { filter: filter.to_owned() })? {
            match reply {
                Reply::States(states) => out.extend(states),
                _ => return Err(unexpected("STATE_LIST")),
            }
        }
        Ok(out)
    }

    /// The live entries of a state or table.
    pub fn entries(&mut self, place: &Place<'_>) -> Result<Entries, ClientError> {
        let (filter, name) = place.owned();
        self.read_entries(&Request::Read { store: place.store, filter, name })
    }

    /// Those of its entries that are there under these keys.
    pub fn entries_at(&mut self, place: &Place<'_>, keys: Vec<Vec<u64>>) -> Result<Entries, ClientError> {
        let (filter, name) = place.owned();
        self.read_entries(&Request::Get { store: place.store, filter, name, keys })
    }

    fn read_entries(&mut self, request: &Request) -> Result<Entries, ClientError> {
        let mut out = Entries { now: 0, entries: Vec::new() };
        for reply in self.operate(request)? {
            match reply {
                Reply::Entries { now, entries, .. } => {
                    out.now = now;
                    out.entries.extend(entries);
                }
                _ => return Err(unexpected("a request for entries")),
            }
        }
        Ok(out)
    }

    /// Writes entries; how many there was no room for. If one does not fit, none is written.
    pub fn write_entries(&mut self, place: &Place<'_>, entries: Vec<StateEntry>) -> Result<u32, ClientError> {
        let (filter, name) = place.owned();
        let replies = self.operate(&Request::Write { store: place.store, filter, name, entries })?;
        match replies.as_slice() {
            [Reply::Written { refused, .. }] => Ok(*refused),
            _ => Err(unexpected("a request to write entries")),
        }
    }

    /// Deletes entries; how many there were.
    pub fn delete_entries(&mut self, place: &Place<'_>, keys: Vec<Vec<u64>>) -> Result<u32, ClientError> {
        let (filter, name) = place.owned();
        let replies = self.operate(&Request::Delete { store: place.store, filter, name, keys })?;
        match replies.as_slice() {
            [Reply::Deleted { deleted, .. }] => Ok(*deleted),
            _ => Err(unexpected("a request to delete entries")),
        }
    }

    /// Deletes all entries.
    pub fn clear(&mut self, place: &Place<'_>) -> Result<(), ClientError> {
        let (filter, name) = place.owned();
        self.operate(&Request::Clear { store: place.store, filter, name }).map(|_| ())
    }

    /// Asks for the events of a filter's artifact, or with an empty name for those of all, from now on.
    pub fn subscribe(&mut self, filter: &str) -> Result<(), ClientError> {
        self.operate(&Request::EventSubscribe { filter: filter.to_owned() }).map(|_| ())
    }

    /// Waits for the next events that were [subscribed](Self::subscribe) to; none if there are none within that time.
    pub fn next_events(&mut self, wait: Option<Duration>) -> Result<Option<Events>, ClientError> {
        let end = wait.map(|wait| Instant::now() + wait);
        let result = loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break Ok(None);
            }
            self.stream.set_timeout(left)?;
            match self.receive() {
                Ok((_, Message::Oko(part))) if part.reply && part.operation == Operation::Event => {
                    break match Reply::decode(&part)? {
                        Reply::Events { now, lost, events } => Ok(Some(Events { now, lost, events })),
                        _ => Err(unexpected("EVENT_SUBSCRIBE")),
                    };
                }
                Ok(_) => {}
                Err(ClientError::NoAnswer(_)) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        self.stream.set_timeout(Some(ANSWER_TIME))?;
        result
    }

    /// The params of a filter.
    pub fn params(&mut self, filter: &str) -> Result<Vec<ParamValue>, ClientError> {
        let replies = self.operate(&Request::ParamGet { filter: filter.to_owned() })?;
        collect_params(replies, "PARAM_GET")
    }

    /// Sets params, all or none, and returns all params after that.
    pub fn set_params(
        &mut self,
        filter: &str,
        values: Vec<(String, u64)>,
    ) -> Result<Vec<ParamValue>, ClientError> {
        let replies = self.operate(&Request::ParamSet { filter: filter.to_owned(), values })?;
        collect_params(replies, "PARAM_SET")
    }

    /// Changes flows, one after the other, and waits until all have taken effect. On a refusal, its position in `mods`
    /// beside the error; the ones before it stay in effect, the ones after it were not sent.
    pub fn change_flows(&mut self, mods: &[FlowMod]) -> Result<(), (usize, ClientError)> {
        for (index, flow) in mods.iter().enumerate() {
            let xid = self.next_xid();
            self.send(&Message::FlowMod(flow.clone()), xid).map_err(|e| (index, e))?;
            self.barrier("the flow", xid).map_err(|e| (index, e))?;
        }
        Ok(())
    }

    /// The flows that are asked for.
    pub fn flows(&mut self, request: FlowStatsRequest) -> Result<Vec<FlowStats>, ClientError> {
        let mut out = Vec::new();
        for reply in self.multipart(MultipartRequest::Flow(request))? {
            match reply {
                MultipartReply::Flow(flows) => out.extend(flows),
                _ => return Err(unexpected("flow statistics")),
            }
        }
        Ok(out)
    }

    /// The ports.
    pub fn ports(&mut self) -> Result<Vec<Port>, ClientError> {
        let mut out = Vec::new();
        for reply in self.multipart(MultipartRequest::PortDesc(PortNo::ANY))? {
            match reply {
                MultipartReply::PortDesc(ports) => out.extend(ports),
                _ => return Err(unexpected("port descriptions")),
            }
        }
        Ok(out)
    }

    /// The ports' counters.
    pub fn port_stats(&mut self) -> Result<Vec<PortStats>, ClientError> {
        let mut out = Vec::new();
        for reply in self.multipart(MultipartRequest::PortStats(PortNo::ANY))? {
            match reply {
                MultipartReply::PortStats(stats) => out.extend(stats),
                _ => return Err(unexpected("port statistics")),
            }
        }
        Ok(out)
    }

    /// Changes a port's configuration, and waits until that has taken effect.
    pub fn change_port(&mut self, change: PortMod) -> Result<(), ClientError> {
        let xid = self.next_xid();
        self.send(&Message::PortMod(change), xid)?;
        self.barrier("the change of the port", xid)
    }

    /// Sends a barrier and waits for its reply; an error about the request `xid` comes before it.
    fn barrier(&mut self, request: &'static str, xid: u32) -> Result<(), ClientError> {
        let barrier = self.next_xid();
        self.send(&Message::BarrierRequest, barrier)?;
        let mut result = Ok(());
        loop {
            match self.receive()? {
                (found, Message::Error(error)) if found == xid => {
                    result = Err(ClientError::from_message(request, error));
                }
                (found, Message::Error(error)) if found == barrier => {
                    return result.and(Err(ClientError::from_message("a barrier", error)));
                }
                (found, Message::BarrierReply) if found == barrier => return result,
                _ => {}
            }
        }
    }

    fn multipart(&mut self, request: MultipartRequest) -> Result<Vec<MultipartReply>, ClientError> {
        const REQUEST: &str = "a request for statistics";
        let xid = self.next_xid();
        self.send(&Message::request(request), xid)?;
        let mut out = Vec::new();
        loop {
            match self.receive()? {
                (found, Message::MultipartReply { more, reply }) if found == xid => {
                    out.push(reply);
                    if !more {
                        return Ok(out);
                    }
                }
                (found, message) if found == xid => return Err(answered(REQUEST, message)),
                _ => {}
            }
        }
    }

    fn operate(&mut self, request: &Request) -> Result<Vec<Reply>, ClientError> {
        const REQUEST: &str = "a filter operation";
        let xid = self.next_xid();
        for message in request.to_messages() {
            self.send(&message, xid)?;
        }
        let mut out = Vec::new();
        loop {
            match self.receive()? {
                (found, Message::Oko(part)) if found == xid => {
                    if !part.reply || part.operation != request.operation() {
                        return Err(unexpected(REQUEST));
                    }
                    out.push(Reply::decode(&part)?);
                    if !part.more {
                        return Ok(out);
                    }
                }
                (found, message) if found == xid => return Err(answered(REQUEST, message)),
                _ => {}
            }
        }
    }

    fn next_xid(&mut self) -> u32 {
        self.xid = self.xid.wrapping_add(1).max(1);
        self.xid
    }

    fn send(&mut self, message: &Message, xid: u32) -> Result<(), ClientError> {
        let bytes = message.encode(xid)?;
        match self.stream.write_all(&bytes) {
            Ok(()) => Ok(()),
            // The switch may have said why before it closed the connection.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => loop {
                if let (_, Message::Error(error)) = self.receive()? {
                    return Err(ClientError::from_message("the request", error));
                }
            },
            Err(e) => Err(e.into()),
        }
    }

    /// The next message that is no echo request.
    fn receive(&mut self) -> Result<(u32, Message), ClientError> {
        loop {
            let (xid, message) = self.receive_any()?;
            match message {
                Message::EchoRequest(data) => self.send(&Message::EchoReply(data), xid)?,
                message => return Ok((xid, message)),
            }
        }
    }

    fn receive_any(&mut self) -> Result<(u32, Message), ClientError> {
        loop {
            match frame(&self.received) {
                Frame::Whole(length) => {
                    let rest = self.received.split_off(length);
                    let bytes = std::mem::replace(&mut self.received, rest);
                    let message = Message::decode(&bytes)?;
                    return Ok((Header::read(&bytes).map_or(0, |header| header.xid), message));
                }
                // Decoding says what is wrong with such a header.
                Frame::Broken(_) => {
                    return Err(Message::decode(&self.received)
                        .err()
                        .map_or(ClientError::Closed, Into::into));
                }
                Frame::Needs(_) => {
                    let mut chunk = [0; 64 * 1024];
                    match self.stream.read(&mut chunk) {
                        Ok(0) => return Err(ClientError::Closed),
                        Ok(n) => self.received.extend_from_slice(&chunk[..n]),
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                            return Err(ClientError::NoAnswer(ANSWER_TIME));
                        }
                        Err(e) => return Err(e.into()),
                    }
                }
            }
        }
    }
}

fn open(address: &Address) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_TIME))?;
            stream.set_write_timeout(Some(ANSWER_TIME))?;
            Ok(Box::new(stream))
        }
        Address::Tcp(host) => {
            let stream = TcpStream::connect(host)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIME))?;
            stream.set_write_timeout(Some(ANSWER_TIME))?;
            Ok(Box::new(stream))
        }
    }
}

fn collect_params(replies: Vec<Reply>, request: &'static str) -> Result<Vec<ParamValue>, ClientError> {
    let mut out = Vec::new();
    for reply in replies {
        match reply {
            Reply::Params { params, .. } => out.extend(params),
            _ => return Err(unexpected(request)),
        }
    }
    Ok(out)
}

fn answered(request: &'static str, message: Message) -> ClientError {
    match message {
        Message::Error(error) => ClientError::from_message(request, error),
        other => ClientError::Unexpected { request, found: other.name() },
    }
}

fn unexpected(request: &'static str) -> ClientError {
    ClientError::Unexpected { request, found: "the reply to another operation" }
}
