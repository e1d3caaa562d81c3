#!/usr/bin/env python3
"""Makes headers.pcap and headers.txt again: a packet for every header of the standard library, built by scapy, and what tshark says is in
it. Needs scapy and tshark; `pip install scapy`, `apt-get install tshark`.

A line of headers.txt is the number of a packet from 0 on, an arm of `match pkt`, and a condition that holds in it. All values are
tshark's: neither scapy nor this script says what a field is.
"""
import os
import subprocess

from scapy.all import (
    ARP, DNS, DNSQR, DNSRR, GRE, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
    ICMPv6ND_RA, IPOption_Router_Alert, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
    Raw, RouterAlert, SCTP, wrpcap,
)
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.ipsec import AH, ESP
from scapy.layers.vxlan import VXLAN

here = os.path.dirname(os.path.abspath(__file__))
eth = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
v4 = IP(src="192.0.2.1", dst="198.51.100.2", id=0x1234, ttl=61, tos=0x2A, flags="DF")
v6 = IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=62, fl=0x54321, tc=0x3C)
tcp = TCP(sport=4000, dport=80, seq=0x11223344, ack=0x55667788, flags="SEC", window=1234,
          options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 9)), ("NOP", None), ("WScale", 7)])
inner = IP(src="10.1.2.3", dst="10.4.5.6", ttl=9) / TCP(sport=5000, dport=443, flags="A")
of_tcp = ["tcp.src_port=tcp.srcport", "tcp.dst_port=tcp.dstport", "tcp.window=tcp.window_size_value", "tcp.checksum=tcp.checksum",
          "tcp.urgent=tcp.urgent_pointer", "tcp.options.len=tcp.options!", "tcp.flags[7:0]=tcp.flags"]
of_v4 = ["ipv4.src=ip.src", "ipv4.dst=ip.dst", "ipv4.id=ip.id", "ipv4.ttl=ip.ttl", "ipv4.total_len=ip.len", "ipv4.dscp=ip.dsfield.dscp",
         "ipv4.ecn=ip.dsfield.ecn", "ipv4.checksum=ip.checksum", "ipv4.protocol=ip.proto", "ipv4.frag_offset=ip.frag_offset"]
of_v6 = ["ipv6.src=ipv6.src", "ipv6.dst=ipv6.dst", "ipv6.hop_limit=ipv6.hlim", "ipv6.flow_label=ipv6.flow", "ipv6.traffic_class=ipv6.tclass",
         "ipv6.payload_len=ipv6.plen", "ipv6.next_header=ipv6.nxt"]
option = "(for o in tcp.options with x: u32 = 0 {{ match o {{ {0} => {0}.{1}, _ => x }} }})"

