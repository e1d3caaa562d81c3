//! The address space of one run: every object in a window of its own.
//!
//! What holds here: an address names a window (upper bits) and a distance from the object's start, so arithmetic on a
//! pointer cannot reach another object, and every access is checked against the object's length, permission and, on the
//! stack, initialisation. The windows can be slid: a program whose results depend on addresses gives itself away.

use std::collections::HashMap;

use super::{FaultKind, MapMemory, Place};
use crate::{
    isa::{AtomicOp, Size, Width},
    program::{MapDef, MapId},
};

/// Bytes of a stack frame.
pub const FRAME_BYTES: usize = 512;
/// Frames on the stack at once, the entry function's included.
pub const MAX_FRAMES: usize = 8;

const WINDOW_BITS: u32 = 40;
const START: u64 = 1 << (WINDOW_BITS - 1);

/// The packet of a run.
pub(super) enum Packet<'a> {
    ReadOnly(&'a [u8]),
    ReadWrite(&'a mut [u8]),
}

impl Packet<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Packet::ReadOnly(bytes) => bytes.len(),
            Packet::ReadWrite(bytes) => bytes.len(),
        }
    }
}

/// A map value that a lookup returned, or a record of a ring buffer.
struct Value {
    map: MapId,
    memory: MapMemory,
    kind: ValueKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    MapValue,
    Record,
    /// A record that was handed over.
    Gone,
}

pub(super) struct Memory<'a> {
    maps: &'a [MapDef],
    packet: Packet<'a>,
    /// The live frames, the entry function's first.
    stack: Vec<u8>,
    initialised: Vec<bool>,
    strict: bool,
    values: Vec<Value>,
    value_at: HashMap<usize, usize>,
    slide: u64,
}

/// A checked place: an object and an offset inside of it.
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) off: i64,
}

