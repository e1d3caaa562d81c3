//! What can be wrong with a message, in OpenFlow's own terms.
//!
//! [`ErrorCode`] is every (type, code) pair of OpenFlow 1.3.5, section 7.4.4. [`DecodeError`] adds the place and the
//! reason; [`ErrorMsg`] is the `OFPT_ERROR` that goes back to the peer.

use std::fmt;

use crate::bundle;
use crate::switch::Version;
use crate::wire::{Reader, Writer};

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $variant:ident = ($ty:literal, $code:literal, $name:literal), )*) => {
        /// An OpenFlow 1.3 error: a type and a code of that type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // each variant is named by its specification name below
        pub enum ErrorCode { $( $(#[$doc])* $variant, )* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$( ErrorCode::$variant, )*];

            /// The type and code on the wire.
            pub fn to_wire(self) -> (u16, u16) {
                match self { $( ErrorCode::$variant => ($ty, $code), )* }
            }

            /// The code for what is on the wire, if OpenFlow 1.3 has it.
            pub fn from_wire(ty: u16, code: u16) -> Option<ErrorCode> {
                match (ty, code) { $( ($ty, $code) => Some(ErrorCode::$variant), )* _ => None }
            }

            /// The name in the specification, e.g. `OFPBRC_BAD_LEN`.
            pub fn name(self) -> &'static str {
                match self { $( ErrorCode::$variant => $name, )* }
            }
        }
    };
}

