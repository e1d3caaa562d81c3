//! Reading sources and writing results.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use oko_compiler::{Loader, Source};

use crate::error::Error;

/// How every ELF file starts.
const ELF: &[u8] = b"\x7fELF";

/// Whether these are the bytes of an object file.
pub(crate) fn is_object(bytes: &[u8]) -> bool {
    bytes.starts_with(ELF)
}

/// The content of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    if path.is_dir() {
        return Err(Error::Directory { path: path.to_owned() });
    }
    fs::read(path).map_err(|error| Error::Read { path: path.to_owned(), error })
}

/// The bytes of a file as the text of a program.
pub(crate) fn text(path: &Path, bytes: Vec<u8>) -> Result<Source, Error> {
    if is_object(&bytes) {
        return Err(Error::IsObject { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = bytes[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Error::NotText { path: path.to_owned(), offset, line, byte: bytes[offset] }
    })?;
    if text.trim().is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    Ok(Source::new(path.display().to_string(), text))
}

/// The program in a file.
pub(crate) fn source(path: &Path) -> Result<Source, Error> {
    text(path, read(path)?)
}

/// Modules beside a program: `use checks.{…}` is `checks.oko`, `use net.tunnels.{…}` is `net/tunnels.oko`.
#[derive(Debug)]
pub(crate) struct Siblings {
    folder: PathBuf,
    /// Files that are there and could not be read.
    failed: RefCell<Vec<Error>>,
}

impl Siblings {
    /// The modules beside this file.
    pub(crate) fn of(file: &Path) -> Siblings {
        Siblings { folder: file.parent().map(Path::to_owned).unwrap_or_default(), failed: RefCell::default() }
    }

    /// The first file that is there and could not be read, if there was one.
    pub(crate) fn failure(self) -> Option<Error> {
        self.failed.into_inner().into_iter().next()
    }
}

impl Loader for Siblings {
    fn load(&self, module: &str) -> Option<Source> {
        let mut path = self.folder.clone();
        path.extend(module.split('.'));
        path.set_extension("oko");
        if !path.exists() {
            return None;
        }
        source(&path).map_err(|error| self.failed.borrow_mut().push(error)).ok()
    }
}

/// Writes a file whole or not at all: to a new file beside it, which then takes its name. What is not an ordinary file, such as
/// `/dev/stdout`, is written to directly.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let wrong = |error| Error::Write { path: path.to_owned(), error };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(wrong(std::io::ErrorKind::IsADirectory.into())),
        Ok(found) if !found.is_file() => {
            let mut file = File::options().write(true).open(path).map_err(wrong)?;
            return file.write_all(content).and_then(|()| file.flush()).map_err(wrong);
        }
        _ => {}
    }
    // Through links, so that the file they lead to is replaced and not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".okoc-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for every new file; the process's mask applies.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(wrong)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(wrong)?;
    file.persist(&path).map_err(|error| wrong(error.error))?;
    Ok(())
}