impl<'a> Memory<'a> {
    pub(super) fn new(maps: &'a [MapDef], packet: Packet<'a>, strict: bool, slide: u32) -> Memory<'a> {
        Memory {
            maps,
            packet,
            stack: vec![0; FRAME_BYTES],
            initialised: vec![false; FRAME_BYTES],
            strict,
            values: Vec::new(),
            value_at: HashMap::new(),
            slide: u64::from(slide) & !7,
        }
    }

    pub(super) fn packet_len(&self) -> usize {
        self.packet.len()
    }

    /// Makes `frames` frames live; those that are new have no content, those beyond no longer exist.
    pub(super) fn set_frames(&mut self, frames: usize) {
        self.stack.resize(frames * FRAME_BYTES, 0);
        self.initialised.resize(frames * FRAME_BYTES, false);
    }

    /// The address of an object's start; of a frame, of one past its end.
    pub(super) fn address(&self, place: Place) -> u64 {
        let window = match place {
            Place::Frame(frame) => 1 + frame,
            Place::Packet => 1 + MAX_FRAMES,
            Place::Context => 2 + MAX_FRAMES,
            Place::Map(map) => 3 + MAX_FRAMES + map.index(),
            Place::Value { index, .. } | Place::Record { index, .. } => {
                3 + MAX_FRAMES + self.maps.len() + index
            }
        };
        ((window as u64) << WINDOW_BITS) + START + self.slide
    }

    /// The object and offset that an address names.
    pub(super) fn resolve(&self, address: u64) -> Result<Spot, FaultKind> {
        let window = (address >> WINDOW_BITS) as usize;
        let off = (address & ((1 << WINDOW_BITS) - 1)).cast_signed() - (START + self.slide).cast_signed();
        let place = match window.checked_sub(1) {
            Some(frame) if frame < self.stack.len() / FRAME_BYTES => Place::Frame(frame),
            Some(frame) if frame < MAX_FRAMES => return Err(FaultKind::Address { address }),
            Some(MAX_FRAMES) => Place::Packet,
            Some(other) if other == MAX_FRAMES + 1 => Place::Context,
            Some(other) => {
                let map = other - MAX_FRAMES - 2;
                if map < self.maps.len() {
                    Place::Map(MapId(map as u32))
                } else {
                    let index = map - self.maps.len();
                    let value = self.values.get(index).ok_or(FaultKind::Address { address })?;
                    match value.kind {
                        ValueKind::MapValue => Place::Value { map: value.map, index },
                        ValueKind::Record | ValueKind::Gone => Place::Record { map: value.map, index },
                    }
                }
            }
            None => return Err(FaultKind::Address { address }),
        };
        Ok(Spot { place, off })
    }

    /// The address of a map value; the same value gets the same address.
    pub(super) fn add_value(&mut self, map: MapId, memory: MapMemory) -> u64 {
        let next = self.values.len();
        let index = *self.value_at.entry(memory.address()).or_insert(next);
        if index == next {
            self.values.push(Value { map, memory, kind: ValueKind::MapValue });
        }
        self.address(Place::Value { map, index })
    }

    /// The address of a new record.
    pub(super) fn add_record(&mut self, map: MapId, memory: MapMemory) -> u64 {
        self.values.push(Value { map, memory, kind: ValueKind::Record });
        self.address(Place::Record { map, index: self.values.len() - 1 })
    }

    /// Ends the life of the record that begins at an address.
    pub(super) fn take_record(&mut self, address: u64) -> Option<(MapId, MapMemory)> {
        let Ok(Spot { place: Place::Record { map, index }, off: 0 }) = self.resolve(address) else {
            return None;
        };
        let value = &mut self.values[index];
        let live = std::mem::replace(&mut value.kind, ValueKind::Gone) == ValueKind::Record;
        live.then_some((map, value.memory))
    }

    /// Whether there are records that were not handed over.
    pub(super) fn has_records(&self) -> bool {
        self.values.iter().any(|value| value.kind == ValueKind::Record)
    }

    /// Ends the life of all records.
    pub(super) fn take_records(&mut self) -> Vec<(MapId, MapMemory)> {
        let live = self.values.iter_mut().filter(|value| value.kind == ValueKind::Record);
        live.map(|value| {
            value.kind = ValueKind::Gone;
            (value.map, value.memory)
        })
        .collect()
    }

    /// Bytes of the packet, if they are all there.
    pub(super) fn packet_bytes(&self, from: usize, bytes: usize) -> Option<&[u8]> {
        let packet = match &self.packet {
            Packet::ReadOnly(packet) => packet,
            Packet::ReadWrite(packet) => &**packet,
        };
        packet.get(from..from.checked_add(bytes)?)
    }

    /// The map that an address is the handle of.
    pub(super) fn map_at(&self, address: u64) -> Option<MapId> {
        match self.resolve(address) {
            Ok(Spot { place: Place::Map(map), off: 0 }) => Some(map),
            _ => None,
        }
    }

    /// The value memory and the offset in it of an address.
    pub(super) fn value_at(&self, address: u64) -> Option<(MapId, MapMemory, usize)> {
        match self.resolve(address) {
            Ok(Spot { place: Place::Value { map, index }, off }) => {
                let memory = self.values.get(index)?.memory;
                Some((map, memory, usize::try_from(off).ok()?))
            }
            _ => None,
        }
    }

    pub(super) fn load(&self, address: u64, size: Size) -> Result<u64, FaultKind> {
        let spot = self.resolve(address)?;
        let bytes = size.bytes() as usize;
        match spot.place {
            Place::Frame(frame) => {
                let at = self.in_frame(&spot, frame, bytes)?;
                if self.strict && self.initialised[at..at + bytes].contains(&false) {
                    return Err(FaultKind::UninitialisedStack { off: spot.off, bytes });
                }
                Ok(little_endian(&self.stack[at..at + bytes]))
            }
            Place::Packet => {
                let at = inside(&spot, bytes, self.packet.len())?;
                let packet = match &self.packet {
                    Packet::ReadOnly(packet) => packet,
                    Packet::ReadWrite(packet) => &**packet,
                };
                Ok(little_endian(&packet[at..at + bytes]))
            }
            Place::Value { map, index } => {
                let (memory, at) = self.in_value(&spot, map, index, bytes)?;
                memory.load(at, size).ok_or(FaultKind::Address { address })
            }
            Place::Record { index, .. } => {
                let (memory, at) = self.in_record(&spot, index, bytes)?;
                memory.load(at, size).ok_or(FaultKind::Address { address })
            }
            Place::Context | Place::Map(_) => Err(FaultKind::NotMemory { place: spot.place }),
        }
    }

    pub(super) fn store(&mut self, address: u64, size: Size, value: u64) -> Result<(), FaultKind> {
        let spot = self.resolve(address)?;
        let bytes = size.bytes() as usize;
        match spot.place {
            Place::Frame(frame) => {
                let at = self.in_frame(&spot, frame, bytes)?;
                self.stack[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
                self.initialised[at..at + bytes].fill(true);
                Ok(())
            }
            Place::Packet => {
                let at = inside(&spot, bytes, self.packet.len())?;
                match &mut self.packet {
                    Packet::ReadOnly(_) => Err(FaultKind::ReadOnly { place: spot.place }),
                    Packet::ReadWrite(packet) => {
                        packet[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
                        Ok(())
                    }
                }
            }
            Place::Value { map, index } => {
                let (memory, at) = self.in_value(&spot, map, index, bytes)?;
                self.writable(map, spot.place)?;
                memory.store(at, size, value).ok_or(FaultKind::Address { address })
            }
            Place::Record { index, .. } => {
                let (memory, at) = self.in_record(&spot, index, bytes)?;
                memory.store(at, size, value).ok_or(FaultKind::Address { address })
            }
            Place::Context | Place::Map(_) => Err(FaultKind::NotMemory { place: spot.place }),
        }
    }

    /// An atomic operation; gives the old value.
    pub(super) fn atomic(
        &mut self,
        address: u64,
        width: Width,
        op: AtomicOp,
        operand: u64,
        expected: u64,
    ) -> Result<u64, FaultKind> {
        let spot = self.resolve(address)?;
        let size = match width {
            Width::W32 => Size::W,
            Width::W64 => Size::Dw,
        };
        if !address.is_multiple_of(u64::from(size.bytes())) {
            return Err(FaultKind::Misaligned { off: spot.off, bytes: size.bytes() as usize });
        }
        let (operand, expected) = match width {
            Width::W32 => (u64::from(operand as u32), u64::from(expected as u32)),
            Width::W64 => (operand, expected),
        };
        if let Place::Value { map, index } = spot.place {
            let (memory, at) = self.in_value(&spot, map, index, size.bytes() as usize)?;
            self.writable(map, spot.place)?;
            return memory.atomic(at, width, op, operand, expected).ok_or(FaultKind::Address { address });
        }
        let old = self.load(address, size)?;
        self.store(address, size, super::map_memory::modify(op, old, operand, expected))?;
        Ok(old)
    }

    /// Copies bytes out, for the argument of a helper.
    pub(super) fn bytes(&self, address: u64, len: u32) -> Result<Vec<u8>, FaultKind> {
        (0..u64::from(len))
            .map(|index| self.load(address.wrapping_add(index), Size::B).map(|byte| byte as u8))
            .collect()
    }

    fn in_frame(&self, spot: &Spot, frame: usize, bytes: usize) -> Result<usize, FaultKind> {
        let from_start = Spot { place: spot.place, off: spot.off + FRAME_BYTES as i64 };
        match inside(&from_start, bytes, FRAME_BYTES) {
            Ok(at) => Ok(frame * FRAME_BYTES + at),
            Err(_) => {
                Err(FaultKind::OutOfBounds { place: spot.place, off: spot.off, bytes, len: FRAME_BYTES })
            }
        }
    }

    fn in_value(
        &self,
        spot: &Spot,
        map: MapId,
        index: usize,
        bytes: usize,
    ) -> Result<(MapMemory, usize), FaultKind> {
        let memory = self.values[index].memory;
        let at = inside(spot, bytes, memory.len())?;
        if let Some(lock) = self.maps.get(map.index()).and_then(|def| def.lock_offset) {
            let lock = lock as usize;
            if at < lock + 4 && lock < at + bytes {
                return Err(FaultKind::LockBytes { off: at, bytes });
            }
        }
        Ok((memory, at))
    }

    fn in_record(&self, spot: &Spot, index: usize, bytes: usize) -> Result<(MapMemory, usize), FaultKind> {
        let value = &self.values[index];
        if value.kind == ValueKind::Gone {
            return Err(FaultKind::RecordGone { place: spot.place });
        }
        Ok((value.memory, inside(spot, bytes, value.memory.len())?))
    }

    fn writable(&self, map: MapId, place: Place) -> Result<(), FaultKind> {
        let data = self.maps.get(map.index()).and_then(|def| def.data.as_ref());
        match data {
            Some(data) if data.readonly => Err(FaultKind::ReadOnly { place }),
            _ => Ok(()),
        }
    }
}

/// The offset as an index, if `bytes` bytes from there are inside of `len`.
fn inside(spot: &Spot, bytes: usize, len: usize) -> Result<usize, FaultKind> {
    match usize::try_from(spot.off) {
        Ok(at) if at.checked_add(bytes).is_some_and(|end| end <= len) => Ok(at),
        _ => Err(FaultKind::OutOfBounds { place: spot.place, off: spot.off, bytes, len }),
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}
