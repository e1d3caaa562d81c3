//! Regions: the headers in one, its bytes, and its length.
//!
//! A loop over a region ends where the region ends, where the packet does, at an element that goes beyond the region, and at one that breaks
//! the rules of its header or has none of its forms. All elements that it reaches are whole.

use oko_ir::{BinaryOp, Block, BlockCall, CompareOp, Op, TerminatorKind, Type, Value, Width};

use super::body::{Frame, Lowering};
use super::layers::{At, FrameLayer, Source};
use crate::hir::{Expr, HeaderId, LayerId, Loop, Over};
use crate::types::Ty;

/// A loop over a region.
struct Walk<'e> {
    def: &'e Loop,
    element: LayerId,
    /// Where the present element begins, and where the region ends.
    position: Value,
    end: Value,
    /// What is carried at the start of the turn, and where that goes when the loop ends.
    carried: Vec<Value>,
    exit: Block,
    /// The block of the body, by its number.
    shared: usize,
    /// Blocks that go to the body: the header that was found, where it is and where the next element begins.
    arrivals: Vec<(Block, HeaderId, At, Value)>,
}

impl<'p> Lowering<'p> {
    /// The number of bytes of the region of a layer.
    pub(super) fn region_len(&mut self, layer: LayerId) -> Option<Value> {
        let found = self.layer(layer)?;
        let (header, source) = (*found.headers.first()?, found.source?);
        self.len_of_region(header, source, found.headers)
    }

    fn len_of_region(&mut self, header: HeaderId, source: Source, headers: &'p [HeaderId]) -> Option<Value> {
        let region = self.program.headers[header.index()].region.as_ref()?;
        let mut frame = Frame::new(0, &[], None);
        frame.layers.push(FrameLayer { headers, common: &[], source: Some(source) });
        self.in_frame(frame, |lowering| lowering.one(&region.bytes))
    }

    /// Where the region of a layer begins.
    fn region_start(&mut self, layer: LayerId) -> Option<Value> {
        let found = self.layer(layer)?;
        let header = *found.headers.first()?;
        let begin = match found.source? {
            Source::Window(_, at) => at.offset?,
            Source::Shared(shared, of) => *self.shared_offset(shared, of).first()?,
            Source::Given => return None,
        };
        let size = self.int(u64::from(self.program.headers[header.index()].size));
        Some(self.binary(BinaryOp::Add, begin, size))
    }

    /// A byte of the region of a layer, as an optional value.
    pub(super) fn region_byte(&mut self, layer: LayerId, index: &Expr) -> Option<Vec<Value>> {
        let index = self.one(index)?;
        let len = self.region_len(layer)?;
        let (join, results) = self.block_of(&[Type::Bool, Type::Int]);
        let (inside, absent) = (self.block(), self.block());
        let below = self.compare(CompareOp::ULt, index, len);
        self.branch(below, inside, absent);
        self.builder.switch_to(inside);
        let start = self.region_start(layer)?;
        let offset = self.binary(BinaryOp::Add, start, index);
        let (ok, given) = self.block_of(&[Type::Window(1)]);
        self.open_window(offset, 1, ok, BlockCall { block: absent, args: Vec::new() });
        self.builder.switch_to(ok);
        let byte = self.ins(Op::Load(Width::W8, *given.first()?, 0));
        let there = self.bool(true);
        self.builder.jump(join, vec![there, byte]);
        self.builder.switch_to(absent);
        let (absent, zero) = (self.bool(false), self.int(0));
        self.builder.jump(join, vec![absent, zero]);
        self.builder.switch_to(join);
        Some(results)
    }

    fn open_window(&mut self, offset: Value, len: u32, ok: Block, short: BlockCall) {
        let ok = BlockCall { block: ok, args: Vec::new() };
        self.builder.end(TerminatorKind::Window { offset, len, ok, short });
    }

