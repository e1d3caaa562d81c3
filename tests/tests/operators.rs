//! An operator at work with `okoctl` on a running `okod`: the tables and states of a filter, and programs of the first Oko.

#![cfg(target_os = "linux")]

use std::path::Path;

use oko_tests::switch::{Folder, Switch, sink_port};
use oko_tests::{clang, examples};
use serde_json::json;

#[test]
fn tables_and_states_are_written_and_read_back() {
    let folder = Folder::new();
    let object = folder.build(&examples::folder().join("perimeter.oko"));
    let config = sink_port(&folder, 1, "out");
    let switch = Switch::start(folder, "", &config);
    let load = |path: &Path| switch.tell(&["filter", "load", &path.display().to_string()]);
    load(&object);

    for prefix in ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"] {
        switch.tell(&["table", "insert", "tracked", "inside", prefix]);
    }
    let dumped = switch.ask(&["table", "dump", "tracked"]);
    let mut keys: Vec<_> = dumped["inside"]
        .as_array()
        .expect("a list of entries")
        .iter()
        .map(|entry| entry["key"].as_str().expect("a prefix").to_owned())
        .collect();
    keys.sort();
    assert_eq!(keys, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
    switch.tell(&["table", "delete", "tracked", "inside", "192.0.2.7/32"]);
    switch
        .okoctl(&["table", "get", "tracked", "inside", "192.0.2.7"])
        .fails_with(&["table inside has no entry under `192.0.2.7`"]);
    assert_eq!(switch.ask(&["table", "list", "tracked"])[0]["entries"], 2);

    // A connection as the filter would keep it.
    let key = "10.0.0.1,4000,192.0.2.7,80";
    let set = ["state", "set", "tracked", "conns", "10.0.0.1", "Established"];
    switch.okoctl(&set).fails_with(&["`10.0.0.1` is no key", "parts with commas between"]);
    switch.tell(&["state", "set", "tracked", "conns", key, "Established", "--expire", "1h"]);
    let read = switch.ask(&["state", "get", "tracked", "conns", key]);
    assert_eq!(read["value"], json!("Established"));
    switch.tell(&["state", "clear", "tracked", "conns"]);
    assert_eq!(switch.ask(&["state", "dump", "tracked", "conns"])["conns"], json!([]));
}

/// A program of the first Oko is taken for one where one says so, at load and when it is replaced, and for nothing else.
#[test]
fn programs_of_the_first_oko_are_loaded_and_replaced() {
    let Some(clang) = clang::installed().into_iter().next() else { return };
    let folder = Folder::new();
    let [before, after] = ["stateful_firewall", "fingerprint"].map(|name| {
        let source = examples::folder().join("original").join(name).with_extension("c");
        let object = clang::compile(clang, "v1", &source, &["-Wno-unused-variable"]);
        folder.write(&format!("{name}.o"), object).display().to_string()
    });
    let config = sink_port(&folder, 1, "out");
    let switch = Switch::start(folder, "", &config);
    let names = || {
        let filters = switch.ask(&["filter", "list"]);
        let names = filters.as_array().expect("a list").iter().map(|filter| filter["name"].clone());
        names.collect::<Vec<_>>()
    };
    let say = "--abi original";
    switch.okoctl(&["filter", "load", &before, "--name", "old"]).fails_with(&[say]);
    assert!(names().is_empty(), "what was refused has left nothing");
    switch.tell(&["filter", "load", &before, "--name", "old", "--abi", "original"]);
    assert_eq!(names(), ["old"]);
    switch.okoctl(&["filter", "replace", "old", &after]).fails_with(&[say]);
    switch.tell(&["filter", "replace", "old", &after, "--abi", "original"]);
    assert_eq!(names(), ["old"]);
    let entry = "priority=10,tcp,filter=old,actions=drop";
    switch.tell(&["flow", "add", entry]);
    switch.okoctl(&["filter", "load", &before, "--abi", "first"]).fails_with(&["linux", "original"]);
}
