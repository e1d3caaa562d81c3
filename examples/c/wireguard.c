/* `wireguard.oko` in C. */
#include "cells.h"
#include "packet.h"

#define TABLE allowed
#define KEY_WORDS 1
#define VALUE struct tokens
#define EVICTS 1
#include "table.h"

#define TABLE allowed6
#define KEY_WORDS 2
#define VALUE struct tokens
#define EVICTS 1
#include "table.h"

#define EXPIRE (30 * SECOND)
#define BURST 20
#define WIREGUARD 51820
#define INITIATION 148
/* What of it must be there: type and sender. */
#define INITIATION_PART 8

struct filter {
    struct allowed allowed;
    struct allowed6 allowed6;
    uint64_t limit; /* param: a second */
};

void filter_free(struct filter *filter) {
    allowed_drop(&filter->allowed);
    allowed6_drop(&filter->allowed6);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->limit = 5;
    if (!allowed_init(&filter->allowed, 65536) || !allowed6_init(&filter->allowed6, 65536)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool too_many_handshakes(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.udp || udp_dst_port(headers.udp) != WIREGUARD)
        return false;
    /* By their other port these are DNS and QUIC. */
    uint16_t other = udp_src_port(headers.udp);
    const uint8_t *wireguard = headers.udp + 8;
    if (other == 53 || other == 443 || packet_end(packet) - wireguard < INITIATION_PART)
        return false;
    if (be32(wireguard) != 0x01000000 || be16(headers.udp + 4) != 8 + INITIATION)
        return false;
    bool passes = true;
    if (headers.ipv4) {
        uint64_t source = ipv4_src(headers.ipv4);
        struct allowed_entry *entry = allowed_slot(&filter->allowed, &source, now);
        if (entry) {
            allowed_live(entry, now);
            passes = tokens_take(&entry->value, 1, filter->limit, BURST, now);
            allowed_touch(entry, now, EXPIRE);
        }
    } else if (headers.ipv6) {
        uint64_t source[2] = {be64(headers.ipv6 + 8), be64(headers.ipv6 + 16)};
        struct allowed6_entry *entry = allowed6_slot(&filter->allowed6, source, now);
        if (entry) {
            allowed6_live(entry, now);
            passes = tokens_take(&entry->value, 1, filter->limit, BURST, now);
            allowed6_touch(entry, now, EXPIRE);
        }
    }
    return !passes;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = too_many_handshakes(filter, &packets[at], now);
}