packets = [
    (eth / v4 / tcp, "ethernet / ipv4 / tcp", ["ethernet.src=eth.src", "ethernet.dst=eth.dst", "ethernet.type=eth.type"] + of_v4 + of_tcp + [
        option.format("mss", "value") + "=tcp.options.mss_val", option.format("timestamps", "value") + "=tcp.options.timestamp.tsval",
        option.format("timestamps", "echo") + "=tcp.options.timestamp.tsecr", option.format("window_scale", "shift") + "=tcp.options.wscale.shift"]),
    (eth / v6 / tcp, "ethernet / ipv6 / tcp", of_v6 + of_tcp),
    (eth / Dot1AD(vlan=100, prio=3) / Dot1Q(vlan=200, prio=5, id=1) / v4 / tcp, "vlan as outer / vlan as inner / ip / tcp",
     ["outer.vid=ieee8021ad.id", "inner.vid=vlan.id", "outer.pcp=ieee8021ad.priority", "inner.pcp=vlan.priority", "inner.dei=vlan.dei",
      "inner.type=vlan.etype", "tcp.dst_port=tcp.dstport"]),
    (eth / MPLS(label=1000, cos=1, s=0, ttl=5) / MPLS(label=2000, cos=2, s=1, ttl=6) / v4 / tcp, "mpls as a / mpls as b / ipv4 / tcp",
     ["a.label=mpls.label@0", "b.label=mpls.label@1", "a.class=mpls.exp@0", "b.class=mpls.exp@1", "a.bottom=mpls.bottom@0", "b.bottom=mpls.bottom@1",
      "a.ttl=mpls.ttl@0", "b.ttl=mpls.ttl@1", "ipv4.src=ip.src", "tcp.dst_port=tcp.dstport"]),
    (eth / MPLS(label=16, s=1, ttl=6) / v6 / tcp, "mpls / ipv6 / tcp", ["mpls.label=mpls.label", "ipv6.src=ipv6.src"] + of_tcp),
    (eth / ARP(op=2, hwsrc="02:00:00:00:00:01", psrc="192.0.2.1", hwdst="02:00:00:00:00:02", pdst="192.0.2.2"), "ethernet / arp",
     ["arp.operation=arp.opcode", "arp.sender_mac=arp.src.hw_mac", "arp.sender=arp.src.proto_ipv4", "arp.target_mac=arp.dst.hw_mac",
      "arp.target=arp.dst.proto_ipv4"]),
    (eth / IP(src="192.0.2.1", dst="198.51.100.2", options=[IPOption_Router_Alert()]) / UDP(sport=1000, dport=2000) / b"data", "ipv4 / udp",
     ["udp.src_port=udp.srcport", "udp.dst_port=udp.dstport", "udp.length=udp.length", "udp.checksum=udp.checksum",
      "(for o in ipv4.options with x = 9 { match o { router_alert => router_alert.value, _ => x } })=ip.opt.ra"]),
    (eth / v4 / ICMP(type=8, id=77, seq=5) / b"ping", "ipv4 / icmp / echo",
     ["icmp.type=icmp.type", "icmp.code=icmp.code", "icmp.checksum=icmp.checksum", "echo.id=icmp.ident@0", "echo.sequence=icmp.seq@0"]),
    (eth / v6 / ICMPv6EchoRequest(id=77, seq=5, data=b"ping"), "ipv6 / icmp6 / echo",
     ["icmp6.type=icmpv6.type", "icmp6.code=icmpv6.code", "icmp6.checksum=icmpv6.checksum", "echo.id=icmpv6.echo.identifier",
      "echo.sequence=icmpv6.echo.sequence_number"]),
    (eth / v6 / ICMPv6ND_RA(chlim=64, M=1, O=0, routerlifetime=1800, reachabletime=30000, retranstimer=1000), "icmp6 / router_advertisement as ra",
     ["ra.hop_limit=icmpv6.nd.ra.cur_hop_limit", "ra.managed?icmpv6.nd.ra.flag.m", "ra.other?icmpv6.nd.ra.flag.o",
      "ra.lifetime=icmpv6.nd.ra.router_lifetime", "ra.reachable_time=icmpv6.nd.ra.reachable_time", "ra.retrans_timer=icmpv6.nd.ra.retrans_timer"]),
    (eth / v6 / ICMPv6ND_NS(tgt="2001:db8::9"), "icmp6 / neighbor_solicitation as ns", ["ns.target=icmpv6.nd.ns.target_address"]),
    (eth / v6 / ICMPv6ND_NA(tgt="2001:db8::9", R=1, S=0, O=1), "icmp6 / neighbor_advertisement as na",
     ["na.target=icmpv6.nd.na.target_address", "na.router?icmpv6.nd.na.flag.r", "na.solicited?icmpv6.nd.na.flag.s", "na.overrides?icmpv6.nd.na.flag.o"]),
    (eth / v6 / IPv6ExtHdrHopByHop(options=[RouterAlert(value=1)]) / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(addresses=["2001:db8::7"]) / tcp,
     "ipv6 / hop_by_hop / destination / routing / tcp",
     ["hop_by_hop.next_header=ipv6.hopopts.nxt", "hop_by_hop.len=ipv6.hopopts.len", "destination.len=ipv6.dstopts.len", "routing.len=ipv6.routing.len",
      "routing.type=ipv6.routing.type", "routing.segments_left=ipv6.routing.segleft", "routing.next_header=ipv6.routing.nxt",
      "(for o in hop_by_hop.options with x = 9 { match o { router_alert => router_alert.value, _ => x } })=ipv6.opt.router_alert"]),
    (eth / v6 / IPv6ExtHdrHopByHop(options=[RouterAlert(value=1)]) / IPv6ExtHdrDestOpt() / tcp, "ip / tcp",
     ["ip.src=ipv6.src", "tcp.src_port=tcp.srcport", "tcp.dst_port=tcp.dstport"]),
    (eth / v6 / IPv6ExtHdrFragment(offset=0, m=1, id=0xABCDEF, nh=6) / tcp, "ipv6 / fragment / tcp",
     ["fragment.id=ipv6.fraghdr.ident", "fragment.frag_offset=ipv6.fraghdr.offset", "fragment.more?ipv6.fraghdr.more",
      "fragment.next_header=ipv6.fraghdr.nxt"]),
    (eth / v6 / IPv6ExtHdrFragment(offset=185, m=0, id=0xABCDEF, nh=6) / Raw(bytes(tcp)), "ipv6 / fragment",
     ["fragment.frag_offset=ipv6.fraghdr.offset", "fragment.more?ipv6.fraghdr.more"]),
    (eth / v4 / AH(nh=6, payloadlen=4, spi=0x1001, seq=12, icv=b"\1" * 12) / tcp, "ipv4 / ah / tcp",
     ["ah.spi=ah.spi", "ah.sequence=ah.sequence", "ah.len=ah.length"] + of_tcp[:2]),
    (eth / v6 / AH(nh=6, payloadlen=4, spi=0x1001, seq=12, icv=b"\1" * 12) / tcp, "ipv6 / ah / tcp",
     ["ah.spi=ah.spi", "ah.sequence=ah.sequence"] + of_tcp[:2]),
    (eth / v4 / ESP(spi=0x2002, seq=13, data=b"\2" * 24), "ipv4 / esp", ["esp.spi=esp.spi", "esp.sequence=esp.sequence"]),
    (eth / v4 / SCTP(sport=3000, dport=3001, tag=0xCAFE) / b"", "ip / sctp",
     ["sctp.src_port=sctp.srcport", "sctp.dst_port=sctp.dstport", "sctp.tag=sctp.verification_tag", "sctp.checksum=sctp.checksum"]),
    (eth / v4 / UDP(sport=5353, dport=53) / DNS(id=0x4242, qr=0, rd=1, ad=1, qd=DNSQR(qname="example.org")), "ip / udp / dns",
     ["dns.id=dns.id", "dns.is_answer?dns.flags.response", "dns.opcode=dns.flags.opcode", "dns.truncated?dns.flags.truncated",
      "dns.recursion_desired?dns.flags.recdesired", "dns.authentic?dns.flags.authenticated", "dns.checking_disabled?dns.flags.checkdisable",
      "dns.questions=dns.count.queries", "dns.answers=dns.count.answers", "dns.authorities=dns.count.auth_rr", "dns.additionals=dns.count.add_rr"]),
    (eth / v4 / UDP(sport=53, dport=5000) / DNS(id=0x4242, qr=1, aa=1, ra=1, rcode=3, qd=DNSQR(qname="example.org"),
                                               an=DNSRR(rrname="example.org", rdata="192.0.2.9")), "ip / udp / dns",
     ["dns.id=dns.id", "dns.is_answer?dns.flags.response", "dns.authoritative?dns.flags.authoritative",
      "dns.recursion_available?dns.flags.recavail", "dns.rcode=dns.flags.rcode", "dns.answers=dns.count.answers"]),
    (eth / v4 / GRE(key_present=1, key=99, seqnum_present=1, sequence_number=3) / inner, "ipv4 as outer / gre / ipv4 as inner / tcp",
     ["outer.src=ip.src@0", "inner.src=ip.src@1", "inner.ttl=ip.ttl@1", "gre.protocol=gre.proto", "gre.has_key=gre.flags.key",
      "gre.has_sequence=gre.flags.sequence_number", "gre.has_checksum=gre.flags.checksum", "tcp.dst_port=tcp.dstport"]),
    (eth / v4 / UDP(sport=49152, dport=4789) / VXLAN(vni=0x123456, flags=8) / eth / inner, "ipv4 as outer / udp / vxlan / ethernet / ipv4 as inner / tcp",
     ["outer.src=ip.src@0", "inner.src=ip.src@1", "vxlan.vni=vxlan.vni", "ethernet.src=eth.src@1", "tcp.dst_port=tcp.dstport"]),
    (eth / v6 / UDP(sport=49152, dport=6081) / GENEVE(vni=0x654321, proto=0x6558) / eth / inner, "ip as outer / udp / geneve / ethernet / ip as inner / tcp",
     ["outer.src=ipv6.src", "inner.src=ip.src", "geneve.vni=geneve.vni", "geneve.protocol=geneve.proto_type", "tcp.dst_port=tcp.dstport"]),
    (eth / v4 / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=0x1020304) / inner, "gtpu / ipv4 as inner / tcp",
     ["gtpu.teid=gtp.teid", "gtpu.type=gtp.message", "gtpu.length=gtp.length", "inner.src=ip.src@1", "tcp.dst_port=tcp.dstport"]),
    (eth / v4 / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=7, S=1, seq=0x99) / inner, "gtpu / ipv4 as inner / tcp",
     ["gtpu.teid=gtp.teid", "gtpu.has_sequence=gtp.flags.s", "inner.src=ip.src@1"]),
    (eth / v4 / inner, "ipv4 as outer / ipv4 as inner / tcp", ["outer.src=ip.src@0", "inner.src=ip.src@1", "inner.ttl=ip.ttl@1"]),
    (eth / v4 / v6 / tcp, "ipv4 / ipv6 / tcp", ["ipv4.src=ip.src", "ipv6.src=ipv6.src", "tcp.dst_port=tcp.dstport"]),
]


