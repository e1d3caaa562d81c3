//! Packets as bytes, by the declarations of their headers: built for tests, and taken apart to be shown.
//!
//! What holds: no header is known by name. [`encode`] fills in what its caller leaves open: fixed values, what selects the next
//! header, lengths and checksums; what the caller gives stays as it is. [`decode`] finds in what [`encode`] made, with nothing given that the
//! headers' rules refuse, the same headers and fields. Neither panics, whatever the declarations and bytes.

use crate::hir::{
    Arith, Compare, Expr, ExprKind, Fill, HeaderDef, HeaderId, InReply, KeyPattern, LayerId, Next, Order,
    Program,
};
use crate::types::Ty;

/// The most headers that are looked for in a packet.
const MAX_LAYERS: usize = 64;

/// The longest packet.
const MAX_PACKET: usize = 65_535;

/// A header to be built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Which.
    pub header: HeaderId,
    /// For each field its value, or `None` to have it filled in.
    pub fields: Vec<Option<u128>>,
    /// The bytes of the region, or `None` for as many zeros as the fields say.
    pub region: Option<Vec<u8>>,
}

impl Layer {
    /// A header of which nothing is given.
    pub fn new(program: &Program, header: HeaderId) -> Layer {
        let fields = vec![None; program.headers[header.index()].fields.len()];
        Layer { header, fields, region: None }
    }

    /// Makes it the layer of an answer: what is called `src…` and `dst…` changes places, and other fields change as their attributes say; a
    /// header that becomes another keeps the fields that both have.
    fn turn(&mut self, program: &Program) {
        if let Some(answer) = program.headers[self.header.index()].reply {
            self.become_header(answer, program);
        }
        let def = &program.headers[self.header.index()];
        let fields = &def.fields;
        for (at, field) in fields.iter().enumerate() {
            match &field.reply {
                InReply::Swapped(name) => {
                    if let Some(partner) = fields.iter().position(|other| other.name == *name) {
                        self.fields.swap(at, partner);
                    }
                    continue;
                }
                InReply::Numbers(numbers) => {
                    let has = self.fields[at].unwrap_or_else(|| initial(def, at));
                    if let Some((_, value)) = numbers.iter().find(|(of, _)| u128::from(*of) == has) {
                        self.fields[at] = Some(u128::from(*value));
                    }
                    continue;
                }
                InReply::Always(value) => {
                    self.fields[at] = Some(u128::from(*value));
                    continue;
                }
                InReply::Sets(_) | InReply::Takes(_) => continue,
                InReply::AsNamed => {}
            }
            let Some(rest) = field.name.strip_prefix("src") else { continue };
            let partner = fields
                .iter()
                .position(|other| other.name.strip_prefix("dst") == Some(rest) && other.bits == field.bits);
            if let Some(partner) = partner {
                self.fields.swap(at, partner);
            }
        }
    }

    fn become_header(&mut self, header: HeaderId, program: &Program) {
        let before = &program.headers[self.header.index()].fields;
        let mut layer = Layer::new(program, header);
        for (at, field) in program.headers[header.index()].fields.iter().enumerate() {
            let same = before.iter().position(|other| other.name == field.name && other.bits == field.bits);
            layer.fields[at] = same.and_then(|same| self.fields[same]);
        }
        *self = layer;
    }
}

/// Makes the layers of a packet, the outermost first, those of the answer to it.
pub fn answer(layers: &mut [Layer], program: &Program) {
    let asked = layers.to_vec();
    for layer in layers.iter_mut() {
        layer.turn(program);
    }
    // What is told to the headers below comes first, so that others may take it from there.
    for (at, layer) in asked.iter().enumerate() {
        for (index, field) in program.headers[layer.header.index()].fields.iter().enumerate() {
            if let (InReply::Sets(name), Some(value)) = (&field.reply, layer.fields[index])
                && let Some((below, slot)) = field_below(&layers[..at], name, field.bits, program)
            {
                layers[below].fields[slot] = Some(value);
            }
        }
    }
    for at in 0..layers.len() {
        for (index, field) in program.headers[layers[at].header.index()].fields.iter().enumerate() {
            if let InReply::Takes(name) = &field.reply
                && let Some((below, slot)) = field_below(&layers[..at], name, field.bits, program)
            {
                layers[at].fields[index] = layers[below].fields[slot];
            }
        }
    }
}

/// Where the innermost of these layers that has a field of this name and width has it: which layer, and which field.
fn field_below(layers: &[Layer], name: &str, bits: u32, program: &Program) -> Option<(usize, usize)> {
    layers.iter().enumerate().rev().find_map(|(at, layer)| {
        let fields = &program.headers[layer.header.index()].fields;
        Some((at, fields.iter().position(|field| field.name == name && field.bits == bits)?))
    })
}

