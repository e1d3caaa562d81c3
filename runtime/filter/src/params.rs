//! The params of an instance: atomics that generated code reads, and their copies among the variables of BPF programs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ParamError;
use crate::info::ParamInfo;
use crate::state::{Lost, States, known};

/// A param as the artifact declares it.
#[derive(Clone, Debug)]
pub(crate) struct ParamPlan {
    pub(crate) name: String,
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) default: u64,
    /// Where BPF programs read it: a map of variables, and the offset in it.
    pub(crate) variable: Option<VariablePlace>,
}

/// Where a `u64` variable is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VariablePlace {
    pub(crate) map: usize,
    pub(crate) offset: usize,
}

#[derive(Debug)]
pub(crate) struct Params {
    plans: Vec<ParamPlan>,
    values: Box<[AtomicU64]>,
}

impl Params {
    pub(crate) fn new(plans: Vec<ParamPlan>) -> Params {
        let values = plans.iter().map(|plan| AtomicU64::new(plan.default)).collect();
        Params { plans, values }
    }

    /// The values, in the module's order, as generated code reads them.
    pub(crate) fn values(&self) -> &[AtomicU64] {
        &self.values
    }

    /// Copies the values to where BPF programs read them.
    pub(crate) fn publish(&self, states: &States) {
        for (plan, value) in self.plans.iter().zip(&self.values) {
            if let Some(place) = plan.variable {
                states.set_variable(place, value.load(Ordering::Relaxed));
            }
        }
    }

    /// Takes values over that others of the same names were set to; gives the names of those, and of those that were set and do not fit.
    pub(crate) fn take(&self, old: &Params) -> (Vec<String>, Vec<Lost>) {
        let (mut taken, mut lost) = (Vec::new(), Vec::new());
        for (plan, value) in old.plans.iter().zip(&old.values) {
            let (name, set) = (plan.name.clone(), value.load(Ordering::Relaxed));
            match self.find(&name) {
                // What was never set is whatever the new version says.
                _ if set == plan.default => {}
                Ok((new, value)) if (new.min..=new.max).contains(&set) => {
                    value.store(set, Ordering::Relaxed);
                    taken.push(name);
                }
                Ok((ParamPlan { min, max, .. }, _)) => {
                    lost.push(Lost {
                        name,
                        why: format!("it was set to {set}, which is not in {min}..={max}"),
                    });
                }
                Err(_) => {
                    lost.push(Lost { name, why: format!("it was set to {set}, and is no param any more") });
                }
            }
        }
        (taken, lost)
    }

    pub(crate) fn infos(&self) -> Vec<ParamInfo> {
        self.plans
            .iter()
            .zip(&self.values)
            .map(|(plan, value)| ParamInfo {
                name: plan.name.clone(),
                value: value.load(Ordering::Relaxed),
                min: plan.min,
                max: plan.max,
                default: plan.default,
            })
            .collect()
    }

    pub(crate) fn get(&self, name: &str) -> Result<u64, ParamError> {
        self.find(name).map(|(_, value)| value.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, name: &str, new: u64) -> Result<(), ParamError> {
        let (plan, value) = self.find(name)?;
        if !(plan.min..=plan.max).contains(&new) {
            let ParamPlan { name, min, max, .. } = plan.clone();
            return Err(ParamError::OutOfRange { name, found: new, min, max });
        }
        value.store(new, Ordering::Relaxed);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<(&ParamPlan, &AtomicU64), ParamError> {
        let found = self.plans.iter().zip(&self.values).find(|(plan, _)| plan.name == name);
        found.ok_or_else(|| ParamError::Unknown {
            name: name.to_owned(),
            known: known(self.plans.iter().map(|plan| plan.name.as_str())),
        })
    }
}