    /// A loop over the headers in a region.
    pub(super) fn region_loop(&mut self, def: &Loop, ty: &Ty) -> Option<Vec<Value>> {
        let Over::Region { region, element, header, most } = &def.over else { return None };
        let start = self.region_start(*region)?;
        let len = self.region_len(*region)?;
        let end = self.binary(BinaryOp::Add, start, len);
        let mut first = Vec::new();
        for (_, value) in &def.carried {
            first.extend(self.expr(value)?);
        }
        let types = self.types(ty);
        let (exit, results) = self.block_of(&types);
        if !self.may_loop() {
            self.overflow = true;
            self.dead_end();
            self.builder.switch_to(exit);
            return Some(results);
        }
        let given: Vec<Type> = [Type::Int, Type::Int].into_iter().chain(types.iter().copied()).collect();
        let (head, params) = self.block_of(&given);
        let [turn, position, carried @ ..] = params.as_slice() else { return None };
        let zero = self.int(0);
        self.builder.jump(head, [zero, start].into_iter().chain(first).collect());
        self.builder.switch_to(head);
        let body = self.block();
        self.builder.end(TerminatorKind::Repeat {
            counter: *turn,
            count: *most,
            body: BlockCall { block: body, args: Vec::new() },
            done: BlockCall { block: exit, args: carried.to_vec() },
        });
        self.builder.switch_to(body);
        let program = self.program;
        let forms = &program.headers[header.index()].forms;
        // The body is given where the next element begins, and the window of an element that is always the same header.
        let mut body_types = vec![Type::Int];
        if forms.is_empty() {
            body_types.extend([Type::Window(program.headers[header.index()].size), Type::Int]);
        }
        let (block, body_params) = self.block_of(&body_types);
        let mut walk = Walk {
            def,
            element: *element,
            position: *position,
            end,
            carried: carried.to_vec(),
            exit,
            shared: self.share(block),
            arrivals: Vec::new(),
        };
        self.elements(&mut walk, *header)?;
        self.builder.switch_to(block);
        let (&next, own) = body_params.split_first()?;
        let source = match own {
            [window, offset] => Source::Window(*header, At { window: *window, offset: Some(*offset) }),
            _ => Source::Shared(walk.shared, walk.element),
        };
        self.set_layer(walk.element, source);
        self.set_carried(walk.def, &walk.carried);
        self.frame().loops.push(exit);
        let value = self.expr(&def.body);
        self.frame().loops.pop();
        if let Some(mut value) = value {
            value.truncate(types.len());
            let one = self.int(1);
            let turn = self.binary(BinaryOp::Add, *turn, one);
            self.builder.jump(head, [turn, next].into_iter().chain(value).collect());
        }
        for (from, header, at, next) in std::mem::take(&mut walk.arrivals) {
            self.builder.switch_to(from);
            let mut args = vec![next];
            if own.len() == 2 {
                args.extend([at.window, walk.position]);
            }
            let element = walk.element;
            self.jump_shared(walk.shared, args, |layer| {
                (layer == element).then_some(Source::Window(header, at))
            });
        }
        self.builder.switch_to(exit);
        Some(results)
    }

    /// Finds out which header the present element is.
    fn elements(&mut self, walk: &mut Walk<'_>, header: HeaderId) -> Option<()> {
        let more = self.compare(CompareOp::ULt, walk.position, walk.end);
        let go_on = self.block();
        self.unless(more, go_on, walk);
        let program = self.program;
        let def = &program.headers[header.index()];
        if def.forms.is_empty() {
            return self.found_element(walk, header);
        }
        let (ok, given) = self.block_of(&[Type::Window(def.size)]);
        let leave = BlockCall { block: walk.exit, args: walk.carried.clone() };
        self.open_window(walk.position, def.size, ok, leave.clone());
        self.builder.switch_to(ok);
        let tag = self.header_field(def, *given.first()?, 0);
        for form in &def.forms {
            let next = self.block();
            match self.key_test(&tag, std::slice::from_ref(&form.tag)) {
                Some(hit) => {
                    let found = self.block();
                    self.branch(hit, found, next);
                    self.builder.switch_to(found);
                }
                None => {
                    let found = self.block();
                    self.builder.jump(found, Vec::new());
                    self.builder.switch_to(found);
                }
            }
            self.found_element(walk, form.header)?;
            self.builder.switch_to(next);
        }
        self.builder.end(TerminatorKind::Jump(leave));
        Some(())
    }

    /// Goes to the body if the present element is this header.
    fn found_element(&mut self, walk: &mut Walk<'_>, header: HeaderId) -> Option<()> {
        let program = self.program;
        let def = &program.headers[header.index()];
        let (ok, given) = self.block_of(&[Type::Window(def.size)]);
        let leave = BlockCall { block: walk.exit, args: walk.carried.clone() };
        self.open_window(walk.position, def.size, ok, leave);
        self.builder.switch_to(ok);
        let at = At { window: *given.first()?, offset: Some(walk.position) };
        for rule in &def.rules {
            let holds =
                self.in_frame(Frame::of_header(header, at), |lowering| lowering.one(&rule.condition))?;
            let next = self.block();
            self.unless(holds, next, walk);
        }
        let size = self.int(u64::from(def.size));
        let mut next = self.binary(BinaryOp::Add, walk.position, size);
        if def.region.is_some() {
            let len = self.len_of_region(header, Source::Window(header, at), &[])?;
            next = self.binary(BinaryOp::Add, next, len);
        }
        let fits = self.compare(CompareOp::ULe, next, walk.end);
        let whole = self.block();
        self.unless(fits, whole, walk);
        walk.arrivals.push((self.builder.current(), header, at, next));
        Some(())
    }

    /// Goes on in `go_on` if the condition holds; else the loop ends.
    fn unless(&mut self, holds: Value, go_on: Block, walk: &Walk<'_>) {
        self.builder.end(TerminatorKind::Branch {
            cond: holds,
            then: BlockCall { block: go_on, args: Vec::new() },
            other: BlockCall { block: walk.exit, args: walk.carried.clone() },
        });
        self.builder.switch_to(go_on);
    }
}
