//! RFC 9669 as a list: every instruction of its appendix A is decoded, encoded, written and read as text, and nothing else is but Linux's `may_goto`; and the
//! conformance suite, which every engine runs, has each of them.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod suite;

use std::collections::BTreeSet;

use oko_bpf::{asm, disasm, isa};

/// The instructions: opcode, source register (`reg`: any of them), immediate, offset, whether there is a destination, and a name. Numbers are hexadecimal with `0x`. Fields that are not used are
/// zero (section 3). Instruction sets v1 to v4 are all of it; of the base and the groups that the RFC has, only the packet group (legacy) is missing.
const INSTRUCTIONS: &str = "\
04   0  any   0 d add32 imm
05   0    0 any - ja
06   0  any   0 - gotol
07   0  any   0 d add imm
0c reg    0   0 d add32 reg
0f reg    0   0 d add reg
14   0  any   0 d sub32 imm
15   0  any any d jeq imm
16   0  any any d jeq32 imm
17   0  any   0 d sub imm
18   0  any   0 d lddw kind 0
18   1  any   0 d lddw kind 1
18   2  any   0 d lddw kind 2
18   3  any   0 d lddw kind 3
18   4  any   0 d lddw kind 4
18   5  any   0 d lddw kind 5
18   6  any   0 d lddw kind 6
1c reg    0   0 d sub32 reg
1d reg    0 any d jeq reg
1e reg    0 any d jeq32 reg
1f reg    0   0 d sub reg
24   0  any   0 d mul32 imm
25   0  any any d jgt imm
26   0  any any d jgt32 imm
27   0  any   0 d mul imm
2c reg    0   0 d mul32 reg
2d reg    0 any d jgt reg
2e reg    0 any d jgt32 reg
2f reg    0   0 d mul reg
34   0  any   0 d div32 imm
34   0  any   1 d sdiv32 imm
35   0  any any d jge imm
36   0  any any d jge32 imm
37   0  any   0 d div imm
37   0  any   1 d sdiv imm
3c reg    0   0 d div32 reg
3c reg    0   1 d sdiv32 reg
3d reg    0 any d jge reg
3e reg    0 any d jge32 reg
3f reg    0   0 d div reg
3f reg    0   1 d sdiv reg
44   0  any   0 d or32 imm
45   0  any any d jset imm
46   0  any any d jset32 imm
47   0  any   0 d or imm
4c reg    0   0 d or32 reg
4d reg    0 any d jset reg
4e reg    0 any d jset32 reg
4f reg    0   0 d or reg
54   0  any   0 d and32 imm
55   0  any any d jne imm
56   0  any any d jne32 imm
57   0  any   0 d and imm
5c reg    0   0 d and32 reg
5d reg    0 any d jne reg
5e reg    0 any d jne32 reg
5f reg    0   0 d and reg
61 reg    0 any d ldxw
62   0  any any d stw
63 reg    0 any d stxw
64   0  any   0 d lsh32 imm
65   0  any any d jsgt imm
66   0  any any d jsgt32 imm
67   0  any   0 d lsh imm
69 reg    0 any d ldxh
6a   0  any any d sth
6b reg    0 any d stxh
6c reg    0   0 d lsh32 reg
6d reg    0 any d jsgt reg
6e reg    0 any d jsgt32 reg
6f reg    0   0 d lsh reg
71 reg    0 any d ldxb
72   0  any any d stb
73 reg    0 any d stxb
74   0  any   0 d rsh32 imm
75   0  any any d jsge imm
76   0  any any d jsge32 imm
77   0  any   0 d rsh imm
79 reg    0 any d ldxdw
7a   0  any any d stdw
7b reg    0 any d stxdw
7c reg    0   0 d rsh32 reg
7d reg    0 any d jsge reg
7e reg    0 any d jsge32 reg
7f reg    0   0 d rsh reg
81 reg    0 any d ldxsw
84   0    0   0 d neg32
85   0  any   0 - call helper
85   1  any   0 - call local
85   2  any   0 - call btf
87   0    0   0 d neg
89 reg    0 any d ldxsh
91 reg    0 any d ldxsb
94   0  any   0 d mod32 imm
94   0  any   1 d smod32 imm
95   0    0   0 - exit
97   0  any   0 d mod imm
97   0  any   1 d smod imm
9c reg    0   0 d mod32 reg
9c reg    0   1 d smod32 reg
9f reg    0   0 d mod reg
9f reg    0   1 d smod reg
a4   0  any   0 d xor32 imm
a5   0  any any d jlt imm
a6   0  any any d jlt32 imm
a7   0  any   0 d xor imm
ac reg    0   0 d xor32 reg
ad reg    0 any d jlt reg
ae reg    0 any d jlt32 reg
af reg    0   0 d xor reg
b4   0  any   0 d mov32 imm
b5   0  any any d jle imm
b6   0  any any d jle32 imm
b7   0  any   0 d mov imm
bc reg    0   0 d mov32 reg
bc reg    0   8 d movsx832
bc reg    0  16 d movsx1632
bd reg    0 any d jle reg
be reg    0 any d jle32 reg
bf reg    0   0 d mov reg
bf reg    0   8 d movsx8
bf reg    0  16 d movsx16
bf reg    0  32 d movsx32
c3 reg  0x0 any d lock add32
c3 reg  0x1 any d lock fetch add32
c3 reg 0x40 any d lock or32
c3 reg 0x41 any d lock fetch or32
c3 reg 0x50 any d lock and32
c3 reg 0x51 any d lock fetch and32
c3 reg 0xa0 any d lock xor32
c3 reg 0xa1 any d lock fetch xor32
c3 reg 0xe1 any d lock xchg32
c3 reg 0xf1 any d lock cmpxchg32
c4   0  any   0 d arsh32 imm
c5   0  any any d jslt imm
c6   0  any any d jslt32 imm
c7   0  any   0 d arsh imm
cc reg    0   0 d arsh32 reg
cd reg    0 any d jslt reg
ce reg    0 any d jslt32 reg
cf reg    0   0 d arsh reg
d4   0   16   0 d le16
d4   0   32   0 d le32
d4   0   64   0 d le64
d5   0  any any d jsle imm
d6   0  any any d jsle32 imm
d7   0   16   0 d bswap16
d7   0   32   0 d bswap32
d7   0   64   0 d bswap64
db reg  0x0 any d lock add
db reg  0x1 any d lock fetch add
db reg 0x40 any d lock or
db reg 0x41 any d lock fetch or
db reg 0x50 any d lock and
db reg 0x51 any d lock fetch and
db reg 0xa0 any d lock xor
db reg 0xa1 any d lock fetch xor
db reg 0xe1 any d lock xchg
db reg 0xf1 any d lock cmpxchg
dc   0   16   0 d be16
dc   0   32   0 d be32
dc   0   64   0 d be64
dd reg    0 any d jsle reg
de reg    0 any d jsle32 reg
e5   0    0 any - may_goto
";

