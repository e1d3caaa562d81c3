//! The BTF of an object that is written: what the kernel and bpftool need to know of maps, variables and functions.

use std::collections::HashMap;

use super::super::btf::{self, Btf, Kind, SecVar};
use super::super::btf_ext::SectionInfo;
use super::{Context, MapSpec, MemberKind, Struct, VariableSpec};
use crate::isa::Size;
use crate::program::MapKind;

/// `BTF_FUNC_GLOBAL`, `BTF_VAR_GLOBAL_ALLOCATED`.
const GLOBAL: u16 = 1;
/// `BTF_FUNC_STATIC`.
const STATIC: u16 = 0;
/// `BPF_F_NO_PREALLOC`, without which the kernel makes no LPM trie.
const NO_PREALLOC: u32 = 1;
/// `BTF_INT_SIGNED`.
const SIGNED: u8 = 1;

/// The types so far. Those that are used often are added once.
#[derive(Default)]
pub(super) struct Types {
    pub(super) btf: Btf,
    pub(super) infos: Vec<SectionInfo>,
    once: HashMap<Once, u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Once {
    Uint(Size),
    Int,
    Char,
    SpinLock,
    Entry(Context),
    Number(u32),
}

impl Types {
    fn once(&mut self, what: Once) -> u32 {
        if let Some(&id) = self.once.get(&what) {
            return id;
        }
        let id = match what {
            Once::Uint(size) => {
                let name = match size {
                    Size::B => "unsigned char",
                    Size::H => "unsigned short",
                    Size::W => "unsigned int",
                    Size::Dw => "unsigned long long",
                };
                self.btf.add(
                    name,
                    Kind::Int { size: size.bytes(), encoding: 0, offset: 0, bits: size.bytes() as u8 * 8 },
                )
            }
            Once::Int => self.btf.add("int", Kind::Int { size: 4, encoding: SIGNED, offset: 0, bits: 32 }),
            Once::Char => self.btf.add("char", Kind::Int { size: 1, encoding: SIGNED, offset: 0, bits: 8 }),
            Once::SpinLock => {
                let val = btf::Member {
                    name: self.btf.add_string("val"),
                    ty: self.once(Once::Uint(Size::W)),
                    offset: 0,
                };
                self.btf.add("bpf_spin_lock", Kind::Struct { size: 4, bitfields: false, members: vec![val] })
            }
            // The prototype of every program: `int (struct __sk_buff *ctx)`, or the one below. Nobody asks for the members.
            Once::Entry(Context::Tc) => {
                let members = Vec::new();
                let context =
                    self.btf.add("__sk_buff", Kind::Struct { size: 192, bitfields: false, members });
                self.prototype(context)
            }
            // `int (struct xdp_md *ctx)`.
            Once::Entry(Context::Xdp) => {
                let word = self.once(Once::Uint(Size::W));
                let names =
                    ["data", "data_end", "data_meta", "ingress_ifindex", "rx_queue_index", "egress_ifindex"];
                let members = (0..)
                    .zip(names)
                    .map(|(at, name)| btf::Member {
                        name: self.btf.add_string(name),
                        ty: word,
                        offset: at * 32,
                    })
                    .collect();
                let context = self.btf.add("xdp_md", Kind::Struct { size: 24, bitfields: false, members });
                self.prototype(context)
            }
            // `int (*)[len]`: how map definitions spell numbers.
            Once::Number(len) => {
                let array = self.array(Once::Int, len);
                self.btf.add("", Kind::Ptr { ty: array })
            }
        };
        self.once.insert(what, id);
        id
    }

    /// The type of functions that take a pointer to this type and give an `int`.
    fn prototype(&mut self, context: u32) -> u32 {
        let pointer = self.btf.add("", Kind::Ptr { ty: context });
        let params = vec![(self.btf.add_string("ctx"), pointer)];
        let ret = self.once(Once::Int);
        self.btf.add("", Kind::FuncProto { ret, params })
    }

    fn array(&mut self, elem: Once, len: u32) -> u32 {
        let (elem, index) = (self.once(elem), self.once(Once::Uint(Size::W)));
        self.btf.add("", Kind::Array { elem, index, len })
    }

