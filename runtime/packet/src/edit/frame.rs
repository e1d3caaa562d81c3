//! A frame in a buffer with room around it, so that headers can be put in and taken out where it lies.

/// Neither before nor behind the frame there is room for what should be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} bytes do not fit into the packet's buffer: {before} are free before the frame, {behind} behind it"
)]
pub struct NoRoom {
    /// Bytes asked for.
    pub needed: usize,
    /// Free bytes before the frame.
    pub before: usize,
    /// Free bytes behind the frame.
    pub behind: usize,
}

/// Bytes `start..end` of a buffer are a frame.
#[derive(Debug)]
pub struct FrameBuf<'b> {
    buffer: &'b mut [u8],
    start: usize,
    end: usize,
}

impl<'b> FrameBuf<'b> {
    /// The frame at `start..end`; a range that is not within the buffer is cut to it.
    pub fn new(buffer: &'b mut [u8], start: usize, end: usize) -> Self {
        let end = end.min(buffer.len());
        Self { start: start.min(end), end, buffer }
    }

    /// The frame.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The frame, to change.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Where in the buffer the frame is.
    pub fn range(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    /// Bytes of the frame.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Makes a gap of `n` bytes, whose content is undefined, at `at`. What lies before it moves into the room before the frame, or,
    /// when there is too little, what lies behind it into the room behind.
    pub(crate) fn insert(&mut self, at: usize, n: usize) -> Result<&mut [u8], NoRoom> {
        debug_assert!(at <= self.len());
        if self.start >= n {
            self.buffer.copy_within(self.start..self.start + at, self.start - n);
            self.start -= n;
        } else if self.buffer.len() - self.end >= n {
            self.buffer.copy_within(self.start + at..self.end, self.start + at + n);
            self.end += n;
        } else {
            return Err(NoRoom { needed: n, before: self.start, behind: self.buffer.len() - self.end });
        }
        Ok(&mut self.buffer[self.start + at..self.start + at + n])
    }

    /// Takes `n` bytes out at `at`; what lies before them moves.
    pub(crate) fn remove(&mut self, at: usize, n: usize) {
        debug_assert!(at + n <= self.len());
        self.buffer.copy_within(self.start..self.start + at, self.start + n);
        self.start += n;
    }

    /// Puts another frame in the place of this one, where that one was taken from.
    ///
    /// # Errors
    /// When it is longer than the buffer.
    pub fn restore(&mut self, bytes: &[u8], start: usize) -> Result<(), NoRoom> {
        let start = if start + bytes.len() <= self.buffer.len() { start } else { 0 };
        let Some(place) = self.buffer.get_mut(start..start + bytes.len()) else {
            return Err(NoRoom {
                needed: bytes.len(),
                before: self.start,
                behind: self.buffer.len() - self.end,
            });
        };
        place.copy_from_slice(bytes);
        (self.start, self.end) = (start, start + bytes.len());
        Ok(())
    }
}