struct Row {
    opcode: u8,
    src: &'static str,
    imm: &'static str,
    off: &'static str,
    dst: bool,
    name: &'static str,
}

/// The fields of one slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    opcode: u8,
    dst: u8,
    src: u8,
    off: i16,
    imm: i32,
}

impl Slot {
    fn bytes(self) -> Vec<u8> {
        let Slot { opcode, dst, src, off, imm } = self;
        let mut bytes = vec![opcode, src << 4 | dst];
        bytes.extend(off.to_le_bytes());
        bytes.extend(imm.to_le_bytes());
        if opcode == 0x18 {
            bytes.extend([0; 8]);
        }
        bytes
    }

    fn of(bytes: &[u8]) -> Slot {
        let (off, imm) = (&bytes[2..4], &bytes[4..8]);
        Slot {
            opcode: bytes[0],
            dst: bytes[1] & 15,
            src: bytes[1] >> 4,
            off: i16::from_le_bytes(off.try_into().unwrap()),
            imm: i32::from_le_bytes(imm.try_into().unwrap()),
        }
    }
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| {
        let (fields, name) = line.split_at(18);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [opcode, src, imm, off, dst] = fields[..] else { panic!("{line}") };
        Row {
            opcode: u8::from_str_radix(opcode, 16).unwrap(),
            src,
            imm,
            off,
            dst: dst == "d",
            name: name.trim(),
        }
    };
    INSTRUCTIONS.lines().map(row).collect()
}