def shown(fact):
    """Our side, whether it is a condition (`?`), tshark's field, which of several, and whether its length counts."""
    ours, sign, theirs = fact.rpartition("=") if "?" not in fact else fact.rpartition("?")
    length = theirs.endswith("!")
    theirs, _, which = theirs.rstrip("!").partition("@")
    return ours, sign, theirs, int(which or 0), length


def literal(value):
    if value.count(":") == 5 or value.count(".") == 3 or ":" in value:
        return value
    return str(int(value, 0))


def main():
    capture = os.path.join(here, "headers.pcap")
    for at, (packet, _, _) in enumerate(packets):
        packet.time = 1_700_000_000 + at
    wrpcap(capture, [packet for packet, _, _ in packets])
    lines = []
    for at, (_, arm, facts) in enumerate(packets):
        fields = sorted({shown(fact)[2] for fact in facts})
        command = ["tshark", "-r", capture, "-Y", f"frame.number == {at + 1}", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;",
                   "-E", "separator=/t", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
        for field in fields:
            command += ["-e", field]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n").split("\t")
        values = dict(zip(fields, out))
        for fact in facts:
            ours, sign, theirs, which, length = shown(fact)
            found = values[theirs].split(";")
            if which >= len(found) or not found[which]:
                raise SystemExit(f"packet {at}: tshark shows no {theirs}: {values}")
            value = found[which]
            if sign == "?":
                condition = ours if value in ("1", "True") else f"not {ours}"
            elif length:
                condition = f"{ours} == {len(value) // 2}"
            else:
                condition = f"{ours} == {literal(value)}"
            lines.append(f"{at}\t{arm}\t{condition}\n")
    with open(os.path.join(here, "headers.txt"), "w", encoding="utf-8") as file:
        file.writelines(lines)
    print(f"{len(packets)} packets, {len(lines)} facts")


main()
