//! Filters for a switch, and what operators ask of it.

use oko_compiler::{NoFiles, Options, Source};
use oko_openflow::message::Message;
use oko_openflow::oko::{Abi, Event, FilterInfo, OkoError, OkoPart, Operation, Reply, Request};
use oko_openflow::{FilterId, FilterMatch, Match};

use super::Controller;

/// The artifact of a program.
pub fn compile(text: &str) -> Vec<u8> {
    let parsed = oko_compiler::parse(Source::new(String::from("test.oko"), text.to_owned()), &NoFiles);
    match parsed.check().map(|checked| checked.optimize().assemble(&Options::default())) {
        Ok(Ok(artifact)) => artifact.bytes,
        Ok(Err(failed)) | Err(failed) => panic!("{failed}"),
    }
}

/// The replies to an operation, in their parts, or its error.
pub fn operate(controller: &mut Controller, request: &Request) -> Result<Vec<Reply>, OkoError> {
    let sent = controller.send_parts(&request.to_messages());
    let mut replies = Vec::new();
    loop {
        match controller.receive() {
            (xid, Message::Oko(part)) if xid == sent => {
                assert!(part.reply);
                replies.push(Reply::decode(&part).unwrap());
                if !part.more {
                    return Ok(replies);
                }
            }
            (xid, Message::Error(error)) if xid == sent => {
                return Err(OkoError::from_message(&error).unwrap());
            }
            (_, other) => panic!("unexpected {other:?}"),
        }
    }
}

/// The reply to an operation that has one part, or its error.
pub fn operate_once(controller: &mut Controller, request: &Request) -> Result<Reply, OkoError> {
    let mut replies = operate(controller, request)?;
    assert_eq!(replies.len(), 1, "{replies:?}");
    Ok(replies.remove(0))
}

/// Loads an artifact under a name, or under those of its filters if that is empty.
pub fn load(controller: &mut Controller, name: &str, artifact: Vec<u8>) -> Result<Vec<FilterInfo>, OkoError> {
    match operate_once(controller, &Request::Load { name: name.to_owned(), abi: Abi::Linux, artifact })? {
        Reply::Filters { operation: Operation::FilterLoad, filters } => Ok(filters),
        other => panic!("unexpected {other:?}"),
    }
}

/// Any packet to which a filter gives this answer.
pub fn matching(filter: FilterId, class: u32) -> Match {
    let mut matching = Match::any();
    matching.filter = Some(FilterMatch { filter, class });
    matching
}

/// Asks for the events of a filter, or of all.
pub fn subscribe(controller: &mut Controller, filter: &str) -> Result<(), OkoError> {
    operate_once(controller, &Request::EventSubscribe { filter: filter.to_owned() }).map(drop)
}

/// The next message about events: them and how many were lost.
pub fn told(controller: &mut Controller) -> (Vec<Event>, u64) {
    let message = controller.event();
    let Message::Oko(OkoPart { operation, body, .. }) = message else { panic!("{message:?}") };
    let part = OkoPart { operation, reply: true, more: false, body };
    match Reply::decode(&part).unwrap() {
        Reply::Events { lost, events, .. } => (events, lost),
        other => panic!("{other:?}"),
    }
}
