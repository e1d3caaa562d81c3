//! Look-ups: keys, and the entries under them.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData};
use oko_ir::{BlockCall, Match, State, StateKind, Value, Width};
use oko_state::direct::Form;

use super::repeats::Site;
use super::{Translator, type_of};
use crate::abi::{CTX_MAPS, CTX_VALUES};
use crate::detour;
use crate::direct::{self, Address};
use crate::helpers::Helper;
use crate::probe::{self, Comparison, MOST_LOOK_UPS, Otherwise};

impl Translator<'_, '_> {
    pub(super) fn look_up(
        &mut self,
        state: State,
        key: &[Value],
        make: bool,
        found: &BlockCall,
        absent: &BlockCall,
    ) {
        match self.source.module.states[state.index()].kind {
            StateKind::Table(Match::Prefix) if self.look_up_address(state, key, found, absent) => {}
            StateKind::Hash(_) | StateKind::Table(_) => {
                let key = self.key(state, key);
                self.look_up_map(state, &key, make, found, absent);
            }
            StateKind::Array => {
                let (there, value) = self.look_up_array(state, key[0]);
                self.branch(there, found, &[value], absent);
            }
            StateKind::Words => unreachable!("the verifier has shown that nothing is looked up in words"),
        }
    }

    /// Goes to `found` with the value and, if it may go away, its generation, or to `absent`.
    fn look_up_map(
        &mut self,
        state: State,
        key: &[ir::Value],
        make: bool,
        found: &BlockCall,
        absent: &BlockCall,
    ) {
        let again = self.repeats.site(self.source.filter, &self.source.cfg, self.place);
        if let Some(again) = again.filter(|again| !again.is_first) {
            let is_cold = again.is_covered && self.source.probes(state);
            self.take_known(again, state, found, is_cold);
        }
        let map = self.burst.row.table(&mut self.builder, CTX_MAPS, state.index());
        let (hit, miss) = (self.builder.create_block(), self.builder.create_block());
        let (value, generation) =
            (self.builder.append_block_param(hit, I64), self.builder.append_block_param(hit, I64));
        let is_cold = self.source.probes(state);
        if is_cold && again.is_none_or(|again| !again.is_covered) {
            let call = self.builder.create_block();
            self.builder.set_cold_block(call);
            let otherwise = Otherwise { absent: if make { call } else { miss }, unclear: call };
            let comparison = match self.has_generations(state) {
                true => Comparison::AtLock,
                false => Comparison::Here,
            };
            let (value, generation) = probe::probe(&mut self.builder, map, key, comparison, otherwise);
            self.builder.ins().jump(hit, &[value.into(), generation.into()]);
            self.builder.switch_to_block(call);
        }
        let key = self.store_key(key);
        let (helper, mut args) = (if make { Helper::Slot } else { Helper::Find }, vec![map, key]);
        if make {
            args.push(self.burst.row.now(&mut self.builder));
        }
        let results = if is_cold {
            let results = self.results_place();
            detour::call(&mut self.builder, helper, &args, |_| results)
        } else {
            let call = self.call(helper, &args);
            self.builder.inst_results(call).to_vec()
        };
        let &[called_value, called_generation] = &results[..] else {
            unreachable!("look-ups return two words");
        };
        self.builder.ins().brif(
            called_value,
            hit,
            &[called_value.into(), called_generation.into()],
            miss,
            &[],
        );
        self.builder.switch_to_block(miss);
        self.remember(again, state, make, None);
        let args = self.args(absent, &[]);
        self.builder.ins().jump(self.blocks[absent.block.index()], &args);
        self.builder.switch_to_block(hit);
        self.remember(again, state, make, Some((value, generation)));
        let token = self.token(state, value, generation);
        let args = self.args(found, &token);
        self.builder.ins().jump(self.blocks[found.block.index()], &args);
    }

    /// Looks an address up in a table by prefix; gives whether its keys are such.
    fn look_up_address(
        &mut self,
        state: State,
        key: &[Value],
        found: &BlockCall,
        absent: &BlockCall,
    ) -> bool {
        let decl = &self.source.module.states[state.index()];
        let form = Form::of(decl.capacity, decl.key_layout().size);
        let widths = decl.key.iter().map(|part| part.width);
        let (Some(form), true) = (form, widths.eq([Width::W8, Width::W64, Width::W64])) else { return false };
        // As many as are probed inline in hash tables: code stays small.
        if self.source.look_ups > MOST_LOOK_UPS {
            return false;
        }
        let map = self.burst.row.table(&mut self.builder, CTX_MAPS, state.index());
        let (call, known) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(call);
        let (family, high) = (self.part(key[0], Width::W8), self.value(key[1]));
        let address = Address { family: Some(family), high };
        let answer = direct::answer(&mut self.builder, map, form, address, call);
        self.builder.ins().jump(known, &[answer.into()]);

        self.builder.switch_to_block(call);
        let words = self.key(state, key);
        let key = self.store_key(&words);
        let results = self.results_place();
        let called = detour::call(&mut self.builder, Helper::Find, &[map, key], |_| results)[0];
        self.builder.ins().jump(known, &[called.into()]);

        let entry = self.builder.append_block_param(known, I64);
        self.builder.switch_to_block(known);
        self.branch(entry, found, &[entry], absent);
        true
    }