error_codes! {
    HelloIncompatible = (0, 0, "OFPHFC_INCOMPATIBLE"),
    HelloPermission = (0, 1, "OFPHFC_EPERM"),
    RequestBadVersion = (1, 0, "OFPBRC_BAD_VERSION"),
    RequestBadType = (1, 1, "OFPBRC_BAD_TYPE"),
    RequestBadMultipart = (1, 2, "OFPBRC_BAD_MULTIPART"),
    RequestBadExperimenter = (1, 3, "OFPBRC_BAD_EXPERIMENTER"),
    RequestBadExpType = (1, 4, "OFPBRC_BAD_EXP_TYPE"),
    RequestPermission = (1, 5, "OFPBRC_EPERM"),
    RequestBadLen = (1, 6, "OFPBRC_BAD_LEN"),
    RequestBufferEmpty = (1, 7, "OFPBRC_BUFFER_EMPTY"),
    RequestBufferUnknown = (1, 8, "OFPBRC_BUFFER_UNKNOWN"),
    RequestBadTableId = (1, 9, "OFPBRC_BAD_TABLE_ID"),
    RequestIsSlave = (1, 10, "OFPBRC_IS_SLAVE"),
    RequestBadPort = (1, 11, "OFPBRC_BAD_PORT"),
    RequestBadPacket = (1, 12, "OFPBRC_BAD_PACKET"),
    RequestMultipartOverflow = (1, 13, "OFPBRC_MULTIPART_BUFFER_OVERFLOW"),
    ActionBadType = (2, 0, "OFPBAC_BAD_TYPE"),
    ActionBadLen = (2, 1, "OFPBAC_BAD_LEN"),
    ActionBadExperimenter = (2, 2, "OFPBAC_BAD_EXPERIMENTER"),
    ActionBadExpType = (2, 3, "OFPBAC_BAD_EXP_TYPE"),
    ActionBadOutPort = (2, 4, "OFPBAC_BAD_OUT_PORT"),
    ActionBadArgument = (2, 5, "OFPBAC_BAD_ARGUMENT"),
    ActionPermission = (2, 6, "OFPBAC_EPERM"),
    ActionTooMany = (2, 7, "OFPBAC_TOO_MANY"),
    ActionBadQueue = (2, 8, "OFPBAC_BAD_QUEUE"),
    ActionBadOutGroup = (2, 9, "OFPBAC_BAD_OUT_GROUP"),
    ActionMatchInconsistent = (2, 10, "OFPBAC_MATCH_INCONSISTENT"),
    ActionUnsupportedOrder = (2, 11, "OFPBAC_UNSUPPORTED_ORDER"),
    ActionBadTag = (2, 12, "OFPBAC_BAD_TAG"),
    ActionBadSetType = (2, 13, "OFPBAC_BAD_SET_TYPE"),
    ActionBadSetLen = (2, 14, "OFPBAC_BAD_SET_LEN"),
    ActionBadSetArgument = (2, 15, "OFPBAC_BAD_SET_ARGUMENT"),
    InstructionUnknown = (3, 0, "OFPBIC_UNKNOWN_INST"),
    InstructionUnsupported = (3, 1, "OFPBIC_UNSUP_INST"),
    InstructionBadTableId = (3, 2, "OFPBIC_BAD_TABLE_ID"),
    InstructionUnsupMetadata = (3, 3, "OFPBIC_UNSUP_METADATA"),
    InstructionUnsupMetadataMask = (3, 4, "OFPBIC_UNSUP_METADATA_MASK"),
    InstructionBadExperimenter = (3, 5, "OFPBIC_BAD_EXPERIMENTER"),
    InstructionBadExpType = (3, 6, "OFPBIC_BAD_EXP_TYPE"),
    InstructionBadLen = (3, 7, "OFPBIC_BAD_LEN"),
    InstructionPermission = (3, 8, "OFPBIC_EPERM"),
    MatchBadType = (4, 0, "OFPBMC_BAD_TYPE"),
    MatchBadLen = (4, 1, "OFPBMC_BAD_LEN"),
    MatchBadTag = (4, 2, "OFPBMC_BAD_TAG"),
    MatchBadDlAddrMask = (4, 3, "OFPBMC_BAD_DL_ADDR_MASK"),
    MatchBadNwAddrMask = (4, 4, "OFPBMC_BAD_NW_ADDR_MASK"),
    MatchBadWildcards = (4, 5, "OFPBMC_BAD_WILDCARDS"),
    MatchBadField = (4, 6, "OFPBMC_BAD_FIELD"),
    MatchBadValue = (4, 7, "OFPBMC_BAD_VALUE"),
    MatchBadMask = (4, 8, "OFPBMC_BAD_MASK"),
    MatchBadPrereq = (4, 9, "OFPBMC_BAD_PREREQ"),
    MatchDupField = (4, 10, "OFPBMC_DUP_FIELD"),
    MatchPermission = (4, 11, "OFPBMC_EPERM"),
    FlowModUnknown = (5, 0, "OFPFMFC_UNKNOWN"),
    FlowModTableFull = (5, 1, "OFPFMFC_TABLE_FULL"),
    FlowModBadTableId = (5, 2, "OFPFMFC_BAD_TABLE_ID"),
    FlowModOverlap = (5, 3, "OFPFMFC_OVERLAP"),
    FlowModPermission = (5, 4, "OFPFMFC_EPERM"),
    FlowModBadTimeout = (5, 5, "OFPFMFC_BAD_TIMEOUT"),
    FlowModBadCommand = (5, 6, "OFPFMFC_BAD_COMMAND"),
    FlowModBadFlags = (5, 7, "OFPFMFC_BAD_FLAGS"),
    GroupExists = (6, 0, "OFPGMFC_GROUP_EXISTS"),
    GroupInvalid = (6, 1, "OFPGMFC_INVALID_GROUP"),
    GroupWeightUnsupported = (6, 2, "OFPGMFC_WEIGHT_UNSUPPORTED"),
    GroupOutOfGroups = (6, 3, "OFPGMFC_OUT_OF_GROUPS"),
    GroupOutOfBuckets = (6, 4, "OFPGMFC_OUT_OF_BUCKETS"),
    GroupChainingUnsupported = (6, 5, "OFPGMFC_CHAINING_UNSUPPORTED"),
    GroupWatchUnsupported = (6, 6, "OFPGMFC_WATCH_UNSUPPORTED"),
    GroupLoop = (6, 7, "OFPGMFC_LOOP"),
    GroupUnknown = (6, 8, "OFPGMFC_UNKNOWN_GROUP"),
    GroupChained = (6, 9, "OFPGMFC_CHAINED_GROUP"),
    GroupBadType = (6, 10, "OFPGMFC_BAD_TYPE"),
    GroupBadCommand = (6, 11, "OFPGMFC_BAD_COMMAND"),
    GroupBadBucket = (6, 12, "OFPGMFC_BAD_BUCKET"),
    GroupBadWatch = (6, 13, "OFPGMFC_BAD_WATCH"),
    GroupPermission = (6, 14, "OFPGMFC_EPERM"),
    GroupUnknownBucket = (6, 15, "OFPGMFC_UNKNOWN_BUCKET"),
    GroupBucketExists = (6, 16, "OFPGMFC_BUCKET_EXISTS"),
    PortModBadPort = (7, 0, "OFPPMFC_BAD_PORT"),
    PortModBadHwAddr = (7, 1, "OFPPMFC_BAD_HW_ADDR"),
    PortModBadConfig = (7, 2, "OFPPMFC_BAD_CONFIG"),
    PortModBadAdvertise = (7, 3, "OFPPMFC_BAD_ADVERTISE"),
    PortModPermission = (7, 4, "OFPPMFC_EPERM"),
    TableModBadTable = (8, 0, "OFPTMFC_BAD_TABLE"),
    TableModBadConfig = (8, 1, "OFPTMFC_BAD_CONFIG"),
    TableModPermission = (8, 2, "OFPTMFC_EPERM"),
    QueueBadPort = (9, 0, "OFPQOFC_BAD_PORT"),
    QueueBadQueue = (9, 1, "OFPQOFC_BAD_QUEUE"),
    QueuePermission = (9, 2, "OFPQOFC_EPERM"),
    SwitchConfigBadFlags = (10, 0, "OFPSCFC_BAD_FLAGS"),
    SwitchConfigBadLen = (10, 1, "OFPSCFC_BAD_LEN"),
    SwitchConfigPermission = (10, 2, "OFPSCFC_EPERM"),
    RoleStale = (11, 0, "OFPRRFC_STALE"),
    RoleUnsupported = (11, 1, "OFPRRFC_UNSUP"),
    RoleBadRole = (11, 2, "OFPRRFC_BAD_ROLE"),
    MeterUnknownReason = (12, 0, "OFPMMFC_UNKNOWN"),
    MeterExists = (12, 1, "OFPMMFC_METER_EXISTS"),
    MeterInvalid = (12, 2, "OFPMMFC_INVALID_METER"),
    MeterUnknown = (12, 3, "OFPMMFC_UNKNOWN_METER"),
    MeterBadCommand = (12, 4, "OFPMMFC_BAD_COMMAND"),
    MeterBadFlags = (12, 5, "OFPMMFC_BAD_FLAGS"),
    MeterBadRate = (12, 6, "OFPMMFC_BAD_RATE"),
    MeterBadBurst = (12, 7, "OFPMMFC_BAD_BURST"),
    MeterBadBand = (12, 8, "OFPMMFC_BAD_BAND"),
    MeterBadBandValue = (12, 9, "OFPMMFC_BAD_BAND_VALUE"),
    MeterOutOfMeters = (12, 10, "OFPMMFC_OUT_OF_METERS"),
    MeterOutOfBands = (12, 11, "OFPMMFC_OUT_OF_BANDS"),
    TableFeaturesBadTable = (13, 0, "OFPTFFC_BAD_TABLE"),
    TableFeaturesBadMetadata = (13, 1, "OFPTFFC_BAD_METADATA"),
    TableFeaturesBadType = (13, 2, "OFPTFFC_BAD_TYPE"),
    TableFeaturesBadLen = (13, 3, "OFPTFFC_BAD_LEN"),
    TableFeaturesBadArgument = (13, 4, "OFPTFFC_BAD_ARGUMENT"),
    TableFeaturesPermission = (13, 5, "OFPTFFC_EPERM"),
    PropertyBadType = (14, 0, "OFPBPC_BAD_TYPE"),
    PropertyBadLen = (14, 1, "OFPBPC_BAD_LEN"),
    PropertyBadValue = (14, 2, "OFPBPC_BAD_VALUE"),
    PropertyTooMany = (14, 3, "OFPBPC_TOO_MANY"),
    PropertyDupType = (14, 4, "OFPBPC_DUP_TYPE"),
    AsyncInvalid = (15, 0, "OFPACFC_INVALID"),
    AsyncUnsupported = (15, 1, "OFPACFC_UNSUPPORTED"),
    AsyncPermission = (15, 2, "OFPACFC_EPERM"),
    MonitorUnknown = (16, 0, "OFPMOFC_UNKNOWN"),
    MonitorExists = (16, 1, "OFPMOFC_MONITOR_EXISTS"),
    MonitorInvalid = (16, 2, "OFPMOFC_INVALID_MONITOR"),
    MonitorUnknownId = (16, 3, "OFPMOFC_UNKNOWN_MONITOR"),
    MonitorBadCommand = (16, 4, "OFPMOFC_BAD_COMMAND"),
    MonitorBadFlags = (16, 5, "OFPMOFC_BAD_FLAGS"),
    MonitorBadTable = (16, 6, "OFPMOFC_BAD_TABLE_ID"),
    MonitorBadOut = (16, 7, "OFPMOFC_BAD_OUT"),
    BundleUnknown = (17, 0, "OFPBFC_UNKNOWN"),
    BundlePermission = (17, 1, "OFPBFC_EPERM"),
    BundleBadId = (17, 2, "OFPBFC_BAD_ID"),
    BundleExists = (17, 3, "OFPBFC_BUNDLE_EXIST"),
    BundleClosed = (17, 4, "OFPBFC_BUNDLE_CLOSED"),
    BundleOutOfBundles = (17, 5, "OFPBFC_OUT_OF_BUNDLES"),
    BundleBadType = (17, 6, "OFPBFC_BAD_TYPE"),
    BundleBadFlags = (17, 7, "OFPBFC_BAD_FLAGS"),
    BundleBadLen = (17, 8, "OFPBFC_MSG_BAD_LEN"),
    BundleBadXid = (17, 9, "OFPBFC_MSG_BAD_XID"),
    BundleMessageUnsupported = (17, 10, "OFPBFC_MSG_UNSUP"),
    BundleConflict = (17, 11, "OFPBFC_MSG_CONFLICT"),
    BundleTooMany = (17, 12, "OFPBFC_MSG_TOO_MANY"),
    BundleFailed = (17, 13, "OFPBFC_MSG_FAILED"),
    BundleTimeout = (17, 14, "OFPBFC_TIMEOUT"),
    BundleInProgress = (17, 15, "OFPBFC_BUNDLE_IN_PROGRESS"),
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A message that could not be decoded: which error to answer with, where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, byte {offset}: {problem} ({code})")]
pub struct DecodeError {
    /// What OpenFlow calls it.
    pub code: ErrorCode,
    /// The structure that is wrong, e.g. `flow_mod`.
    pub place: &'static str,
    /// Offset of the trouble from the first byte of the message's header.
    pub offset: usize,
    /// The reason.
    pub problem: Problem,
}

impl DecodeError {
    /// The `OFPT_ERROR` to answer with. `request` is the whole message; its first 64 bytes or all of it, whichever is
    /// less, go back with it (section 7.4.4).
    pub fn reply(&self, request: &[u8]) -> ErrorMsg {
        ErrorMsg::new(self.code, request)
    }
}

/// The reason of a [`DecodeError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The structure ends too early.
    #[error("{needed} bytes are needed, {left} are left")]
    Truncated {
        /// Bytes that the next item takes.
        needed: usize,
        /// Bytes that there are.
        left: usize,
    },
    /// The structure goes on after its end.
    #[error("{left} bytes too many")]
    Excess {
        /// Bytes after the end.
        left: usize,
    },
    /// A length field has an impossible value.
    #[error("length {found}, expected {expected}")]
    Length {
        /// The length field.
        found: usize,
        /// What it may be.
        expected: &'static str,
    },
    /// A value is outside of what the specification allows.
    #[error("{field} is {found:#x}, expected {expected}")]
    Value {
        /// The field's name.
        field: &'static str,
        /// Its value.
        found: u128,
        /// What it may be.
        expected: &'static str,
    },
    /// A bit is one in a match's value and zero in its mask.
    #[error("{field}={value:#x}/{mask:#x} has value bits outside of its mask")]
    ValueOutsideMask {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: u128,
        /// Its mask.
        mask: u128,
    },
    /// A field that cannot be masked has a mask.
    #[error("{field} cannot be masked")]
    NotMaskable {
        /// The field's name.
        field: &'static str,
    },
    /// The same thing twice.
    #[error("{field} appears twice")]
    Duplicate {
        /// What appears twice.
        field: &'static str,
    },
    /// A match field without the fields that give it a meaning.
    #[error("{field} needs {prerequisite}")]
    Prerequisite {
        /// The field's name.
        field: &'static str,
        /// The missing part, as text, e.g. `dl_type=0x0800`.
        prerequisite: String,
    },
    /// Bytes that should be UTF-8 text are not.
    #[error("{field} is not UTF-8 text")]
    NotText {
        /// The field's name.
        field: &'static str,
    },
}

