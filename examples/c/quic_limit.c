/* `quic_limit.oko` in C. */
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
#define BURST 150
#define QUIC 443
#define DNS 53
#define LONG_HEADER 0x80
#define VERSION_2 0x6b3343cfu

#define EVENT opens_too_fast
#define KEY_WORDS 1
#include "event.h"

#define EVENT opens_too_fast6
#define KEY_WORDS 2
#include "event.h"

struct filter {
    struct opens_too_fast opens_too_fast;
    struct opens_too_fast6 opens_too_fast6;
    struct events events;
    struct allowed allowed;
    struct allowed6 allowed6;
    uint64_t limit; /* param: a second */
};

void filter_free(struct filter *filter) {
    allowed_drop(&filter->allowed);
    allowed6_drop(&filter->allowed6);
    opens_too_fast_drop(&filter->opens_too_fast);
    opens_too_fast6_drop(&filter->opens_too_fast6);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->limit = 60;
    if (!allowed_init(&filter->allowed, 65536) || !allowed6_init(&filter->allowed6, 65536) ||
        !events_init(&filter->events) || !opens_too_fast_init(&filter->opens_too_fast, LIMITED_KEYS) || !opens_too_fast6_init(&filter->opens_too_fast6, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static inline bool is_initial(const uint8_t *quic) {
    uint32_t version = be32(quic + 1);
    int type = quic[0] >> 4 & 3;
    return version == VERSION_2 ? type == 1 : version != 0 && type == 0;
}

static bool opening_too_fast(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.udp || udp_dst_port(headers.udp) != QUIC || udp_src_port(headers.udp) == DNS)
        return false;
    const uint8_t *quic = headers.udp + 8;
    if (packet_end(packet) - quic < 6 || !(quic[0] & LONG_HEADER) || !is_initial(quic))
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
        if (!passes && opens_too_fast_due(&filter->opens_too_fast, &source, now, 10 * SECOND))
            TELL(&filter->events, now, source, be32(quic + 1));
    } else if (headers.ipv6) {
        uint64_t source[2] = {be64(headers.ipv6 + 8), be64(headers.ipv6 + 16)};
        struct allowed6_entry *entry = allowed6_slot(&filter->allowed6, source, now);
        if (entry) {
            allowed6_live(entry, now);
            passes = tokens_take(&entry->value, 1, filter->limit, BURST, now);
            allowed6_touch(entry, now, EXPIRE);
        }
        if (!passes && opens_too_fast6_due(&filter->opens_too_fast6, source, now, 10 * SECOND))
            TELL(&filter->events, now, source[0], source[1], be32(quic + 1));
    }
    return !passes;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = opening_too_fast(filter, &packets[at], now);
}
