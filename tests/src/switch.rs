//! A running `okod`: a process of its own, in a folder of its own, operated by `okoctl` and `ovs-ofctl` as a user would.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{self, Ran};

/// How long anything may take. Much more than it does: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// A folder that goes with this value.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// If there is no place for it.
    #[must_use]
    pub fn new() -> Folder {
        Folder(TempDir::new().expect("there is a folder for temporary files"))
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as text.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Writes a file.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Compiles a program by `okoc build`; the object file.
    ///
    /// # Panics
    ///
    /// If it is refused.
    #[must_use]
    pub fn build(&self, source: &Path) -> PathBuf {
        let object = self.file(&format!("{}.o", crate::examples::name(source)));
        programs::run(Command::new(programs::path("okoc")).arg("build").arg(source).arg("-o").arg(&object))
            .succeeded();
        object
    }
}

impl Default for Folder {
    fn default() -> Self {
        Folder::new()
    }
}

/// A port of a switch that receives the frames of `inN.pcap`, once it is brought up.
#[must_use]
pub fn source_port(folder: &Folder, number: u32, name: &str) -> String {
    let file = folder.text(&format!("in{number}.pcap"));
    format!(
        "[[port]]\nnumber = {number}\nname = \"{name}\"\nup = false\ndevice = \"net_pcap{number},rx_pcap={file}\"\n"
    )
}

/// A port of a switch that writes what is sent to it to `outN.pcap`. It is up from the start, so that nothing is lost: what is to go out
/// by a port that is down is dropped.
#[must_use]
pub fn sink_port(folder: &Folder, number: u32, name: &str) -> String {
    let file = folder.text(&format!("out{number}.pcap"));
    format!("[[port]]\nnumber = {number}\nname = \"{name}\"\ndevice = \"net_pcap{number},tx_pcap={file}\"\n")
}

/// A running `okod`. It is killed with this value; [`Switch::stop`] ends it in order.
#[derive(Debug)]
pub struct Switch {
    child: Child,
    folder: Folder,
}

impl Switch {
    /// Starts `okod` as a user without privileges. The configuration gets a socket in the folder; what else it says in its section
    /// `openflow` is `openflow`.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start(folder: Folder, openflow: &str, config: &str) -> Switch {
        let text = format!(
            "log = \"warn\"\n[openflow]\nsocket = \"{}\"\n{openflow}\n{config}",
            folder.text("okod.sock")
        );
        let mut command = okod(&folder, &text);
        let log = File::create(folder.file("okod.log")).expect("a log can be written");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start okod: {error}"));
        let mut switch = Switch { child, folder };
        let start = Instant::now();
        while !switch.folder.file("okod.sock").exists() {
            switch.assert_runs();
            assert!(start.elapsed() < PATIENCE, "okod does not listen:\n{}", switch.log());
            sleep(Duration::from_millis(20));
        }
        switch
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.file("okod.log")).unwrap_or_default()
    }

    /// The user that it runs as.
    ///
    /// # Panics
    ///
    /// If it does not run.
    #[must_use]
    pub fn user(&self) -> u32 {
        fs::metadata(format!("/proc/{}", self.child.id())).expect("okod runs").uid()
    }

    /// Fails if it has ended.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[track_caller]
    pub fn assert_runs(&mut self) {
        let ended = self.child.try_wait().expect("okod is our child");
        assert!(ended.is_none(), "okod ended with {ended:?}:\n{}", self.log());
    }

    /// Runs `okoctl`.
    #[must_use]
    pub fn okoctl(&self, words: &[&str]) -> Ran {
        let socket = self.folder.file("okod.sock");
        programs::run(Command::new(programs::path("okoctl")).arg("--switch").arg(socket).args(words))
    }

    /// Runs `okoctl`, which must succeed.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn tell(&self, words: &[&str]) {
        self.okoctl(words).succeeded();
    }

    /// What `okoctl` prints as JSON.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, words: &[&str]) -> Value {
        self.okoctl(&[&["--json"], words].concat()).json()
    }

    /// A counter of a port, by its name in the JSON of `okoctl port list`.
    ///
    /// # Panics
    ///
    /// If there is no such port or counter.
    #[must_use]
    pub fn port(&self, name: &str, counter: &str) -> u64 {
        let ports = self.ask(&["port", "list"]);
        let port = ports.as_array().and_then(|ports| ports.iter().find(|port| port["name"] == name));
        port.and_then(|port| port[counter].as_u64())
            .unwrap_or_else(|| panic!("no {counter} of {name} in {ports}"))
    }

    /// Waits until something holds.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&Switch) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            self.assert_runs();
            assert!(start.elapsed() < PATIENCE, "no {what}; okod's log:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// Ends it by SIGTERM, as an operator would; what its ports have sent is in their files then.
    ///
    /// # Panics
    ///
    /// If it does not end, or not with success.
    pub fn stop(mut self) -> Folder {
        // By the system's own tool: the standard library can only kill.
        programs::run(Command::new("kill").arg("-TERM").arg(self.child.id().to_string())).succeeded();
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("okod is our child") {
                Some(status) => break status,
                None => sleep(Duration::from_millis(20)),
            }
            assert!(start.elapsed() < PATIENCE, "okod does not end:\n{}", self.log());
        };
        assert!(status.success(), "okod ended with {status}:\n{}", self.log());
        std::mem::take(&mut self.folder)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // Already ended after `stop`; otherwise a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `okod` with a configuration, to be run by a user without privileges: as `nobody` if the tests are run by root.
///
/// # Panics
///
/// If the folder cannot be prepared.
#[must_use]
pub fn okod(folder: &Folder, config: &str) -> Command {
    folder.write("okod.toml", config);
    let runtime = folder.file("run");
    fs::create_dir_all(&runtime).expect("a folder can be made");
    let program = programs::path("okod");
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = if is_root {
        for path in [folder.file("."), runtime.clone()] {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give folders away");
        }
        let mut command = Command::new(reachable(folder, program));
        command.uid(NOBODY).gid(NOBODY);
        command
    } else {
        Command::new(program)
    };
    command.arg("--config").arg(folder.file("okod.toml"));
    // DPDK allows one process of a name in a runtime folder.
    command
        .env("XDG_RUNTIME_DIR", runtime)
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .current_dir(folder.file("."));
    command
}

/// A program that everyone may run: itself, or a copy if it lies in a folder that others may not enter.
fn reachable(folder: &Folder, program: PathBuf) -> PathBuf {
    let open = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    if program.ancestors().all(open) {
        return program;
    }
    let copy = folder.file("okod");
    if !copy.exists() {
        fs::copy(&program, &copy).expect("the program can be copied");
    }
    copy
}
