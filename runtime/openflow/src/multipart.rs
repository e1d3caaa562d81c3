//! Multipart requests and replies, section 7.3.5.
//!
//! A reply too long for one message goes out as several with the same transaction id, all but the last with
//! `OFPMPF_REPLY_MORE`; [`MultipartReply::encode_parts`] cuts between records.

use crate::bundle::ONF;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow::{AggregateStats, FlowStats, FlowStatsRequest};
use crate::group::{GroupDesc, GroupFeatures, GroupStats};
use crate::ids::{GroupId, MeterId, PortNo};
use crate::message::{HEADER_LEN, encode_message, msg_type};
use crate::meter::{MeterConfig, MeterFeatures, MeterStats};
use crate::monitor::{FlowUpdate, MonitorRequest, ONF_MONITOR};
use crate::port::{Port, PortStats};
use crate::switch::{Desc, Dialect, QueueStats, Version};
use crate::table::{TableDesc, TableFeatures, TableStats};
use crate::v10;
use crate::wire::{Reader, Writer};

/// `OFPMP_FLOW_MONITOR`.
const FLOW_MONITOR: u16 = 16;
/// `OFPMPF_REQ_MORE` and `OFPMPF_REPLY_MORE`.
const MORE: u16 = 1;

/// What a multipart request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MultipartRequest {
    /// The switch's description.
    Desc,
    /// Flow entries.
    Flow(FlowStatsRequest),
    /// Sums over flow entries.
    Aggregate(FlowStatsRequest),
    /// The tables' counters.
    Table,
    /// The counters of a port, or of all with [`PortNo::ANY`].
    PortStats(PortNo),
    /// The counters of queues.
    Queue {
        /// The port, or [`PortNo::ANY`].
        port: PortNo,
        /// The queue, or [`MultipartRequest::ALL_QUEUES`].
        queue: u32,
    },
    /// The counters of a group, or of all with [`GroupId::ALL`].
    Group(GroupId),
    /// The groups, or one: only OpenFlow 1.5 can say which.
    GroupDesc(GroupId),
    /// What groups there can be.
    GroupFeatures,
    /// The counters of a meter, or of all with [`MeterId::ALL`].
    Meter(MeterId),
    /// The configuration of a meter, or of all with [`MeterId::ALL`].
    MeterConfig(MeterId),
    /// What meters there can be.
    MeterFeatures,
    /// Without a body, asks what the tables can do; with one, sets it.
    TableFeatures(Vec<TableFeatures>),
    /// The ports, or one: only OpenFlow 1.5 can say which.
    PortDesc(PortNo),
    /// The configuration of the tables. From OpenFlow 1.4 on.
    TableDesc,
    /// The queues of a port. From OpenFlow 1.4 on.
    QueueDesc(PortNo),
    /// The counters of entries, without what they do. From OpenFlow 1.5 on.
    FlowCounters(FlowStatsRequest),
    /// Asks to be told of changes of flow entries. In 1.3 the ONF's extension, in 1.0 Nicira's.
    FlowMonitor(Vec<MonitorRequest>),
    /// Another party's request.
    Experimenter {
        /// The experimenter id.
        experimenter: u32,
        /// The experimenter's type.
        exp_type: u32,
        /// The body.
        data: Vec<u8>,
    },
}

impl MultipartRequest {
    /// `OFPQ_ALL`.
    pub const ALL_QUEUES: u32 = 0xffff_ffff;

    /// `OFPMP_*`.
    fn ty(&self, version: Version) -> u16 {
        match self {
            MultipartRequest::FlowMonitor(_) if version >= Version::V1_4 => FLOW_MONITOR,
            MultipartRequest::FlowMonitor(_) => 0xffff,
            MultipartRequest::Desc => 0,
            MultipartRequest::Flow(_) => 1,
            MultipartRequest::Aggregate(_) => 2,
            MultipartRequest::Table => 3,
            MultipartRequest::PortStats(_) => 4,
            MultipartRequest::Queue { .. } => 5,
            MultipartRequest::Group(_) => 6,
            MultipartRequest::GroupDesc(_) => 7,
            MultipartRequest::GroupFeatures => 8,
            MultipartRequest::Meter(_) => 9,
            MultipartRequest::MeterConfig(_) => 10,
            MultipartRequest::MeterFeatures => 11,
            MultipartRequest::TableFeatures(_) => 12,
            MultipartRequest::PortDesc(_) => 13,
            MultipartRequest::TableDesc => 14,
            MultipartRequest::QueueDesc(_) => 15,
            MultipartRequest::FlowCounters(_) => 17,
            MultipartRequest::Experimenter { .. } => 0xffff,
        }
    }