    /// If the entry was found before, goes on with it; goes on in a new block if not, which may be cold.
    fn take_known(&mut self, again: Site, state: State, found: &BlockCall, is_cold: bool) {
        let (value, generation) = self.repeats.variables(again.group);
        let (value, generation) = (self.builder.use_var(value), self.builder.use_var(generation));
        let (known, unknown) = (self.builder.create_block(), self.builder.create_block());
        if is_cold {
            self.builder.set_cold_block(unknown);
        }
        self.builder.ins().brif(value, known, &[], unknown, &[]);
        self.builder.switch_to_block(known);
        let token = self.token(state, value, generation);
        let args = self.args(found, &token);
        self.builder.ins().jump(self.blocks[found.block.index()], &args);
        self.builder.switch_to_block(unknown);
    }

    /// Remembers what a look-up has found, or that there is nothing. A `slot` may have taken the memory of all others.
    fn remember(
        &mut self,
        again: Option<Site>,
        state: State,
        make: bool,
        found: Option<(ir::Value, ir::Value)>,
    ) {
        let group = again.map(|again| again.group);
        for other in self.repeats.groups_of(state) {
            let entry = if Some(other) == group {
                found
            } else if make {
                None
            } else {
                continue;
            };
            let (value, generation) = self.repeats.variables(other);
            let (found_value, found_generation) = entry.unwrap_or_else(|| {
                let zero = self.builder.ins().iconst(I64, 0);
                (zero, zero)
            });
            self.builder.def_var(value, found_value);
            self.builder.def_var(generation, found_generation);
        }
    }

    fn token(&self, state: State, value: ir::Value, generation: ir::Value) -> Vec<ir::Value> {
        if self.has_generations(state) { vec![value, generation] } else { vec![value] }
    }

    /// Puts a key together, as the words that it has in memory.
    pub(super) fn key(&mut self, state: State, key: &[Value]) -> Vec<ir::Value> {
        let decl = &self.source.module.states[state.index()];
        let layout = decl.key_layout();
        let count = layout.size.div_ceil(8);
        let mut words: Vec<Option<ir::Value>> = vec![None; count as usize];
        let prefix = decl.kind == StateKind::Table(Match::Prefix);
        if prefix {
            // How many bits count: all.
            words[0] = Some(self.int(u64::from(decl.key_bits())));
        }
        for ((&value, part), &offset) in key.iter().zip(&decl.key).zip(&layout.offsets) {
            let mut bits = self.part(value, part.width);
            if prefix {
                bits = self.network_order(bits, part.width);
            }
            let (word, shift) = (offset as usize / 8, offset % 8 * 8);
            let low = if shift == 0 { bits } else { self.builder.ins().ishl_imm_u(bits, i64::from(shift)) };
            self.add_bits(&mut words[word], low);
            // Only parts of prefixes do not lie at their natural alignment.
            if shift + part.width.bits() > 64 {
                let high = self.builder.ins().ushr_imm_u(bits, i64::from(64 - shift));
                self.add_bits(&mut words[word + 1], high);
            }
        }
        words.into_iter().map(|word| word.unwrap_or_else(|| self.int(0))).collect()
    }

    /// A part of a key: what its width has room for.
    fn part(&mut self, value: Value, width: Width) -> ir::Value {
        let bits = self.value(value);
        if self.source.ranges.at(self.place, value).max > width.max() {
            return self.builder.ins().band_imm_u(bits, width.max().cast_signed());
        }
        bits
    }

    /// Puts a key on the stack, by whole words as it will be read: a load that spans several stores would have to wait for these.
    fn store_key(&mut self, key: &[ir::Value]) -> ir::Value {
        let place = self.key_place();
        for (index, &word) in key.iter().enumerate() {
            self.builder.ins().store(MemFlagsData::trusted(), word, place, index as i32 * 8);
        }
        place
    }

    fn add_bits(&mut self, word: &mut Option<ir::Value>, bits: ir::Value) {
        *word = Some(match *word {
            Some(others) => self.builder.ins().bor(others, bits),
            None => bits,
        });
    }

    /// The int whose low bytes in host order are those of another in network order.
    fn network_order(&mut self, bits: ir::Value, width: Width) -> ir::Value {
        match width {
            Width::W8 => bits,
            Width::W64 => self.builder.ins().bswap(bits),
            Width::W16 | Width::W32 => {
                let narrow = self.builder.ins().ireduce(type_of(width), bits);
                let swapped = self.builder.ins().bswap(narrow);
                self.builder.ins().uextend(I64, swapped)
            }
        }
    }

    fn look_up_array(&mut self, state: State, key: Value) -> (ir::Value, ir::Value) {
        let decl = &self.source.module.states[state.index()];
        let (width, capacity) = (decl.key[0].width, decl.capacity);
        let stride = oko_state::array_stride(decl.entry_layout().size);
        let index = self.value(key);
        let index = if width == Width::W64 {
            index
        } else {
            let mask = self.int(width.max());
            self.builder.ins().band(index, mask)
        };
        let capacity = self.int(u64::from(capacity));
        let there = self.builder.ins().icmp(IntCC::UnsignedLessThan, index, capacity);
        let first = self.burst.row.table(&mut self.builder, CTX_VALUES, state.index());
        let offset = self.builder.ins().imul_imm_s(index, stride as i64);
        (there, self.builder.ins().iadd(first, offset))
    }
}
