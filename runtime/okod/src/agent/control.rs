//! The switch as controllers see it: one message in, one answer out.
//!
//! Everything here belongs to the control thread. A request is checked as a whole before anything changes; what it
//! changes reaches the worker with the next [`publish`](Control::publish), which happens before any later reply.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use oko_dpdk::Pool;
use oko_flow_table::{Changes, FlowTables, Groups, Limits, Live, Meters};
use oko_openflow::message::Message;
use oko_openflow::multipart::{MultipartReply, MultipartRequest};
use oko_openflow::oko::{Assembler, OkoError, Reply};
use oko_openflow::port::PortState;
use oko_openflow::switch::{Capabilities, Desc, Features};
use oko_openflow::table::{TABLE_EVICTION, TableDesc};
use oko_openflow::{ErrorCode, ErrorMsg, PortNo, SessionOption, TableId, Version};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::bundles::Bundles;
use super::flows::LongFlowMod;
use super::monitors::Cause;
use super::peers::{PeerId, Peers};
use super::reply::Replies;
use super::table_features::table_features;
use crate::clock::{Clock, Nanos};
use crate::config::OpenFlowConfig;
use crate::filters::{Filters, Prepared, Replacement};
use crate::ports::{Ports, SwitchPort, WorkerPort};
use crate::shared::Shared;
use crate::snapshot::{Generation, Snapshot};

/// Tables 0 to 253.
pub(super) const TABLES: u8 = 254;
/// The largest request of ours: an artifact.
pub(super) const REQUEST_LIMIT: usize = 8 << 20;
/// Pause between two snapshots that nobody waits for: each costs the workers a look at what they have cached.
const PUBLISH_PAUSE: Duration = Duration::from_millis(20);
/// The same while flow-mods about thousands of entries are being done: packets are to see such a one at once, but they do not wait for it longer than that.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// How long a barrier waits for the worker, which needs microseconds unless something is badly wrong.
const BARRIER_TIME: Duration = Duration::from_secs(2);

/// What becomes of a request.
pub(super) enum Answer {
    /// There is no reply.
    Nothing,
    /// One message.
    Message(Message),
    /// An error about the request.
    Error(ErrorCode),
    /// Any number of messages.
    Replies(Replies),
    /// An error about another message, and then one about the request.
    Failed { xid: u32, error: ErrorMsg, then: ErrorCode },
    /// Replies that take time; other connections go on meanwhile.
    Wait(Wait),
}

impl Answer {
    /// A reply to an operation of ours.
    pub(super) fn oko(reply: &Reply) -> Answer {
        Answer::Replies(Replies::oko(reply))
    }
}

impl From<Result<Answer, ErrorCode>> for Answer {
    fn from(result: Result<Answer, ErrorCode>) -> Self {
        result.unwrap_or_else(Answer::Error)
    }
}

impl From<Result<Answer, OkoError>> for Answer {
    fn from(result: Result<Answer, OkoError>) -> Self {
        result.unwrap_or_else(|error| Answer::Replies(Replies::oko_error(&error)))
    }
}

/// What a reply waits for.
pub(super) enum Wait {
    /// The worker takes up what was published before a barrier request.
    Barrier(Generation),
    /// Another thread verifies and compiles an artifact.
    Load(JoinHandle<Result<Prepared, OkoError>>),
    /// The same for a new version of one that is loaded.
    Replace(JoinHandle<Result<Replacement, OkoError>>),
    /// The workers give back what they have of a port that is removed.
    Port(SwitchPort),
    /// There is more to do, for which this thread has to come by its turns.
    Flows(Box<LongFlowMod>),
}

