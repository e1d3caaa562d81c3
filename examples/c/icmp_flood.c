/* `icmp_flood.oko` in C. */
#include "cells.h"
#include "packet.h"

#define TABLE pings
#define KEY_WORDS 1
#define VALUE struct window
#define EVICTS 1
#include "table.h"

#define ECHO_REQUEST 8
#define WINDOW SECOND
#define EXPIRE (10 * SECOND)

struct filter {
    struct pings pings;
    uint64_t limit; /* param */
};

void filter_free(struct filter *filter) {
    pings_drop(&filter->pings);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->limit = 100;
    if (!pings_init(&filter->pings, 16384)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool ping_flood(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4 || !headers.icmp || headers.icmp[0] != ECHO_REQUEST)
        return false;
    uint64_t key = ipv4_dst(headers.ipv4), pings = 1;
    struct pings_entry *entry = pings_slot(&filter->pings, &key, now);
    if (entry) {
        pings_live(entry, now);
        pings = window_add(&entry->value, WINDOW, now, 1);
        pings_touch(entry, now, EXPIRE);
    }
    return pings > filter->limit;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = ping_flood(filter, &packets[at], now);
}