    /// Reads the request and its `MORE` flag.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<(bool, MultipartRequest), DecodeError> {
        let (ty, more) = decode_head(r)?;
        let request = match ty {
            0 => MultipartRequest::Desc,
            1 => MultipartRequest::Flow(FlowStatsRequest::decode(r)?),
            2 => MultipartRequest::Aggregate(FlowStatsRequest::decode(r)?),
            3 => MultipartRequest::Table,
            4 => {
                let port = PortNo(r.u32()?);
                r.skip(4)?;
                MultipartRequest::PortStats(port)
            }
            5 => MultipartRequest::Queue { port: PortNo(r.u32()?), queue: r.u32()? },
            6 => {
                let group = GroupId(r.u32()?);
                r.skip(4)?;
                MultipartRequest::Group(group)
            }
            7 if r.version() >= Version::V1_5 => {
                let group = GroupId(r.u32()?);
                r.skip(4)?;
                MultipartRequest::GroupDesc(group)
            }
            7 => MultipartRequest::GroupDesc(GroupId::ALL),
            8 => MultipartRequest::GroupFeatures,
            9 => {
                let meter = MeterId(r.u32()?);
                r.skip(4)?;
                MultipartRequest::Meter(meter)
            }
            10 => {
                let meter = MeterId(r.u32()?);
                r.skip(4)?;
                MultipartRequest::MeterConfig(meter)
            }
            11 => MultipartRequest::MeterFeatures,
            12 => MultipartRequest::TableFeatures(r.all(TableFeatures::decode)?),
            13 if r.version() >= Version::V1_5 => {
                let port = PortNo(r.u32()?);
                r.skip(4)?;
                MultipartRequest::PortDesc(port)
            }
            13 => MultipartRequest::PortDesc(PortNo::ANY),
            14 if r.version() >= Version::V1_4 => MultipartRequest::TableDesc,
            15 if r.version() >= Version::V1_4 => {
                let port = PortNo(r.u32()?);
                r.skip(4)?;
                MultipartRequest::QueueDesc(port)
            }
            17 if r.version() >= Version::V1_5 => {
                MultipartRequest::FlowCounters(FlowStatsRequest::decode(r)?)
            }
            FLOW_MONITOR if r.version() >= Version::V1_4 => {
                MultipartRequest::FlowMonitor(r.all(MonitorRequest::decode)?)
            }
            0xffff => match (r.u32()?, r.u32()?) {
                (ONF, ONF_MONITOR) if r.version() < Version::V1_4 => {
                    MultipartRequest::FlowMonitor(r.all(MonitorRequest::decode)?)
                }
                (experimenter, exp_type) => {
                    MultipartRequest::Experimenter { experimenter, exp_type, data: r.rest().to_vec() }
                }
            },
            _ => return Err(bad_type(r, ty)),
        };
        r.end()?;
        Ok((more, request))
    }

    pub(crate) fn encode(&self, more: bool, w: &mut Writer) {
        encode_head(self.ty(w.version), more, w);
        match self {
            MultipartRequest::FlowMonitor(monitors) => {
                if w.version < Version::V1_4 {
                    w.u32(ONF);
                    w.u32(ONF_MONITOR);
                }
                monitors.iter().for_each(|monitor| monitor.encode(w));
            }
            MultipartRequest::Desc
            | MultipartRequest::Table
            | MultipartRequest::TableDesc
            | MultipartRequest::GroupFeatures
            | MultipartRequest::MeterFeatures => {}
            MultipartRequest::GroupDesc(group) => {
                if w.version >= Version::V1_5 {
                    w.u32(group.0);
                    w.zeros(4);
                }
            }
            MultipartRequest::PortDesc(port) => {
                if w.version >= Version::V1_5 {
                    w.u32(port.0);
                    w.zeros(4);
                }
            }
            MultipartRequest::QueueDesc(port) => {
                w.u32(port.0);
                w.zeros(4);
            }
            MultipartRequest::Flow(request)
            | MultipartRequest::Aggregate(request)
            | MultipartRequest::FlowCounters(request) => request.encode(w),
            MultipartRequest::PortStats(port) => {
                w.u32(port.0);
                w.zeros(4);
            }
            MultipartRequest::Queue { port, queue } => {
                w.u32(port.0);
                w.u32(*queue);
            }
            MultipartRequest::Group(group) => {
                w.u32(group.0);
                w.zeros(4);
            }
            MultipartRequest::Meter(meter) | MultipartRequest::MeterConfig(meter) => {
                w.u32(meter.0);
                w.zeros(4);
            }
            MultipartRequest::TableFeatures(tables) => tables.iter().for_each(|t| t.encode(w)),
            MultipartRequest::Experimenter { experimenter, exp_type, data } => {
                w.u32(*experimenter);
                w.u32(*exp_type);
                w.bytes(data);
            }
        }
    }
}

