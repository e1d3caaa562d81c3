//! What OpenFlow's errors mean, in words.

use oko_openflow::{ErrorCode, ErrorMsg};

/// A sentence for the errors that an operator may cause.
pub(crate) fn explain(error: &ErrorMsg) -> Option<&'static str> {
    let ErrorMsg::Standard { ty, code, .. } = error else { return None };
    Some(match ErrorCode::from_wire(*ty, *code)? {
        ErrorCode::RequestBadType => "it does not have this kind of request",
        ErrorCode::RequestBadExperimenter => "it is no Oko switch",
        ErrorCode::RequestPermission => "this connection may not do that",
        ErrorCode::RequestIsSlave => "this connection may only read",
        ErrorCode::RequestBadTableId => "it has no such table",
        ErrorCode::RequestBadPort => "it has no such port",
        ErrorCode::ActionBadType => "it does not have this action",
        ErrorCode::ActionBadOutPort => "an action names a port that it does not have",
        ErrorCode::ActionBadOutGroup => "an action names a group that it does not have",
        ErrorCode::ActionMatchInconsistent => "an action does not fit the packets that the flow matches",
        ErrorCode::ActionBadSetType => "it cannot set this field",
        ErrorCode::InstructionUnsupported => "it does not have this instruction",
        ErrorCode::InstructionBadTableId => "goto_table leads to no table after this one",
        ErrorCode::MatchBadField => "it cannot match this field",
        ErrorCode::MatchBadMask => "it cannot mask this field",
        ErrorCode::MatchBadPrereq => "a field lacks the fields that give it a meaning",
        ErrorCode::MatchBadValue => "a field has an impossible value",
        ErrorCode::FlowModTableFull => "the table is full",
        ErrorCode::FlowModBadTableId => "it has no such table",
        ErrorCode::FlowModOverlap => "a flow of the same priority overlaps it",
        ErrorCode::FlowModBadFlags => "it does not have this flag",
        ErrorCode::PortModBadPort => "it has no such port",
        ErrorCode::PortModBadHwAddr => "the port has another address",
        ErrorCode::PortModBadConfig => "it cannot change this of a port",
        ErrorCode::MeterUnknown => "it has no such meter",
        _ => return None,
    })
}
