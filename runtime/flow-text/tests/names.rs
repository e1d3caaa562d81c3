//! Names of ports and filters, and reading back what was printed.
#![allow(clippy::unwrap_used)]

use oko_flow_text::{Names, parse_flow_mod, parse_flow_request, print_instructions, print_match};
use oko_openflow::oko::{ClassInfo, FilterInfo};
use oko_openflow::oxm::FIELDS;
use oko_openflow::*;
use proptest::prelude::*;

fn names() -> Names {
    let class = |number: u32, name: &str| ClassInfo { number, name: name.to_owned(), packets: 0 };
    let filter = |id, name: &str, boolean, classes| FilterInfo {
        id: FilterId(id),
        name: name.to_owned(),
        boolean,
        classes,
        packets: 0,
        state_bytes: 0,
        age: 0,
        flows: 0,
    };
    Names {
        ports: vec![
            (PortNo(1), "client".to_owned()),
            (PortNo(2), "7".to_owned()),
            (PortNo(3), "a b".to_owned()),
        ],
        filters: vec![
            filter(4, "syn_flood", true, vec![class(0, "false"), class(1, "true")]),
            filter(5, "conn", false, vec![class(0, "New"), class(1, "Open")]),
        ],
    }
}

fn add(text: &str) -> FlowMod {
    parse_flow_mod(text, FlowModCommand::Add, &names())
        .unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)))
}

#[test]
fn a_filter_is_a_condition_on_its_answer() {
    let cases = [
        ("filter=syn_flood", 4, 1),
        ("filter=syn_flood:true", 4, 1),
        ("filter=syn_flood:false", 4, 0),
        ("filter=conn:New", 5, 0),
        ("filter=conn:Open", 5, 1),
        ("filter=9:3", 9, 3),
    ];
    for (text, filter, class) in cases {
        let flow = add(&format!("priority=100,tcp,{text},actions=drop"));
        assert_eq!(flow.matching.filter, Some(FilterMatch { filter: FilterId(filter), class }), "{text}");
        let request = parse_flow_request(text, &names()).unwrap();
        assert_eq!(request.matching.filter, flow.matching.filter, "{text}");
    }
    assert_eq!(
        print_match(&add("tcp,filter=syn_flood,actions=drop").matching, &names()),
        "tcp,filter=syn_flood"
    );
    assert_eq!(
        print_match(&add("filter=conn:Open,ip,actions=drop").matching, &names()),
        "ip,filter=conn:Open"
    );
    assert_eq!(print_match(&add("filter=9:3,actions=drop").matching, &names()), "filter=9:3");
}

#[test]
fn ports_go_by_name_where_the_name_can_be_read_back() {
    let flow = add("in_port=client,actions=output:client,2");
    assert_eq!(flow.matching, Match::any().with(Field::InPort, 1));
    assert_eq!(flow.instructions.apply, [Action::output(PortNo(1)), Action::output(PortNo(2))]);
    assert_eq!(print_match(&flow.matching, &names()), "in_port=client");
    assert_eq!(print_instructions(&flow.instructions, &names()), "output:client,output:2");
}

#[test]
fn a_deletion_reaches_all_tables_and_may_be_restricted() {
    let flow = parse_flow_mod("", FlowModCommand::Delete, &names()).unwrap();
    assert_eq!(flow, FlowMod::new(FlowModCommand::Delete));
    assert_eq!(flow.table, TableId::ALL);
    let flow =
        parse_flow_mod("table=2,cookie=0x10/0xf0,out_port=client", FlowModCommand::Delete, &names()).unwrap();
    assert_eq!(
        (flow.table, flow.cookie, flow.cookie_mask, flow.out_port),
        (TableId(2), 0x10, 0xf0, PortNo(1))
    );
}

fn valid_match() -> impl Strategy<Value = Match> {
    let bases: Vec<&str> = vec![
        "",
        "ip",
        "ipv6",
        "arp",
        "rarp",
        "tcp",
        "udp",
        "sctp",
        "icmp",
        "tcp6",
        "udp6",
        "sctp6",
        "icmp6",
        "mpls",
        "icmp6,icmp_type=135",
        "icmp6,icmp_type=136",
        "dl_vlan=5",
        "dl_type=0x88e7",
        "ip,nw_proto=89",
    ];
    let fields =
        proptest::collection::vec((0..FIELDS.len(), any::<u128>(), any::<u128>(), any::<bool>()), 0..8);
    let filter = proptest::option::of((3_u32..7, 0_u32..3));
    (proptest::sample::select(bases), fields, filter).prop_map(|(base, fields, filter)| {
        let mut out = add(&format!("{base},actions=drop")).matching;
        for (index, value, mask, exact) in fields {
            let spec = &FIELDS[index];
            let mask = if exact || !spec.maskable { spec.full_mask() } else { mask & spec.full_mask() };
            let mut with = out.clone();
            with.set(MatchField::masked(spec.field, value & mask, mask).unwrap());
            if out.get(spec.field).is_none() && with.check_prerequisites().is_ok() {
                out = with;
            }
        }
        out.filter = filter.map(|(id, class)| FilterMatch { filter: FilterId(id), class });
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_printed_match_is_read_back_as_the_same(matching in valid_match()) {
        let text = print_match(&matching, &names());
        let read = parse_flow_request(&text, &names());
        prop_assert_eq!(read.map(|r| r.matching), Ok(matching), "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~äß\t]{0,40}", known in proptest::sample::select(vec![
        "tcp,", "filter=conn:", "nw_src=", "ipv6,ipv6_src=::/", "actions=", "actions=set_field:", "actions=move:reg0[", "dl_vlan=",
        "actions=write_actions(", "vlan_tci=0x1000/", "table=", "actions=controller(", "in_port=\"",
    ])) {
        for text in [text.clone(), format!("{known}{text}"), format!("{known}{text},actions=1")] {
            for command in [FlowModCommand::Add, FlowModCommand::Delete] {
                if let Err(e) = parse_flow_mod(&text, command, &names()) {
                    prop_assert!(text.get(e.span.clone()).is_some(), "{:?} in {}", e.span, text);
                }
            }
            let _ = parse_flow_request(&text, &names());
        }
    }
}
