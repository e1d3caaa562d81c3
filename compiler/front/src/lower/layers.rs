//! Where the headers are that the names of a body stand for.
//!
//! A layer that is one header is a window. One that can be one of several is *shared*: the block of the arm's answer exists once, and
//! is given the fields that it reads by whoever found the headers. Which fields those are is known when the answer has been lowered; the
//! jumps to it are written then.

use oko_ir::{Block, BlockCall, TerminatorKind, Type, Value};

use super::body::Lowering;
use crate::hir::{CommonField, HeaderId, Layer, LayerId};
use crate::types::Ty;

/// Where the fields of a layer come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The bytes of this header are here.
    Window(HeaderId, At),
    /// They are given; only a header's own rules are about them.
    Given,
    /// The parameters of the block with this number; the layer is that of the arm with this place.
    Shared(usize, LayerId),
}

/// Where a header is.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// Its bytes.
    pub(super) window: Value,
    /// Where in the packet it begins, if anybody looks into its region.
    pub(super) offset: Option<Value>,
}

/// A layer of a frame.
#[derive(Clone, Copy)]
pub(super) struct FrameLayer<'p> {
    /// The headers that it can be; empty for the layer of a header's own rules.
    pub(super) headers: &'p [HeaderId],
    /// The fields that it has, if it can be several headers.
    pub(super) common: &'p [CommonField],
    /// Where they come from; `None` as long as the header was not found.
    pub(super) source: Option<Source>,
}

impl<'p> FrameLayer<'p> {
    pub(super) fn of(layer: &'p Layer) -> FrameLayer<'p> {
        FrameLayer { headers: &layer.headers, common: &layer.common, source: None }
    }
}

/// A block that is given fields, and those who jump to it.
pub(super) struct SharedBlock {
    pub(super) block: Block,
    /// The fields that it reads, in the order of its parameters.
    reads: Vec<Read>,
}

struct Read {
    layer: LayerId,
    what: What,
    values: Vec<Value>,
}

/// What a block is to be told of a layer.
#[derive(Clone, PartialEq, Eq)]
enum What {
    /// Which header it is, by number.
    Header,
    /// Where in the packet it begins.
    Offset,
    /// A field by this name, as scalars of these types; zeros where the header has no such field.
    Field(String, Ty, Vec<Type>),
}

impl Lowering<'_> {
    /// Says that a block is to be given what it reads.
    pub(super) fn share(&mut self, block: Block) -> usize {
        self.shared.push(SharedBlock { block, reads: Vec::new() });
        self.shared.len() - 1
    }

    /// A field as a parameter of a shared block.
    pub(super) fn shared_field(&mut self, shared: usize, layer: LayerId, name: &str, ty: &Ty) -> Vec<Value> {
        let types = self.types(ty);
        for read in self.shared[shared].reads.iter().filter(|read| read.layer == layer) {
            if matches!(&read.what, What::Field(known, _, as_types) if known == name && *as_types == types) {
                return read.values.clone();
            }
        }
        let what = What::Field(name.to_owned(), ty.clone(), types.clone());
        self.new_read(shared, layer, what, &types)
    }

    /// The number of the header that a layer is, as a parameter of a shared block.
    pub(super) fn shared_header(&mut self, shared: usize, layer: LayerId) -> Vec<Value> {
        let known = |read: &&Read| read.layer == layer && read.what == What::Header;
        if let Some(read) = self.shared[shared].reads.iter().find(known) {
            return read.values.clone();
        }
        self.new_read(shared, layer, What::Header, &[Type::Int])
    }

    /// Where in the packet the header of a layer begins, as a parameter of a shared block.
    pub(super) fn shared_offset(&mut self, shared: usize, layer: LayerId) -> Vec<Value> {
        let known = |read: &&Read| read.layer == layer && read.what == What::Offset;
        if let Some(read) = self.shared[shared].reads.iter().find(known) {
            return read.values.clone();
        }
        self.new_read(shared, layer, What::Offset, &[Type::Int])
    }

    fn new_read(&mut self, shared: usize, layer: LayerId, what: What, types: &[Type]) -> Vec<Value> {
        let block = self.shared[shared].block;
        let values: Vec<Value> = types.iter().map(|ty| self.builder.block_param(block, *ty)).collect();
        self.shared[shared].reads.push(Read { layer, what, values: values.clone() });
        values
    }

    /// Ends the current block with a jump to a shared block, whose reads are all known: `windows` are its first parameters, and `source`
    /// says where a layer's header was found.
    pub(super) fn jump_shared(
        &mut self,
        shared: usize,
        windows: Vec<Value>,
        source: impl Fn(LayerId) -> Option<Source>,
    ) {
        let block = self.shared[shared].block;
        let reads: Vec<(LayerId, What)> =
            self.shared[shared].reads.iter().map(|read| (read.layer, read.what.clone())).collect();
        let mut args = windows;
        for (layer, what) in reads {
            match (what, source(layer)) {
                (What::Header, Some(Source::Window(header, _))) => args.push(self.int(u64::from(header.0))),
                (What::Offset, Some(Source::Window(_, at))) => {
                    args.push(match at.offset {
                        Some(offset) => offset,
                        None => self.int(0),
                    });
                }
                (What::Field(name, ty, types), Some(source)) => {
                    let values = self.common_field(source, &name, &ty).unwrap_or_default();
                    let same =
                        values.iter().map(|value| self.builder.type_of(*value)).eq(types.iter().copied());
                    args.extend(if same { values } else { self.zeros(&ty) });
                }
                _ => return self.dead_end(),
            }
        }
        self.builder.end(TerminatorKind::Jump(BlockCall { block, args }));
    }
}
