//! Where texts come from.

/// A text and the name by which messages call it, such as a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// A text with its name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        Source { name: name.into(), text: text.into() }
    }
}

/// Finds the modules that programs `use`, except those of `std`.
pub trait Loader {
    /// The text of a module by its path, such as `checks` or `net.tunnels`; `None` if there is none. What keeps a module that is there
    /// from being read is the loader's to remember: the program is told that there is none.
    fn load(&self, module: &str) -> Option<Source>;
}

/// No modules but those of `std`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Loader for NoFiles {
    fn load(&self, _module: &str) -> Option<Source> {
        None
    }
}
