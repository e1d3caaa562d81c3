//! Errors of filter operations: `OFPT_ERROR` messages of the type `OFPET_EXPERIMENTER`.
//!
//! ```text
//! byte  0  ofp_header     8 bytes, type OFPT_ERROR, the request's transaction id
//!       8  u16  0xffff    OFPET_EXPERIMENTER
//!      10  u16  code      OkoErrorCode
//!      12  u32  0x4f4b4f00
//!      16  text in UTF-8 to the end of the message, for people: for VERIFIER_REFUSED, the verifier's report
//! ```

use std::fmt;

use super::EXPERIMENTER;
use crate::error::ErrorMsg;

macro_rules! codes {
    ($( $(#[$doc:meta])* $variant:ident = $number:literal, $name:literal; )*) => {
        /// Why an operation failed. Nothing was changed by it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum OkoErrorCode { $( $(#[$doc])* $variant = $number, )* }

        impl OkoErrorCode {
            /// Every code.
            pub const ALL: &'static [OkoErrorCode] = &[$( OkoErrorCode::$variant, )*];

            /// The name for people and for JSON.
            pub fn name(self) -> &'static str {
                match self { $( OkoErrorCode::$variant => $name, )* }
            }
        }
    };
}

codes! {
    /// The request's bytes make no sense.
    BadRequest = 1, "bad_request";
    /// The switch does not do this operation.
    Unsupported = 2, "unsupported";
    /// The request is longer than the switch takes.
    TooLong = 3, "too_long";
    /// No filter has this name or id.
    NoSuchFilter = 4, "no_such_filter";
    /// A filter with this name is loaded.
    NameInUse = 5, "name_in_use";
    /// The file is no artifact, or a broken one.
    BadArtifact = 6, "bad_artifact";
    /// The verifier refused the filter; the text is its report.
    VerifierRefused = 7, "verifier_refused";
    /// Flow entries name the filter.
    FilterInUse = 8, "filter_in_use";
    /// The filter has no such state.
    NoSuchState = 9, "no_such_state";
    /// The filter has no such param.
    NoSuchParam = 10, "no_such_param";
    /// A value is outside of its range.
    BadValue = 11, "bad_value";
    /// The filter has no such class.
    NoSuchClass = 12, "no_such_class";
    /// There is no memory or no room in a table for it.
    NoRoom = 13, "no_room";
    /// The switch failed in a way that is not the request's fault.
    Internal = 14, "internal";
    /// No port has this number.
    NoSuchPort = 15, "no_such_port";
    /// The device of a port cannot be opened or started; the text is the driver's reason.
    PortFailed = 16, "port_failed";
}

impl fmt::Display for OkoErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failed operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct OkoError {
    /// The kind of failure.
    pub code: OkoErrorCode,
    /// What is to be told to a person.
    pub text: String,
}

impl OkoError {
    /// The longest text, in bytes, that an error message holds.
    pub const MAX_TEXT: usize = u16::MAX as usize - 16;

    /// An error with its text.
    pub fn new(code: OkoErrorCode, text: impl Into<String>) -> OkoError {
        OkoError { code, text: text.into() }
    }

    /// The message to answer with. A text longer than [`OkoError::MAX_TEXT`] is cut.
    pub fn to_message(&self) -> ErrorMsg {
        let mut end = self.text.len().min(Self::MAX_TEXT);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        ErrorMsg::Experimenter {
            exp_type: self.code as u16,
            experimenter: EXPERIMENTER,
            data: self.text.as_bytes()[..end].to_vec(),
        }
    }

    /// The error in a message, if it is one of ours. A code of a newer switch becomes [`OkoErrorCode::Internal`].
    pub fn from_message(message: &ErrorMsg) -> Option<OkoError> {
        match message {
            ErrorMsg::Experimenter { exp_type, experimenter: EXPERIMENTER, data } => {
                let known = OkoErrorCode::ALL.iter().copied().find(|code| *code as u16 == *exp_type);
                let code = known.unwrap_or(OkoErrorCode::Internal);
                Some(OkoError { code, text: String::from_utf8_lossy(data).into_owned() })
            }
            _ => None,
        }
    }
}
