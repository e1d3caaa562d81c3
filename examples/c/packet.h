/* The way through a packet's headers: Ethernet II, up to two VLAN tags, ARP, IPv4 or IPv6, TCP, UDP, SCTP, ICMP or ICMPv6. */
#ifndef PACKET_H
#define PACKET_H

#include "filter.h"

#ifndef __bpf__
#include <string.h>
#endif

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IPV6 0x86dd
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMP6 58
#define PROTOCOL_SCTP 132

static inline uint16_t be16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap16(value);
}

static inline uint32_t be32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t be64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

/* The headers that a packet has; those that it lacks, or whose rules it breaks, are NULL. */
struct headers {
    const uint8_t *ethernet;
    const uint8_t *arp;
    const uint8_t *ipv4;
    const uint8_t *ipv6;
    const uint8_t *tcp;
    const uint8_t *udp;
    const uint8_t *icmp;
    const uint8_t *icmp6;
    const uint8_t *ports; /* whichever of TCP, UDP and SCTP there is */
    uint8_t protocol;     /* its number */
    int tags; /* of VLANs */
};

static inline const uint8_t *tcp_at(const uint8_t *at, const uint8_t *end) {
    if (end - at < 20 || at[12] >> 4 < 5)
        return NULL;
    return at;
}

static inline void transport(struct headers *found, uint8_t protocol, const uint8_t *at, const uint8_t *end) {
    if (protocol == PROTOCOL_TCP)
        found->ports = found->tcp = tcp_at(at, end);
    else if (protocol == PROTOCOL_UDP && end - at >= 8)
        found->ports = found->udp = at;
    else if (protocol == PROTOCOL_SCTP && end - at >= 12)
        found->ports = at;
    found->protocol = protocol;
}

static inline struct headers headers_of(const struct packet *packet) {
    struct headers found = {0};
    const uint8_t *at = packet->data;
    const uint8_t *end = packet_end(packet);
    if (end - at < 14)
        return found;
    found.ethernet = at;
    uint16_t type = be16(at + 12);
    at += 14;
    for (; type == 0x8100 || type == 0x88a8; found.tags++) {
        if (found.tags == 2 || end - at < 4)
            return found;
        type = be16(at + 2);
        at += 4;
    }
    if (type == ETHERTYPE_IPV4) {
        if (end - at < 20 || at[0] >> 4 != 4)
            return found;
        unsigned header_len = (at[0] & 15) * 4;
        if (header_len < 20 || be16(at + 2) < header_len)
            return found;
        found.ipv4 = at;
        if ((be16(at + 6) & 0x1fff) == 0 && (size_t)(end - at) >= header_len) {
            transport(&found, at[9], at + header_len, end);
            if (at[9] == PROTOCOL_ICMP && end - (at + header_len) >= 4)
                found.icmp = at + header_len;
        }
    } else if (type == ETHERTYPE_IPV6) {
        if (end - at < 40 || at[0] >> 4 != 6)
            return found;
        found.ipv6 = at;
        transport(&found, at[6], at + 40, end);
        if (at[6] == PROTOCOL_ICMP6 && end - (at + 40) >= 4)
            found.icmp6 = at + 40;
    } else if (type == ETHERTYPE_ARP) {
        /* Of IPv4 over Ethernet. */
        if (end - at >= 28 && be64(at) >> 16 == 0x000108000604)
            found.arp = at;
    }
    return found;
}

static inline uint32_t ipv4_src(const uint8_t *ipv4) { return be32(ipv4 + 12); }
static inline uint32_t ipv4_dst(const uint8_t *ipv4) { return be32(ipv4 + 16); }
static inline uint16_t tcp_src_port(const uint8_t *tcp) { return be16(tcp); }
static inline uint16_t tcp_dst_port(const uint8_t *tcp) { return be16(tcp + 2); }
static inline uint16_t udp_src_port(const uint8_t *udp) { return be16(udp); }
static inline uint16_t udp_dst_port(const uint8_t *udp) { return be16(udp + 2); }
static inline uint8_t tcp_flags(const uint8_t *tcp) { return tcp[13]; }
static inline uint64_t mac(const uint8_t *at) { return (uint64_t)be16(at) << 32 | be32(at + 2); }

#endif
