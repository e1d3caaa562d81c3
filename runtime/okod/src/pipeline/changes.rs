//! Actions that change the packet. OpenFlow 1.3.5, section 5.12.
//!
//! What the change of one packet says of others that take its path is noted for them.

use oko_flow_table::place;
use oko_openflow::oxm::{Prerequisite, VLAN_PRESENT};
use oko_openflow::{Action, CopyField, Field as Oxm, FieldSpec, MatchField, PacketInReason};
use oko_packet::Field;
use oko_packet::edit::{Editor, NoRoom};

use super::{Origin, Over, Walk};
use crate::recording::Recording;

impl<'b> Walk<'_, '_, 'b> {
    /// The packet, to change: what is planned keeps what it is now.
    pub(super) fn change(&mut self) -> &mut Editor<'b> {
        self.note(Recording::depends_on_packet);
        self.plan.seal(self.packet.bytes());
        self.packet
    }

    /// Puts headers on or takes them off, or sets what has an action of its own.
    pub(super) fn change_headers(&mut self, change: &Action, origin: Origin) -> Result<(), Over> {
        self.change();
        if moves_headers(change) {
            self.note(Recording::ends);
        }
        if matches!(change, Action::SetTpSrc(_) | Action::SetTpDst(_)) && !self.packet.has(Field::L4_SRC) {
            // A later fragment, say, which is not in the key.
            self.leave_path();
        }
        let packet = &mut *self.packet;
        let done = match change {
            Action::PushVlan(eth_type) => packet.push_vlan(*eth_type),
            Action::PushMpls(eth_type) => packet.push_mpls(*eth_type),
            Action::PushPbb(eth_type) => packet.push_pbb(*eth_type),
            Action::SetVlanVid(vid) => {
                tag_if_none(packet).map(|()| packet.set(Field::VLAN_VID, (*vid).into()))
            }
            Action::SetVlanPcp(pcp) => {
                tag_if_none(packet).map(|()| packet.set(Field::VLAN_PCP, (*pcp).into()))
            }
            _ => {
                match change {
                    Action::PopVlan => packet.pop_vlan(),
                    Action::PopMpls(eth_type) => packet.pop_mpls(*eth_type),
                    Action::PopPbb => packet.pop_pbb(),
                    Action::SetNwTtl(ttl) => packet.set_nw_ttl(*ttl),
                    Action::SetMplsTtl(ttl) => packet.set_mpls_ttl(*ttl),
                    Action::CopyTtlOut => packet.copy_ttl_out(),
                    Action::CopyTtlIn => packet.copy_ttl_in(),
                    Action::SetTpSrc(port) => set_port(packet, Field::L4_SRC, *port),
                    Action::SetTpDst(port) => set_port(packet, Field::L4_DST, *port),
                    Action::DecNwTtl if packet.dec_nw_ttl().is_err() => return self.ttl_is_over(origin),
                    Action::DecMplsTtl if packet.dec_mpls_ttl().is_err() => return self.ttl_is_over(origin),
                    _ => {}
                }
                Ok(())
            }
        };
        // Better not sent than sent as something else.
        done.map_err(|_| {
            self.pipeline.no_room += 1;
            Over
        })
    }

    /// The controllers that want to know get the packet (section 5.12, "Decrement TTL").
    fn ttl_is_over(&mut self, origin: Origin) -> Result<(), Over> {
        let origin = Origin { reason: PacketInReason::InvalidTtl, ..origin };
        self.tell_controller(Action::WHOLE_PACKET, origin, false);
        Err(Over)
    }

    /// Sets a field that the packet has.
    pub(super) fn set_field(&mut self, field: &MatchField) {
        let place = place(field.field());
        if !place.is_pipeline() {
            // Another packet that takes this path may have the field, also if this one does not.
            self.note(Recording::depends_on_packet);
            if UNCOVERING.contains(&place) {
                self.note(Recording::ends);
            }
            // Tables that look at a field look at what it needs, too: packets that agree in their relevant bits do so afterwards.
            if !meets_prerequisites(field.field().spec(), self.packet) {
                return;
            }
            // But a header that is cut off is not in the key.
            if !self.packet.has(place) {
                self.leave_path();
                return;
            }
        }
        let value = if field.is_exact() {
            field.value()
        } else {
            self.packet.key().get(place) & !field.mask() | field.value()
        };
        self.write(place, value);
    }

    /// Copies bits of one field to another. A field that the packet does not have is neither read nor written.
    pub(super) fn copy_field(&mut self, copy: &CopyField) {
        // What later tables look at depends on bits that may be in none of them, and whether there are any, too.
        self.note(Recording::ends);
        let ((source, _), (target, _)) = (copy.source(), copy.target());
        // That there is no tag is a value of the VLAN id.
        let is_read = source == Oxm::VlanVid || has(self.packet, source);
        if !is_read || !has(self.packet, target) {
            return;
        }
        let key = self.packet.key();
        let value = copy.apply(key.get(place(source)), key.get(place(target)));
        self.write(place(target), value);
    }

    fn write(&mut self, place: Field, value: u128) {
        if place.is_pipeline() {
            // Not a byte of the packet.
            self.packet.set(place, value);
        } else {
            self.change().set(place, value);
        }
    }
}

/// Fields that say what the bytes behind them are: another value makes other fields of these.
const UNCOVERING: [Field; 5] =
    [Field::ETH_TYPE, Field::IP_PROTO, Field::L4_SRC, Field::L4_DST, Field::MPLS_BOS];

/// Whether an action uncovers headers or puts them on.
fn moves_headers(action: &Action) -> bool {
    matches!(
        action,
        Action::PushVlan(_)
            | Action::PushMpls(_)
            | Action::PushPbb(_)
            | Action::PopVlan
            | Action::PopMpls(_)
            | Action::PopPbb
            | Action::SetVlanVid(_)
            | Action::SetVlanPcp(_)
    )
}

fn tag_if_none(packet: &mut Editor<'_>) -> Result<(), NoRoom> {
    if packet.key().get(Field::VLAN_VID) & VLAN_PRESENT == 0 {
        packet.push_vlan(oko_packet::proto::ETH_VLAN)?;
    }
    Ok(())
}

/// Sets a port of TCP, UDP or SCTP, and not the type of ICMP, which has the same place.
fn set_port(packet: &mut Editor<'_>, field: Field, port: u16) {
    use oko_packet::proto::{IP_SCTP, IP_TCP, IP_UDP};
    if [IP_TCP, IP_UDP, IP_SCTP].contains(&(packet.key().get(Field::IP_PROTO) as u8)) {
        packet.set(field, port.into());
    }
}

/// Whether a packet has a field.
fn has(packet: &mut Editor<'_>, field: Oxm) -> bool {
    meets_prerequisites(field.spec(), packet) && packet.has(place(field))
}

/// Whether a packet is what a field needs, and has what that needs.
fn meets_prerequisites(spec: &FieldSpec, packet: &mut Editor<'_>) -> bool {
    spec.prerequisites.iter().all(|wanted| match wanted {
        Prerequisite::OneOf(field, values) => {
            values.contains(&packet.key().get(place(*field))) && meets_prerequisites(field.spec(), packet)
        }
        Prerequisite::VlanTag => packet.has(Field::VLAN_VID),
        Prerequisite::Present(_) => true,
    })
}
