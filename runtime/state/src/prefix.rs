//! The prefix table: the value of the longest prefix that a key begins with (`BPF_MAP_TYPE_LPM_TRIE`).
//!
//! A key is laid out as in the kernel: a `u32` length of the prefix in bits, in host order, then the bytes in network order; bits behind the
//! length count for nothing. Look-ups give the whole key and the greatest length.
//!
//! It is a binary trie whose paths without branches are one edge. A node has the bits from the root to it, up to two children that go on with a 0 and
//! with a 1, and perhaps a value; nodes without value have two children, so there are less than two nodes for each entry. Nodes and values lie
//! in blocks of memory and are named by numbers, plus 1, so that 0 is none. One writer changes the trie at a time, each change being one store to one
//! link; what is taken out is used again after a grace period ([`crate::readers`]), so readers need no locks and what they find stays.
//!
//! Tables of addresses have a [direct table](crate::direct) besides, which generated code reads. After each change of the trie, the slots of the prefix are written anew, from
//! the nodes below it; only then what was taken out may go. Programs that change such a table while packets come do not keep it.

mod refresh;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::control::{Cursor, EntryCopy};
use crate::direct::{Direct, Form, Owned};
use crate::entry::Found;
use crate::key::MAX_KEY_BYTES;
use crate::map::{Update, UpdateError};
use crate::memory::Memory;
use crate::pool::{Pool, spare};
use crate::probe::Probe;
use crate::readers;
use crate::shape::Shape;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Bytes before the bits in a key: their number.
pub(crate) const LENGTH_BYTES: u32 = 4;
/// Bytes of a node before its bits: two children, their number, and its value.
const NODE_HEADER: usize = 16;
const MAX_WORDS: usize = MAX_KEY_BYTES.div_ceil(8);
/// Words of a short key.
const SHORT_WORDS: usize = 4;

/// What a table of this capacity takes in memory, for keys and values of these sizes.
pub(crate) fn bytes(capacity: u32, key_size: u32, value_size: u32) -> u64 {
    let direct = Form::of(capacity, key_size).map_or(0, |form| form.bytes(capacity));
    nodes(capacity) * node_stride(key_size) + values(capacity) * value_stride(value_size) + direct
}

fn values(capacity: u32) -> u64 {
    u64::from(capacity) + u64::from(spare(capacity))
}

fn nodes(capacity: u32) -> u64 {
    2 * values(capacity)
}

fn node_stride(key_size: u32) -> u64 {
    NODE_HEADER as u64 + u64::from(key_size - LENGTH_BYTES).next_multiple_of(8)
}

fn value_stride(value_size: u32) -> u64 {
    u64::from(value_size).next_multiple_of(8)
}

/// The bits of a key of up to `WORDS` words, first one highest in the first word; those behind the length are there too.
#[derive(Clone, Copy)]
struct Bits<const WORDS: usize = MAX_WORDS> {
    words: [u64; WORDS],
    len: u32,
}

impl<const WORDS: usize> Bits<WORDS> {
    /// From a key as the table is given it; `None` if its length is more than `most`.
    #[inline]
    fn of(key: &[u64], most: u32) -> Option<Bits<WORDS>> {
        let mut words = [0; WORDS];
        let len = key[0].to_ne_bytes();
        let len = u32::from_ne_bytes([len[0], len[1], len[2], len[3]]);
        for (at, word) in words.iter_mut().enumerate().take(key.len()) {
            let [_, _, _, _, a, b, c, d] = key[at].to_ne_bytes();
            let [e, f, g, h, ..] = key.get(at + 1).copied().unwrap_or(0).to_ne_bytes();
            *word = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        }
        (len <= most).then_some(Bits { words, len })
    }

    /// The bit at a place below the size of the key.
    #[inline]
    fn bit(&self, at: u32) -> usize {
        (self.words[at as usize / 64] >> (63 - at % 64) & 1) as usize
    }
}

#[derive(Debug)]
pub(crate) struct Prefix {
    nodes: Memory,
    node_stride: usize,
    values: Memory,
    value_stride: usize,
    value_size: usize,
    key_size: usize,
    /// The greatest length of a prefix.
    most: u32,
    capacity: u32,
    root: AtomicU32,
    len: AtomicU32,
    /// Of a table of addresses.
    direct: Option<Direct>,
    writer: Mutex<Writer>,
}

/// What belongs to the one who changes the trie.
#[derive(Debug)]
struct Writer {
    nodes: Pool,
    values: Pool,
    /// For each node whether it is in the trie.
    linked: Vec<bool>,
    /// What the direct table leads to.
    direct: Owned,
}

