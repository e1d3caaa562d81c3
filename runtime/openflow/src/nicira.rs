//! Extensions of Open vSwitch, under the experimenter id of Nicira, that stock `ovs-ofctl` sends by itself or on request.
//!
//! Source: `include/openflow/nicira-ext.h` and `lib/ofp-actions.c` of Open vSwitch.

use crate::action::Action;
use crate::error::DecodeError;
use crate::ids::{PortNo, TableId};
use crate::wire::{Reader, Writer};

/// `NX_VENDOR_ID`.
pub(crate) const EXPERIMENTER: u32 = 0x0000_2320;

/// `NXAST_RESUBMIT`: to the entry's own table.
const RESUBMIT: u16 = 1;
/// `NXAST_RESUBMIT_TABLE`.
const RESUBMIT_TABLE: u16 = 14;

/// Reads the rest of an action behind the experimenter id. `None` for those that are not known.
pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Option<Action>, DecodeError> {
    Ok(match r.u16()? {
        RESUBMIT => Some(Action::Resubmit { port: port_from_16(r.u16()?), table: TableId::ALL }),
        RESUBMIT_TABLE => Some(Action::Resubmit { port: port_from_16(r.u16()?), table: TableId(r.u8()?) }),
        _ => None,
    })
}

/// Writes a resubmit action from the experimenter id on.
pub(crate) fn encode_resubmit(port: PortNo, table: TableId, w: &mut Writer) {
    w.u32(EXPERIMENTER);
    w.u16(RESUBMIT_TABLE);
    w.u16(port_to_16(port));
    w.u8(table.0);
    w.zeros(3);
}

/// A port number as OpenFlow 1.0 has it, in 16 bits: the reserved ones are the last there, too.
pub(crate) fn port_from_16(port: u16) -> PortNo {
    PortNo(if port >= 0xff00 { 0xffff_0000 | u32::from(port) } else { port.into() })
}

/// The lower half of a port number. Ports above 0xfeff, but for the reserved ones, cannot be said; `ANY` stands for them.
pub(crate) fn port_to_16(port: PortNo) -> u16 {
    match port.0 {
        n if n < 0xff00 => n as u16,
        n if n >= 0xffff_ff00 => n as u16,
        _ => 0xffff,
    }
}
