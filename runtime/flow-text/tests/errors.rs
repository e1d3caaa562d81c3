//! A wrong flow: what is marked, what is said, and what is advised.

use oko_flow_text::{FlowError, Names, parse_flow_mod, parse_flow_request};
use oko_openflow::oko::{ClassInfo, FilterInfo};
use oko_openflow::{FilterId, FlowModCommand, PortNo};

fn filter(id: u32, name: &str, classes: &[&str]) -> FilterInfo {
    let boolean = classes.is_empty();
    let names = if boolean { &["false", "true"][..] } else { classes };
    let class = |(number, name): (usize, &&str)| ClassInfo {
        number: number as u32,
        name: (*name).to_owned(),
        packets: 0,
    };
    FilterInfo {
        id: FilterId(id),
        name: name.to_owned(),
        boolean,
        classes: names.iter().enumerate().map(class).collect(),
        packets: 0,
        state_bytes: 0,
        age: 0,
        flows: 0,
    }
}

fn names() -> Names {
    Names {
        ports: vec![(PortNo(1), "client".to_owned()), (PortNo(2), "server".to_owned())],
        filters: vec![filter(7, "syn_flood", &[]), filter(8, "conn", &["New", "Open", "Closing"])],
    }
}

struct Case {
    text: &'static str,
    /// The part that is marked; it must occur once in the text, or be empty for its end.
    marked: &'static str,
    message: &'static str,
    expected: &'static str,
    advice: &'static str,
}

const fn case(
    text: &'static str,
    marked: &'static str,
    message: &'static str,
    expected: &'static str,
    advice: &'static str,
) -> Case {
    Case { text, marked, message, expected, advice }
}

const CASES: &[Case] = &[
    case(
        "tcp,nw_scr=10.0.0.1,actions=drop",
        "nw_scr",
        "unknown field `nw_scr`",
        "expected a field or setting of a flow",
        "did you mean `nw_src`?",
    ),
    case(
        "prority=5,actions=drop",
        "prority",
        "unknown field `prority`",
        "expected a field or setting of a flow",
        "did you mean `priority`?",
    ),
    case(
        "frobnicate=5,actions=drop",
        "frobnicate",
        "unknown field `frobnicate`",
        "expected a field or setting of a flow",
        "",
    ),
    case("nw_ttl=5,actions=drop", "nw_ttl", "`nw_ttl` is not in OpenFlow 1.3", "another protocol's", ""),
    case(
        "ip,nw_src=10.0.0.256,actions=drop",
        "10.0.0.256",
        "`10.0.0.256` is no value for nw_src",
        "expected an IPv4 address such as 10.0.0.1 or 10.0.0.0/8",
        "",
    ),
    case(
        "ip,nw_src=10.0.0.0/33,actions=drop",
        "33",
        "`33` is no value for the mask of nw_src",
        "expected a prefix length from 0 to 32 or a mask such as 255.255.0.0",
        "",
    ),
    case("ip,nw_src,actions=drop", "nw_src", "nw_src has no value", "expected `nw_src=` and its value", ""),
    case("tcp=5,actions=drop", "tcp=5", "tcp takes no value", "expected `tcp` alone", ""),
    case(
        "tcp,tp_dst=80000,actions=drop",
        "80000",
        "`80000` is no value for tp_dst",
        "expected a number from 0 to 65535",
        "",
    ),
    case(
        "priority=65536,actions=drop",
        "65536",
        "`65536` is no value for priority",
        "expected a number from 0 to 65535",
        "",
    ),
    case(
        "dl_src=02:00:00:00:00,actions=drop",
        "02:00:00:00:00",
        "`02:00:00:00:00` is no value for dl_src",
        "expected an Ethernet address such as 02:00:00:00:00:01",
        "",
    ),
    case(
        "tp_dst=80,actions=drop",
        "tp_dst=80",
        "tp_dst needs tcp, udp or sctp",
        "has a meaning only with tcp, udp or sctp",
        "add `tcp`",
    ),
    case(
        "ip,tcp_dst=80,actions=drop",
        "tcp_dst=80",
        "tcp_dst needs nw_proto=6",
        "has a meaning only with nw_proto=6",
        "add `tcp`",
    ),
    case(
        "nw_src=10.0.0.1,actions=drop",
        "nw_src=10.0.0.1",
        "nw_src needs dl_type=0x0800",
        "has a meaning only with dl_type=0x0800",
        "add `ip`",
    ),
    case("tcp,udp,actions=drop", "udp", "nw_proto is given twice", "given before", ""),
    case("ip,ipv6,actions=drop", "ipv6", "dl_type is given twice", "given before", ""),
    case("table=1,table=2,actions=drop", "table=2", "table is given twice", "given before", ""),
    case(
        "ip,nw_proto=6/7,actions=drop",
        "6/7",
        "nw_proto cannot be masked",
        "expected a value without mask",
        "",
    ),
    case(
        "nw_tos=5,ip,actions=drop",
        "5",
        "`5` is no value for nw_tos",
        "expected a multiple of 4; the lower two bits are nw_ecn",
        "",
    ),
    case(
        "in_port=clinet,actions=drop",
        "clinet",
        "no port is called `clinet`",
        "expected a port number or name",
        "did you mean `client`?",
    ),
    case(
        "in_port=eth0,actions=drop",
        "eth0",
        "no port is called `eth0`",
        "expected a port number or name",
        "the switch has the ports client, server",
    ),
    case(
        "tcp,filter=syn_flod,actions=drop",
        "syn_flod",
        "no filter is called `syn_flod`",
        "expected the name of a loaded filter",
        "did you mean `syn_flood`?",
    ),
    case(
        "filter=ddos,actions=drop",
        "ddos",
        "no filter is called `ddos`",
        "expected the name of a loaded filter",
        "loaded are syn_flood, conn",
    ),
    case(
        "filter=conn,actions=drop",
        "conn",
        "filter conn answers classes; which one?",
        "expected New, Open or Closing",
        "write `filter=conn:New`",
    ),
    case(
        "filter=conn:Closed,actions=drop",
        "Closed",
        "filter conn has no class `Closed`",
        "expected New, Open or Closing",
        "",
    ),
    case(
        "filter=conn:New,filter=syn_flood,actions=drop",
        "filter=syn_flood",
        "filter is given twice",
        "given before",
        "",
    ),
    case(
        "tcp",
        "",
        "the flow has no actions",
        "expected actions=… at the end",
        "to drop the packets, write `actions=drop`",
    ),
    case("actions=dorp", "dorp", "unknown action `dorp`", "expected an action", "did you mean `drop`?"),
    case(
        "actions=ouput:1",
        "ouput",
        "unknown action `ouput`",
        "expected an action",
        "did you mean `output`?",
    ),
    case(
        "actions=output:nowhere",
        "nowhere",
        "no port is called `nowhere`",
        "expected a port number or name",
        "the switch has the ports client, server",
    ),
    case("actions=output", "output", "output has no value", "expected `output:` and a port", ""),
    case("actions=drop,output:1", "drop", "drop must be the only action", "beside other actions", ""),
    case("actions=learn(table=1)", "learn", "`learn` is not in OpenFlow 1.3", "another protocol's", ""),
    case(
        "ip,actions=mod_nw_dst:10.0.0.1",
        "mod_nw_dst",
        "`mod_nw_dst` is not in OpenFlow 1.3",
        "another protocol's",
        "write `set_field:ADDRESS->ip_dst`",
    ),
    case(
        "actions=goto_table:2,output:1",
        "output:1",
        "output must come before goto_table",
        "out of order",
        "the order of execution is meter, actions, clear_actions, write_actions, write_metadata, goto_table",
    ),
    case(
        "actions=goto_table:1,goto_table:2",
        "goto_table:2",
        "goto_table is given twice",
        "given before",
        "",
    ),
    case(
        "actions=goto_table:255",
        "255",
        "`255` is no value for goto_table",
        "expected a number from 0 to 254",
        "",
    ),
    case(
        "actions=write_actions(output:1",
        "write_actions(output:1",
        "a parenthesis is not closed",
        "expected `)`",
        "",
    ),
    case(
        "actions=set_field:5->tpc_dst",
        "tpc_dst",
        "unknown field `tpc_dst`",
        "expected a field or setting of a flow",
        "did you mean `tcp_dst`?",
    ),
    case(
        "actions=set_field:5->in_port",
        "in_port",
        "`in_port` is no value for the field to set",
        "expected a field of the packet's headers",
        "",
    ),
    case(
        "actions=move:eth_src[0..48]->eth_dst[]",
        "eth_src[0..48]",
        "`eth_src[0..48]` is no value for the bits of eth_src",
        "expected `[]`, `[BIT]` or `[FIRST..LAST]` with bits from 0 to 47",
        "",
    ),
    case(
        "actions=move:eth_src[0..15]->reg0[]",
        "reg0[]",
        "`reg0[]` is no value for the bits to move",
        "expected 16 bits, as many as are read",
        "",
    ),
    case(
        "actions=set_field:5",
        "set_field:5",
        "set_field has no value",
        "expected `set_field:VALUE->FIELD`",
        "",
    ),
    case(
        "cookie=1/2,actions=drop",
        "cookie=1/2",
        "an addition does not use a mask of the cookie",
        "leave this out",
        "",
    ),
    case("out_port=1,actions=drop", "out_port=1", "an addition does not use out_port", "leave this out", ""),
];