/// The type of `OFPT_ERROR` messages with an experimenter's own codes.
const OFPET_EXPERIMENTER: u16 = 0xffff;

/// `OFPET_BUNDLE_FAILED`.
const BUNDLE_FAILED: u16 = 17;
/// The first of the ONF's codes for the same; the others follow in the same order.
const ONF_BUNDLE_ERRORS: u16 = 2300;

/// `OFPT_ERROR`, section 7.4.4.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ErrorMsg {
    /// A standard error.
    Standard {
        /// The error type; [`ErrorCode::from_wire`] names the pair.
        ty: u16,
        /// The code of that type.
        code: u16,
        /// The start of the offending message, or text for `OFPET_HELLO_FAILED`.
        data: Vec<u8>,
    },
    /// An experimenter's error. Ours are read with [`crate::oko::OkoError::from_message`].
    Experimenter {
        /// The experimenter's code.
        exp_type: u16,
        /// The experimenter id.
        experimenter: u32,
        /// Whatever the experimenter defines.
        data: Vec<u8>,
    },
}

impl ErrorMsg {
    /// How much of the offending message goes back.
    pub const MAX_REQUEST_BYTES: usize = 64;

    /// A standard error about `request`.
    pub fn new(code: ErrorCode, request: &[u8]) -> ErrorMsg {
        let (ty, code) = code.to_wire();
        let data = request[..request.len().min(Self::MAX_REQUEST_BYTES)].to_vec();
        ErrorMsg::Standard { ty, code, data }
    }