/// The bytes of a packet. A packet that would be longer than 65,535 bytes is cut.
pub fn encode(program: &Program, layers: &[Layer], payload: &[u8]) -> Vec<u8> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        let Some(def) = program.headers.get(layer.header.index()) else { continue };
        let mut values: Vec<u128> = (def.fields.iter().enumerate())
            .map(|(at, _)| layer.fields.get(at).copied().flatten().unwrap_or_else(|| initial(def, at)))
            .collect();
        let mut key = 0;
        if let (Some(next), Some(behind)) = (&def.next, layers.get(at + 1)) {
            key = select(next, behind.header, layer, &mut values);
        }
        let region = region_bytes(program, def, layer, &mut values);
        parts.push(Part { def, layer, values, region, key });
    }
    // Lengths, from the innermost header outwards, then checksums in the same order: those of outer headers cover inner ones.
    let mut behind = payload.len();
    for part in parts.iter_mut().rev() {
        let here = part.size() + part.region.len() + behind;
        for (at, field) in part.def.fields.iter().enumerate() {
            if let (Fill::Length { after, unit }, None) = (field.fill, part.given(at)) {
                let counted = here.saturating_sub(after as usize).div_ceil(unit.max(1) as usize);
                part.values[at] = (counted as u128) & mask(field.bits);
            }
        }
        behind = here;
    }
    let mut bytes = payload.to_vec();
    for at in (0..parts.len()).rev() {
        let (outer, rest) = parts.split_at_mut(at);
        let Some(part) = rest.first_mut() else { continue };
        bytes.splice(0..0, part.bytes());
        for (field, def) in part.def.fields.iter().enumerate() {
            let (Fill::Checksum { payload, pseudo }, None) = (def.fill, part.given(field)) else { continue };
            let covered =
                if payload { bytes.len() } else { (part.size() + part.region.len()).min(bytes.len()) };
            let mut sum = ones_sum(&bytes[..covered]);
            if pseudo {
                sum += pseudo_sum(outer, bytes.len());
            }
            let value = !fold(sum);
            part.values[field] = u128::from(value);
            let place = def.bit as usize / 8;
            if let Some(slot) = bytes.get_mut(place..place + 2) {
                slot.copy_from_slice(&value.to_be_bytes());
            }
        }
    }
    bytes.truncate(MAX_PACKET);
    bytes
}

/// A header on its way to bytes.
struct Part<'p> {
    def: &'p HeaderDef,
    layer: &'p Layer,
    values: Vec<u128>,
    region: Vec<u8>,
    /// The number that selected what is behind it.
    key: u128,
}

impl Part<'_> {
    fn given(&self, field: usize) -> Option<u128> {
        self.layer.fields.get(field).copied().flatten()
    }

    /// How many bytes its fields take; a header that is only looked at has those of the one behind it.
    fn size(&self) -> usize {
        if self.def.peek { 0 } else { self.def.size as usize }
    }

    fn bytes(&self) -> Vec<u8> {
        if self.def.peek {
            return Vec::new();
        }
        let mut bytes = vec![0u8; self.def.size as usize];
        for (field, value) in self.def.fields.iter().zip(&self.values) {
            for bit in 0..field.bits {
                let at = (field.bit + bit) as usize;
                if value >> (field.bits - 1 - bit) & 1 == 1
                    && let Some(byte) = bytes.get_mut(at / 8)
                {
                    *byte |= 0x80 >> (at % 8);
                }
            }
        }
        bytes.extend_from_slice(&self.region);
        bytes
    }
}

fn mask(bits: u32) -> u128 {
    u128::MAX.checked_shr(128u32.saturating_sub(bits)).unwrap_or(0)
}

/// What a field has of which nothing is given: its fixed value, its initial one, or the least that the rules allow.
fn initial(def: &HeaderDef, at: usize) -> u128 {
    if let Fill::Initial(value) = def.fields[at].fill {
        return u128::from(value);
    }
    for rule in &def.rules {
        if let ExprKind::Compare(Compare::Eq, field, value) = &rule.condition.kind
            && matches!(field.kind, ExprKind::Field(LayerId(0), found) if found == at)
            && let ExprKind::Const(words) = &value.kind
        {
            return words.iter().fold(0, |value, word| value << 64 | u128::from(*word));
        }
    }
    match &def.fields[at].ty {
        Ty::Num(num) => u128::try_from(num.range.min).unwrap_or(0),
        _ => 0,
    }
}

