//! Reading an object file.

use super::btf::Btf;
use super::error::ObjectError;
use super::maps::Maps;
use super::original::{self, Abi};
use super::sections::Elf;
use super::{btf_ext, link};
use crate::program::{MapDef, Program};

/// What an object file holds. Borrows the sections that are not for us from the file's bytes.
#[derive(Clone, Debug)]
pub struct ObjectFile<'a> {
    /// The programs in the order of the file. All have the same maps.
    pub programs: Vec<Program>,
    /// The section that each program is in, such as `xdp`, by index of [`ObjectFile::programs`].
    pub program_sections: Vec<String>,
    /// The maps, as in each of the programs.
    pub maps: Vec<MapDef>,
    /// The BTF types of each map's keys and values.
    pub map_types: Vec<MapTypes>,
    /// The variables with names.
    pub variables: Vec<Variable>,
    /// Section `.BTF`.
    pub btf: Option<Btf>,
    sections: Vec<(&'a str, &'a [u8])>,
}

/// The BTF ids of what a map holds; none where the object does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapTypes {
    /// The key's type.
    pub key: Option<u32>,
    /// The value's type.
    pub value: Option<u32>,
}

/// A variable in one of the sections of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its symbol.
    pub name: String,
    /// Its section, an index into [`ObjectFile::maps`].
    pub map: u32,
    /// Bytes from the start of the section; unchecked.
    pub offset: u64,
    /// Its size in bytes; unchecked.
    pub size: u64,
}

impl<'a> ObjectFile<'a> {
    /// The content of a section by name, whatever it is; empty for one without content in the file.
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.sections.iter().find(|(section, _)| *section == name).map(|(_, data)| *data)
    }

    /// The program of this name.
    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }
}

/// Reads an object file made for Linux or by `okoc`.
///
/// # Errors
///
/// The first thing that is wrong with it, with its place.
pub fn read(bytes: &[u8]) -> Result<ObjectFile<'_>, ObjectError> {
    read_as(bytes, Abi::Linux)
}

/// Reads an object file whose programs were written for this ABI. The programs that come out are for Linux's in any case.
///
/// # Errors
///
/// The first thing that is wrong with it, with its place.
pub fn read_as(bytes: &[u8], abi: Abi) -> Result<ObjectFile<'_>, ObjectError> {
    let elf = Elf::parse(bytes)?;
    let content = |name: &str| elf.section(name).map(|(_, section)| section.data);
    let btf = content(".BTF").map(Btf::parse).transpose()?;
    let maps = match abi {
        Abi::Linux => Maps::find(&elf, btf.as_ref())?,
        Abi::Original => original::maps(&elf)?,
    };
    let lines = match (&btf, content(".BTF.ext")) {
        (Some(btf), Some(bytes)) => btf_ext::parse_lines(bytes, btf)?,
        _ => Vec::new(),
    };
    let programs = match abi {
        Abi::Linux => link::programs(&elf, &maps, &lines)?,
        Abi::Original => original::programs(&elf, &maps, &lines)?,
    };
    let (program_sections, programs) = programs.into_iter().unzip();
    Ok(ObjectFile {
        programs,
        program_sections,
        maps: maps.defs,
        map_types: maps.types,
        variables: maps.variables,
        btf,
        sections: elf.sections.iter().map(|section| (section.name, section.data)).collect(),
    })
}
