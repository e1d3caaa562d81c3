//! The relevant bits of a frame, gathered as words.
//!
//! For a shape and a mask over the flow key there are a few words of eight bytes, at fixed offsets, that hold all bits under the
//! mask; [`Layout`] is the list of them. Reading them is a load and an AND each. Words may lie anywhere within the least
//! length of the shape, so no load goes beyond a frame.

use oko_packet::{FlowKey, WORDS, extract};

use crate::exact::Key;
use crate::shape::Shape;

/// The words of a shape that hold the relevant bits.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    len: u8,
    offsets: [u8; Key::WORDS],
    /// In the byte order of the host, as loaded.
    masks: [u64; Key::WORDS],
}

impl Layout {
    /// The words for a mask; `None` if there are more than a key has room for.
    pub fn new(shape: Shape, mask: &FlowKey) -> Option<Layout> {
        let mut bytes = shape.bytes_under(mask);
        let mut layout = Layout { len: 0, offsets: [0; Key::WORDS], masks: [0; Key::WORDS] };
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

    /// How many words it gathers.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether nothing of the frame is relevant but its shape.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gathers from a frame of the layout's shape.
    #[inline]
    fn gather(&self, frame: &[u8], words: &mut [u64; Key::WORDS]) {
        let places = self.offsets.iter().zip(&self.masks).take(usize::from(self.len));
        for (word, (offset, mask)) in words.iter_mut().zip(places) {
            // A frame of the shape is long enough.
            let bytes = frame.get(usize::from(*offset)..).and_then(<[u8]>::first_chunk::<8>);
            *word = bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes)) & mask;
        }
    }
}

/// How keys are made under the relevant bits of one epoch: a layout for each shape, and the words of the flow key for the
/// other frames.
#[derive(Clone, Debug)]
pub struct Layouts {
    /// By shape.
    shapes: [Option<Layout>; Shape::ALL.len()],
    /// Whether nothing but the port a packet came in by is relevant.
    only_port: bool,
    /// The mask, and in which words it has bits.
    mask: FlowKey,
    words: Vec<u8>,
    epoch: u64,
}

/// What stands for the shape in the keys of frames without one.
const NO_SHAPE: u64 = 0xff;
/// What stands for the shape where the frame is of no relevance.
const ANY_SHAPE: u64 = 0xfe;

impl Layouts {
    /// The layouts for the relevant bits of an epoch.
    pub fn new(mask: &FlowKey, epoch: u64) -> Layouts {
        let words: Vec<u8> =
            (0..WORDS).filter(|word| mask.words()[*word] != 0).map(|word| word as u8).collect();
        let mut beyond_port = *mask;
        beyond_port.set(oko_packet::Field::IN_PORT, 0);
        Layouts {
            shapes: Shape::ALL.map(|shape| Layout::new(shape, mask)),
            only_port: beyond_port == FlowKey::ZERO,
            mask: *mask,
            words,
            epoch,
        }
    }

    /// The layouts of tables without entries.
    pub fn empty() -> Layouts {
        Layouts::new(&FlowKey::ZERO, 0)
    }

    /// The relevant bits.
    pub fn mask(&self) -> &FlowKey {
        &self.mask
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The key of a frame; `None` if its relevant bits are more than a key has room for.
    #[inline]
    pub fn key(&self, frame: &[u8], in_port: u32) -> Option<Key> {
        let port = u64::from(in_port) << 8;
        if self.only_port {
            return Some(Key { tag: port | ANY_SHAPE, words: [0; Key::WORDS] });
        }
        if let Some(shape) = Shape::of(frame)
            && let Some(layout) = &self.shapes[shape as usize]
        {
            let mut key = Key { tag: port | shape as u64, words: [0; Key::WORDS] };
            layout.gather(frame, &mut key.words);
            return Some(key);
        }
        self.key_of_fields(frame, port)
    }

    /// The key of a frame by its flow key.
    #[cold]
    #[inline(never)]
    fn key_of_fields(&self, frame: &[u8], port: u64) -> Option<Key> {
        if self.words.len() > Key::WORDS {
            return None;
        }
        let fields = extract(frame, (port >> 8) as u32).key;
        let mut key = Key { tag: port | NO_SHAPE, words: [0; Key::WORDS] };
        for (to, from) in key.words.iter_mut().zip(&self.words) {
            let from = usize::from(*from);
            *to = fields.words()[from] & self.mask.words()[from];
        }
        Some(key)
    }
}