/// Fills in the fields by which a header says what follows; the number that did.
fn select(next: &Next, behind: HeaderId, layer: &Layer, values: &mut [u128]) -> u128 {
    let given = |field: usize| layer.fields.get(field).copied().flatten();
    let fits = |key: &KeyPattern, value: u128| match key {
        KeyPattern::Any => true,
        KeyPattern::OneOf(ranges) => {
            ranges.iter().any(|(low, high)| (u128::from(*low)..=u128::from(*high)).contains(&value))
        }
    };
    let arms = || next.arms.iter().filter(|arm| arm.header == behind);
    // Rather an arm that what is given fits.
    let fitting = arms().find(|arm| {
        arm.keys.iter().zip(&next.by).all(|(key, field)| given(*field).is_none_or(|value| fits(key, value)))
    });
    let Some(arm) = fitting.or_else(|| arms().next()) else { return 0 };
    for (key, field) in arm.keys.iter().zip(&next.by) {
        if let (KeyPattern::OneOf(ranges), None) = (key, given(*field))
            && let Some((low, _)) = ranges.first()
            && let Some(slot) = values.get_mut(*field)
            && !fits(key, *slot)
        {
            *slot = u128::from(*low);
        }
    }
    next.by.first().and_then(|field| values.get(*field)).copied().unwrap_or(0)
}

/// The bytes of the region; where they are given, the field that says how many there are is set so that it does.
fn region_bytes(program: &Program, def: &HeaderDef, layer: &Layer, values: &mut [u128]) -> Vec<u8> {
    let Some(region) = &def.region else { return Vec::new() };
    let length = |values: &[u128]| {
        let bytes = eval(program, &region.bytes, values).unwrap_or(0);
        usize::try_from(bytes).unwrap_or(0).min(MAX_PACKET)
    };
    let Some(bytes) = &layer.region else { return vec![0; length(values)] };
    let mut fields = Vec::new();
    fields_in(&region.bytes, &mut fields);
    if let [field] = fields.as_slice()
        && layer.fields.get(*field).copied().flatten().is_none()
        && def.fields.get(*field).is_some_and(|def| def.bits <= 16)
    {
        // The least value that gives room for all of them.
        let most = mask(def.fields[*field].bits);
        let mut tried = values.to_vec();
        let fitting = (initial(def, *field)..=most).find(|value| {
            tried[*field] = *value;
            length(&tried) >= bytes.len()
        });
        if let Some(value) = fitting {
            values[*field] = value;
        }
    }
    let mut bytes = bytes.clone();
    bytes.resize(length(values).max(bytes.len()), 0);
    bytes
}

fn fields_in(expr: &Expr, found: &mut Vec<usize>) {
    match &expr.kind {
        ExprKind::Field(_, field) if !found.contains(field) => found.push(*field),
        ExprKind::Arith(_, a, b) => {
            fields_in(a, found);
            fields_in(b, found);
        }
        ExprKind::Call(_, args) => args.iter().for_each(|arg| fields_in(arg, found)),
        _ => {}
    }
}

/// The sum of 16-bit words, the last filled up with a zero (RFC 1071 section 1).
fn ones_sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo header: the marked fields of the nearest header below that has some, the number that selected the header
/// above, and the length of what is above.
fn pseudo_sum(outer: &[Part<'_>], length: usize) -> u64 {
    let Some(below) = outer.iter().rposition(|part| part.def.fields.iter().any(|field| field.pseudo)) else {
        return 0;
    };
    let part = &outer[below];
    let bytes = part.bytes();
    let marked = part.def.fields.iter().filter(|field| field.pseudo);
    let fields: u64 = marked
        .filter_map(|field| bytes.get(field.bit as usize / 8..(field.bit + field.bits) as usize / 8))
        .map(ones_sum)
        .sum();
    let key = outer.last().map_or(0, |part| part.key as u64);
    fields + key + (length as u64 >> 16) + (length as u64 & 0xffff)
}

/// A header found in a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Which.
    pub header: HeaderId,
    /// Where it begins.
    pub start: usize,
    /// The values of its fields.
    pub fields: Vec<u128>,
    /// How many bytes its region has.
    pub region: usize,
}

/// The headers of a packet, from the root, and where what lies behind them begins.
pub fn decode(program: &Program, bytes: &[u8]) -> (Vec<Found>, usize) {
    let mut found = Vec::new();
    let mut start = 0usize;
    let mut header = program.root;
    while let Some(id) = header.filter(|_| found.len() < MAX_LAYERS) {
        let Some(def) = program.headers.get(id.index()) else { break };
        let Some(own) = bytes.get(start..start.saturating_add(def.size as usize)) else { break };
        let fields: Vec<u128> = def.fields.iter().map(|field| read(own, field.bit, field.bits)).collect();
        if !def.rules.iter().all(|rule| eval(program, &rule.condition, &fields) == Some(1)) {
            break;
        }
        let region = def.region.as_ref().map_or(0, |region| {
            eval(program, &region.bytes, &fields).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
        });
        let end = start + def.size as usize + region;
        if end > bytes.len() {
            break;
        }
        header = def.next.as_ref().and_then(|next| follow(next, &fields));
        found.push(Found { header: id, start, fields, region });
        if !def.peek {
            start = end;
        }
    }
    (found, start)
}