impl Wait {
    /// What is replied in the end, or the error that the request ends in.
    pub(super) async fn finish(self, control: &Rc<RefCell<Control>>) -> Result<Replies, ErrorCode> {
        Ok(match self {
            Wait::Barrier(generation) => {
                let shared = Arc::clone(&control.borrow().shared);
                if timeout(BARRIER_TIME, shared.until_taken_up(generation)).await.is_err() {
                    tracing::error!("a worker does not take up changes");
                }
                Replies::message(Message::BarrierReply)
            }
            Wait::Load(task) => {
                let prepared = task.await;
                control.borrow_mut().finish_load(prepared)
            }
            Wait::Replace(task) => {
                let prepared = task.await;
                control.borrow_mut().finish_replace(prepared)
            }
            Wait::Flows(mut long) => {
                while control.borrow_mut().go_on(&mut long)? {
                    yield_now().await;
                }
                Replies::none()
            }
            Wait::Port(port) => {
                let given_back = async {
                    while !control.borrow_mut().is_given_back(port.number()) {
                        sleep(Duration::from_micros(100)).await;
                    }
                };
                let in_time = timeout(BARRIER_TIME, given_back).await.is_ok();
                control.borrow_mut().finish_removal(port, in_time)
            }
        })
    }
}

pub(super) struct Control {
    pub(super) peers: Peers,
    pub(super) ports: Ports,
    pub(super) tables: FlowTables,
    pub(super) filters: Filters,
    pub(super) groups: Groups,
    pub(super) meters: Meters,
    pub(super) pool: Pool,
    pub(super) shared: Arc<Shared>,
    clock: Clock,
    datapath_id: u64,
    pub(super) table_capacity: usize,
    /// Whether the switch is a learning bridge while no controller of its configuration is connected.
    fail_standalone: bool,
    standalone: bool,
    /// Whether packets that no entry matches are for the controllers.
    misses: bool,
    generation: Generation,
    lasting: Generation,
    changed: bool,
    published: Option<Instant>,
    /// Held by each flow-mod that is being done bit by bit.
    pub(super) long_flow_mods: Rc<()>,
    /// How the links of ports were when they were looked at last, as controllers know.
    pub(super) links: BTreeMap<PortNo, PortState>,
    /// What lives, as it was published.
    live: Arc<Live>,
    /// What workers have given back of ports.
    pub(super) given_back: Vec<WorkerPort>,
    assemblers: BTreeMap<PeerId, Assembler>,
    pub(super) bundles: Bundles,
    /// How long a peer may be silent.
    pub(super) probe_interval: Duration,
    /// Whose message is being served.
    pub(super) cause: Cause,
    /// What a bundle that is being committed has changed, to take effect when all of it is done.
    pub(super) deferred: Option<Vec<Changes>>,
}

impl Control {
    pub(super) fn new(
        config: &OpenFlowConfig,
        ports: Ports,
        pool: Pool,
        shared: Arc<Shared>,
        clock: Clock,
    ) -> Self {
        let links = ports.iter().map(|port| (port.number(), port.describe().state)).collect();
        Self {
            peers: Peers::default(),
            ports,
            tables: FlowTables::new(Limits { entries_per_table: config.table_capacity }),
            filters: Filters::default(),
            groups: Groups::default(),
            meters: Meters::default(),
            pool,
            shared,
            clock,
            datapath_id: config.datapath_id,
            table_capacity: config.table_capacity,
            fail_standalone: config.fail_standalone && !config.controllers.is_empty(),
            standalone: false,
            misses: false,
            generation: Generation(0),
            lasting: Generation(0),
            changed: false,
            published: None,
            long_flow_mods: Rc::default(),
            links,
            live: Arc::default(),
            given_back: Vec::new(),
            assemblers: BTreeMap::new(),
            bundles: Bundles::new(),
            probe_interval: config.probe_interval,
            cause: None,
            deferred: None,
        }
    }