/// The answer to a [`MultipartRequest`], or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MultipartReply {
    /// The switch's description.
    Desc(Desc),
    /// Flow entries.
    Flow(Vec<FlowStats>),
    /// Sums over flow entries.
    Aggregate(AggregateStats),
    /// Tables' counters.
    Table(Vec<TableStats>),
    /// Ports' counters.
    PortStats(Vec<PortStats>),
    /// Queues' counters.
    Queue(Vec<QueueStats>),
    /// Groups' counters.
    Group(Vec<GroupStats>),
    /// Groups.
    GroupDesc(Vec<GroupDesc>),
    /// What groups there can be.
    GroupFeatures(GroupFeatures),
    /// Meters' counters.
    Meter(Vec<MeterStats>),
    /// Meters' configuration.
    MeterConfig(Vec<MeterConfig>),
    /// What meters there can be.
    MeterFeatures(MeterFeatures),
    /// What the tables can do.
    TableFeatures(Vec<TableFeatures>),
    /// Ports.
    PortDesc(Vec<Port>),
    /// The configuration of tables. From OpenFlow 1.4 on.
    TableDesc(Vec<TableDesc>),
    /// Queues; there are none. From OpenFlow 1.4 on.
    QueueDesc,
    /// What flow monitors tell: in answer to a request the entries that are there, later changes, with transaction id 0.
    FlowUpdates(Vec<FlowUpdate>),
    /// Another party's reply.
    Experimenter {
        /// The experimenter id.
        experimenter: u32,
        /// The experimenter's type.
        exp_type: u32,
        /// The body.
        data: Vec<u8>,
    },
}

impl MultipartReply {
    fn ty(&self, version: Version) -> u16 {
        match self {
            MultipartReply::FlowUpdates(_) if version >= Version::V1_4 => FLOW_MONITOR,
            MultipartReply::FlowUpdates(_) => 0xffff,
            MultipartReply::Desc(_) => 0,
            MultipartReply::Flow(_) => 1,
            MultipartReply::Aggregate(_) => 2,
            MultipartReply::Table(_) => 3,
            MultipartReply::PortStats(_) => 4,
            MultipartReply::Queue(_) => 5,
            MultipartReply::Group(_) => 6,
            MultipartReply::GroupDesc(_) => 7,
            MultipartReply::GroupFeatures(_) => 8,
            MultipartReply::Meter(_) => 9,
            MultipartReply::MeterConfig(_) => 10,
            MultipartReply::MeterFeatures(_) => 11,
            MultipartReply::TableFeatures(_) => 12,
            MultipartReply::PortDesc(_) => 13,
            MultipartReply::TableDesc(_) => 14,
            MultipartReply::QueueDesc => 15,
            MultipartReply::Experimenter { .. } => 0xffff,
        }
    }

