//! Tests of a program, each compiled to a module of its own that has the program's filters and what the test computes.

use oko_front::hir::Program;
use oko_front::plan::Plan;
use oko_front::{Arm, Origin, TestModule};
use oko_ir::Checked as Ir;

use crate::artifact::{Options, build};
use crate::failed::Failure;
use crate::phases::Checked;

/// A test that can be run.
#[derive(Clone, Debug)]
pub struct TestObject {
    /// An object file as that of the program, with the filters that tell the test's values behind the program's own.
    pub object: Vec<u8>,
    /// The same as IR before optimisation, with marks in the arms of matches.
    pub marked: Ir,
    /// Where each of the plan's values comes from.
    pub origins: Vec<Origin>,
    /// The number of the first of the params that carry the test's locals.
    pub first_param: u32,
    /// The arms of matches, with their marks in `marked`.
    pub arms: Vec<Arm>,
    /// The number of the file in which marks lie.
    pub mark_file: u32,
}

impl Checked {
    /// The typed program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its tests.
    pub fn tests(&self) -> &[Plan] {
        &self.program.tests
    }

    /// Compiles one of [`tests`](Self::tests).
    ///
    /// # Errors
    ///
    /// A filter that does not fit a BPF program, or a defect of the compiler.
    pub fn test(&self, plan: &Plan) -> Result<TestObject, Failure> {
        let sources = &self.session.sources;
        let large = || Failure::Defect { errors: vec!["the test is too large".to_owned()] };
        let lowered = |marked| oko_front::test_module(&self.program, plan, sources, marked).ok_or_else(large);
        let verified = |module| {
            oko_ir::verify(module).map_err(|errors| Failure::Defect {
                errors: errors.iter().map(ToString::to_string).collect(),
            })
        };
        let TestModule { module, arms, .. } = lowered(true)?;
        let mark_file = module.files.len().saturating_sub(1) as u32;
        let marked = verified(module)?;
        let TestModule { module, schema, fields_read, origins, first_param, .. } = lowered(false)?;
        let ir = oko_ir::passes::optimize(verified(module)?);
        let object = build(&ir, &schema, fields_read, sources, &Options::default())?.bytes;
        Ok(TestObject { object, marked, origins, first_param, arms, mark_file })
    }
}
