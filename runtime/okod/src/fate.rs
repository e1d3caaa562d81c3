//! What becomes of a packet, in four bytes: what every packet of a burst looks at.

use oko_openflow::PortNo;

use crate::plan::Effect;
use crate::recording::Then;

/// A [`Then`] in four bytes: the port that a packet leaves by, or one of the reserved numbers, by which none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate(u32);

impl Fate {
    pub(crate) const ACT: Fate = Fate(PortNo::ANY.0);
    /// It is changed, by the path's recipe if it fits that.
    pub(crate) const CHANGE: Fate = Fate(PortNo::IN_PORT.0);
    pub(crate) const DROP: Fate = Fate(PortNo::ALL.0);

    /// That of a path, or none of its own if its actions are done.
    pub(crate) fn of(then: Then) -> Option<Fate> {
        match then {
            Then::Output(port) => Fate::output(port),
            Then::Drop => Some(Fate::DROP),
            Then::Act => None,
        }
    }

    /// A packet leaves by a port, if that is a physical one.
    #[inline]
    pub(crate) fn output(port: PortNo) -> Option<Fate> {
        port.is_physical().then_some(Fate(port.0))
    }

    /// That of a packet with which nothing else is done than this, or nothing; none if it is more than a fate can say.
    #[inline]
    pub(crate) fn of_effect(effect: Option<Effect>) -> Option<Fate> {
        match effect {
            None => Some(Fate::DROP),
            Some(Effect::Output(port)) => Fate::output(port),
            Some(_) => None,
        }
    }

    /// What is done with a packet that is neither changed nor acted on.
    #[inline]
    pub(crate) fn then(self) -> Then {
        match self {
            Fate::ACT | Fate::CHANGE => Then::Act,
            Fate::DROP => Then::Drop,
            Fate(port) => Then::Output(PortNo(port)),
        }
    }
}