    /// Reads the reply and its `MORE` flag.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<(bool, MultipartReply), DecodeError> {
        let (ty, more) = decode_head(r)?;
        let reply = match ty {
            0 => MultipartReply::Desc(Desc::decode(r)?),
            1 => MultipartReply::Flow(r.all(FlowStats::decode)?),
            2 => MultipartReply::Aggregate(AggregateStats::decode(r)?),
            3 => MultipartReply::Table(r.all(TableStats::decode)?),
            4 => MultipartReply::PortStats(r.all(PortStats::decode)?),
            5 => MultipartReply::Queue(r.all(QueueStats::decode)?),
            6 => MultipartReply::Group(r.all(GroupStats::decode)?),
            7 => MultipartReply::GroupDesc(r.all(GroupDesc::decode)?),
            8 => MultipartReply::GroupFeatures(GroupFeatures::decode(r)?),
            9 => MultipartReply::Meter(r.all(MeterStats::decode)?),
            10 => MultipartReply::MeterConfig(r.all(MeterConfig::decode)?),
            11 => MultipartReply::MeterFeatures(MeterFeatures::decode(r)?),
            12 => MultipartReply::TableFeatures(r.all(TableFeatures::decode)?),
            13 => MultipartReply::PortDesc(r.all(Port::decode)?),
            14 if r.version() >= Version::V1_4 => MultipartReply::TableDesc(r.all(TableDesc::decode)?),
            15 if r.version() >= Version::V1_4 => {
                r.rest();
                MultipartReply::QueueDesc
            }
            FLOW_MONITOR if r.version() >= Version::V1_4 => {
                MultipartReply::FlowUpdates(r.all(FlowUpdate::decode)?)
            }
            0xffff => match (r.u32()?, r.u32()?) {
                (ONF, ONF_MONITOR) if r.version() < Version::V1_4 => {
                    MultipartReply::FlowUpdates(r.all(FlowUpdate::decode)?)
                }
                (experimenter, exp_type) => {
                    MultipartReply::Experimenter { experimenter, exp_type, data: r.rest().to_vec() }
                }
            },
            _ => return Err(bad_type(r, ty)),
        };
        r.end()?;
        Ok((more, reply))
    }

    pub(crate) fn encode(&self, more: bool, w: &mut Writer) {
        encode_head(self.ty(w.version), more, w);
        w.bytes(&self.own_head(w.version));
        match self.records(Dialect { version: w.version, filters: w.filters }) {
            Ok(records) => records.iter().for_each(|record| w.bytes(record)),
            Err(body) => w.bytes(&body),
        }
    }

    /// The reply as one message or as many as it takes.
    ///
    /// A single record of more than a message can hold, which no switch within the limits of its own tables has, is
    /// left out.
    pub fn encode_parts(&self, xid: u32) -> Vec<Vec<u8>> {
        self.encode_parts_in(Version::V1_3, xid)
    }

    /// The same under OpenFlow 1.0 in Nicira's format.
    pub fn encode_parts_nicira(&self, dialect: Dialect, xid: u32) -> Vec<Vec<u8>> {
        v10::encode_parts(self, true, dialect, xid)
    }

    /// The same in another version.
    pub fn encode_parts_in(&self, dialect: impl Into<Dialect>, xid: u32) -> Vec<Vec<u8>> {
        let dialect = dialect.into();
        if dialect.version == Version::V1_0 {
            return v10::encode_parts(self, false, dialect, xid);
        }
        const ROOM: usize = u16::MAX as usize - HEADER_LEN - 16;
        let mut bodies = vec![Vec::new()];
        match self.records(dialect) {
            Err(body) => bodies[0] = body,
            Ok(records) => {
                for record in records.iter().filter(|r| r.len() <= ROOM) {
                    if bodies.last().is_some_and(|b| b.len() + record.len() > ROOM) {
                        bodies.push(Vec::new());
                    }
                    if let Some(body) = bodies.last_mut() {
                        body.extend_from_slice(record);
                    }
                }
            }
        }
        let last = bodies.len() - 1;
        bodies
            .iter()
            .enumerate()
            .filter_map(|(i, body)| {
                encode_message(dialect, msg_type::MULTIPART_REPLY, xid, |w| {
                    encode_head(self.ty(dialect.version), i != last, w);
                    w.bytes(&self.own_head(dialect.version));
                    w.bytes(body);
                })
                .ok()
            })
            .collect()
    }

    /// What each part of it begins with.
    fn own_head(&self, version: Version) -> Vec<u8> {
        match self {
            MultipartReply::FlowUpdates(_) if version < Version::V1_4 => {
                [ONF.to_be_bytes(), ONF_MONITOR.to_be_bytes()].concat()
            }
            _ => Vec::new(),
        }
    }

    /// The records of a list, or the whole body of what is no list.
    fn records(&self, version: Dialect) -> Result<Vec<Vec<u8>>, Vec<u8>> {
        fn all<T>(
            version: Dialect,
            items: &[T],
            encode: impl Fn(&T, &mut Writer),
        ) -> Result<Vec<Vec<u8>>, Vec<u8>> {
            Ok(items.iter().map(|item| one(version, item, &encode)).collect())
        }
        fn one<T>(version: Dialect, item: &T, encode: impl Fn(&T, &mut Writer)) -> Vec<u8> {
            let mut w = Writer::new(version);
            encode(item, &mut w);
            w.out
        }
        match self {
            MultipartReply::Desc(desc) => Err(one(version, desc, Desc::encode)),
            MultipartReply::Aggregate(sums) => Err(one(version, sums, AggregateStats::encode)),
            MultipartReply::GroupFeatures(features) => Err(one(version, features, GroupFeatures::encode)),
            MultipartReply::MeterFeatures(features) => Err(one(version, features, MeterFeatures::encode)),
            MultipartReply::Experimenter { experimenter, exp_type, data } => {
                let mut w = Writer::default();
                w.u32(*experimenter);
                w.u32(*exp_type);
                w.bytes(data);
                Err(w.out)
            }
            MultipartReply::Flow(items) => all(version, items, FlowStats::encode),
            MultipartReply::Table(items) => all(version, items, TableStats::encode),
            MultipartReply::PortStats(items) => all(version, items, PortStats::encode),
            MultipartReply::Queue(items) => all(version, items, QueueStats::encode),
            MultipartReply::Group(items) => all(version, items, GroupStats::encode),
            MultipartReply::GroupDesc(items) => all(version, items, GroupDesc::encode),
            MultipartReply::Meter(items) => all(version, items, MeterStats::encode),
            MultipartReply::MeterConfig(items) => all(version, items, MeterConfig::encode),
            MultipartReply::TableFeatures(items) => all(version, items, TableFeatures::encode),
            MultipartReply::PortDesc(items) => all(version, items, Port::encode),
            MultipartReply::TableDesc(items) => all(version, items, TableDesc::encode),
            MultipartReply::FlowUpdates(items) => all(version, items, FlowUpdate::encode),
            MultipartReply::QueueDesc => Ok(Vec::new()),
        }
    }
}

fn decode_head(r: &mut Reader<'_>) -> Result<(u16, bool), DecodeError> {
    let ty = r.u16()?;
    let flags = r.u16()?;
    if flags & !MORE != 0 {
        let problem = Problem::Value { field: "multipart flags", found: flags.into(), expected: "0 or 1" };
        return Err(r.error(ErrorCode::RequestBadMultipart, problem));
    }
    r.skip(4)?;
    Ok((ty, flags & MORE != 0))
}

fn encode_head(ty: u16, more: bool, w: &mut Writer) {
    w.u16(ty);
    w.u16(u16::from(more) * MORE);
    w.zeros(4);
}

fn bad_type(r: &Reader<'_>, ty: u16) -> DecodeError {
    let problem =
        Problem::Value { field: "multipart type", found: ty.into(), expected: "one of OpenFlow 1.3" };
    r.error(ErrorCode::RequestBadMultipart, problem)
}
