//! Instructions, section 7.2.4: what an entry does with the packets that it matches.
//!
//! An entry has each instruction at most once and they are executed in a fixed order (section 5.9), so the set is a
//! struct and not a list. An empty list of actions is the same as no instruction.

use crate::action::Action;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::ids::{MeterId, TableId};
use crate::switch::Version;
use crate::wire::{Reader, Writer};

/// The instructions of a flow entry, in the order of their execution. With none, a matching packet is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Instructions {
    /// Applies a meter, which may drop the packet.
    pub meter: Option<MeterId>,
    /// Actions to do at once, in this order.
    pub apply: Vec<Action>,
    /// Empties the action set.
    pub clear: bool,
    /// Actions to put into the action set.
    pub write: Vec<Action>,
    /// Bits to write into the metadata.
    pub metadata: Option<MetadataWrite>,
    /// The table to go on with.
    pub goto_table: Option<TableId>,
}

/// A masked write of the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetadataWrite {
    /// New values of the bits.
    pub value: u64,
    /// The bits to write.
    pub mask: u64,
}

const GOTO_TABLE: u16 = 1;
const WRITE_METADATA: u16 = 2;
const WRITE_ACTIONS: u16 = 3;
const APPLY_ACTIONS: u16 = 4;
const CLEAR_ACTIONS: u16 = 5;
const METER: u16 = 6;
const EXPERIMENTER: u16 = 0xffff;

impl Instructions {
    /// No instruction: drop.
    pub fn none() -> Instructions {
        Instructions::default()
    }

    /// Does these actions at once.
    pub fn apply(actions: Vec<Action>) -> Instructions {
        Instructions { apply: actions, ..Instructions::default() }
    }

    /// Reads instructions until `r` is empty.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Instructions, DecodeError> {
        let mut out = Instructions::default();
        let mut seen = 0_u8;
        while !r.is_empty() {
            let mut head = r.clone();
            let (ty, len) = (head.u16()?, usize::from(head.u16()?));
            if len < 8 || len % 8 != 0 {
                let problem = Problem::Length { found: len, expected: "a multiple of 8, at least 8" };
                return Err(r.error(ErrorCode::InstructionBadLen, problem));
            }
            let mut one = r.sub_own(len, "instruction", ErrorCode::InstructionBadLen)?;
            if (GOTO_TABLE..=METER).contains(&ty) {
                // OpenFlow 1.3 has no code of its own for this; 1.4 names it OFPBIC_DUP_INST.
                if seen & (1 << ty) != 0 {
                    let problem = Problem::Duplicate { field: "the same instruction" };
                    return Err(one.error(ErrorCode::InstructionUnsupported, problem));
                }
                seen |= 1 << ty;
            }
            one.skip(4)?;
            out.decode_one(ty, &mut one)?;
            one.end()?;
        }
        Ok(out)
    }

    fn decode_one(&mut self, ty: u16, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        match ty {
            GOTO_TABLE => {
                self.goto_table = Some(TableId(r.u8()?));
                r.skip(3)?;
            }
            WRITE_METADATA => {
                r.skip(4)?;
                self.metadata = Some(MetadataWrite { value: r.u64()?, mask: r.u64()? });
            }
            WRITE_ACTIONS => {
                r.skip(4)?;
                self.write = Action::decode_list(&mut r.sub_rest("action", ErrorCode::ActionBadLen))?;
            }
            APPLY_ACTIONS => {
                r.skip(4)?;
                self.apply = Action::decode_list(&mut r.sub_rest("action", ErrorCode::ActionBadLen))?;
                // From OpenFlow 1.5 on a meter is an action.
                if let Some(Action::Meter(meter)) = self.apply.first() {
                    self.meter = Some(*meter);
                    self.apply.remove(0);
                }
            }
            CLEAR_ACTIONS => {
                r.skip(4)?;
                self.clear = true;
            }
            METER if r.version() < Version::V1_5 => self.meter = Some(MeterId(r.u32()?)),
            EXPERIMENTER => {
                let found = r.u32()?;
                let problem = Problem::Value {
                    field: "experimenter of an instruction",
                    found: found.into(),
                    expected: "none; no experimenter instruction is known",
                };
                return Err(r.error(ErrorCode::InstructionBadExperimenter, problem));
            }
            _ => {
                let problem = Problem::Value {
                    field: "instruction type",
                    found: ty.into(),
                    expected: "an OpenFlow 1.3 instruction",
                };
                return Err(r.error(ErrorCode::InstructionUnknown, problem));
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if let Some(meter) = self.meter
            && w.version >= Version::V1_5
        {
            let actions: Vec<Action> =
                std::iter::once(Action::Meter(meter)).chain(self.apply.iter().cloned()).collect();
            encode_actions(APPLY_ACTIONS, &actions, w);
        } else if let Some(meter) = self.meter {
            w.u16(METER);
            w.u16(8);
            w.u32(meter.0);
            encode_actions(APPLY_ACTIONS, &self.apply, w);
        } else {
            encode_actions(APPLY_ACTIONS, &self.apply, w);
        }
        if self.clear {
            w.u16(CLEAR_ACTIONS);
            w.u16(8);
            w.zeros(4);
        }
        encode_actions(WRITE_ACTIONS, &self.write, w);
        if let Some(metadata) = self.metadata {
            w.u16(WRITE_METADATA);
            w.u16(24);
            w.zeros(4);
            w.u64(metadata.value);
            w.u64(metadata.mask);
        }
        if let Some(table) = self.goto_table {
            w.u16(GOTO_TABLE);
            w.u16(8);
            w.u8(table.0);
            w.zeros(3);
        }
    }
}

fn encode_actions(ty: u16, actions: &[Action], w: &mut Writer) {
    if actions.is_empty() {
        return;
    }
    let start = w.len();
    w.u16(ty);
    w.u16(0);
    w.zeros(4);
    Action::encode_list(actions, w);
    w.patch_u16(start + 2, w.len() - start);
}
