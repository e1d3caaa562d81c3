//! Line information: section `.BTF.ext` (Linux, `Documentation/bpf/btf.rst`).

use super::btf::{Btf, Cursor, MAGIC, part};
use super::error::{ObjectError, ObjectErrorKind, Place};

/// Where an instruction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The slot, from the start of the section.
    pub(super) slot: u32,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) text: String,
}

/// Lines by name of the section they belong to, ascending by slot.
pub(super) type Lines = Vec<(String, Vec<Line>)>;

/// Reads the line information of a section `.BTF.ext`.
pub(super) fn parse_lines(bytes: &[u8], btf: &Btf) -> Result<Lines, ObjectError> {
    let place = || Place::section(".BTF.ext");
    let mut header = Cursor { bytes, place: place(), what: "the header" };
    header.magic_and_version()?;
    let hdr_len = header.u32()?;
    let [_func_off, _func_len, line_off, line_len] =
        [header.u32()?, header.u32()?, header.u32()?, header.u32()?];
    let bytes_of_core = if hdr_len >= 32 { Some((header.u32()?, header.u32()?)) } else { None };
    if let Some((off, len)) = bytes_of_core {
        let core = part(bytes, &place(), "CO-RE relocations", hdr_len as usize, off, len)?;
        let count = core_relocations(core)?;
        if count > 0 {
            return Err(place().error(ObjectErrorKind::CoRe { count }));
        }
    }
    let infos = part(bytes, &place(), "line information", hdr_len as usize, line_off, line_len)?;
    let mut cursor = Cursor { bytes: infos, place: place(), what: "line information" };
    let mut sections = Lines::new();
    // Strings are copied for each line, so their total is bounded apart.
    let mut budget = super::MAX_TOTAL_BYTES;
    if infos.is_empty() {
        return Ok(sections);
    }
    let size = cursor.u32()? as usize;
    if size < 16 || !size.is_multiple_of(4) {
        let found = size as u64;
        return Err(place().error(ObjectErrorKind::Field {
            field: "line_info_rec_size",
            expected: "16 or more",
            found,
        }));
    }
    while !cursor.bytes.is_empty() {
        let [name, count] = [cursor.u32()?, cursor.u32()?];
        let name = string(btf, name)?;
        let rows = cursor.take((count as usize).saturating_mul(size))?;
        let mut lines = Vec::with_capacity(count as usize);
        for row in rows.chunks_exact(size) {
            let mut row = Cursor { bytes: row, place: place(), what: "line information" };
            let [offset, file, text, place] = [row.u32()?, row.u32()?, row.u32()?, row.u32()?];
            // A line too long for a string is no reason to refuse the object: its text is for people only.
            let (file, text) = (string(btf, file)?, btf.string(text).unwrap_or_default());
            let taken = file.len() + text.len();
            budget = budget.checked_sub(taken).ok_or_else(|| {
                let limit = super::MAX_TOTAL_BYTES as u64;
                Place::section(".BTF.ext").error(ObjectErrorKind::TooLarge {
                    what: "source text",
                    found: limit + 1,
                    limit,
                })
            })?;
            lines.push(Line { slot: offset / 8, file: file.into(), line: place >> 10, text: text.into() });
        }
        lines.sort_by_key(|line| line.slot);
        sections.push((name.into(), lines));
    }
    Ok(sections)
}

/// How many CO-RE relocations there are.
fn core_relocations(bytes: &[u8]) -> Result<u32, ObjectError> {
    let mut cursor = Cursor { bytes, place: Place::section(".BTF.ext"), what: "CO-RE relocations" };
    let mut all = 0u32;
    if bytes.is_empty() {
        return Ok(0);
    }
    let size = cursor.u32()? as usize;
    while !cursor.bytes.is_empty() {
        let [_section, count] = [cursor.u32()?, cursor.u32()?];
        cursor.take((count as usize).saturating_mul(size))?;
        all = all.saturating_add(count);
    }
    Ok(all)
}

fn string(btf: &Btf, offset: u32) -> Result<&str, ObjectError> {
    btf.string(offset).ok_or_else(|| {
        Place::section(".BTF.ext").error(ObjectErrorKind::Field {
            field: "string offset",
            expected: "an offset of a string in `.BTF`",
            found: u64::from(offset),
        })
    })
}

/// What `.BTF.ext` says of one section: functions as (byte offset, BTF id), lines as (byte offset, file, text, line) with
/// string offsets.
pub(super) struct SectionInfo {
    pub(super) name: u32,
    pub(super) functions: Vec<(u32, u32)>,
    pub(super) lines: Vec<[u32; 4]>,
}

/// The content of a section `.BTF.ext`.
pub(super) fn encode(sections: &[SectionInfo]) -> Vec<u8> {
    let mut functions = vec![8];
    let mut lines = vec![16];
    for section in sections {
        functions.extend([section.name, section.functions.len() as u32]);
        functions.extend(section.functions.iter().flat_map(|&(offset, id)| [offset, id]));
        if section.lines.is_empty() {
            continue;
        }
        lines.extend([section.name, section.lines.len() as u32]);
        lines.extend(
            section.lines.iter().flat_map(|&[offset, file, text, line]| [offset, file, text, line << 10]),
        );
    }
    let (func_len, line_len) = (functions.len() as u32 * 4, lines.len() as u32 * 4);
    let mut out = MAGIC.to_le_bytes().to_vec();
    out.extend([1, 0]);
    let header = [32, 0, func_len, func_len, line_len, func_len + line_len, 0];
    for word in header.into_iter().chain(functions).chain(lines) {
        out.extend_from_slice(&u32::to_le_bytes(word));
    }
    out
}
