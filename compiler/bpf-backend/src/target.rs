//! Who runs the programs: a switch that reads classes, or the Linux kernel alone, which drops packets or lets them pass.

use oko_bpf::object::write::Context;
use oko_bpf::xdp::CtxField;
use oko_ir::FilterResult;

/// Who runs the programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Whoever looks at the class: the result is 1 plus it, in an XDP program.
    #[default]
    Switch,
    /// The kernel, as an XDP program.
    Xdp(OnMatch),
    /// The kernel, as a classifier of traffic control in direct-action mode.
    Tc(OnMatch),
}

/// What the kernel does with packets that match; the others fare the opposite way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMatch {
    /// They are dropped.
    Drop,
    /// They pass.
    Pass,
}

/// `XDP_DROP`, `XDP_PASS`.
const XDP: Verdicts = Verdicts { drop: 1, pass: 2 };
/// `TC_ACT_SHOT`, `TC_ACT_OK`.
const TC: Verdicts = Verdicts { drop: 2, pass: 0 };

#[derive(Clone, Copy)]
struct Verdicts {
    drop: i32,
    pass: i32,
}

impl Target {
    /// The result of a program is `.0 + .1 * class`.
    pub(crate) fn result(self) -> (i32, i32) {
        let of = |Verdicts { drop, pass }, on_match| match on_match {
            OnMatch::Drop => (pass, drop - pass),
            OnMatch::Pass => (drop, pass - drop),
        };
        match self {
            Target::Switch => (1, 1),
            Target::Xdp(on_match) => of(XDP, on_match),
            Target::Tc(on_match) => of(TC, on_match),
        }
    }

    /// Whether a filter with this result can be run so.
    pub(crate) fn takes(self, result: FilterResult) -> bool {
        self == Target::Switch || result == FilterResult::Bool
    }

    /// The kind of program.
    pub(crate) fn context(self) -> Context {
        match self {
            Target::Switch | Target::Xdp(_) => Context::Xdp,
            Target::Tc(_) => Context::Tc,
        }
    }

    /// Where a field of the packet's description is, from the address in `r1`: in `struct xdp_md` or `struct __sk_buff`.
    pub(crate) fn offset(self, field: CtxField) -> i16 {
        match (self, field) {
            (Target::Tc(_), CtxField::Data) => 76,
            (Target::Tc(_), CtxField::DataEnd) => 80,
            (Target::Tc(_), CtxField::DataMeta) => 140,
            (Target::Tc(_), CtxField::IngressIfindex) => 36,
            (Target::Tc(_), CtxField::RxQueueIndex) => 8,
            // The context is 24 bytes.
            (_, field) => field.offset() as i16,
        }
    }

    /// Where the length of the whole packet is, if the description has it.
    pub(crate) fn len_offset(self) -> Option<i16> {
        matches!(self, Target::Tc(_)).then_some(0)
    }
}
