//! What can go wrong between us and a switch.

use std::fmt;
use std::io;
use std::time::Duration;

use miette::Diagnostic;
use oko_openflow::oko::{OkoError, OkoErrorCode};
use oko_openflow::{DecodeError, ErrorCode, ErrorMsg, TooLong, Version};

use crate::address::Address;
use crate::explain::explain;

// The causes are part of the messages, not sources of their own: a report would say them twice.

/// Why the switch did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the address.
    #[error("cannot connect to the switch at {address}: {reason}")]
    Connect {
        /// Where it was looked for.
        address: Address,
        /// The system's reason.
        reason: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the switch broke: {0}")]
    Io(io::Error),
    /// The switch closed the connection.
    #[error("the switch closed the connection")]
    Closed,
    /// The switch does not answer.
    #[error("the switch did not answer within {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// The switch does not speak our version.
    #[error("the switch speaks {found}, not {}", Version::V1_3)]
    Version {
        /// The highest version that it speaks.
        found: Version,
    },
    /// What the switch sent makes no sense.
    #[error("the switch sent a malformed message: {0}")]
    Malformed(DecodeError),
    /// The switch sent something else than an answer.
    #[error("the switch answered {request} with {found}")]
    Unexpected {
        /// What was asked.
        request: &'static str,
        /// The name of the message that came.
        found: &'static str,
    },
    /// The request does not fit into a message.
    #[error("{0}")]
    TooLong(TooLong),
    /// The switch refused a filter operation, and says why.
    #[error("{0}")]
    Refused(OkoError),
    /// The switch refused an OpenFlow request.
    #[error("the switch refused {request}: {error}{}", explain(.error).map(|e| format!(": {e}")).unwrap_or_default())]
    OpenFlow {
        /// What was asked.
        request: &'static str,
        /// The switch's error.
        error: ErrorMsg,
    },
}

impl ClientError {
    pub(crate) fn from_message(request: &'static str, error: ErrorMsg) -> ClientError {
        match OkoError::from_message(&error) {
            Some(error) => ClientError::Refused(error),
            None => ClientError::OpenFlow { request, error },
        }
    }

    /// A stable name of the kind of error, for programs.
    pub fn kind(&self) -> String {
        match self {
            ClientError::Connect { .. } => "cannot_connect".to_owned(),
            ClientError::Io(_) | ClientError::Closed => "connection_broken".to_owned(),
            ClientError::NoAnswer(_) => "no_answer".to_owned(),
            ClientError::Version { .. } => "version".to_owned(),
            ClientError::Malformed(_) | ClientError::Unexpected { .. } => "bad_answer".to_owned(),
            ClientError::TooLong(_) => "too_long".to_owned(),
            ClientError::Refused(error) => error.code.to_string(),
            ClientError::OpenFlow { error, .. } => error.to_string(),
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            ClientError::Connect { address, reason } => Some(match (reason.kind(), address) {
                (io::ErrorKind::PermissionDenied, _) => {
                    "the switch's socket belongs to another user; run okoctl as that user".to_owned()
                }
                (_, Address::Unix(path)) => format!(
                    "is okod running? Start it with `okod --config FILE`, where FILE says `socket = \"{}\"` under \
                     [openflow]; or say with --switch where it listens",
                    path.display()
                ),
                (_, Address::Tcp(host)) => format!(
                    "is okod running? Start it with `okod --config FILE`, where FILE says `listen = \"{host}\"` \
                     under [openflow]; or say with --switch where it listens"
                ),
            }),
            ClientError::Refused(error) => match error.code {
                OkoErrorCode::NameInUse => {
                    Some("unload the other one first, or load this one with --name".to_owned())
                }
                _ => None,
            },
            ClientError::OpenFlow { error: ErrorMsg::Standard { ty, code, .. }, .. } => {
                match ErrorCode::from_wire(*ty, *code)? {
                    ErrorCode::ActionBadOutPort | ErrorCode::RequestBadPort | ErrorCode::PortModBadPort => {
                        Some("`okoctl port list` shows the ports".to_owned())
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl Diagnostic for ClientError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.advice().map(|advice| Box::new(advice) as Box<dyn fmt::Display>)
    }
}

impl From<io::Error> for ClientError {
    fn from(reason: io::Error) -> Self {
        ClientError::Io(reason)
    }
}

impl From<DecodeError> for ClientError {
    fn from(reason: DecodeError) -> Self {
        ClientError::Malformed(reason)
    }
}

impl From<TooLong> for ClientError {
    fn from(reason: TooLong) -> Self {
        ClientError::TooLong(reason)
    }
}
