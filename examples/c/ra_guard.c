/* `ra_guard.oko` in C. */
#include "packet.h"

/* The ports behind which routers are, by the control plane. */
#define TABLE routers
#define KEY_WORDS 1
#define VALUE uint8_t
#define EVICTS 0
#include "table.h"

#define ROUTER_ADVERTISEMENT 134

struct filter {
    struct routers routers;
};

void filter_free(struct filter *filter) {
    routers_drop(&filter->routers);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!routers_init(&filter->routers, 256)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

#ifndef __bpf__
bool filter_insert(struct filter *filter, const uint64_t *key, uint32_t bits) {
    (void)bits;
    struct routers_entry *entry = routers_slot(&filter->routers, key, 0);
    if (!entry)
        return false;
    routers_touch(entry, 0, UINT64_MAX);
    return true;
}
#endif

static bool rogue(struct filter *filter, const struct packet *packet) {
    struct headers headers = headers_of(packet);
    if (!headers.icmp6 || headers.icmp6[0] != ROUTER_ADVERTISEMENT)
        return false;
    uint64_t port = packet->in_port;
    return !routers_has(&filter->routers, &port);
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    (void)now;
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = rogue(filter, &packets[at]);
}
