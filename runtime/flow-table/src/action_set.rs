//! The action set: at most one action of each kind, done in a fixed order. OpenFlow 1.3.5, section 5.10.

use oko_openflow::{Action, Field};

/// An action's place in the order of the action set; actions of one kind replace each other and have the same.
///
/// TTL copy inwards, pop, push MPLS, push PBB, push VLAN, TTL copy outwards, decrement TTL, set, queue, group, output. Fields are each
/// of a kind of their own.
pub fn kind(action: &Action) -> (u8, u8) {
    match action {
        Action::CopyTtlIn => (0, 0),
        Action::PopVlan => (1, 0),
        Action::PopMpls(_) => (1, 1),
        Action::PopPbb => (1, 2),
        Action::PushMpls(_) => (2, 0),
        Action::PushPbb(_) => (3, 0),
        Action::PushVlan(_) => (4, 0),
        Action::CopyTtlOut => (5, 0),
        Action::DecNwTtl => (6, 0),
        Action::DecMplsTtl => (6, 1),
        Action::SetField(field) => (7, field.field() as u8),
        // Behind all that is set, each target once.
        Action::CopyField(copy) => (7, 128 + copy.target().0 as u8),
        Action::SetNwTtl(_) => (7, 254),
        Action::SetMplsTtl(_) => (7, 255),
        Action::SetQueue(_) => (8, 0),
        Action::Meter(_) => (8, 3),
        Action::Group(_) => (9, 0),
        Action::Output { .. } => (10, 0),
        // Those of Open vSwitch and OpenFlow 1.0 are like the set-field of the same field.
        Action::SetVlanVid(_) => (7, Field::VlanVid as u8),
        Action::SetVlanPcp(_) => (7, Field::VlanPcp as u8),
        Action::SetTpSrc(_) => (7, 252),
        Action::SetTpDst(_) => (7, 253),
        // Before the output: what it leads to is done beside it.
        Action::Resubmit { .. } => (8, 2),
        Action::Experimenter { .. } => (8, 1),
    }
}

/// Puts an action into a set that is kept in order, in the place of one of the same kind.
pub fn write<A: std::borrow::Borrow<Action>>(set: &mut Vec<A>, action: A) {
    let wanted = kind(action.borrow());
    match set.binary_search_by_key(&wanted, |other| kind(other.borrow())) {
        Ok(at) => set[at] = action,
        Err(at) => set.insert(at, action),
    }
}

/// The actions of a set that are done: with a group, its output is not.
pub fn done<A: std::borrow::Borrow<Action>>(set: &[A]) -> &[A] {
    match set {
        [rest @ .., group, output]
            if matches!(group.borrow(), Action::Group(_))
                && matches!(output.borrow(), Action::Output { .. }) =>
        {
            &set[..=rest.len()]
        }
        set => set,
    }
}

#[cfg(test)]
mod tests {
    use oko_openflow::{GroupId, MatchField, PortNo};

    use super::*;

    fn set_of(actions: &[Action]) -> Vec<Action> {
        let mut set = Vec::new();
        for action in actions {
            write(&mut set, action.clone());
        }
        set
    }

    #[test]
    fn order_is_that_of_the_specification_and_the_last_of_a_kind_counts() {
        let field = |field, value| Action::SetField(MatchField::exact(field, value).unwrap());
        let output = |port| Action::output(PortNo(port));
        let set = set_of(&[
            output(1),
            field(Field::VlanVid, 0x1005),
            Action::PushVlan(0x8100),
            Action::PushMpls(0x8847),
            field(Field::EthDst, 7),
            Action::DecNwTtl,
            Action::PopVlan,
            output(2),
            field(Field::EthDst, 8),
        ]);
        assert_eq!(
            set,
            [
                Action::PopVlan,
                Action::PushMpls(0x8847),
                Action::PushVlan(0x8100),
                Action::DecNwTtl,
                field(Field::EthDst, 8),
                field(Field::VlanVid, 0x1005),
                output(2)
            ]
        );
    }

    #[test]
    fn a_group_takes_the_place_of_the_output() {
        let set = set_of(&[Action::output(PortNo(3)), Action::Group(GroupId(1)), Action::PopVlan]);
        assert_eq!(done(&set), [Action::PopVlan, Action::Group(GroupId(1))]);
        assert_eq!(done(&set[..1]), [Action::PopVlan]);
    }
}
