//! A flow's text means to us what it means to `ovs-ofctl`: both flow-mods are printed the same by its printer, and it
//! reads what we print as the same flow again.

use std::process::Command;
use std::time::Duration;

use oko_flow_text::{Names, parse_flow_mod, print_flow};
use oko_openflow::{FlowMod, FlowModCommand, FlowStats, Message};

const FLOWS: &[&str] = &[
    "actions=drop",
    "actions=",
    "priority=100,tcp,nw_src=10.0.0.0/8,tp_dst=80,actions=drop",
    "tcp,nw_src=10.1.2.3/8,actions=1",
    "table=3,cookie=0x5,udp,tp_src=0x50/0xfff0,idle_timeout=5,hard_timeout=60,actions=goto_table:5",
    "in_port=1,dl_vlan=5,dl_vlan_pcp=3,actions=output:2,in_port",
    "in_port=LOCAL,actions=local,all,flood,normal",
    "in_port=local actions=NORMAL",
    "dl_vlan_pcp=3,actions=drop",
    "dl_vlan=0xffff,actions=drop",
    "vlan_tci=0,actions=drop",
    "vlan_tci=0x1005/0x1fff,actions=drop",
    "vlan_tci=0x7005,actions=drop",
    "vlan_vid=0x1000/0x1000,actions=strip_vlan,push_vlan:0x8100,output:3",
    "dl_src=02:00:00:00:00:00/ff:00:00:00:00:00,dl_dst=02:00:00:00:00:01,actions=controller(max_len=5)",
    "eth_src=02:00:00:00:00:01,eth_type=0x88cc,actions=controller",
    "arp,arp_tpa=1.2.3.4,arp_op=2,arp_sha=02:00:00:00:00:01 actions=all",
    "arp,nw_src=1.2.3.4,nw_proto=1,actions=drop",
    "rarp,actions=set_field:02:00:00:00:00:01->eth_src,1",
    "ip,nw_src=1.2.3.4/255.0.255.0 actions=drop",
    "ip,nw_tos=8,nw_ecn=1,actions=clear_actions,write_actions(output:3),write_metadata:1/3,goto_table:4",
    "ip,ip_dscp=3,actions=mod_nw_ttl:5,group:3,set_queue:2",
    "ip,nw_proto=47,actions=dec_ttl,output:1",
    "icmp,icmp_type=8,icmp_code=0,actions=drop",
    "sctp,tp_dst=5000,actions=drop",
    "ipv6,ipv6_src=2001:db8::/32,ipv6_dst=fe80::1,ipv6_label=0x5,actions=drop",
    "ipv6,ipv6_src=2001:db8::1/ffff::ff,actions=drop",
    "tcp6,tp_src=1,actions=drop",
    "udp6,udp_dst=53,actions=drop",
    "sctp6,actions=drop",
    "icmp6,icmp_type=135,nd_target=fe80::1,nd_sll=02:00:00:00:00:01,actions=drop",
    "icmp6,icmpv6_type=136,nd_tll=02:00:00:00:00:01,actions=drop",
    "mpls,mpls_label=3,mpls_tc=1,mpls_bos=1,actions=dec_mpls_ttl,pop_mpls:0x0800,1",
    "ip,actions=push_mpls:0x8847,set_field:7->mpls_label,output:1",
    "metadata=0x5/0xff,tun_id=7,actions=meter:3,output:1",
    "ip,actions=set_field:10.0.0.1->ip_dst,set_field:10.0.0.2->nw_src,output:1",
    "tcp,actions=set_field:80->tcp_dst,output:1",
    "udp,actions=move:eth_src[0..15]->udp_dst[],move:reg1[3]->reg2[0],move:ip_src[]->ip_dst[],output:1",
    "dl_vlan=4,actions=set_field:4105->vlan_vid,output:1",
    "priority=3,send_flow_rem,check_overlap,reset_counts,no_packet_counts,no_byte_counts,actions=controller:10",
    "  priority=3 ,, tcp\tactions=output:1 output:2",
];

fn ovs_ofctl(arguments: &[&str]) -> Option<String> {
    match Command::new("ovs-ofctl").args(arguments).output() {
        Ok(out) => {
            Some(String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
        }
        Err(_) => {
            eprintln!("SKIPPED: ovs-ofctl is not installed; nothing was compared");
            None
        }
    }
}

/// How `ovs-ofctl` prints the flow-mod that it would send for this text.
fn theirs(text: &str) -> Option<String> {
    let printed = ovs_ofctl(&["-O", "OpenFlow13", "parse-flow", text])?;
    match printed.lines().find(|line| line.starts_with("OFPT_FLOW_MOD")) {
        Some(line) => Some(line.trim().to_owned()),
        None => panic!("{text}: {printed}"),
    }
}

/// How `ovs-ofctl` prints our flow-mod.
fn printed(flow: &FlowMod) -> Option<String> {
    let bytes = Message::FlowMod(flow.clone()).encode(1).expect("short");
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    ovs_ofctl(&["ofp-print", &hex]).map(|text| text.trim().to_owned())
}

fn ours(text: &str) -> FlowMod {
    parse_flow_mod(text, FlowModCommand::Add, &Names::none())
        .unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)))
}

#[test]
fn a_flow_means_what_it_means_to_ovs_ofctl() {
    for text in FLOWS {
        let Some(theirs) = theirs(text) else { return };
        let Some(ours) = printed(&ours(text)) else { return };
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn what_we_print_is_the_same_flow_to_ovs_ofctl() {
    for text in FLOWS {
        let flow = ours(text);
        let line = print_flow(&stats_of(&flow), &Names::none());
        let Some(theirs) = theirs(&line) else { return };
        let Some(ours) = printed(&flow) else { return };
        assert_eq!(theirs, ours, "{text} printed as {line}");
    }
}

fn stats_of(flow: &FlowMod) -> FlowStats {
    FlowStats {
        importance: 0,
        table: flow.table,
        duration: Duration::from_millis(1_500),
        priority: flow.priority,
        idle_timeout: flow.idle_timeout,
        hard_timeout: flow.hard_timeout,
        flags: flow.flags,
        cookie: flow.cookie,
        packets: 0,
        bytes: 0,
        matching: flow.matching.clone(),
        instructions: flow.instructions.clone(),
    }
}
