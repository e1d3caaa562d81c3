//! Reading and writing of big-endian structures, every length checked.
//!
//! A [`Reader`] knows where in the whole message it stands, which structure it is in and which OpenFlow error a
//! shortage there means, so that each failure names its place without help from the caller.

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::switch::{Dialect, Version};

/// A cursor over one structure of a message.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    buf: &'a [u8],
    pos: usize,
    /// Offset of `buf` in the whole message.
    base: usize,
    place: &'static str,
    /// What a wrong length means inside this structure.
    bad_len: ErrorCode,
    /// The version of the message.
    version: Version,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(buf: &'a [u8], base: usize, place: &'static str, bad_len: ErrorCode) -> Self {
        Reader { buf, pos: 0, base, place, bad_len, version: Version::V1_3 }
    }

    /// The same place in a message of another version than 1.3.
    pub(crate) fn with_version(self, version: Version) -> Self {
        Reader { version, ..self }
    }

    /// The version of the message.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn left(&self) -> usize {
        self.buf.len() - self.pos
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// Records to the end.
    pub(crate) fn all<T>(
        &mut self,
        decode: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut out = Vec::new();
        while !self.is_empty() {
            out.push(decode(self)?);
        }
        Ok(out)
    }

    /// Offset in the whole message of the next byte.
    pub(crate) fn offset(&self) -> usize {
        self.base + self.pos
    }

    /// An error at the next byte.
    pub(crate) fn error(&self, code: ErrorCode, problem: Problem) -> DecodeError {
        DecodeError { code, place: self.place, offset: self.offset(), problem }
    }

    /// A wrong length, with the code that this structure has for it.
    pub(crate) fn bad_len(&self, found: usize, expected: &'static str) -> DecodeError {
        self.error(self.bad_len, Problem::Length { found, expected })
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        if self.left() < n {
            return Err(self.error(self.bad_len, Problem::Truncated { needed: n, left: self.left() }));
        }
        let taken = &self.buf[self.pos..self.pos + n];
        self.pos += n;
        Ok(taken)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let taken = &self.buf[self.pos..];
        self.pos = self.buf.len();
        taken
    }

    pub(crate) fn skip(&mut self, n: usize) -> Result<(), DecodeError> {
        self.bytes(n).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn mac(&mut self) -> Result<[u8; 6], DecodeError> {
        self.array()
    }

    /// An unsigned integer of `n` ≤ 16 bytes.
    pub(crate) fn uint(&mut self, n: usize) -> Result<u128, DecodeError> {
        debug_assert!(n <= 16);
        Ok(self.bytes(n)?.iter().fold(0, |acc, b| (acc << 8) | u128::from(*b)))
    }

    /// Text in a field of fixed size, ended by its first zero byte. Bytes that are not UTF-8 become U+FFFD.
    pub(crate) fn padded_text(&mut self, n: usize) -> Result<String, DecodeError> {
        let bytes = self.bytes(n)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(n);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// The next `n` bytes as a structure of its own.
    pub(crate) fn sub(
        &mut self,
        n: usize,
        place: &'static str,
        bad_len: ErrorCode,
    ) -> Result<Reader<'a>, DecodeError> {
        let base = self.offset();
        let buf = self.bytes(n)?;
        Ok(Reader { buf, pos: 0, base, place, bad_len, version: self.version })
    }

    /// What is left, as a structure of its own.
    pub(crate) fn sub_rest(&mut self, place: &'static str, bad_len: ErrorCode) -> Reader<'a> {
        let base = self.offset();
        Reader { buf: self.rest(), pos: 0, base, place, bad_len, version: self.version }
    }

    /// Like [`Reader::sub`], but a shortage is already an error of the new structure.
    pub(crate) fn sub_own(
        &mut self,
        n: usize,
        place: &'static str,
        bad_len: ErrorCode,
    ) -> Result<Reader<'a>, DecodeError> {
        if self.left() < n {
            let problem = Problem::Truncated { needed: n, left: self.left() };
            return Err(DecodeError { code: bad_len, place, offset: self.offset(), problem });
        }
        self.sub(n, place, bad_len)
    }

    /// The next property of a list, as OpenFlow has them from 1.4 on: its type, and what is behind type and length; the padding to
    /// a multiple of 8 is skipped. `None` at the end of the list.
    pub(crate) fn property(&mut self) -> Result<Option<(u16, Reader<'a>)>, DecodeError> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut head = self.clone();
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 4 {
            let problem = Problem::Length { found: len, expected: "at least 4" };
            return Err(self.error(ErrorCode::PropertyBadLen, problem));
        }
        let mut body = self.sub_own(len, "property", ErrorCode::PropertyBadLen)?;
        body.skip(4)?;
        let pad = (len.next_multiple_of(8) - len).min(self.left());
        self.skip(pad)?;
        Ok(Some((ty, body)))
    }

    /// Fails unless everything was read.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.error(self.bad_len, Problem::Excess { left: self.left() }))
    }
}

/// Appends big-endian values; sizes that depend on what follows are patched in afterwards.
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    /// The version of the message.
    pub(crate) version: Version,
    /// Whether the reader knows the condition on filters.
    pub(crate) filters: bool,
}

impl Default for Writer {
    fn default() -> Self {
        Writer::new(Version::V1_3)
    }
}

impl Writer {
    pub(crate) fn new(dialect: impl Into<Dialect>) -> Writer {
        let Dialect { version, filters } = dialect.into();
        Writer { out: Vec::new(), version, filters }
    }

    pub(crate) fn u8(&mut self, v: u8) {
        self.out.push(v);
    }

    pub(crate) fn u16(&mut self, v: u16) {
        self.bytes(&v.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, v: u32) {
        self.bytes(&v.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, v: u64) {
        self.bytes(&v.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, v: &[u8]) {
        self.out.extend_from_slice(v);
    }

    pub(crate) fn zeros(&mut self, n: usize) {
        self.out.resize(self.out.len() + n, 0);
    }

    /// The low `n` ≤ 16 bytes of `v`.
    pub(crate) fn uint(&mut self, v: u128, n: usize) {
        debug_assert!(n <= 16);
        self.bytes(&v.to_be_bytes()[16 - n..]);
    }

    /// Text in a field of `n` bytes: cut to leave a zero byte at its end, never inside a character.
    pub(crate) fn padded_text(&mut self, text: &str, n: usize) {
        let mut end = text.len().min(n.saturating_sub(1));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes(&text.as_bytes()[..end]);
        self.zeros(n - end);
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Writes `v` over the two bytes at `at`. A structure too long for its length field makes the message longer than
    /// its own, which `Message::encode` refuses as a whole; so the value may be cut here.
    pub(crate) fn patch_u16(&mut self, at: usize, v: usize) {
        self.out[at..at + 2].copy_from_slice(&(v as u16).to_be_bytes());
    }

    /// Writes a property: type, length, and what `body` writes, padded to a multiple of 8.
    pub(crate) fn property(&mut self, ty: u16, body: impl FnOnce(&mut Writer)) {
        let start = self.len();
        self.u16(ty);
        self.u16(0);
        body(self);
        self.patch_u16(start + 2, self.len() - start);
        self.align8(start);
    }

    /// Zero bytes until the structure that began at `start` is a multiple of 8 long.
    pub(crate) fn align8(&mut self, start: usize) {
        let len = self.len() - start;
        self.zeros(len.next_multiple_of(8) - len);
    }
}
