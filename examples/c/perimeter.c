/* `perimeter.oko` in C. */
#include "conn.h"
#include "prefix.h"

/* A connection is its two ends, the lower one first. */
#define TABLE conns
#define KEY_WORDS 2
#define VALUE enum conn
#define EVICTS 0
#include "table.h"

#define TABLE conns6
#define KEY_WORDS 5
#define VALUE enum conn
#define EVICTS 0
#include "table.h"

#define EVENT knock
#define KEY_WORDS 1
#include "event.h"

#define EVENT knock6
#define KEY_WORDS 2
#include "event.h"

struct filter {
    struct knock knock;
    struct knock6 knock6;
    struct events events;
    struct conns conns;
    struct conns6 conns6;
    struct prefixes inside;
};

void filter_free(struct filter *filter) {
    conns_drop(&filter->conns);
    conns6_drop(&filter->conns6);
    prefixes_drop(&filter->inside);
    knock_drop(&filter->knock);
    knock6_drop(&filter->knock6);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!conns_init(&filter->conns, 262144) || !conns6_init(&filter->conns6, 262144) || !prefixes_init(&filter->inside, 1024) ||
        !events_init(&filter->events) || !knock_init(&filter->knock, LIMITED_KEYS) || !knock6_init(&filter->knock6, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

#ifndef __bpf__
bool filter_insert(struct filter *filter, const uint64_t *key, uint32_t bits) {
    return prefixes_insert(&filter->inside, key[0], key[1], key[2], bits - 8);
}
#endif

/* The packet belongs to no connection: tells of it if it opens one. */
static bool knocked4(struct filter *filter, uint64_t src, uint64_t dst, uint8_t flags, uint64_t now) {
    uint64_t client = src >> 16;
    if (flags == SYN && knock_due(&filter->knock, &client, now, 60 * SECOND))
        TELL(&filter->events, now, dst, client);
    return false;
}

static bool tracked4(struct filter *filter, const struct headers *headers, uint64_t now) {
    bool out = prefixes_have4(&filter->inside, headers->ipv4 + 12);
    uint8_t flags = tcp_flags(headers->tcp);
    uint64_t src = (uint64_t)ipv4_src(headers->ipv4) << 16 | tcp_src_port(headers->tcp);
    uint64_t dst = (uint64_t)ipv4_dst(headers->ipv4) << 16 | tcp_dst_port(headers->tcp);
    uint64_t key[2] = {src < dst ? src : dst, src < dst ? dst : src};
    struct conns_entry *entry = conns_find(&filter->conns, key);
    if (!entry) {
        if (next(NONE, out, flags) != NONE)
            entry = conns_slot(&filter->conns, key, now);
        if (!entry)
            return knocked4(filter, src, dst, flags, now);
    }
    enum conn conn = conns_live(entry, now) ? entry->value : NONE;
    entry->value = next(conn, out, flags);
    if (entry->value == NONE) {
        conns_clear(entry);
        return knocked4(filter, src, dst, flags, now);
    }
    conns_touch(entry, now, idle_limit(entry->value));
    return true;
}

/* An end of a connection over IPv6. */
struct end6 {
    uint64_t high;
    uint64_t low;
    uint64_t port;
};

static bool knocked6(struct filter *filter, const struct end6 *src, const struct end6 *dst, uint8_t flags, uint64_t now) {
    const uint64_t client[2] = {src->high, src->low};
    if (flags == SYN && knock6_due(&filter->knock6, client, now, 60 * SECOND))
        TELL(&filter->events, now, dst->high, dst->low, dst->port, client[0], client[1]);
    return false;
}

static inline bool is_lower(const struct end6 *one, const struct end6 *other) {
    if (one->high != other->high)
        return one->high < other->high;
    return one->low != other->low ? one->low < other->low : one->port < other->port;
}

static bool tracked6(struct filter *filter, const struct headers *headers, uint64_t now) {
    const uint8_t *addresses = headers->ipv6 + 8;
    bool out = prefixes_have6(&filter->inside, addresses);
    uint8_t flags = tcp_flags(headers->tcp);
    struct end6 src = {be64(addresses), be64(addresses + 8), tcp_src_port(headers->tcp)};
    struct end6 dst = {be64(addresses + 16), be64(addresses + 24), tcp_dst_port(headers->tcp)};
    bool ordered = is_lower(&src, &dst);
    struct end6 first = ordered ? src : dst, second = ordered ? dst : src;
    uint64_t key[5] = {first.high, first.low, second.high, second.low, first.port << 16 | second.port};
    struct conns6_entry *entry = conns6_find(&filter->conns6, key);
    if (!entry) {
        if (next(NONE, out, flags) != NONE)
            entry = conns6_slot(&filter->conns6, key, now);
        if (!entry)
            return knocked6(filter, &src, &dst, flags, now);
    }
    enum conn conn = conns6_live(entry, now) ? entry->value : NONE;
    entry->value = next(conn, out, flags);
    if (entry->value == NONE) {
        conns6_clear(entry);
        return knocked6(filter, &src, &dst, flags, now);
    }
    conns6_touch(entry, now, idle_limit(entry->value));
    return true;
}

static bool tracked(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.tcp)
        return false;
    if (headers.ipv4)
        return tracked4(filter, &headers, now);
    return headers.ipv6 && tracked6(filter, &headers, now);
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = tracked(filter, &packets[at], now);
}
