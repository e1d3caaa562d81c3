//! Which keys the changes of tables concern.
//!
//! A change is an entry, that came or went or does something else now: the packets that it concerns have certain values in the bits that it looks
//! at. Changes are kept by these bits, so that asking about a key costs one lookup for each mask among them, however many there are.

use hashbrown::HashTable;
use oko_packet::{Field, FlowKey};

use crate::exact::fold;
use crate::gather::{Layouts, NO_SHAPE};
use crate::key::Key;
use crate::shape::Shape;

/// Masks that changes are told apart by; with more, every key is said to be concerned.
const MASKS: usize = 32;

/// The words of keys of one shape under a mask; the tag is the shape.
type Words = Key;

/// The changes since some epoch.
#[derive(Debug, Default)]
pub struct Changes {
    masks: Vec<OfMask>,
    /// The epoch of the last change that is not told apart.
    any: Option<u64>,
    len: usize,
}

/// The changes of entries with one mask.
#[derive(Debug)]
struct OfMask {
    mask: FlowKey,
    /// The bits of keys: by shape, and those of frames without one last.
    bits: Vec<Words>,
    /// The values of changed entries and the epoch of the last change.
    values: HashTable<(Words, u64)>,
}

impl Changes {
    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.masks.clear();
        (self.any, self.len) = (None, 0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An entry with a mask that looks for some values, 0 outside of the mask, was changed in an epoch.
    pub fn note(&mut self, layouts: &Layouts, value: &FlowKey, mask: &FlowKey, epoch: u64) {
        self.len += 1;
        let at = match self.masks.iter().position(|of_mask| of_mask.mask == *mask) {
            Some(at) => at,
            None if self.masks.len() < MASKS && !layouts.only_port() => {
                let shapes = Shape::ALL.iter().map(|shape| layouts.place(Some(*shape), mask));
                let bits = shapes.chain([layouts.place(None, mask)]).collect();
                self.masks.push(OfMask { mask: *mask, bits, values: HashTable::new() });
                self.masks.len() - 1
            }
            None => {
                self.any = Some(epoch);
                return;
            }
        };
        let values = &mut self.masks[at].values;
        for shape in
            Shape::ALL.iter().copied().filter(|shape| shape.agrees(value, mask)).map(Some).chain([None])
        {
            let words = layouts.place(shape, value);
            let entry = values.entry(hash(&words), |(other, _)| *other == words, |(words, _)| hash(words));
            entry.or_insert((words, epoch)).get_mut().1 = epoch;
        }
    }

    /// Whether packets with a key may be concerned by a change after an epoch.
    pub fn concern(&self, key: &Key, epoch: u64) -> bool {
        if self.any.is_some_and(|changed| changed > epoch) {
            return true;
        }
        let shape = key.tag & 0xff;
        self.masks.iter().any(|of_mask| {
            let Some(bits) = of_mask.bits.get((shape as usize).min(Shape::ALL.len())) else { return true };
            let mut words = Key { tag: shape, words: [0; Key::WORDS] };
            for (word, (key, bits)) in words.words.iter_mut().zip(key.words.iter().zip(&bits.words)) {
                *word = key & bits;
            }
            let found = of_mask.values.find(hash(&words), |(other, _)| *other == words);
            found.is_some_and(|(_, changed)| *changed > epoch)
        })
    }
}

impl Layouts {
    /// The bits of a flow key where the keys of frames of a shape have them, or of frames without one.
    fn place(&self, shape: Option<Shape>, bits: &FlowKey) -> Words {
        match shape {
            Some(shape) => {
                let mut words = Key { tag: shape as u64, words: [0; Key::WORDS] };
                if let Some(layout) = self.layout(shape) {
                    layout.gather_from(&shape.bytes_under(bits), &mut words.words);
                }
                words
            }
            None => {
                let mut words = Key { tag: NO_SHAPE, words: [0; Key::WORDS] };
                self.pick(bits, &mut words.words);
                words
            }
        }
    }
}

impl Shape {
    /// Whether frames of this shape can have the values that an entry looks for in the fields that the shape fixes.
    fn agrees(self, value: &FlowKey, mask: &FlowKey) -> bool {
        let differs = |field: Field, fixed: u128| (value.get(field) ^ fixed) & mask.get(field) != 0;
        let (eth_type, protocol) = self.types();
        !differs(Field::ETH_TYPE, eth_type) && !differs(Field::IP_PROTO, protocol)
    }
}

/// A hash of words. What is in the table is for those to choose who write the flow tables.
fn hash(words: &Words) -> u64 {
    let mut hash = words.tag;
    for word in words.words {
        hash = fold(hash ^ word ^ 0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db);
    }
    hash
}
