//! The relevant bits of a frame, gathered as words.
//!
//! For a shape and a mask over the flow key there are a few words of eight bytes, at fixed offsets, that hold all bits under the
//! mask; [`Layout`] is the list of them. Reading them is a load and an AND each. Words may lie anywhere within the least
//! length of the shape, so no load goes beyond a frame.

use oko_packet::{Field, FlowKey, WORDS, extract};

use crate::key::{Key, width_for, with_width};
use crate::shape::{Shape, Test};

/// The words of a shape that hold the relevant bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    len: u8,
    /// How many bytes a frame of the shape has at least: every word lies within.
    least: u8,
    offsets: [u8; Key::WORDS],
    /// In the byte order of the host, as loaded; 0 for words that are not needed.
    masks: [u64; Key::WORDS],
}

impl Layout {
    /// The words for a mask; `None` if there are more than a key has room for.
    pub fn new(shape: Shape, mask: &FlowKey) -> Option<Layout> {
        let mut bytes = shape.bytes_under(mask);
        let least = u8::try_from(bytes.len()).ok()?;
        let mut layout = Layout { len: 0, least, offsets: [0; Key::WORDS], masks: [0; Key::WORDS] };
        while let Some(first) = bytes.iter().position(|byte| *byte != 0) {
            let offset = first.min(bytes.len() - 8);
            let word = bytes[offset..].first_chunk_mut::<8>()?;
            let at = usize::from(layout.len);
            *layout.offsets.get_mut(at)? = u8::try_from(offset).ok()?;
            layout.masks[at] = u64::from_ne_bytes(*word);
            *word = [0; 8];
            layout.len += 1;
        }
        Some(layout)
    }

    /// Gathers all words from bytes that are laid out as those of a frame of the shape, up to its least length.
    pub(crate) fn gather_from(&self, bytes: &[u8], words: &mut [u64; Key::WORDS]) {
        self.gather::<{ Key::WORDS }>(bytes, words);
    }

    /// How many words it gathers.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether nothing of the frame is relevant but its shape.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gathers `N` words, at least as many as there are, from a frame of the layout's shape.
    #[inline]
    fn gather<const N: usize>(&self, frame: &[u8], words: &mut [u64; Key::WORDS]) {
        for (word, found) in words.iter_mut().zip(self.words(frame)).take(N) {
            *word = found;
        }
    }

    /// Whether that would gather these words.
    #[inline]
    fn gathers(&self, frame: &[u8], words: &[u64; Key::WORDS]) -> bool {
        self.words(frame).zip(words).take(self.len()).all(|(found, word)| found == *word)
    }

    /// The words of a frame of the layout's shape; those that are not needed are 0.
    #[inline]
    fn words<'f>(&'f self, frame: &'f [u8]) -> impl Iterator<Item = u64> + 'f {
        // Frames of the shape are long enough.
        assert!(frame.len() >= usize::from(self.least));
        self.masks.iter().zip(&self.offsets).map(move |(mask, offset)| {
            // SAFETY: the eight bytes at each offset, also at 0 where none is set, lie within the least length of the shape, which
            // the frame has.
            let bytes = unsafe { frame.as_ptr().add(usize::from(*offset)).cast::<u64>().read_unaligned() };
            bytes & mask
        })
    }
}

/// How keys are made under the relevant bits of one epoch: a layout for each shape, and the words of the flow key for the
/// other frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layouts {
    /// By shape.
    shapes: [Option<Layout>; Shape::ALL.len()],
    /// Whether nothing but the port a packet came in by is relevant.
    only_port: bool,
    /// The mask, without what no frame has, and in which words it has bits.
    mask: FlowKey,
    words: Vec<u8>,
    /// Words that the longest of the keys has.
    width: usize,
}

/// What stands for the shape in the keys of frames without one.
pub(crate) const NO_SHAPE: u64 = 0xff;
/// What stands for the shape where the frame is of no relevance.
const ANY_SHAPE: u64 = 0xfe;

impl Layouts {
    /// The layouts for relevant bits.
    pub fn new(mask: &FlowKey) -> Layouts {
        let mut mask = *mask;
        // The same for all packets when they come in, or known apart.
        for field in Field::PIPELINE.iter().chain([&Field::IN_PORT]) {
            mask.set(*field, 0);
        }
        let words: Vec<u8> =
            (0..WORDS).filter(|word| mask.words()[*word] != 0).map(|word| word as u8).collect();
        let shapes = Shape::ALL.map(|shape| Layout::new(shape, &mask));
        let lengths = shapes.iter().flatten().map(Layout::len).chain([words.len()]);
        let width = lengths.filter(|len| *len <= Key::WORDS).max().and_then(width_for).unwrap_or(Key::WORDS);
        Layouts { shapes, only_port: mask == FlowKey::ZERO, mask, words, width }
    }

