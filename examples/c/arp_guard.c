/* `arp_guard.oko` in C. */
#include "packet.h"

#define TABLE owners
#define KEY_WORDS 1
#define VALUE uint64_t
#define EVICTS 0
#include "table.h"

#define EXPIRE (1800 * SECOND)

struct filter {
    struct owners owners;
};

void filter_free(struct filter *filter) {
    owners_drop(&filter->owners);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!owners_init(&filter->owners, 65536)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

static bool claimed(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.arp)
        return false;
    uint64_t station = mac(headers.arp + 8), sender = be32(headers.arp + 14);
    if (headers.tags == 0 && station != mac(headers.ethernet + 6))
        return true;
    if (sender == 0)
        return false;
    struct owners_entry *entry = owners_slot(&filter->owners, &sender, now);
    if (!entry)
        return false;
    if (!owners_live(entry, now))
        entry->value = station;
    bool other = entry->value != station;
    owners_touch(entry, now, EXPIRE);
    return other;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = claimed(filter, &packets[at], now);
}