    pub(super) fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Notes that something differs from what the workers have.
    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
        self.lasting = Generation(self.generation.0 + 1);
    }

    /// Notes that flow entries do, and nothing else.
    pub(super) fn mark_flows_changed(&mut self) {
        self.changed = true;
    }

    /// Hands the worker what has changed since the last time.
    pub(super) fn publish(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        self.generation = Generation(self.generation.0 + 1);
        self.published = Some(Instant::now());
        if self.lasting == self.generation {
            self.live = Arc::new(Live::new(&self.groups, self.ports.live(&self.links)));
        }
        let snapshot = Snapshot {
            generation: self.generation,
            lasting: self.lasting,
            tables: self.tables.snapshot(),
            filters: self.filters.set(),
            groups: self.groups.clone(),
            meters: self.meters.clone(),
            live: Arc::clone(&self.live),
            miss_to_controller: self.misses,
            standalone: self.standalone,
        };
        self.shared.snapshot.store(Arc::new(snapshot));
    }

    /// The same, but not shortly after the last time: flow-mods that come in a row are put together. The tick that looks for packet-ins makes good for it.
    pub(super) fn publish_soon(&mut self) {
        let in_full = Rc::strong_count(&self.long_flow_mods) == 1;
        let pause = if in_full { PUBLISH_PAUSE } else { LONG_PAUSE };
        if self.changed && self.published.is_none_or(|published| published.elapsed() >= pause) {
            self.publish();
        }
    }

    /// A controller has come or gone: that can decide how packets are treated.
    pub(super) fn peers_changed(&mut self) {
        let standalone = self.fail_standalone && !self.peers.any_controller();
        let misses = self.peers.any_expects_misses();
        if (standalone, misses) != (self.standalone, self.misses) {
            if standalone != self.standalone {
                tracing::info!(standalone, "without a controller the switch is a learning bridge");
            }
            (self.standalone, self.misses) = (standalone, misses);
            self.mark_changed();
            self.publish();
        }
    }

    /// Serves a request of a peer.
    pub(super) fn handle(&mut self, peer: PeerId, xid: u32, message: Message) -> Answer {
        self.cause = Some((peer, Some(xid)));
        let answer = self.serve(peer, xid, message);
        self.cause = None;
        answer
    }

    fn serve(&mut self, peer: PeerId, xid: u32, message: Message) -> Answer {
        if !matches!(message, Message::FlowMod(_) | Message::GroupMod(_) | Message::MeterMod(_)) {
            // A reply must not speak of changes that packets do not see yet. Changes in a row are published at once.
            self.publish();
        }
        match message {
            Message::Hello(_) | Message::Error(_) | Message::EchoReply(_) => Answer::Nothing,
            Message::EchoRequest(data) => Answer::Message(Message::EchoReply(data)),
            Message::FeaturesRequest => Answer::Message(Message::FeaturesReply(self.features())),
            Message::GetConfigRequest => match self.peers.get(peer) {
                Some(peer) => Answer::Message(Message::GetConfigReply(peer.config)),
                None => Answer::Nothing,
            },
            Message::SetConfig(config) => {
                // Only normal handling of IP fragments: each is matched as it is.
                if config.flags != 0 {
                    return Answer::Error(ErrorCode::SwitchConfigBadFlags);
                }
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.config = config;
                }
                Answer::Nothing
            }
            Message::BarrierRequest => Answer::Wait(Wait::Barrier(self.generation)),
            Message::RoleRequest(request) => self
                .peers
                .set_role(peer, request)
                .map(|role| Answer::Message(Message::RoleReply(role)))
                .into(),
            Message::GetAsyncRequest => match self.peers.get(peer) {
                Some(peer) => Answer::Message(Message::GetAsyncReply(peer.wants)),
                None => Answer::Nothing,
            },
            Message::SetAsync(wants) => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.wants = wants;
                }
                Answer::Nothing
            }
            Message::MultipartRequest {
                more: false,
                request: MultipartRequest::FlowMonitor(monitors),
                nicira,
            } => self.flow_monitor(peer, monitors, nicira).into(),
            Message::MultipartRequest { more, request, nicira } => {
                self.multipart(peer, more, request, nicira)
            }
            Message::MonitorCancel(id) => self.cancel_monitor(peer, id).into(),
            Message::Session(SessionOption::TableId(on)) => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.table_in_command = on;
                }
                Answer::Nothing
            }
            // Both formats are understood at any time.
            Message::Session(SessionOption::FlowFormat(0 | 2)) => Answer::Nothing,
            Message::Session(SessionOption::PacketInFormat(0)) => Answer::Nothing,
            // Clients of Open vSwitch take this for an answer and go on with the standard format.
            Message::Session(_) => Answer::Error(ErrorCode::RequestBadExpType),
            Message::QueueGetConfigRequest(port) => {
                if port != PortNo::ANY && self.ports.get(port).is_none() {
                    return Answer::Error(ErrorCode::QueueBadPort);
                }
                Answer::Message(Message::QueueGetConfigReply { port, queues: Vec::new() })
            }
            Message::Experimenter { .. } => Answer::Error(ErrorCode::RequestBadExperimenter),
            Message::Oko(part) => {
                self.peers.knows_filters(peer);
                let assembler = self.assemblers.entry(peer).or_insert_with(|| Assembler::new(REQUEST_LIMIT));
                match assembler.push(xid, &part) {
                    Ok(Some(request)) => self.oko(peer, request),
                    Ok(None) => Answer::Nothing,
                    Err(error) => Answer::Replies(Replies::oko_error(&error)),
                }
            }
            change => {
                if !self.peers.may_write(peer) {
                    return Answer::Error(ErrorCode::RequestIsSlave);
                }
                match change {
                    Message::BundleControl(request) => self.bundle_control(peer, request),
                    Message::BundleAdd(request) => self.bundle_add(peer, xid, request),
                    change => self.change(peer, change),
                }
            }
        }
    }

    /// Requests that a slave may not make.
    pub(super) fn change(&mut self, peer: PeerId, message: Message) -> Answer {
        match message {
            Message::FlowMod(flow_mod) => self.flow_mod_of(peer, flow_mod),
            Message::PacketOut(packet_out) => self.packet_out(packet_out).into(),
            Message::PortMod(port_mod) => self.port_mod(&port_mod).into(),
            Message::TableMod(table_mod) => {
                if table_mod.table.0 >= TABLES && table_mod.table != TableId::ALL {
                    return Answer::Error(ErrorCode::TableModBadTable);
                }
                // Bits that are deprecated (section 7.3.3) are not heeded, as before OpenFlow 1.4 all of them are; there are no vacancy
                // events.
                if self.peers.get(peer).is_some_and(|peer| peer.dialect().version >= Version::V1_4) {
                    if table_mod.config & !(TABLE_EVICTION | 3) != 0 {
                        return Answer::Error(ErrorCode::TableModBadConfig);
                    }
                    let evicts = table_mod.config & TABLE_EVICTION != 0;
                    if self.tables.set_eviction(table_mod.table, evicts).is_err() {
                        return Answer::Error(ErrorCode::TableModBadTable);
                    }
                }
                Answer::Nothing
            }
            Message::GroupMod(group_mod) => self.group_mod(&group_mod).into(),
            Message::MeterMod(meter_mod) => self.meter_mod(&meter_mod).into(),
            // Replies and asynchronous messages, which no controller sends.
            _ => Answer::Error(ErrorCode::RequestBadType),
        }
    }

    fn multipart(&mut self, peer: PeerId, more: bool, request: MultipartRequest, nicira: bool) -> Answer {
        if more {
            // Of the requests that we serve, none is longer than a message.
            return Answer::Error(ErrorCode::RequestMultipartOverflow);
        }
        let reply = match request {
            MultipartRequest::Desc => MultipartReply::Desc(self.describe()),
            MultipartRequest::Flow(request) | MultipartRequest::FlowCounters(request) => {
                return Self::flow_stats(&request, nicira).into();
            }
            MultipartRequest::Aggregate(request) => return Self::aggregate_stats(&request, nicira).into(),
            MultipartRequest::Table => MultipartReply::Table(self.table_stats()),
            MultipartRequest::TableFeatures(features) if features.is_empty() => {
                let version = self.peers.get(peer).map_or(Version::V1_3, |peer| peer.dialect().version);
                MultipartReply::TableFeatures(table_features(self.table_capacity, version))
            }
            MultipartRequest::TableFeatures(_) => return Answer::Error(ErrorCode::TableFeaturesPermission),
            MultipartRequest::PortStats(port) => match self.port_stats(port) {
                Ok(stats) => MultipartReply::PortStats(stats),
                Err(error) => return Answer::Error(error),
            },
            MultipartRequest::PortDesc(wanted) => {
                let wanted = |port: &&SwitchPort| wanted == PortNo::ANY || port.number() == wanted;
                let ports = self.ports.iter().filter(wanted).map(SwitchPort::describe);
                MultipartReply::PortDesc(ports.collect())
            }
            MultipartRequest::TableDesc => MultipartReply::TableDesc(
                (0..TABLES)
                    .map(|table| {
                        let evicts = self.tables.evicts(TableId(table));
                        TableDesc { table: TableId(table), config: if evicts { TABLE_EVICTION } else { 0 } }
                    })
                    .collect(),
            ),
            MultipartRequest::QueueDesc(_) => MultipartReply::QueueDesc,
            MultipartRequest::Queue { port, .. } if port == PortNo::ANY || self.ports.get(port).is_some() => {
                MultipartReply::Queue(Vec::new())
            }
            MultipartRequest::Queue { .. } => return Answer::Error(ErrorCode::QueueBadPort),
            MultipartRequest::GroupDesc(group) => MultipartReply::GroupDesc(self.group_desc(group)),
            MultipartRequest::Group(group) => MultipartReply::Group(self.group_stats(group)),
            MultipartRequest::GroupFeatures => MultipartReply::GroupFeatures(Self::group_features()),
            MultipartRequest::Meter(meter) => match self.meter_stats(meter) {
                Ok(stats) => MultipartReply::Meter(stats),
                Err(error) => return Answer::Error(error),
            },
            MultipartRequest::MeterConfig(meter) => match self.meter_config(meter) {
                Ok(config) => MultipartReply::MeterConfig(config),
                Err(error) => return Answer::Error(error),
            },
            MultipartRequest::MeterFeatures => MultipartReply::MeterFeatures(Self::meter_features()),
            // Served above; what is longer than a message is refused.
            MultipartRequest::FlowMonitor(_) | MultipartRequest::Experimenter { .. } => {
                return Answer::Error(ErrorCode::RequestBadExperimenter);
            }
        };
        Answer::Replies(Replies::multipart(reply, nicira))
    }

    fn features(&self) -> Features {
        Features {
            datapath_id: self.datapath_id,
            n_buffers: 0,
            n_tables: TABLES,
            auxiliary_id: 0,
            capabilities: Capabilities::FLOW_STATS
                | Capabilities::TABLE_STATS
                | Capabilities::PORT_STATS
                | Capabilities::GROUP_STATS,
            ports: self.ports.iter().map(SwitchPort::describe).collect(),
        }
    }

    fn describe(&self) -> Desc {
        Desc {
            manufacturer: String::from("Oko"),
            hardware: String::from("DPDK"),
            software: format!("okod {}", env!("CARGO_PKG_VERSION")),
            serial: String::from("None"),
            datapath: format!("{:016x}", self.datapath_id),
        }
    }

    pub(super) fn into_ports(self) -> Ports {
        self.ports
    }

    /// Clears up what a peer leaves behind.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.peers.remove(peer);
        self.bundles.retain(|(owner, _), _| *owner != peer);
        self.peers_changed();
        self.assemblers.remove(&peer);
    }
}
