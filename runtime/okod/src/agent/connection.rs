//! One OpenFlow connection: framing, negotiation, and the order of requests and replies.
//!
//! Requests are served one at a time, and the next is read when the last one's replies are written: a peer that does
//! not read its replies stops itself and nobody else. What a connection holds is bounded: one unfinished message (64
//! KiB), one part of a reply, and a queue of asynchronous messages that drops what does not fit. Half a message
//! changes nothing, whatever becomes of the other half. A peer that has much to ask gives way to the others from time to time.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use oko_openflow::message::HEADER_LEN;
use oko_openflow::{Dialect, ErrorCode, ErrorMsg, Frame, Header, Hello, Message, Version, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::control::{Answer, Control};
use super::outbox::{Outgoing, outbox};
use super::peers::PeerId;
use super::reply::{Replies, Step};

/// How long a peer may take for its hello.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// How long one message may take to be written.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Bytes read at once.
const READ_CHUNK: usize = 64 * 1024;
/// How long a connection may keep the thread before others have their turn.
const TURN: Duration = Duration::from_millis(1);
/// Transaction id of the echo requests that we send.
const PROBE_XID: u32 = 0;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer closed it")]
    Closed,
    #[error("the peer closed it in the middle of a message, of which {0} bytes had come")]
    InMessage(usize),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no hello within {} s", HELLO_TIME.as_secs())]
    NoHello,
    #[error("the first message is no hello")]
    NotHello,
    #[error("no common version: the peer speaks {0}")]
    Version(Version),
    #[error("a message of impossible length {0}")]
    BrokenFraming(u16),
    #[error("the peer does not read what is sent")]
    NotReading,
    #[error("the peer does not answer")]
    Dead,
    #[error("the switch ends it")]
    Shutdown,
}

/// Serves a connection until its end. `name` stands for it in the log; `is_controller` says that it is one that the switch should have.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    name: String,
    is_controller: bool,
    control: Rc<RefCell<Control>>,
) {
    let (outbox, events) = outbox();
    let mut connection = Connection {
        stream,
        received: Vec::new(),
        dialect: Version::V1_3.into(),
        control: Rc::clone(&control),
        events,
        turn: Instant::now(),
    };
    let end = match connection.negotiate().await {
        Ok(version) => {
            let peer = control.borrow_mut().peers.add(outbox, is_controller, version);
            control.borrow_mut().peers_changed();
            debug!(%name, "OpenFlow connection");
            let end = connection.run(peer).await;
            control.borrow_mut().forget(peer);
            end
        }
        Err(end) => end,
    };
    match end {
        End::Closed | End::Shutdown => debug!(%name, reason = %end, "OpenFlow connection ended"),
        end => info!(%name, reason = %end, "OpenFlow connection ended"),
    }
}

struct Connection<S> {
    stream: S,
    /// Bytes received and not dealt with yet.
    received: Vec<u8>,
    dialect: Dialect,
    control: Rc<RefCell<Control>>,
    events: Outgoing,
    /// When it was woken, or gave way, last.
    turn: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn negotiate(&mut self) -> Result<Version, End> {
        self.send(&Message::Hello(Hello::of(&Version::SPOKEN)), 0).await?;
        let deadline = Instant::now() + HELLO_TIME;
        loop {
            match frame(&self.received) {
                Frame::Whole(len) => {
                    let bytes: Vec<u8> = self.received.drain(..len).collect();
                    let Ok(Message::Hello(hello)) = Message::decode(&bytes) else {
                        return Err(End::NotHello);
                    };
                    if let Some(version) = hello.negotiate(&Version::SPOKEN) {
                        self.dialect.version = version;
                        return Ok(version);
                    }
                    let xid = Header::read(&bytes).map_or(0, |header| header.xid);
                    let text = format!(
                        "this switch speaks OpenFlow 1.0, 1.3, 1.4 and 1.5, the peer {}",
                        hello.version
                    );
                    self.send(&Message::Error(ErrorMsg::incompatible(&text)), xid).await?;
                    return Err(End::Version(hello.version));
                }
                Frame::Needs(_) => match timeout_at(deadline, self.receive()).await {
                    Ok(result) => result?,
                    Err(_) => return Err(End::NoHello),
                },
                Frame::Broken(header) => {
                    let unread = std::mem::take(&mut self.received);
                    return Err(self.broken(header, &unread).await?);
                }
            }
        }
    }

    /// Serves requests and passes events on. Returns at the end of the connection.
    async fn run(&mut self, peer: PeerId) -> End {
        let mut probed = false;
        // After this long without a message the peer is asked for an echo; after twice as long it is gone.
        let probe_interval = self.control.borrow().probe_interval;
        loop {
            match self.serve_received(peer).await {
                Ok(served) if served > 0 => probed = false,
                Ok(_) => {}
                Err(end) => return end,
            }
            // Changes are published together: when what has arrived is dealt with, or before, when the others get their turn.
            self.control.borrow_mut().publish_soon();
            tokio::select! {
                event = self.events.next() => {
                    let Some(event) = event else { return End::Shutdown };
                    if let Err(end) = self.write(&event).await {
                        return end;
                    }
                }
                read = timeout(probe_interval, receive(&mut self.stream, &mut self.received)) => match read {
                    Ok(Ok(())) => {}
                    Ok(Err(end)) => return end,
                    Err(_) if probed => return End::Dead,
                    Err(_) => {
                        probed = true;
                        if let Err(end) = self.send(&Message::EchoRequest(Vec::new()), PROBE_XID).await {
                            return end;
                        }
                    }
                },
            }
        }
    }

