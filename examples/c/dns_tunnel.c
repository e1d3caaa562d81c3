/* `dns_tunnel.oko` in C. */
#include "cells.h"
#include "packet.h"

/* How long the queries of a client are, and how many. */
struct queries {
    struct ewma lengths;
    struct ewma packets;
};

#define TABLE clients
#define KEY_WORDS 1
#define VALUE struct queries
#define EVICTS 1
#include "table.h"

#define TABLE clients6
#define KEY_WORDS 2
#define VALUE struct queries
#define EVICTS 1
#include "table.h"

#define EXPIRE (600 * SECOND)
#define TIME_CONSTANT (30 * SECOND)
#define TICK EWMA_TICK(TIME_CONSTANT)
#define DNS 53

#define EVENT tunnel_found
#define KEY_WORDS 1
#include "event.h"

#define EVENT tunnel_found6
#define KEY_WORDS 2
#include "event.h"

struct filter {
    struct tunnel_found tunnel_found;
    struct tunnel_found6 tunnel_found6;
    struct events events;
    struct clients clients;
    struct clients6 clients6;
    uint64_t length; /* param */
    uint64_t speed;  /* param: a second */
};

void filter_free(struct filter *filter) {
    clients_drop(&filter->clients);
    clients6_drop(&filter->clients6);
    tunnel_found_drop(&filter->tunnel_found);
    tunnel_found6_drop(&filter->tunnel_found6);
    events_drop(&filter->events);
    free(filter);
}

struct filter *filter_new(void) {
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->length = 130;
    filter->speed = 5;
    if (!clients_init(&filter->clients, 65536) || !clients6_init(&filter->clients6, 65536) ||
        !events_init(&filter->events) || !tunnel_found_init(&filter->tunnel_found, LIMITED_KEYS) || !tunnel_found6_init(&filter->tunnel_found6, LIMITED_KEYS)) {
        filter_free(filter);
        return NULL;
    }
    return filter;
}

/* Counts a query; says whether its client's are long and many. */
static inline bool count_query(const struct filter *filter, struct queries *queries, uint64_t length, uint64_t now, uint64_t *average) {
    *average = ewma_add(&queries->lengths, TICK, now, length);
    ewma_add(&queries->packets, TICK, now, 1);
    return *average > filter->length && ewma_rate(&queries->packets, TIME_CONSTANT) > filter->speed;
}

static bool tunnel(struct filter *filter, const struct packet *packet, uint64_t now) {
    struct headers headers = headers_of(packet);
    if (!headers.udp || udp_dst_port(headers.udp) != DNS)
        return false;
    bool found = false;
    uint64_t average = 0;
    if (headers.ipv4) {
        uint64_t client = ipv4_src(headers.ipv4);
        struct clients_entry *entry = clients_slot(&filter->clients, &client, now);
        if (entry) {
            clients_live(entry, now);
            found = count_query(filter, &entry->value, packet->wire_len, now, &average);
            clients_touch(entry, now, EXPIRE);
        }
        if (found && tunnel_found_due(&filter->tunnel_found, &client, now, 60 * SECOND))
            TELL(&filter->events, now, client, average);
    } else if (headers.ipv6) {
        uint64_t client[2] = {be64(headers.ipv6 + 8), be64(headers.ipv6 + 16)};
        struct clients6_entry *entry = clients6_slot(&filter->clients6, client, now);
        if (entry) {
            clients6_live(entry, now);
            found = count_query(filter, &entry->value, packet->wire_len, now, &average);
            clients6_touch(entry, now, EXPIRE);
        }
        if (found && tunnel_found6_due(&filter->tunnel_found6, client, now, 60 * SECOND))
            TELL(&filter->events, now, client[0], client[1], average);
    }
    return found;
}

void filter_run(struct filter *filter, const struct packet *packets, uint64_t count, uint64_t now, uint32_t *verdicts) {
    for (uint64_t at = 0; at < count; at++)
        verdicts[at] = tunnel(filter, &packets[at], now);
}