    /// The layouts of tables without entries.
    pub fn empty() -> Layouts {
        Layouts::new(&FlowKey::ZERO)
    }

    /// The relevant bits of frames.
    pub fn mask(&self) -> &FlowKey {
        &self.mask
    }

    /// Whether nothing but the port a packet came in by is relevant.
    pub fn only_port(&self) -> bool {
        self.only_port
    }

    /// How many words of a key count.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The key of a frame; `None` if its relevant bits are more than a key has room for.
    pub fn key(&self, frame: &[u8], in_port: u32) -> Option<Key> {
        let mut key = Key::ZERO;
        with_width!(self.width, N => self.maker::<N>(in_port).make(frame, &mut key)).then_some(key)
    }

    /// Makes the keys of the frames that come in by a port, of `N` words, which is the width of these layouts.
    #[inline]
    pub(crate) fn maker<const N: usize>(&self, in_port: u32) -> Maker<'_, N> {
        Maker { layouts: self, port: u64::from(in_port) << 8, last: None }
    }

    /// The key of a frame by its flow key.
    #[cold]
    #[inline(never)]
    fn key_of_fields(&self, frame: &[u8], port: u64, key: &mut Key) -> bool {
        if self.words.len() > Key::WORDS {
            return false;
        }
        let fields = extract(frame, (port >> 8) as u32).key;
        *key = Key { tag: port | NO_SHAPE, words: [0; Key::WORDS] };
        self.pick(&fields, &mut key.words);
        true
    }

    /// The relevant bits of a flow key, as the keys of frames without a shape have them.
    pub(crate) fn pick(&self, fields: &FlowKey, words: &mut [u64; Key::WORDS]) {
        for (to, from) in words.iter_mut().zip(&self.words) {
            let from = usize::from(*from);
            *to = fields.words()[from] & self.mask.words()[from];
        }
    }

    /// The layout of a shape, if its relevant bits have room in a key.
    pub(crate) fn layout(&self, shape: Shape) -> Option<&Layout> {
        self.shapes[shape as usize].as_ref()
    }
}

/// Makes keys, one after the other. Frames often have the shape of the one before, which takes less to see than which shape they have.
pub(crate) struct Maker<'l, const N: usize> {
    layouts: &'l Layouts,
    /// Where it is in the tag of a key.
    port: u64,
    last: Option<Last<'l>>,
}

/// The shape of a frame.
#[derive(Clone, Copy)]
struct Last<'l> {
    test: &'static Test,
    layout: &'l Layout,
    tag: u64,
}

impl<const N: usize> Maker<'_, N> {
    /// Makes the key of a frame. Gives whether it has room for the relevant bits.
    #[inline(always)]
    pub(crate) fn make(&mut self, frame: &[u8], key: &mut Key) -> bool {
        if self.layouts.only_port {
            *key = Key { tag: self.port | ANY_SHAPE, words: [0; Key::WORDS] };
            return true;
        }
        if !self.last.as_ref().is_some_and(|last| last.test.holds(frame)) {
            self.last = Shape::of(frame).and_then(|shape| {
                let layout = self.layouts.layout(shape)?;
                Some(Last { test: shape.test(), layout, tag: self.port | shape as u64 })
            });
        }
        let Some(last) = &self.last else {
            return self.layouts.key_of_fields(frame, self.port, key);
        };
        key.tag = last.tag;
        last.layout.gather::<N>(frame, &mut key.words);
        true
    }

    /// The first of the frames from 1 to `count` that has, as far as can be told without making it, another key than this one, which was made last and of
    /// frame 0; `count` if there is none. Of frames without a shape nothing is told.
    #[inline]
    pub(crate) fn first_unlike<'f>(
        &self,
        key: &Key,
        count: usize,
        frame: impl Fn(usize) -> Option<&'f [u8]>,
    ) -> usize {
        let mut others = 1..count;
        let first = match self.last {
            _ if self.layouts.only_port => others.find(|&at| frame(at).is_none()),
            Some(Last { test, layout, .. }) => {
                let is_alike = |frame: &[u8]| test.holds(frame) && layout.gathers(frame, &key.words);
                others.find(|&at| !frame(at).is_some_and(is_alike))
            }
            None => others.next(),
        };
        first.unwrap_or(count)
    }
}
