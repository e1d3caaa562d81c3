/* The way through a packet's headers: Ethernet II, up to two VLAN tags, IPv4 or IPv6, TCP. */
#ifndef PACKET_H
#define PACKET_H

#include <string.h>

#include "filter.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define PROTOCOL_TCP 6

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
    const uint8_t *ipv4;
    const uint8_t *ipv6;
    const uint8_t *tcp;
};

static inline const uint8_t *tcp_at(const uint8_t *at, const uint8_t *end) {
    if (end - at < 20 || at[12] >> 4 < 5)
        return NULL;
    return at;
}

static inline struct headers headers_of(const struct packet *packet) {
    struct headers found = {NULL, NULL, NULL};
    const uint8_t *at = packet->data;
    const uint8_t *end = at + packet->captured;
    if (end - at < 14)
        return found;
    uint16_t type = be16(at + 12);
    at += 14;
    for (int tags = 0; type == 0x8100 || type == 0x88a8; tags++) {
        if (tags == 2 || end - at < 4)
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
        if (at[9] == PROTOCOL_TCP && (be16(at + 6) & 0x1fff) == 0 && (size_t)(end - at) >= header_len)
            found.tcp = tcp_at(at + header_len, end);
    } else if (type == ETHERTYPE_IPV6) {
        if (end - at < 40 || at[0] >> 4 != 6)
            return found;
        found.ipv6 = at;
        if (at[6] == PROTOCOL_TCP)
            found.tcp = tcp_at(at + 40, end);
    }
    return found;
}

static inline uint32_t ipv4_src(const uint8_t *ipv4) { return be32(ipv4 + 12); }
static inline uint32_t ipv4_dst(const uint8_t *ipv4) { return be32(ipv4 + 16); }
static inline uint16_t tcp_src_port(const uint8_t *tcp) { return be16(tcp); }
static inline uint16_t tcp_dst_port(const uint8_t *tcp) { return be16(tcp + 2); }
static inline uint8_t tcp_flags(const uint8_t *tcp) { return tcp[13]; }

#endif
