//! What the return value of a BPF program says of a packet.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use oko_bpf::xdp::XDP_PASS;

/// How the return value of a program, cut to 32 bits, becomes a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is the verdict.
    Value,
    /// The verdict is 1 if it is `XDP_PASS`, else 0.
    Pass,
    /// It is one more than a class, which is the verdict. A program may return any number, whoever made it: a class that there is not is class 0.
    Class {
        /// How many classes there are.
        of: u32,
    },
}

/// `XDP_PASS` as programs return it.
const PASS: u32 = XDP_PASS as u32;

impl Answer {
    /// The verdict for a return value.
    pub fn verdict(self, value: u32) -> u32 {
        match self {
            Answer::Value => value,
            Answer::Pass => u32::from(value == PASS),
            Answer::Class { of } => {
                let class = value.wrapping_sub(1);
                if class < of { class } else { 0 }
            }
        }
    }

    /// The same as code; both numbers are of 32 bits.
    pub(crate) fn translate(self, builder: &mut FunctionBuilder<'_>, value: Value) -> Value {
        match self {
            Answer::Value => value,
            Answer::Pass => {
                let passes = builder.ins().icmp_imm_u(IntCC::Equal, value, i64::from(PASS));
                builder.ins().uextend(I32, passes)
            }
            Answer::Class { of } => {
                let class = builder.ins().iadd_imm_s(value, -1);
                let exists = builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, class, i64::from(of));
                let first = builder.ins().iconst(I32, 0);
                builder.ins().select(exists, class, first)
            }
        }
    }
}
