//! What becomes of a call: a status, and a text that the thread can ask for.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use oko_filter::{LoadError, ParamError, StateError};

/// `oko_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Status {
    /// It has gone well.
    Ok = 0,
    /// An argument cannot be.
    BadArgument = 1,
    /// The object was refused.
    Refused = 2,
    /// There is nothing of this name.
    NoSuch = 3,
    /// A value does not fit.
    BadValue = 4,
    /// A defect of the library.
    Internal = 5,
}

/// Why a call has not gone well.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    text: String,
}

impl Failure {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Failure {
        Failure { status, text: text.into() }
    }
}

/// An argument cannot be.
pub(crate) fn bad(text: impl Into<String>) -> Failure {
    Failure::new(Status::BadArgument, text)
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Failure::new(Status::Refused, error.report())
    }
}

impl From<ParamError> for Failure {
    fn from(error: ParamError) -> Self {
        let status = match error {
            ParamError::Unknown { .. } => Status::NoSuch,
            ParamError::OutOfRange { .. } => Status::BadValue,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let status = match error {
            StateError::Unknown { .. } | StateError::NoTable { .. } => Status::NoSuch,
            _ => Status::BadValue,
        };
        Failure::new(status, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// A text for C, without the zero bytes that would end it.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// Runs a call, whose panics and errors become a status and a text.
pub(crate) fn attempt(body: impl FnOnce() -> Result<(), Failure>) -> Status {
    let result = catch_unwind(AssertUnwindSafe(body));
    let failure = match result {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(Status::Internal, "the library has a defect: it panicked"),
    };
    // A thread that ends has no place for it any more.
    let _ = LAST.try_with(|last| last.replace(c_text(&failure.text)));
    failure.status
}

/// See `oko.h`.
#[unsafe(no_mangle)]
pub extern "C" fn oko_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}
