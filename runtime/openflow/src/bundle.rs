//! Bundles: messages that are done all together or not at all. OpenFlow 1.4.1, sections 6.8 and 7.3.9.
//!
//! OpenFlow 1.3 has them as extension 230 of the ONF, whose messages we read and answer, too.

use bitflags::bitflags;

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::message::Message;
use crate::wire::{Reader, Writer};

/// The experimenter id of the ONF.
pub(crate) const ONF: u32 = 0x4f4e_4600;
/// `ONF_ET_BUNDLE_CONTROL` and `ONF_ET_BUNDLE_ADD_MESSAGE`.
const ONF_CONTROL: u32 = 2300;
const ONF_ADD: u32 = 2301;

/// What is done with a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BundleCommand {
    OpenRequest,
    OpenReply,
    CloseRequest,
    CloseReply,
    CommitRequest,
    CommitReply,
    DiscardRequest,
    DiscardReply,
}

const COMMANDS: [BundleCommand; 8] = [
    BundleCommand::OpenRequest,
    BundleCommand::OpenReply,
    BundleCommand::CloseRequest,
    BundleCommand::CloseReply,
    BundleCommand::CommitRequest,
    BundleCommand::CommitReply,
    BundleCommand::DiscardRequest,
    BundleCommand::DiscardReply,
];

bitflags! {
    /// `ofp_bundle_flags`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct BundleFlags: u16 {
        /// All or nothing.
        const ATOMIC = 1;
        /// In the order in which they came.
        const ORDERED = 1 << 1;
    }
}

/// `OFPT_BUNDLE_CONTROL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BundleControl {
    /// The bundle, of this connection.
    pub bundle: u32,
    /// What is done.
    pub command: BundleCommand,
    /// How its messages are done.
    pub flags: BundleFlags,
    /// Whether it came, and is answered, as the extension to OpenFlow 1.3.
    pub extension: bool,
}

/// `OFPT_BUNDLE_ADD_MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BundleAdd {
    /// The bundle, of this connection.
    pub bundle: u32,
    /// The same as of the bundle.
    pub flags: BundleFlags,
    /// The message, with its header.
    pub message: Vec<u8>,
    /// Whether it came as the extension to OpenFlow 1.3.
    pub extension: bool,
}

fn flags(r: &mut Reader<'_>) -> Result<BundleFlags, DecodeError> {
    let found = r.u16()?;
    BundleFlags::from_bits(found).ok_or_else(|| {
        let problem = Problem::Value { field: "flags", found: found.into(), expected: "bits 0 and 1 only" };
        r.error(ErrorCode::BundleBadFlags, problem)
    })
}

impl BundleControl {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<BundleControl, DecodeError> {
        let (bundle, ty) = (r.u32()?, r.u16()?);
        let Some(command) = COMMANDS.get(usize::from(ty)).copied() else {
            let problem = Problem::Value { field: "type", found: ty.into(), expected: "0 to 7" };
            return Err(r.error(ErrorCode::BundleBadType, problem));
        };
        let flags = flags(r)?;
        while r.property()?.is_some() {}
        Ok(BundleControl { bundle, command, flags, extension: false })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if self.extension {
            w.u32(ONF);
            w.u32(ONF_CONTROL);
        }
        w.u32(self.bundle);
        w.u16(self.command as u16);
        w.u16(self.flags.bits());
    }
}

impl BundleAdd {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<BundleAdd, DecodeError> {
        let bundle = r.u32()?;
        r.skip(2)?;
        let flags = flags(r)?;
        let mut head = r.clone();
        head.skip(2)?;
        let len = usize::from(head.u16()?);
        if len < crate::message::HEADER_LEN {
            let problem = Problem::Length { found: len, expected: "at least 8" };
            return Err(r.error(ErrorCode::BundleBadLen, problem));
        }
        let message = r.sub_own(len, "bundled message", ErrorCode::BundleBadLen)?.rest().to_vec();
        let pad = (len.next_multiple_of(8) - len).min(r.left());
        r.skip(pad)?;
        while r.property()?.is_some() {}
        Ok(BundleAdd { bundle, flags, message, extension: false })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if self.extension {
            w.u32(ONF);
            w.u32(ONF_ADD);
        }
        w.u32(self.bundle);
        w.zeros(2);
        w.u16(self.flags.bits());
        w.bytes(&self.message);
    }
}

/// Reads the extension's messages behind experimenter id and type.
pub(crate) fn decode_extension(
    experimenter: u32,
    exp_type: u32,
    r: &mut Reader<'_>,
) -> Result<Option<Message>, DecodeError> {
    Ok(match (experimenter, exp_type) {
        (ONF, ONF_CONTROL) => {
            Some(Message::BundleControl(BundleControl { extension: true, ..BundleControl::decode(r)? }))
        }
        (ONF, ONF_ADD) => Some(Message::BundleAdd(BundleAdd { extension: true, ..BundleAdd::decode(r)? })),
        _ => None,
    })
}