    /// Serves all whole messages that have been received, and says how many.
    async fn serve_received(&mut self, peer: PeerId) -> Result<usize, End> {
        let (mut served, mut at) = (0, 0);
        self.turn = Instant::now();
        let mut received = std::mem::take(&mut self.received);
        loop {
            let unread = &received[at..];
            match frame(unread) {
                Frame::Whole(len) => {
                    self.serve_one(peer, &unread[..len]).await?;
                    (served, at) = (served + 1, at + len);
                    self.give_way().await;
                }
                Frame::Needs(_) => {
                    // Make room: what is left is less than a message.
                    received.drain(..at);
                    self.received = received;
                    return Ok(served);
                }
                Frame::Broken(header) => return Err(self.broken(header, unread).await?),
            }
        }
    }

    async fn serve_one(&mut self, peer: PeerId, bytes: &[u8]) -> Result<(), End> {
        let xid = Header::read(bytes).map_or(0, |header| header.xid);
        let message = match Message::decode_in(self.dialect.version, bytes) {
            Ok(message) => message,
            Err(error) => {
                debug!(%error, "malformed message");
                return self.send(&Message::Error(error.reply(bytes)), xid).await;
            }
        };
        let answer = {
            let mut control = self.control.borrow_mut();
            let answer = control.handle(peer, xid, message);
            if let Some(peer) = control.peers.get(peer) {
                self.dialect = peer.dialect();
            }
            answer
        };
        match answer {
            Answer::Nothing => Ok(()),
            Answer::Message(message) => self.send(&message, xid).await,
            Answer::Error(code) => self.send(&Message::Error(ErrorMsg::new(code, bytes)), xid).await,
            Answer::Failed { xid: failed, error, then } => {
                self.send(&Message::Error(error), failed).await?;
                self.send(&Message::Error(ErrorMsg::new(then, bytes)), xid).await
            }
            Answer::Replies(replies) => self.send_all(replies, xid).await,
            Answer::Wait(wait) => {
                let replies = match wait.finish(&self.control).await {
                    Ok(replies) => replies,
                    Err(code) => Replies::message(Message::Error(ErrorMsg::new(code, bytes))),
                };
                // What the peer was to be told of what it asked for before stands before the reply.
                while let Some(event) = self.events.try_next() {
                    self.write(&event).await?;
                }
                self.send_all(replies, xid).await
            }
        }
    }

    /// Tells the peer that its byte stream cannot be followed any more, which is the end.
    async fn broken(&mut self, header: Header, unread: &[u8]) -> Result<End, End> {
        let error = ErrorMsg::new(ErrorCode::RequestBadLen, &unread[..unread.len().min(HEADER_LEN)]);
        self.send(&Message::Error(error), header.xid).await?;
        Ok(End::BrokenFraming(header.length))
    }

    async fn receive(&mut self) -> Result<(), End> {
        receive(&mut self.stream, &mut self.received).await
    }

    async fn send(&mut self, message: &Message, xid: u32) -> Result<(), End> {
        match message.encode_in(self.dialect, xid) {
            Ok(bytes) => self.write(&bytes).await,
            Err(error) => {
                // Replies that may be long are cut before; what remains is an error with a long text of ours.
                debug!(%error, message = message.name(), "a message was not sent");
                Ok(())
            }
        }
    }

    async fn send_all(&mut self, mut replies: Replies, xid: u32) -> Result<(), End> {
        loop {
            let step = replies.next(&self.control.borrow(), self.dialect, xid);
            match step {
                Step::Part(bytes) => self.write(&bytes).await?,
                Step::Turn => {}
                Step::End => return Ok(()),
            }
            self.give_way().await;
        }
    }

    /// Lets others do something if it has been long enough.
    async fn give_way(&mut self) {
        if self.turn.elapsed() >= TURN {
            yield_now().await;
            self.turn = Instant::now();
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        match timeout(WRITE_TIME, self.stream.write_all(bytes)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(End::NotReading),
        }
    }
}

/// Reads what there is, at least one byte. Cancelling loses nothing.
async fn receive<S: AsyncRead + Unpin>(stream: &mut S, received: &mut Vec<u8>) -> Result<(), End> {
    received.reserve(READ_CHUNK);
    match stream.read_buf(received).await? {
        0 if received.is_empty() => Err(End::Closed),
        0 => Err(End::InMessage(received.len())),
        _ => Ok(()),
    }
}
