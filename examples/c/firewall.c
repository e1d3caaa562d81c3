/* `firewall.oko` in C. */
#include "conn.h"

#define TABLE conns
#define KEY_WORDS 2
#define VALUE enum conn
#define EVICTS 0
#include "table.h"

struct filter {
    struct conns conns;
};

void filter_free(struct filter *filter) {
    conns_drop(&filter->conns);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!conns_init(&filter->conns, 1048576)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool tracked(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4 || !headers.tcp)
        return false;
    uint32_t src = ipv4_src(headers.ipv4), dst = ipv4_dst(headers.ipv4);
    uint32_t src_port = tcp_src_port(headers.tcp), dst_port = tcp_dst_port(headers.tcp);
    uint8_t flags = tcp_flags(headers.tcp);
    bool out = src >> 24 == 10 || src >> 16 == (192 << 8 | 168);
    uint64_t key[2] = {
        out ? (uint64_t)src << 32 | dst : (uint64_t)dst << 32 | src,
        out ? src_port << 16 | dst_port : dst_port << 16 | src_port,
    };
    struct conns_entry *entry = conns_find(&filter->conns, key);
    if (!entry) {
        if (next(NONE, out, flags) == NONE)
            return false;
        entry = conns_slot(&filter->conns, key, now);
        if (!entry)
            return false;
    }
    enum conn conn = conns_live(entry, now) ? entry->value : NONE;
    entry->value = next(conn, out, flags);
    if (entry->value == NONE) {
        conns_clear(entry);
        return false;
    }
    conns_touch(entry, now, idle_limit(entry->value));
    return true;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = tracked(filter, &packets[at], now);
}