    /// A program; its id.
    pub(super) fn function(&mut self, name: &str, context: Context) -> u32 {
        let ty = self.once(Once::Entry(context));
        self.btf.add(&identifier(name), Kind::Func { ty, linkage: GLOBAL })
    }

    /// A function that programs call; its id. Nobody asks for its parameters.
    pub(super) fn called(&mut self, name: &str) -> u32 {
        let ret = self.once(Once::Int);
        let ty = self.btf.add("", Kind::FuncProto { ret, params: Vec::new() });
        self.btf.add(&identifier(name), Kind::Func { ty, linkage: STATIC })
    }

    /// The variables of section `.maps`.
    pub(super) fn maps(&mut self, maps: &[MapSpec]) {
        let mut offset = 0;
        let vars = maps
            .iter()
            .map(|map| {
                let mut parts = vec![
                    ("type", self.once(Once::Number(map.kind.number()))),
                    ("max_entries", self.once(Once::Number(map.max_entries))),
                ];
                if map.kind == MapKind::LpmTrie {
                    parts.push(("map_flags", self.once(Once::Number(NO_PREALLOC))));
                }
                if map.kind.has_entries() {
                    let key = match map.kind.is_array() {
                        true => self.once(Once::Uint(Size::W)),
                        false => self.structure(&format!("{}_key", map.name), &map.key),
                    };
                    let value = self.structure(&format!("{}_value", map.name), &map.value);
                    parts.push(("key", self.btf.add("", Kind::Ptr { ty: key })));
                    parts.push(("value", self.btf.add("", Kind::Ptr { ty: value })));
                }
                let size = map.definition_bytes();
                let members = (0..)
                    .zip(parts)
                    .map(|(at, (name, ty))| btf::Member {
                        name: self.btf.add_string(name),
                        ty,
                        offset: at * 64,
                    })
                    .collect();
                let definition = self.btf.add("", Kind::Struct { size, bitfields: false, members });
                // Symbols must be found by these names, so they are not changed.
                let ty = self.btf.add(&map.name, Kind::Var { ty: definition, linkage: u32::from(GLOBAL) });
                offset += size;
                SecVar { ty, offset: offset - size, size }
            })
            .collect::<Vec<_>>();
        self.btf.add(".maps", Kind::DataSec { size: offset, vars });
    }

    fn structure(&mut self, name: &str, layout: &Struct) -> u32 {
        let members = layout
            .members
            .iter()
            .map(|member| btf::Member {
                name: self.btf.add_string(&identifier(&member.name)),
                ty: match member.kind {
                    MemberKind::Uint(size) => self.once(Once::Uint(size)),
                    MemberKind::SpinLock => self.once(Once::SpinLock),
                    MemberKind::Array(size, len) => self.array(Once::Uint(size), len),
                },
                offset: member.offset * 8,
            })
            .collect();
        self.btf.add(&identifier(name), Kind::Struct { size: layout.size, bitfields: false, members })
    }

    /// The variables of a section: numbers of 64 bits, or bytes.
    pub(super) fn variables(&mut self, section: &str, variables: &[VariableSpec], size: u32) {
        let vars = variables
            .iter()
            .map(|variable| {
                let size = variable.init.len() as u32;
                let ty =
                    if size == 8 { self.once(Once::Uint(Size::Dw)) } else { self.array(Once::Char, size) };
                let ty =
                    self.btf.add(&identifier(&variable.name), Kind::Var { ty, linkage: u32::from(GLOBAL) });
                SecVar { ty, offset: variable.offset, size }
            })
            .collect();
        self.btf.add(section, Kind::DataSec { size, vars });
    }

    /// The variable of section `license`.
    pub(super) fn license(&mut self, size: u32) {
        let ty = self.array(Once::Char, size);
        let ty = self.btf.add("_license", Kind::Var { ty, linkage: u32::from(GLOBAL) });
        self.btf.add("license", Kind::DataSec { size, vars: vec![SecVar { ty, offset: 0, size }] });
    }
}

/// A name that the kernel takes: letters, digits and underscores, no digit first.
fn identifier(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}
