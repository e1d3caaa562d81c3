//! Filters as long as is wanted, for what must take time in proportion to them.

use std::fmt::{Result, Write};

/// The text of a filter of IPv4 without options that goes through a chain of so many blocks of so many operations, each of which uses what the one before it has
/// made and, in turn, one of the first `loads` bytes. Behind the last test, in the fourth block, it branches on the same once more; the chain begins with the
/// sixth. It answers whether the highest bit of what comes out is 0, and false to other packets.
pub fn chain(blocks: u32, operations: u32, loads: u32) -> String {
    let mut text = String::new();
    write(&mut text, blocks, operations, loads).expect("a string takes everything");
    text
}

fn write(text: &mut String, blocks: u32, operations: u32, loads: u32) -> Result {
    *text += "oko.ir 1
filter f -> bool {
block0:
    v0 = const 0
    v1 = const 2048
    v2 = const 69
    v3 = false
    window v0, 34, block1, block4
block1(v4: window 34):
    v5 = load.be16 v4, 12
    v6 = eq v5, v1
    branch v6, block2, block4
block2:
    v7 = load.be8 v4, 14
    v8 = eq v7, v2
    branch v8, block3, block4
block3:
    v9 = load.be32 v4, 0
    v10 = const 1000003
";
    for load in 0..loads {
        writeln!(text, "    v{} = load.be8 v4, {}", 11 + load, load % 34)?;
    }
    *text += "    branch v8, block5, block4\nblock4:\n    return v3\n";
    let (mut last, mut value, end) = (9, 11 + loads, 5 + blocks);
    for block in 5..end {
        let other = if loads == 0 { 10 } else { 11 + block % loads };
        writeln!(text, "block{block}:")?;
        for operation in 0..operations {
            let name = if operation % 2 == 0 { "mul" } else { "add" };
            writeln!(text, "    v{value} = {name} v{last}, v{other}")?;
            (last, value) = (value, value + 1);
        }
        writeln!(text, "    jump block{}", block + 1)?;
    }
    let (shift, high, is_low) = (value, value + 1, value + 2);
    writeln!(text, "block{end}:\n    v{shift} = const 63\n    v{high} = ushr v{last}, v{shift}")?;
    writeln!(text, "    v{is_low} = eq v{high}, v0\n    return v{is_low}\n}}")
}
