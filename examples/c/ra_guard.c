/* `ra_guard.oko` in C. */
#include "packet.h"

/* The ports behind which routers are, by the control plane. */
#define TABLE routers
#define KEY_WORDS 1
#define VALUE uint8_t
#define EVICTS 0
#include "table.h"

#define ROUTER_ADVERTISEMENT 134

#define EVENT rogue_router
#define KEY_WORDS 1
#include "event.h"

struct filter {
    struct rogue_router rogue_router;
    struct events events;
    struct routers routers;
};

void filter_free(struct filter *filter) {
    routers_drop(&filter->routers);
    rogue_router_drop(&filter->rogue_router);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!routers_init(&filter->routers, 256) ||
        !events_init(&filter->events) || !rogue_router_init(&filter->rogue_router, LIMITED_KEYS)) {
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

static bool rogue(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.icmp6 || headers.icmp6[0] != ROUTER_ADVERTISEMENT)
        return false;
    uint64_t port = packet->in_port;
    if (routers_has(&filter->routers, &port))
        return false;
    uint64_t station = mac(headers.ethernet + 6);
    if (rogue_router_due(&filter->rogue_router, &station, now, 10 * SECOND))
        TELL(&filter->events, now, station, be64(headers.ipv6 + 8), be64(headers.ipv6 + 16), port);
    return true;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = rogue(filter, &packets[at], now);
}
