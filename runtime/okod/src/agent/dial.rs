//! Connections that the switch opens itself, to the controllers of its configuration. OpenFlow 1.3.5, section 6.3.
//!
//! A controller that cannot be reached, or that ends the connection, is tried again: after half a second, then after twice as long
//! each time up to the limit of the configuration. A connection that lasted starts anew with half a second.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info};

use super::connection;
use super::control::Control;
use crate::config::{ControllerAddress, OpenFlowConfig};

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long a connection attempt may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// A connection of less is as good as none.
const LASTING: Duration = Duration::from_secs(10);

/// Keeps a connection to a controller as long as the switch runs.
pub(super) async fn keep(address: ControllerAddress, config: OpenFlowConfig, control: Rc<RefCell<Control>>) {
    let name = address.to_string();
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Instant::now();
        match timeout(CONNECT_TIME, connect(&address)).await {
            Ok(Ok(stream)) => {
                info!(controller = %name, "connected");
                match stream {
                    Stream::Tcp(stream) => {
                        connection::serve(stream, name.clone(), true, Rc::clone(&control)).await;
                    }
                    Stream::Unix(stream) => {
                        connection::serve(stream, name.clone(), true, Rc::clone(&control)).await;
                    }
                }
            }
            Ok(Err(error)) => debug!(controller = %name, %error, "cannot connect"),
            Err(_) => debug!(controller = %name, "no connection within {} s", CONNECT_TIME.as_secs()),
        }
        if start.elapsed() >= LASTING {
            pause = FIRST_PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(config.max_backoff);
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn connect(address: &ControllerAddress) -> std::io::Result<Stream> {
    match address {
        ControllerAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        ControllerAddress::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}
