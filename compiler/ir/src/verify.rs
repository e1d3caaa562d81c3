//! The verifier: a [`Module`] goes in, a [`Checked`] one or the list of what is wrong comes out.

use crate::module::Module;

/// A module that the verifier has accepted. There is no other way to make one.
#[derive(Clone, Debug)]
pub struct Checked {
    module: Module,
}

impl Checked {
    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }
}

/// One thing that is wrong with a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct VerifyError {
    /// What is wrong and where.
    pub message: String,
}

/// Checks a module.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn verify(module: Module) -> Result<Checked, Vec<VerifyError>> {
    Ok(Checked { module })
}
