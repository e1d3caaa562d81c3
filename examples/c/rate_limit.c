/* `rate_limit.oko` in C. */
#include "cells.h"
#include "packet.h"

#define TABLE buckets
#define KEY_WORDS 1
#define VALUE struct tokens
#define EVICTS 1
#include "table.h"

#define TABLE buckets6
#define KEY_WORDS 2
#define VALUE struct tokens
#define EVICTS 1
#include "table.h"

#define EXPIRE (30 * SECOND)

struct filter {
    struct buckets buckets;
    struct buckets6 buckets6;
    uint64_t limit; /* param: a second */
    uint64_t burst; /* param */
};

void filter_free(struct filter *filter) {
    buckets_drop(&filter->buckets);
    buckets6_drop(&filter->buckets6);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->limit = 1000;
    filter->burst = 2000;
    if (!buckets_init(&filter->buckets, 262144) || !buckets6_init(&filter->buckets6, 65536)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool over_rate(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    bool within = true;
    if (headers.ipv4) {
        uint64_t key = ipv4_src(headers.ipv4);
        struct buckets_entry *entry = buckets_slot(&filter->buckets, &key, now);
        if (entry) {
            buckets_live(entry, now);
            within = tokens_take(&entry->value, 1, filter->limit, filter->burst, now);
            buckets_touch(entry, now, EXPIRE);
        }
    } else if (headers.ipv6) {
        uint64_t key[2] = {be64(headers.ipv6 + 8), be64(headers.ipv6 + 16)};
        struct buckets6_entry *entry = buckets6_slot(&filter->buckets6, key, now);
        if (entry) {
            buckets6_live(entry, now);
            within = tokens_take(&entry->value, 1, filter->limit, filter->burst, now);
            buckets6_touch(entry, now, EXPIRE);
        }
    }
    return !within;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = over_rate(filter, &packets[at], now);
}
