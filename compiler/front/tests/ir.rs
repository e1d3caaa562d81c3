//! The IR of a few filters, as snapshots: what they show is the shape that the crate's documentation promises.

mod support;

/// The IR of a source after the passes.
fn better(text: &str) -> String {
    oko_ir::passes::optimize(support::verified(text)).module().to_string()
}

macro_rules! snapshot {
    ($name:literal, $text:expr) => {
        insta::with_settings!({ snapshot_path => "ir", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, better($text));
        });
    };
}

/// One window, one load, one comparison.
#[test]
fn a_field_of_the_first_header() {
    snapshot!(
        "first_header",
        "#[root] header frame { dst: mac, src: mac, type: u16 }
         filter arp -> bool { match pkt { frame => frame.type == 0x0806, _ => false } }"
    );
}

/// An entry is made only where the new value is not `none`, and the value is computed again under the lock.
#[test]
fn an_update() {
    snapshot!(
        "update",
        "state last: map[u8, u8] { capacity: 4, when_full: refuse, expire: 1s };
         filter f -> bool {
             (update last[1] |old| match old { none if pkt.len > 60 => 1, none => none, let n => n +| 1 }) == 2
         }"
    );
}

/// Lock, add, store, touch.
#[test]
fn a_counter() {
    snapshot!("counter", "state all: counter; filter f -> bool { all.add(1) > 100 }");
}