fn check(case: &Case, error: &FlowError) {
    let text = case.text;
    assert_eq!(error.to_string(), case.message, "{text}");
    assert_eq!(&text[error.span.clone()], case.marked, "{text}");
    assert_eq!(error.expected(), case.expected, "{text}");
    assert_eq!(error.advice().unwrap_or_default(), case.advice, "{text}");
}

#[test]
fn the_wrong_part_is_marked_and_the_right_one_is_named() {
    for case in CASES {
        let error = parse_flow_mod(case.text, FlowModCommand::Add, &names()).expect_err(case.text);
        check(case, &error);
    }
}

#[test]
fn deletions_and_listings_say_what_they_do_not_use() {
    let error = parse_flow_mod("tcp,actions=drop", FlowModCommand::Delete, &names()).expect_err("actions");
    check(&case("tcp,actions=drop", "drop", "a deletion takes no actions", "leave this out", ""), &error);
    let error = parse_flow_request("tcp,priority=5", &names()).expect_err("priority");
    check(
        &case("tcp,priority=5", "priority=5", "a listing does not use priority", "leave this out", ""),
        &error,
    );
}

#[test]
fn an_error_is_drawn_under_the_flow() {
    let error =
        parse_flow_mod("tcp,filter=syn_flod,actions=drop", FlowModCommand::Add, &names()).expect_err("name");
    let mut drawn = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .render_report(&mut drawn, &error)
        .expect("a string takes it");
    for part in [
        "no filter is called `syn_flod`",
        "tcp,filter=syn_flod,actions=drop",
        "expected the name of a loaded filter",
        "help: did you mean `syn_flood`?",
    ] {
        assert!(drawn.contains(part), "{part}\n{drawn}");
    }
}
