/* `entries.oko` in C. */
#include "packet.h"

#define TABLE seen
#define KEY_WORDS 1
#define VALUE uint64_t
#define EVICTS 1
#include "table.h"

#define EXPIRE (3600 * SECOND)

struct filter {
    struct seen seen;
    uint64_t most; /* param */
};

void filter_free(struct filter *filter) {
    seen_drop(&filter->seen);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->most = 4000000000;
    if (!seen_init(&filter->seen, CAPACITY)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool busy(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4)
        return false;
    uint64_t key = ipv4_src(headers.ipv4), count = 1;
    struct seen_entry *entry = seen_slot(&filter->seen, &key, now);
    if (entry) {
        seen_live(entry, now);
        count = entry->value += entry->value != UINT64_MAX;
        seen_touch(entry, now, EXPIRE);
    }
    return count > filter->most;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = busy(filter, &packets[at], now);
}
