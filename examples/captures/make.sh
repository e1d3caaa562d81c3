#!/usr/bin/env bash
# Makes the captures in this folder again: real TCP/IP stacks and real tools in two network namespaces, joined by a
# veth pair; nothing leaves the machine. Needs root and: iproute2 tcpdump curl hping3 nmap iperf3 iputils-ping python3 ethtool wireguard-tools wireguard-go.
#
#   client 198.51.100.2, 2001:db8:1::2  ---veth---  server 192.0.2.10, 2001:db8:2::10
#
# Random source addresses are routed back to the client, which does not own them and so never answers: as in a real flood.
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD
# `make.sh NAME ...` makes only these.
wanted=" ${*:-syn_flood rate_limit firewall scan mixed wireguard} "
client=oko-cap-client server=oko-cap-server
work=$(mktemp -d)

cleanup() {
    for ns in $client $server; do
        ip netns pids $ns 2>/dev/null | xargs -r kill 2>/dev/null || true
        ip netns del $ns 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT
cleanup 2>/dev/null
mkdir -p "$work/www"

c() { ip netns exec $client "$@"; }
s() { ip netns exec $server "$@"; }

ip netns add $client
ip netns add $server
ip link add veth0 netns $client type veth peer name veth0 netns $server
c ip link set veth0 address 02:00:00:00:00:01
s ip link set veth0 address 02:00:00:00:00:02
for ns in $client $server; do
    ip netns exec $ns sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.veth0.accept_dad=0
    ip netns exec $ns sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.veth0.rp_filter=0
    # Checksums and segments as on a wire, not as between two halves of a veth pair.
    ip netns exec $ns ethtool -K veth0 tx off rx off gso off tso off gro off >/dev/null
    ip netns exec $ns ip link set lo up
    ip netns exec $ns ip link set veth0 up
done
c ip addr add 198.51.100.2/24 dev veth0
c ip addr add 198.51.100.3/24 dev veth0
c ip -6 addr add 2001:db8:1::2/64 dev veth0 nodad
c ip route add default dev veth0 via inet 198.51.100.1 onlink 2>/dev/null || c ip route add default via 198.51.100.1 dev veth0 onlink
c ip -6 route add default dev veth0
s ip addr add 192.0.2.10/24 dev veth0
s ip -6 addr add 2001:db8:2::10/64 dev veth0 nodad
s ip -6 route add default dev veth0
# Each side finds everybody behind the other's MAC address.
c ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:02 dev veth0 nud permanent
c ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:02 dev veth0 nud permanent
s ip route add default via 192.0.2.1 dev veth0 onlink
s ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev veth0 nud permanent
s sysctl -qw net.ipv4.tcp_max_syn_backlog=4096 net.core.somaxconn=4096 net.ipv4.tcp_syncookies=1
sleep 2

head -c 3000 /dev/zero | tr '\0' 'x' > "$work/www/index.html"
(cd "$work/www" && s python3 -m http.server --bind :: 80 >/dev/null 2>&1 &)
s iperf3 -s -D -p 5201 >/dev/null
sleep 1

# record NAME: starts a capture on the server's side; `done_recording` ends it.
record() {
    s tcpdump -q -i veth0 -s "${2:-0}" -B 16384 -U -w "$work/$1.pcap" 2>"$work/$1.log" &
    dump=$!
    until grep -q 'listening on' "$work/$1.log"; do sleep 0.1; done
    name=$1
}
done_recording() {
    sleep 1
    s pkill -INT tcpdump
    wait $dump || true
    mv "$work/$name.pcap" "$out/$name.pcap"
    echo "$name.pcap: $(tcpdump -r "$out/$name.pcap" 2>/dev/null | wc -l) packets, $(stat -c %s "$out/$name.pcap") bytes"
}
fetch() { c curl -s -o /dev/null --max-time 10 "$@" || true; }

# A SYN flood from random addresses on a web server that serves real clients before, during and after it.
if [[ $wanted == *' syn_flood '* ]]; then
record syn_flood
for _ in 1 2 3 4 5; do fetch http://192.0.2.10/; done
c hping3 -q -S -p 80 --rand-source -i u400 -c 2500 192.0.2.10 >/dev/null 2>&1 &
flood=$!
for _ in 1 2 3 4 5 6; do fetch http://192.0.2.10/; fetch --interface 198.51.100.3 http://192.0.2.10/; sleep 0.15; done
wait $flood || true
for _ in 1 2 3; do fetch http://192.0.2.10/; done
done_recording
fi

# One source far above its rate, another below, both over UDP and ICMP.
if [[ $wanted == *' rate_limit '* ]]; then
record rate_limit 128
c iperf3 -c 192.0.2.10 -B 198.51.100.2 -u -b 4M -l 160 -t 1 >/dev/null
c ping -q -i 0.05 -c 20 -I 198.51.100.3 192.0.2.10 >/dev/null
done_recording
fi

# Connections from the inside (the client as 10.1.0.2) to the outside, and probes from the outside that belong to no connection.
inside=10.1.0.2
if [[ $wanted == *' firewall '* ]]; then
c ip addr add $inside/24 dev veth0
record firewall
for _ in 1 2 3; do fetch --interface $inside http://192.0.2.10/; done
s hping3 -q -S -p 22 -c 5 -i u20000 $inside >/dev/null 2>&1 || true
s hping3 -q -A -p 4000 -c 5 -i u20000 $inside >/dev/null 2>&1 || true
s hping3 -q -SA -s 80 -p 4001 -c 5 -i u20000 $inside >/dev/null 2>&1 || true
c curl -s -o /dev/null --max-time 3 --interface $inside http://192.0.2.10:81/ || true
c iperf3 -c 192.0.2.10 -B $inside -n 64K >/dev/null
fetch --interface $inside http://192.0.2.10/
done_recording
fi

# A port scan, half of it SYN scan, half connect scan, and UDP.
if [[ $wanted == *' scan '* ]]; then
record scan
c nmap -n -Pn -sS -p 1-400 --max-retries 0 192.0.2.10 >/dev/null
c nmap -n -Pn -sT -p 1-200 --max-retries 0 192.0.2.10 >/dev/null
c nmap -n -Pn -sU -p 50-60 --max-retries 0 192.0.2.10 >/dev/null
fetch http://192.0.2.10/
done_recording
fi

# A bit of everything: IPv4, IPv6, ARP, ICMP, fragments, IP options.
if [[ $wanted == *' mixed '* ]]; then
record mixed
c ip neigh del 192.0.2.10 dev veth0
c ip neigh del 198.51.100.1 dev veth0
c ip route add 192.0.2.10/32 dev veth0 src 198.51.100.2
c ping -q -c 5 -i 0.05 192.0.2.10 >/dev/null
c ping -q -c 3 -i 0.05 -s 4000 192.0.2.10 >/dev/null
c ping -q -R -c 3 -i 0.05 192.0.2.10 >/dev/null || true
c ping -q -c 3 -i 0.05 2001:db8:2::10 >/dev/null || true
c ping -q -c 2 -i 0.05 -s 4000 2001:db8:2::10 >/dev/null || true
fetch http://192.0.2.10/
fetch 'http://[2001:db8:2::10]/'
c iperf3 -c 192.0.2.10 -u -b 500K -l 200 -t 1 >/dev/null
c hping3 -q -2 -p 53 -d 32 -c 10 -i u10000 192.0.2.10 >/dev/null 2>&1 || true
c nmap -n -Pn -sN -p 1-20 192.0.2.10 >/dev/null || true
c nmap -n -Pn -sX -p 1-20 192.0.2.10 >/dev/null || true
done_recording
fi

# A WireGuard tunnel, and a client that asks for a handshake again and again: each time it has forgotten the server.
if [[ $wanted == *' wireguard '* ]]; then
(umask 077; for ns in $client $server; do wg genkey > "$work/$ns.key"; wg pubkey < "$work/$ns.key" > "$work/$ns.pub"; done)
# The program in user space runs wherever there is a tun device. Both ends take their orders by sockets in one folder, so their devices differ in name.
tunnel() { # namespace, device, address
    ip netns exec "$1" wireguard-go "$2" >/dev/null 2>&1
    ip netns exec "$1" ip addr add "$3/24" dev "$2"
    ip netns exec "$1" ip link set "$2" up
}
tunnel $client okowg0 10.9.0.2
tunnel $server okowg1 10.9.0.1
s wg set okowg1 private-key "$work/$server.key" listen-port 51820 peer "$(cat "$work/$client.pub")" allowed-ips 10.9.0.2/32
server_peer() { c wg set okowg0 peer "$(cat "$work/$server.pub")" endpoint 192.0.2.10:51820 allowed-ips 10.9.0.1/32; }
c wg set okowg0 private-key "$work/$client.key"
record wireguard
server_peer
c ping -q -c 5 -i 0.1 10.9.0.1 >/dev/null
sleep 1
for _ in $(seq 40); do
    c wg set okowg0 peer "$(cat "$work/$server.pub")" remove
    server_peer
    c ping -q -c 1 -W 0.05 10.9.0.1 >/dev/null || true
    sleep 0.02
done
done_recording
fi
