//! The telemetry socket of a DPDK program: its ports' counters, whatever program it is.
//!
//! A SOCK_SEQPACKET socket `dpdk_telemetry.v2` in the program's run-time folder. It greets with its process id, then answers each command
//! with one message of JSON (DPDK 22.11, "Telemetry Library").

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::pages::runtime_folder;

/// The longest message that is understood, in bytes.
const LONGEST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a program.
pub(super) struct Telemetry {
    socket: Socket,
}

impl Telemetry {
    /// The program with this process id, if it has opened its socket.
    pub(super) fn of(process: u32) -> Option<Telemetry> {
        for program in fs::read_dir(runtime_folder()).ok()?.flatten() {
            for file in fs::read_dir(program.path()).into_iter().flatten().flatten() {
                let is_socket = file.file_name().to_string_lossy().starts_with("dpdk_telemetry.v2");
                if is_socket
                    && let Ok((telemetry, greeting)) = Telemetry::connect(&file.path())
                    && greeting["pid"] == process
                {
                    return Some(telemetry);
                }
            }
        }
        None
    }

    fn connect(path: &Path) -> Result<(Telemetry, Value)> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(&SockAddr::unix(path)?)?;
        let telemetry = Telemetry { socket };
        let greeting = telemetry.receive()?;
        Ok((telemetry, greeting))
    }

    fn receive(&self) -> Result<Value> {
        let mut message = vec![0; LONGEST];
        let length = (&self.socket).read(&mut message)?;
        ensure!(length > 0, "the program closed its telemetry socket");
        Ok(serde_json::from_slice(&message[..length])?)
    }

    /// What a command, such as `/ethdev/stats,1`, answers.
    fn ask(&self, command: &str) -> Result<Value> {
        (&self.socket).write_all(command.as_bytes())?;
        let mut answer = self.receive().with_context(|| format!("telemetry command {command}"))?;
        let name = command.split(',').next().unwrap_or(command);
        Ok(answer[name].take())
    }

    /// The number of the first port whose device is named so.
    pub(super) fn port(&self, device: &str) -> Result<u64> {
        for port in self.ask("/ethdev/list")?.as_array().into_iter().flatten().filter_map(Value::as_u64) {
            if self.ask(&format!("/ethdev/info,{port}"))?["name"] == device {
                return Ok(port);
            }
        }
        anyhow::bail!("no port {device}")
    }

    /// Packets that a port has sent.
    pub(super) fn sent(&self, port: u64) -> Result<u64> {
        self.count(port, "opackets")
    }

    /// Packets that a port has received.
    pub(super) fn received(&self, port: u64) -> Result<u64> {
        self.count(port, "ipackets")
    }

    fn count(&self, port: u64, name: &str) -> Result<u64> {
        let stats = self.ask(&format!("/ethdev/stats,{port}"))?;
        stats[name].as_u64().with_context(|| format!("no {name} of port {port} in {stats}"))
    }
}
