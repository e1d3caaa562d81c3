//! The sockets that the agent listens on.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use crate::config::OpenFlowConfig;

/// Why the agent cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program, probably another `okod`, answers on the unix socket.
    #[error("another program serves the socket {}", .path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in the way.
    #[error("{} exists and is no socket", .path.display())]
    NotASocket {
        /// What was given as the socket.
        path: PathBuf,
    },
    /// The unix socket cannot be made.
    #[error("cannot listen on the socket {}: {source}", .path.display())]
    Unix {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The TCP address cannot be taken.
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// Listening sockets. The unix socket's file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Sockets {
    unix: Option<(StdUnixListener, Remove)>,
    tcp: Option<StdTcpListener>,
}

/// Removes a file in the end.
#[derive(Debug)]
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = fs::remove_file(&self.0);
    }
}

impl Sockets {
    /// Starts to listen as configured.
    pub(crate) fn listen(config: &OpenFlowConfig) -> Result<Self, ListenError> {
        let unix = config.socket.as_deref().map(listen_unix).transpose()?;
        let tcp = config
            .listen
            .map(|address| {
                StdTcpListener::bind(address)
                    .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
                    .map_err(|source| ListenError::Tcp { address, source })
            })
            .transpose()?;
        Ok(Self { unix, tcp })
    }

    /// The address that TCP connections reach; with port 0 in the configuration, the system has chosen one.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// Listeners for the current runtime. The socket's file stays as long as `self`.
    pub(super) fn listeners(&self) -> io::Result<(Option<UnixListener>, Option<TcpListener>)> {
        let unix = match &self.unix {
            Some((listener, _)) => Some(UnixListener::from_std(listener.try_clone()?)?),
            None => None,
        };
        let tcp = match &self.tcp {
            Some(listener) => Some(TcpListener::from_std(listener.try_clone()?)?),
            None => None,
        };
        Ok((unix, tcp))
    }
}

/// Only the owner may connect: whoever can, controls the switch.
const OWNER_ONLY: u32 = 0o600;

fn listen_unix(path: &Path) -> Result<(StdUnixListener, Remove), ListenError> {
    remove_stale(path)?;
    let failed = |source| ListenError::Unix { path: path.to_owned(), source };
    let listener = StdUnixListener::bind(path).map_err(failed)?;
    let remove = Remove(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(OWNER_ONLY)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok((listener, remove))
}

/// Removes a socket that nobody serves any more, such as that of a switch that was killed.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ListenError::SocketInUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| ListenError::Unix { path: path.to_owned(), source })
        }
        Err(source) => Err(ListenError::Unix { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn config(socket: &Path) -> OpenFlowConfig {
        OpenFlowConfig {
            datapath_id: 1,
            socket: Some(socket.to_owned()),
            listen: None,
            controllers: Vec::new(),
            fail_standalone: false,
            max_backoff: std::time::Duration::from_secs(1),
            probe_interval: std::time::Duration::from_secs(60),
            table_capacity: 1,
        }
    }

    #[test]
    fn a_socket_is_private_and_goes_with_its_switch() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("okod.sock");
        let sockets = Sockets::listen(&config(&path)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Sockets::listen(&config(&path)).unwrap_err();
        assert!(matches!(second, ListenError::SocketInUse { .. }), "{second}");
        drop(sockets);
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_killed_switch_is_replaced() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("okod.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Sockets::listen(&config(&path)).unwrap();
    }

    #[test]
    fn nothing_but_a_stale_socket_is_removed() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(Sockets::listen(&config(&path)), Err(ListenError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
        let missing = dir.path().join("no/folder/okod.sock");
        let error = Sockets::listen(&config(&missing)).unwrap_err().to_string();
        assert!(error.contains("no/folder/okod.sock"), "{error}");
    }
}