    /// `OFPHFC_INCOMPATIBLE` with a text that says which versions we speak (section 6.3.1).
    pub fn incompatible(text: &str) -> ErrorMsg {
        let (ty, code) = ErrorCode::HelloIncompatible.to_wire();
        ErrorMsg::Standard { ty, code, data: text.as_bytes().to_vec() }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<ErrorMsg, DecodeError> {
        let (ty, code) = (r.u16()?, r.u16()?);
        if ty == OFPET_EXPERIMENTER {
            let experimenter = r.u32()?;
            return Ok(ErrorMsg::Experimenter { exp_type: code, experimenter, data: r.rest().to_vec() });
        }
        Ok(ErrorMsg::Standard { ty, code, data: r.rest().to_vec() })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        match self {
            // Before OpenFlow 1.4 bundles are an extension of the ONF, with errors of its own.
            ErrorMsg::Standard { ty: BUNDLE_FAILED, code, data } if w.version < Version::V1_4 => {
                w.u16(OFPET_EXPERIMENTER);
                w.u16(ONF_BUNDLE_ERRORS.saturating_add(*code));
                w.u32(bundle::ONF);
                w.bytes(data);
            }
            ErrorMsg::Standard { ty, code, data } => {
                w.u16(*ty);
                w.u16(*code);
                w.bytes(data);
            }
            ErrorMsg::Experimenter { exp_type, experimenter, data } => {
                w.u16(OFPET_EXPERIMENTER);
                w.u16(*exp_type);
                w.u32(*experimenter);
                w.bytes(data);
            }
        }
    }
}

impl fmt::Display for ErrorMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorMsg::Standard { ty, code, .. } => match ErrorCode::from_wire(*ty, *code) {
                Some(known) => write!(f, "{known}"),
                None => write!(f, "error type {ty}, code {code}"),
            },
            ErrorMsg::Experimenter { exp_type, experimenter, .. } => {
                write!(f, "error {exp_type} of experimenter {experimenter:#010x}")
            }
        }
    }
}