impl Row {
    fn is(&self, slot: &Slot) -> bool {
        let number = |text: &str, found: i64| {
            let number = match text.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).unwrap(),
                None => text.parse().unwrap(),
            };
            number == found
        };
        self.opcode == slot.opcode
            && if self.dst { slot.dst <= 10 } else { slot.dst == 0 }
            && if self.src == "reg" { slot.src <= 10 } else { number(self.src, slot.src.into()) }
            && (self.imm == "any" || number(self.imm, slot.imm.into()))
            && (self.off == "any" || number(self.off, slot.off.into()))
    }
}

/// Calls through a register, which the RFC reserves and old compilers make; no verifier takes them.
fn is_call_through_register(slot: &Slot) -> bool {
    slot.opcode == 0x8d && slot.dst <= 10 && (slot.src, slot.off, slot.imm) == (0, 0, 0)
}

#[test]
fn what_the_rfc_defines_is_an_instruction_and_nothing_else() {
    let rows = rows();
    assert_eq!(rows.len(), 165, "a row got lost");
    let mut met = BTreeSet::new();
    let mut slots = 0_u64;
    for opcode in 0..=255 {
        for (dst, src) in (0..=11).flat_map(|src| [0, 3, 10, 11].map(|dst| (dst, src))) {
            for off in [0, 1, 2, 8, 16, 32, -1, i16::MAX] {
                for imm in [
                    0,
                    1,
                    2,
                    8,
                    16,
                    32,
                    64,
                    0x40,
                    0x41,
                    0x50,
                    0x51,
                    0xa0,
                    0xa1,
                    0xe0,
                    0xe1,
                    0xf0,
                    0xf1,
                    -1,
                    i32::MIN,
                ] {
                    let slot = Slot { opcode, dst, src, off, imm };
                    let row = rows.iter().find(|row| row.is(&slot));
                    let decoded = isa::decode(&slot.bytes());
                    slots += 1;
                    assert_eq!(
                        decoded.is_ok(),
                        row.is_some() || is_call_through_register(&slot),
                        "{slot:x?}: {decoded:?}, the RFC has {:?}",
                        row.map(|row| row.name)
                    );
                    let (Ok(insns), Some(row)) = (decoded, row) else { continue };
                    // Everything of it once, in each direction; that takes a while for what any number goes with.
                    if met.insert((row.name, dst, src.min(4), off, imm & 3)) {
                        assert_eq!(isa::encode(&insns), slot.bytes(), "{}", row.name);
                        let text = disasm::disassemble(&insns);
                        assert_eq!(asm::assemble(&text).as_ref(), Ok(&insns), "{}: {text}", row.name);
                    }
                }
            }
        }
    }
    let names: BTreeSet<&str> = met.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), rows.len(), "instructions of one name");
    assert!(slots > 1_000_000);
}

/// So each is executed, and its result looked at, by every engine that runs the suite.
#[test]
fn the_conformance_suite_has_every_instruction() {
    let rows = rows();
    let mut missing: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    for case in suite::Case::with_results() {
        let Ok(insns) = case.insns() else { continue };
        let bytes = isa::encode(&insns);
        for slot in bytes.as_chunks::<8>().0.iter().map(|bytes| Slot::of(bytes)) {
            for row in rows.iter().filter(|row| row.is(&slot)) {
                missing.remove(row.name);
            }
        }
    }
    // Maps, code and variables of a platform, which other tests have, and BTF ids, which nobody here does.
    let elsewhere = [
        "call btf",
        "lddw kind 1",
        "lddw kind 2",
        "lddw kind 3",
        "lddw kind 4",
        "lddw kind 5",
        "lddw kind 6",
    ];
    let missing: Vec<&str> = missing.into_iter().filter(|name| !elsewhere.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
