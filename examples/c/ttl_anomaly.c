/* `ttl_anomaly.oko` in C. */
#include "packet.h"

#define TABLE learnt
#define KEY_WORDS 1
#define VALUE uint8_t
#define EVICTS 0
#include "table.h"

#define EXPIRE (3600 * SECOND)

#define EVENT odd_ttl
#define KEY_WORDS 1
#include "event.h"

struct filter {
    struct odd_ttl odd_ttl;
    struct events events;
    struct learnt learnt;
    uint8_t spread; /* param */
};

void filter_free(struct filter *filter) {
    learnt_drop(&filter->learnt);
    odd_ttl_drop(&filter->odd_ttl);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->spread = 3;
    if (!learnt_init(&filter->learnt, 262144) ||
        !events_init(&filter->events) || !odd_ttl_init(&filter->odd_ttl, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool forged_ttl(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.ipv4)
        return false;
    uint64_t source = ipv4_src(headers.ipv4);
    uint8_t ttl = headers.ipv4[8];
    struct learnt_entry *entry = learnt_slot(&filter->learnt, &source, now);
    if (!entry)
        return false;
    if (!learnt_live(entry, now))
        entry->value = ttl;
    uint8_t usual = entry->value;
    learnt_touch(entry, now, EXPIRE);
    bool differs = (usual > ttl ? usual - ttl : ttl - usual) > filter->spread;
    if (differs && odd_ttl_due(&filter->odd_ttl, &source, now, 60 * SECOND))
        TELL(&filter->events, now, source, usual, ttl);
    return differs;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = forged_ttl(filter, &packets[at], now);
}