fn follow(next: &Next, fields: &[u128]) -> Option<HeaderId> {
    let arm = next.arms.iter().find(|arm| {
        arm.keys.iter().zip(&next.by).all(|(key, field)| {
            let value = fields.get(*field).copied().unwrap_or(0);
            match key {
                KeyPattern::Any => true,
                KeyPattern::OneOf(ranges) => {
                    ranges.iter().any(|(low, high)| (u128::from(*low)..=u128::from(*high)).contains(&value))
                }
            }
        })
    })?;
    Some(arm.header)
}

/// Some bits as a number, the first the highest.
fn read(bytes: &[u8], bit: u32, bits: u32) -> u128 {
    (bit..bit.saturating_add(bits.min(128))).fold(0, |value, at| {
        let byte = bytes.get(at as usize / 8).copied().unwrap_or(0);
        value << 1 | u128::from(byte >> (7 - at % 8) & 1)
    })
}

/// The value of a rule or length over the fields of one header; truth values are 0 and 1.
fn eval(program: &Program, expr: &Expr, fields: &[u128]) -> Option<i128> {
    let both = |a: &Expr, b: &Expr| Some((eval(program, a, fields)?, eval(program, b, fields)?));
    Some(match &expr.kind {
        ExprKind::Const(words) => number(&expr.ty, words),
        ExprKind::Field(_, field) => *fields.get(*field)? as i128,
        ExprKind::Not(inner) => i128::from(eval(program, inner, fields)? == 0),
        ExprKind::And(a, b) => i128::from(eval(program, a, fields)? != 0 && eval(program, b, fields)? != 0),
        ExprKind::Or(a, b) => i128::from(eval(program, a, fields)? != 0 || eval(program, b, fields)? != 0),
        // These numbers do not count on in `i128`.
        ExprKind::Arith(_, a, _) | ExprKind::Compare(_, a, _) if matches!(a.ty, Ty::Wide(_)) => {
            return computed(program, expr, fields);
        }
        ExprKind::Compare(op, a, b) => {
            let (x, y) = both(a, b)?;
            i128::from(match op {
                Compare::Eq => x == y,
                Compare::Ne => x != y,
                Compare::Lt(Order::Serial) => (x - y) & 0xffff_ffff >= 1 << 31,
                Compare::Le(Order::Serial) => (y - x) & 0xffff_ffff < 1 << 31,
                Compare::Lt(_) => x < y,
                Compare::Le(_) => x <= y,
                Compare::Has => x & y == y,
            })
        }
        ExprKind::InRanges(value, lists) => {
            let value = eval(program, value, fields)?;
            let within = |(low, high): &(u64, u64)| (i128::from(*low)..=i128::from(*high)).contains(&value);
            i128::from(lists.iter().any(|list| list.iter().all(within)))
        }
        ExprKind::Arith(op, a, b) => {
            let (x, y) = both(a, b)?;
            let wrap = |value: i128, bits: u8| value & mask(u32::from(bits)) as i128;
            match op {
                Arith::Add => x.checked_add(y)?,
                Arith::Sub => x.checked_sub(y)?,
                Arith::Mul => x.checked_mul(y)?,
                Arith::Div => x.checked_div(y)?,
                Arith::Mod => x.checked_rem(y)?,
                Arith::Shl => x.checked_mul(1i128.checked_shl(u32::try_from(y).ok()?)?)?,
                Arith::Shr => x.checked_shr(u32::try_from(y).ok()?)?,
                Arith::And => x & y,
                Arith::Or => x | y,
                Arith::Xor => x ^ y,
                Arith::AddSat(bits) => x.checked_add(y)?.min(mask(u32::from(*bits)) as i128),
                Arith::SubSat => x.checked_sub(y)?.max(0),
                Arith::AddWrap(bits) => wrap(x.checked_add(y)?, *bits),
                Arith::SubWrap(bits) => wrap(x.checked_sub(y)?, *bits),
            }
        }
        _ => return computed(program, expr, fields),
    })
}

/// The same for what is more than operators on numbers.
fn computed(program: &Program, expr: &Expr, fields: &[u128]) -> Option<i128> {
    let mut left = oko_ir::limits::MAX_STEPS;
    let words = crate::lower::evaluate_rule(program, expr, fields, &mut left).ok()?;
    Some(number(&expr.ty, &words))
}

/// The number that these words are as a value of a type.
fn number(ty: &Ty, words: &[u64]) -> i128 {
    match (ty, words) {
        // A negative number is a word in two's complement.
        (Ty::Num(num), [word]) if num.range.min < 0 => i128::from(*word as i64),
        _ => words.iter().fold(0u128, |value, word| value << 64 | u128::from(*word)) as i128,
    }
}