impl Prefix {
    pub(crate) fn new(shape: &Shape) -> Option<Prefix> {
        let Shape { capacity, key_size, value_size, .. } = *shape;
        let (node_stride, value_stride) = (node_stride(key_size), value_stride(value_size));
        let (node_count, value_count) = (nodes(capacity), values(capacity));
        Some(Prefix {
            nodes: Memory::zeroed(node_count * node_stride)?,
            node_stride: usize::try_from(node_stride).ok()?,
            values: Memory::zeroed(value_count * value_stride)?,
            value_stride: usize::try_from(value_stride).ok()?,
            value_size: value_size as usize,
            key_size: key_size as usize,
            most: (key_size - LENGTH_BYTES) * 8,
            capacity,
            root: AtomicU32::new(0),
            len: AtomicU32::new(0),
            direct: match Form::of(capacity, key_size) {
                Some(form) => Some(Direct::new(form)?),
                None => None,
            },
            writer: Mutex::new(Writer {
                nodes: Pool::new((0..u32::try_from(node_count).ok()?).step_by(1)),
                values: Pool::new((0..u32::try_from(value_count).ok()?).step_by(1)),
                linked: Vec::new(),
                direct: Owned::default(),
            }),
        })
    }

    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Relaxed)
    }

    /// What generated code needs of it, if it has a direct table.
    pub(crate) fn probe(&self) -> Probe {
        self.direct.as_ref().map_or(Probe::NONE, |direct| Probe { index: direct.first(), ..Probe::NONE })
    }

    fn half(&self, node: u32, half: usize) -> &AtomicU32 {
        // SAFETY: nodes have numbers below their count and a header of four halves, aligned; all are only accessed atomically.
        unsafe { self.nodes.at(node as usize * self.node_stride).cast::<AtomicU32>().add(half).as_ref() }
    }

    /// The link to a node's child.
    fn child(&self, node: u32, bit: usize) -> &AtomicU32 {
        self.half(node, bit)
    }

    /// How many bits lead to a node.
    fn bits(&self, node: u32) -> &AtomicU32 {
        self.half(node, 2)
    }

    /// The value of a node, plus 1.
    fn value(&self, node: u32) -> &AtomicU32 {
        self.half(node, 3)
    }

    fn word(&self, node: u32, word: usize) -> &AtomicU64 {
        let start = node as usize * self.node_stride + NODE_HEADER;
        // SAFETY: as for `half`; the bits follow the header in whole words.
        unsafe { self.nodes.at(start).cast::<AtomicU64>().add(word).as_ref() }
    }

    /// How many of the first `limit` bits of a key are those of a node.
    #[inline]
    fn common<const WORDS: usize>(&self, node: u32, key: &Bits<WORDS>, limit: u32) -> u32 {
        for at in 0..limit.div_ceil(64) as usize {
            let differing = key.words[at] ^ self.word(node, at).load(Ordering::Relaxed);
            if differing != 0 {
                return limit.min(at as u32 * 64 + differing.leading_zeros());
            }
        }
        limit
    }

    #[inline]
    pub(crate) fn find(&self, key: &[u64]) -> Found {
        // Most keys are an address with a family. The bits of the longest that there can be are not put together for these.
        let value = match key.len() {
            0..=SHORT_WORDS => Bits::<SHORT_WORDS>::of(key, self.most).and_then(|key| self.longest(&key)),
            _ => Bits::<MAX_WORDS>::of(key, self.most).and_then(|key| self.longest(&key)),
        };
        value.map_or(Found::NONE, |value| Found { value: self.value_at(value), generation: 0 })
    }

    fn value_at(&self, value: u32) -> *mut u8 {
        self.values.at(value as usize * self.value_stride).as_ptr()
    }

    /// The value of the longest prefix of a key.
    #[inline]
    fn longest<const WORDS: usize>(&self, key: &Bits<WORDS>) -> Option<u32> {
        let mut best = 0;
        let mut least = 0;
        let mut next = self.root.load(Ordering::Acquire);
        while let Some(node) = next.checked_sub(1) {
            let bits = self.bits(node).load(Ordering::Relaxed);
            // Who is not pinned may meet nodes that are used again; the path goes down all the same.
            if bits < least || bits > key.len || self.common(node, key, bits) < bits {
                break;
            }
            let value = self.value(node).load(Ordering::Acquire);
            if value != 0 {
                best = value;
            }
            if bits == self.most {
                break;
            }
            least = bits + 1;
            next = self.child(node, key.bit(bits)).load(Ordering::Acquire);
        }
        best.checked_sub(1)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, when there is room for a new entry, if it can be had: a value, a node and a fork. A thread that is pinned does not wait for it.
    ///
    /// Nobody waits for readers while it is the writer: a reader may want to be the next one.
    fn writer_with_room(&self) -> MutexGuard<'_, Writer> {
        loop {
            let mut writer = self.writer();
            let awaited = writer.values.lacks(1).or_else(|| writer.nodes.lacks(2));
            let Some(ticket) = awaited.filter(|_| !readers::is_pinned()) else { return writer };
            drop(writer);
            readers::wait_for(ticket);
        }
    }

    /// Ends a change. If too much memory waits for readers, so does this thread, unless it is one.
    fn end(&self, mut writer: MutexGuard<'_, Writer>) {
        if readers::is_pinned() {
            return;
        }
        let Some(ticket) = writer.direct.settle() else { return };
        drop(writer);
        readers::wait_for(ticket);
        self.writer().direct.reclaim();
    }

    /// The links from the root to where a prefix is or belongs.
    fn path(&self, key: &Bits) -> Vec<&AtomicU32> {
        let mut links = vec![&self.root];
        let mut link = &self.root;
        while let Some(node) = link.load(Ordering::Relaxed).checked_sub(1) {
            let bits = self.bits(node).load(Ordering::Relaxed);
            if bits >= key.len || self.common(node, key, bits) < bits {
                break;
            }
            link = self.child(node, key.bit(bits));
            links.push(link);
        }
        links
    }

    /// The node of exactly this prefix that a link leads to.
    fn exactly(&self, link: &AtomicU32, key: &Bits) -> Option<u32> {
        let node = link.load(Ordering::Relaxed).checked_sub(1)?;
        let same =
            self.bits(node).load(Ordering::Relaxed) == key.len && self.common(node, key, key.len) == key.len;
        same.then_some(node)
    }

    /// Fails if a key's length is more than its bits.
    pub(crate) fn check_length(&self, key: &[u8]) -> Result<(), UpdateError> {
        let found = key.first_chunk().map_or(0, |length| u32::from_ne_bytes(*length));
        if found > self.most {
            return Err(UpdateError::PrefixLength { found, most: self.most });
        }
        Ok(())
    }

    pub(crate) fn update(&self, key: &[u64], value: &[u8], update: Update) -> Result<(), UpdateError> {
        let key = Bits::of(key, self.most).ok_or(UpdateError::Absent)?;
        let mut writer = self.writer_with_room();
        let path = self.path(&key);
        let link = path[path.len() - 1];
        let node = self.exactly(link, &key);
        let old = node.map_or(0, |node| self.value(node).load(Ordering::Relaxed));
        match (old != 0, update) {
            (true, Update::Insert) => return Err(UpdateError::Exists),
            (false, Update::Replace) => return Err(UpdateError::Absent),
            (false, _) if self.len() == self.capacity => return Err(UpdateError::Full),
            _ => {}
        }
        let new = writer.values.take(|_| {}).ok_or(UpdateError::Full)?;
        self.write_value(new, value);
        if let Some(node) = node {
            self.value(node).store(new + 1, Ordering::Release);
        } else if !self.link_in(&mut writer, link, &key, new) {
            writer.values.give_back(new);
            return Err(UpdateError::Full);
        }
        self.refresh(&mut writer, &key);
        if let Some(old) = old.checked_sub(1) {
            writer.values.retire(old);
        } else {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        self.end(writer);
        Ok(())
    }

    /// Makes the node of a prefix where there is none; `false` if there are no nodes.
    fn link_in(&self, writer: &mut Writer, link: &AtomicU32, key: &Bits, value: u32) -> bool {
        let Some(new) = writer.nodes.take(|_| {}) else { return false };
        self.make(new, key, key.len, value + 1);
        let Some(there) = link.load(Ordering::Relaxed).checked_sub(1) else {
            return self.publish(writer, link, new);
        };
        let bits = self.bits(there).load(Ordering::Relaxed);
        let common = self.common(there, key, bits.min(key.len));
        if common == key.len {
            // The new prefix leads on to what is there.
            let side = self.bit_of(there, common);
            self.child(new, side).store(there + 1, Ordering::Relaxed);
            return self.publish(writer, link, new);
        }
        let Some(fork) = writer.nodes.take(|_| {}) else {
            writer.nodes.give_back(new);
            return false;
        };
        self.make(fork, key, common, 0);
        self.child(fork, key.bit(common)).store(new + 1, Ordering::Relaxed);
        self.child(fork, 1 - key.bit(common)).store(there + 1, Ordering::Relaxed);
        self.mark(writer, new, true);
        self.publish(writer, link, fork)
    }

    fn publish(&self, writer: &mut Writer, link: &AtomicU32, node: u32) -> bool {
        self.mark(writer, node, true);
        link.store(node + 1, Ordering::Release);
        true
    }

    fn mark(&self, writer: &mut Writer, node: u32, linked: bool) {
        let at = node as usize;
        if writer.linked.len() <= at {
            writer.linked.resize(at + 1, false);
        }
        writer.linked[at] = linked;
    }

    fn bit_of(&self, node: u32, at: u32) -> usize {
        (self.word(node, at as usize / 64).load(Ordering::Relaxed) >> (63 - at % 64) & 1) as usize
    }

    /// Writes a node that nobody looks at, without children.
    fn make(&self, node: u32, key: &Bits, bits: u32, value: u32) {
        for half in 0..2 {
            self.child(node, half).store(0, Ordering::Relaxed);
        }
        self.bits(node).store(bits, Ordering::Relaxed);
        self.value(node).store(value, Ordering::Relaxed);
        for at in 0..(self.most as usize).div_ceil(64) {
            let kept = bits.saturating_sub(at as u32 * 64).min(64);
            let mask = if kept == 0 { 0 } else { u64::MAX << (64 - kept) };
            self.word(node, at).store(key.words[at] & mask, Ordering::Relaxed);
        }
    }

    fn write_value(&self, number: u32, value: &[u8]) {
        let start = number as usize * self.value_stride;
        for (at, chunk) in value.chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            // SAFETY: values are rounded up to whole words within their block.
            let cell = unsafe { self.values.at(start).cast::<AtomicU64>().add(at).as_ref() };
            cell.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }

    pub(crate) fn delete(&self, key: &[u64]) -> bool {
        let Some(key) = Bits::of(key, self.most) else { return false };
        let mut writer = self.writer();
        let path = self.path(&key);
        let link = path[path.len() - 1];
        let Some(node) = self.exactly(link, &key) else { return false };
        let Some(value) = self.value(node).load(Ordering::Relaxed).checked_sub(1) else { return false };
        self.value(node).store(0, Ordering::Release);
        self.len.fetch_sub(1, Ordering::Relaxed);
        self.join(&mut writer, link, node);
        // A fork that has lost a child joins its link to the other one.
        if let Some(above) = path.len().checked_sub(2).map(|at| path[at])
            && link.load(Ordering::Relaxed) == 0
            && let Some(fork) = above.load(Ordering::Relaxed).checked_sub(1)
            && self.value(fork).load(Ordering::Relaxed) == 0
        {
            self.join(&mut writer, above, fork);
        }
        self.refresh(&mut writer, &key);
        writer.values.retire(value);
        self.end(writer);
        true
    }

    /// Takes a node without value out if it has at most one child.
    fn join(&self, writer: &mut Writer, link: &AtomicU32, node: u32) {
        let [left, right] = [0, 1].map(|bit| self.child(node, bit).load(Ordering::Relaxed));
        if left != 0 && right != 0 {
            return;
        }
        link.store(left | right, Ordering::Release);
        self.mark(writer, node, false);
        writer.nodes.retire(node);
    }

    pub(crate) fn clear(&self) {
        let mut writer = self.writer();
        self.root.store(0, Ordering::Release);
        self.refresh(&mut writer, &Bits { words: [0; MAX_WORDS], len: 0 });
        for node in 0..writer.linked.len() as u32 {
            if std::mem::take(&mut writer.linked[node as usize]) {
                let value = self.value(node).load(Ordering::Relaxed);
                writer.nodes.retire(node);
                if let Some(value) = value.checked_sub(1) {
                    writer.values.retire(value);
                }
            }
        }
        self.len.store(0, Ordering::Relaxed);
        self.end(writer);
    }

    /// A copy of the value of exactly this prefix.
    pub(crate) fn read(&self, key: &[u64]) -> Option<Box<[u8]>> {
        let key = Bits::of(key, self.most)?;
        let _writer = self.writer();
        let path = self.path(&key);
        let node = self.exactly(path[path.len() - 1], &key)?;
        self.copy(node).map(|copy| copy.value)
    }

    pub(crate) fn scan(&self, cursor: &mut Cursor, limit: usize) -> Vec<EntryCopy> {
        let writer = self.writer();
        cursor.advance(writer.linked.len() as u64, limit, |node| {
            if writer.linked[node as usize] { self.copy(node as u32) } else { None }
        })
    }

    fn copy(&self, node: u32) -> Option<EntryCopy> {
        let value = self.value(node).load(Ordering::Relaxed).checked_sub(1)?;
        let mut key = self.bits(node).load(Ordering::Relaxed).to_ne_bytes().to_vec();
        for at in 0..(self.most as usize).div_ceil(64) {
            key.extend(self.word(node, at).load(Ordering::Relaxed).to_be_bytes());
        }
        key.truncate(self.key_size);
        let start = value as usize * self.value_stride;
        let words = (0..self.value_stride / 8).map(|at| {
            // SAFETY: as in `write_value`.
            let cell = unsafe { self.values.at(start).cast::<AtomicU64>().add(at).as_ref() };
            cell.load(Ordering::Relaxed)
        });
        Some(EntryCopy { key: key.into_boxed_slice(), value: crate::key::bytes_of(words, self.value_size) })
    }
}
